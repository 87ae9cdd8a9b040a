/* cqt_stream.h: the constant-Q transform of a signal that comes block by block.
 *
 * Frames, and the blocks that the rate is halved in, sit at the same places as
 * in cqt.h and are computed by the same code: the results are equal to the bit,
 * whatever the blocks. Memory: a megabyte or two and the result. */
#ifndef BC_CQT_STREAM_H
#define BC_CQT_STREAM_H

#include <stddef.h>

#include "../support/error.h"
#include "cqt_plan.h"

typedef struct cqt_stream cqt_stream;

/* For the chroma (12 rows) or the magnitudes (36*octaves). p must outlive the
 * stream. BC_OK or BC_NOMEM. */
int cqt_stream_new(cqt_stream **out, const cqt_plan *p, int chroma);
void cqt_stream_free(cqt_stream *s); /* NULL is fine */

/* The next n samples, finite. BC_OK, BC_NOMEM or BC_STOPPED; after a failure
 * there is nothing left but to free the stream. */
int cqt_stream_push(cqt_stream *s, const float *samples, size_t n);
int cqt_stream_finish(cqt_stream *s); /* after the last sample */

/* After cqt_stream_finish: cqt_frames() of all samples; and the result, out
 * (rows, frames), which is then no longer held. */
size_t cqt_stream_frames(const cqt_stream *s);
void cqt_stream_take(float *out, cqt_stream *s);

#endif
