/* tuning.h: how far a recording is off concert pitch. */
#ifndef BC_TUNING_H
#define BC_TUNING_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/error.h"

/* The tuning of n finite samples, -0.50, -0.49 .. 0.49, in fractions of one of
 * 36 bins an octave: the most frequent deviation among the spectral peaks
 * (150 to 4000 Hz) that are at least as strong as their median. NaN if there is
 * no peak. As librosa.estimate_tuning 0.11 (n_fft 2048, hop 512, resolution
 * 0.01), including where it rounds to f32. BC_OK, BC_NOMEM or BC_STOPPED. */
int tuning_estimate(double *tuning, const float *samples, size_t n, double sample_rate);

/* The same of a signal that comes block by block, in bounded memory: the result
 * does not depend on the blocks. After the last sample tuning_stream_finish()
 * gives the tuning, or asks for all samples *again, from the first (never more
 * than once, and only if they have more than two million peaks: some minutes
 * of noise). BC_OK, BC_NOMEM or BC_STOPPED. */
typedef struct tuning_stream tuning_stream;
int tuning_stream_new(tuning_stream **out, double sample_rate);
void tuning_stream_free(tuning_stream *s); /* NULL is fine */
int tuning_stream_push(tuning_stream *s, const float *samples, size_t n);
int tuning_stream_finish(double *tuning, bool *again, tuning_stream *s);

#endif
