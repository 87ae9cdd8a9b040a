/* cens.h: chroma energy normalised statistics (CENS).
 *
 * Mueller & Ewert, Chroma Toolbox, ISMIR 2011, as librosa.feature.chroma_cens
 * 0.11 computes them. */
#ifndef BC_CENS_H
#define BC_CENS_H

#include <stddef.h>

#include "../support/error.h"
#include "cqt_plan.h"

/* out (12, frames): each frame of in divided by its sum (frames that sum to
 * less than the smallest normal f32 stay as they are), then a quarter for each
 * of 0.4, 0.2, 0.1 and 0.05 that a value is above. out may be in. */
void cens_quantize(float *out, const float *in, size_t frames);

/* out (12, frames): in smoothed along time with a Hann window of `smoothing` + 2
 * values whose ends are 0 (0: not at all; what lies outside is 0), then each
 * frame divided by its Euclidean norm (all-zero frames stay). out is not in.
 * BC_OK or BC_NOMEM. */
int cens_smooth(float *out, const float *in, size_t frames, size_t smoothing);

/* out (12, frames) of n finite samples, frames = cqt_frames(). Silence gives zeros.
 * BC_OK, BC_NOMEM or BC_STOPPED. */
int cens(float *out, const float *samples, size_t n, const cqt_plan *p, size_t smoothing);

/* Position of the first sample that is NaN or infinite; n if there is none. */
size_t cens_first_bad(const float *samples, size_t n);

#endif
