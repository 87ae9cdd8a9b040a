/* vorbis.h: any place of an Ogg Vorbis file, exactly.
 *
 * libsndfile 1.2 reads Vorbis from the start exactly, but a seek forward, or one
 * into the last page, often lands up to 960 samples off, or on a packet that
 * overlaps with nothing. libvorbisfile is exact, and gives the same samples. */
#ifndef BC_AUDIO_VORBIS_H
#define BC_AUDIO_VORBIS_H

#include <stdbool.h>
#include <stdint.h>

#include "tags.h"

typedef struct bc_vorbis bc_vorbis;

/* Read the Vorbis stream of fd (of size bytes), which stays the caller's; its
 * file position is not touched. *v is NULL if this is no single stream of
 * `channels` and *frames: then it must be read from the start. Where *frames is < 0, as the
 * file is truncated, it becomes the length of what is there. */
int bc_vorbis_open(bc_vorbis **v, int fd, int64_t size, int channels, int64_t *frames);
void bc_vorbis_close(bc_vorbis *v); /* NULL is fine */

/* false: the file is damaged there */
bool bc_vorbis_seek(bc_vorbis *v, int64_t frame);

/* Up to n frames as (n, channels); fewer at the end, or (*damaged) before a hole. */
int64_t bc_vorbis_read(bc_vorbis *v, float *out, int64_t n, bool *damaged);

/* Its comments; BC_NOMEM. */
int bc_vorbis_tags(bc_vorbis *v, bc_tags *t);

#endif
