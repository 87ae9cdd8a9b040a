/* tuning.h: how far a recording is off concert pitch. */
#ifndef BC_TUNING_H
#define BC_TUNING_H

#include <stddef.h>

#include "../support/error.h"

/* The tuning of n finite samples, -0.50, -0.49 .. 0.49, in fractions of one of
 * 36 bins an octave: the most frequent deviation among the spectral peaks
 * (150 to 4000 Hz) that are at least as strong as their median. 0 if there is
 * no peak. As librosa.estimate_tuning 0.11 (n_fft 2048, hop 512, resolution
 * 0.01), including where it rounds to f32. BC_OK, BC_NOMEM or BC_STOPPED. */
int tuning_estimate(double *tuning, const float *samples, size_t n, double sample_rate);

#endif
