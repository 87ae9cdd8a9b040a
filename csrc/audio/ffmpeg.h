/* ffmpeg.h: sound that another program decodes, through a pipe. */
#ifndef BC_AUDIO_FFMPEG_H
#define BC_AUDIO_FFMPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"
#include "kind.h"

/* Is there a program of that name in PATH? */
bool bc_ffmpeg_is_there(void);

typedef struct bc_ffmpeg bc_ffmpeg;

/* Begin to decode a file of this kind from its start: the first sound track, its samples and
 * rate as they are. BC_FAIL, with a text that begins with the path: no ffmpeg, or no sound.
 * While the program gives nothing for BCLUA_FFMPEG_TIMEOUT seconds (60) it hangs. */
int bc_ffmpeg_open(bc_ffmpeg **f, const char *path, const bc_kind *kind, bc_error *e);
void bc_ffmpeg_close(bc_ffmpeg *f); /* the program is ended and gone; NULL is fine */

int bc_ffmpeg_channels(const bc_ffmpeg *f);
int bc_ffmpeg_rate(const bc_ffmpeg *f);
double bc_ffmpeg_claimed(const bc_ffmpeg *f); /* seconds by the header; -1: it does not say */
const char *bc_ffmpeg_codec(const bc_ffmpeg *f);

/* The next n frames as (n, channels); *got < n only at the end. */
int bc_ffmpeg_read(bc_ffmpeg *f, float *out, int64_t n, int64_t *got, bc_error *e);

/* After the end: what was the matter with the file, NULL: nothing. *whole: but it was read on
 * to its end. */
const char *bc_ffmpeg_wrong(const bc_ffmpeg *f, bool *whole);

#endif
