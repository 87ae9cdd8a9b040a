/* cqt_octave.h: one octave of the constant-Q transform, 16 frames at a time.
 * Shared by cqt.c, which has all samples, and cqt_stream.c, which does not. */
#ifndef BC_CQT_OCTAVE_H
#define BC_CQT_OCTAVE_H

#include <stddef.h>

#include "../spectral/batch.h"
#include "../spectral/frames.h"
#include "cqt_plan.h"

/* Where the magnitudes go: one of the two. */
typedef struct cqt_sink {
    float *magnitude; /* (36*octaves, frames) */
    float *chroma;    /* (12, frames), zeroed */
    size_t frames;
} cqt_sink;

typedef struct cqt_scratch {
    float *edge;     /* (16, n_fft) */
    float *frame;    /* (n_fft, 16) */
    float *spectrum; /* (n_fft/2+1, 2, 16) */
} cqt_scratch;

int cqt_scratch_new(cqt_scratch *s, const cqt_plan *p); /* BC_OK or BC_NOMEM */
void cqt_scratch_free(cqt_scratch *s);                  /* on zeros, too */

/* The frames of octave 0 (the highest), 1, .. of its signal. */
frame_view cqt_octave_view(const cqt_plan *p, int octave);

/* Frames t..t+15 of v, as far as they are before end, to columns column.. of
 * the sink: stored, or added to the chroma. BC_OK or BC_NOMEM. */
int cqt_octave_put(const cqt_sink *to, size_t column, cqt_scratch *s, const frame_view *v, size_t t,
                   size_t end, const cqt_plan *p, int octave);

#endif
