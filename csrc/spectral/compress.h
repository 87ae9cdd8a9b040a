/* compress.h: decibels and per-channel energy normalisation. */
#ifndef BC_COMPRESS_H
#define BC_COMPRESS_H

#include <stddef.h>

#include "../support/error.h"

typedef struct decibel_options {
    double reference; /* 0 dB; 0: the largest finite value of the input */
    double floor;     /* smaller values (and NaN) count as this one: above 0 */
    double range;     /* at most so many dB below the largest finite value; infinity: no limit */
} decibel_options;

decibel_options decibel_defaults(void); /* librosa's: 1, 1e-10, 80 */

/* out (n) = 10 log10(in / reference), as librosa.power_to_db. out may be in. */
void power_to_db(float *out, const float *in, size_t n, const decibel_options *o);

/* out (count, frames), the first coefficients of the orthonormal cosine transform (DCT-II) of each
 * frame of in (bands, frames); count <= bands. In f64. BC_OK or BC_NOMEM. */
int cosine_transform(float *out, const float *in, size_t count, size_t bands, size_t frames);

typedef struct pcen_options {
    double sample_rate, hop; /* Hz, samples: only their ratio and time_constant count */
    double time_constant;    /* s, of the smoothing */
    double gain, bias, power, eps;
} pcen_options;

pcen_options pcen_defaults(void); /* librosa's: 22050, 512, 0.4, 0.98, 2, 0.5, 1e-6 */

/* out, in (bands, frames), as librosa.pcen (Wang et al., Trainable frontend for
 * robust and far-field keyword spotting, 2017): each band is divided by its
 * past, M[t] = (1-b) M[t-1] + b E[t], then compressed. In f64. state (bands) is
 * M[-1], 1 for a new signal, and becomes that of the frames that follow. in
 * must not be negative; NaN spreads to the rest of its band. out may be in. */
void pcen(float *out, double *state, const float *in, size_t bands, size_t frames,
          const pcen_options *o);

#endif
