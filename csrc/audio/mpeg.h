/* mpeg.h: MPEG audio with its true length (libmpg123).
 *
 * libsndfile 1.2 decodes with the same library, but believes a length that is guessed from
 * the first frame and the size of the file, tags and pictures included. */
#ifndef BC_AUDIO_MPEG_H
#define BC_AUDIO_MPEG_H

#include "../support/error.h"
#include "extent.h"
#include "tags.h"

typedef struct bc_mpeg bc_mpeg;

/* Does MPEG audio, or a tag in front of it, begin with these four bytes? */
bool bc_mpeg_begins(const unsigned char *p);

/* What is to be read, which stays the caller's. All headers are read once, for the length.
 * BC_FAIL, with a text, if there is no frame in it. */
int bc_mpeg_open(bc_mpeg **m, const bc_view *view, bc_error *e);
void bc_mpeg_close(bc_mpeg *m); /* NULL is fine */

int bc_mpeg_layer(const bc_mpeg *m); /* 1 to 3 */
int bc_mpeg_channels(const bc_mpeg *m);
int bc_mpeg_rate(const bc_mpeg *m);
int64_t bc_mpeg_frames(const bc_mpeg *m); /* samples per channel */
int64_t bc_mpeg_claimed(const bc_mpeg *m); /* by its Xing header; -1: there is none */

bool bc_mpeg_seek(bc_mpeg *m, int64_t frame);
/* Up to n frames as (n, channels); fewer at the end, or where it is damaged. */
int64_t bc_mpeg_read(bc_mpeg *m, float *out, int64_t n);

/* Its ID3 tags; BC_NOMEM. */
int bc_mpeg_tags(bc_mpeg *m, bc_tags *t);

#endif
