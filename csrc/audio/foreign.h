/* foreign.h: any place of a file that only ffmpeg decodes, exactly.
 *
 * ffmpeg's own seek is not exact in all formats. What is read from front to back comes
 * straight through the pipe. A part further on is decoded from the start and what lies before
 * it dropped, twice; whoever wants a third part gets it from a temporary file with all of the
 * samples, which all readers of this process share. It has no name, so that it is gone
 * however the process ends. Such files take at most 8 GB and a quarter of what is free. */
#ifndef BC_AUDIO_FOREIGN_H
#define BC_AUDIO_FOREIGN_H

#include <sys/stat.h>

#include "ffmpeg.h"

typedef struct bc_foreign bc_foreign;

/* st: of the file, which is known again by it. */
int bc_foreign_open(bc_foreign **x, const char *path, const struct stat *st, const bc_kind *kind,
                    bc_error *e);
void bc_foreign_close(bc_foreign *x); /* NULL is fine */

int bc_foreign_channels(const bc_foreign *x);
int bc_foreign_rate(const bc_foreign *x);
const char *bc_foreign_codec(const bc_foreign *x);
int64_t bc_foreign_claimed(const bc_foreign *x); /* frames by the header; -1: it does not say */
int64_t bc_foreign_frames(const bc_foreign *x);  /* -1 until somebody has read to the end */

/* What is the matter with the file, once its end was seen; NULL: nothing. *whole: but it was
 * read on to its end. */
const char *bc_foreign_wrong(const bc_foreign *x, bool *whole);

int bc_foreign_seek(bc_foreign *x, int64_t frame, bc_error *e); /* past the end: to the end */
/* The next n frames as (n, channels); *got < n only at the end. */
int bc_foreign_read(bc_foreign *x, float *out, int64_t n, int64_t *got, bc_error *e);

#endif
