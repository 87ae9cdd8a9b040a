/* tuning_histogram.h: the most frequent deviation among spectral peaks, in bounded memory.
 *
 * Only peaks at least as strong as the median of all count, and the median is
 * known at the end. Up to two million peaks are kept; of more, they
 * are counted by the upper half of their strength's bits and by their
 * deviation, and only those near the median so far are kept. If the median
 * moved away from them in the end, it takes a second pass over the same peaks,
 * which counts by the lower half those that agree with the median in the upper
 * half. The result is exact in all cases. */
#ifndef BC_TUNING_HISTOGRAM_H
#define BC_TUNING_HISTOGRAM_H

#include <stdbool.h>

#include "../support/error.h"

typedef struct tuning_histogram tuning_histogram;

int tuning_histogram_new(tuning_histogram **out); /* BC_OK or BC_NOMEM */
void tuning_histogram_free(tuning_histogram *h);  /* NULL is fine */

/* hz positive. BC_OK or BC_NOMEM. */
int tuning_histogram_add(tuning_histogram *h, float strength, float hz);

/* The tuning: left edge of the fullest of 100 steps, the first of equals; NaN if
 * there was no peak. Or *again: add the same peaks once more, then ask again. */
int tuning_histogram_count(double *tuning, bool *again, tuning_histogram *h);

#endif
