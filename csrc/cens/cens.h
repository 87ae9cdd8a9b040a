/* cens.h: chroma energy normalised statistics (CENS).
 *
 * Mueller & Ewert, Chroma Toolbox, ISMIR 2011, as librosa.feature.chroma_cens
 * 0.11 computes them. */
#ifndef BC_CENS_H
#define BC_CENS_H

#include <stddef.h>

#include "../support/error.h"

enum cens_norm { CENS_NORM_2 /* Euclidean */, CENS_NORM_1, CENS_NORM_MAX, CENS_NORM_NONE };
enum { CENS_MAX_LEVELS = 32 };

typedef struct cens_options {
    size_t smoothing; /* frames */
    enum cens_norm norm;
    int levels; /* of quantisation: above step[i], weight[i] is added */
    float step[CENS_MAX_LEVELS];
    double weight[CENS_MAX_LEVELS];
} cens_options;

/* librosa's: 41, Euclidean, a quarter for each of 0.4, 0.2, 0.1 and 0.05. */
cens_options cens_defaults(void);

/* out (12, frames): each frame of in divided by its sum (frames that sum to
 * less than the smallest normal f32 stay as they are), then quantised. out may
 * be in. */
void cens_quantize(float *out, const float *in, size_t frames, const cens_options *o);

/* Both, in place: chroma (12, frames) in, CENS out. Silence gives zeros. BC_OK or
 * BC_NOMEM. */
int cens_of_chroma(float *x, size_t frames, const cens_options *o);

#endif
