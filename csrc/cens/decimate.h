/* decimate.h: half the sample rate, as libsoxr's "HQ" setting does it. */
#ifndef BC_DECIMATE_H
#define BC_DECIMATE_H

#include <stddef.h>

#include "../spectral/frames.h"
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

/* The same in blocks of 828 outputs, for signals whose end is not known: block b
 * needs the samples of frame b of decimate_view(). Up to 16 blocks from `block`
 * on: out gets the next `count` outputs, at most DECIMATE_BATCH of them. v may
 * show only the part of the signal that those frames cover. */
enum { DECIMATE_BLOCK = 828, DECIMATE_BATCH = 16 * DECIMATE_BLOCK };

typedef struct decimate_scratch decimate_scratch;
int decimate_scratch_new(decimate_scratch **out); /* free it also on BC_NOMEM */
void decimate_scratch_free(decimate_scratch *s);

frame_view decimate_view(void);
void decimate_blocks(float *out, size_t count, decimate_scratch *s, const frame_view *v,
                     size_t block);

/* h[k], k = 0..194; h[-k] = h[k]. */
void decimate_taps(double *h);

#endif
