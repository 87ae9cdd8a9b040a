/* decimate.h: half the sample rate, as libsoxr's "HQ" setting does it. */
#ifndef BC_DECIMATE_H
#define BC_DECIMATE_H

#include <stddef.h>

#include "../support/error.h"

/* Taps of the low-pass on either side of its centre. */
#define DECIMATE_REACH 194

/* out ((n+1)/2) = sqrt(2) * sum over k of h[k] x[2j-k], x zero outside 0..n-1.
 * h is the impulse response of libsoxr 0.1.3 HQ at 2:1 (flat to 0.913 of the
 * new Nyquist frequency, -128 dB above it); sqrt(2) keeps the energy, as
 * librosa.resample(scale=True). Outputs that see nothing but zeros are exactly
 * zero; others are within 1e-6 of the largest sample near them of the sum in
 * exact arithmetic. Output j depends on nothing but the samples around 2j and
 * on j. x finite. BC_OK, BC_NOMEM or BC_STOPPED. */
int decimate(float *out, const float *x, size_t n);

/* h[k], k = 0..194; h[-k] = h[k]. */
void decimate_taps(double *h);

#endif
