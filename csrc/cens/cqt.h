/* cqt.h: magnitudes of the multi-rate constant-Q transform. */
#ifndef BC_CQT_H
#define BC_CQT_H

#include <stddef.h>

#include "../support/error.h"
#include "cqt_plan.h"

/* 1 + n / hop, and 0 for no samples. */
size_t cqt_frames(const cqt_options *o, size_t n);

/* out (36*octaves, frames), lowest bin first: |CQT| of n finite samples as
 * librosa.cqt 0.11 scales it. BC_OK, BC_NOMEM or BC_STOPPED. */
int cqt_magnitude(float *out, const float *samples, size_t n, const cqt_plan *p);

/* chroma (12, frames), C first: the sum of the magnitudes over the octaves, and
 * over the three bins of each semitone. */
int cqt_chroma(float *chroma, const float *samples, size_t n, const cqt_plan *p);

#endif
