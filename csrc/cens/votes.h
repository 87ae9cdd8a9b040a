/* votes.h: the most frequent deviation among spectral peaks, in bounded memory.
 *
 * Only peaks at least as strong as the median of all have a vote, and the
 * median is known at the end. Up to two million peaks are kept; of more, they
 * are counted by the upper half of their strength's bits and by their
 * deviation, and only those near the median so far are kept. If the median
 * moved away from them in the end, it takes a second pass over the same peaks,
 * which counts by the lower half those that agree with the median in the upper
 * half. The result is exact in all cases. */
#ifndef BC_VOTES_H
#define BC_VOTES_H

#include <stdbool.h>

#include "../support/error.h"

typedef struct votes votes;

int votes_new(votes **out); /* BC_OK or BC_NOMEM */
void votes_free(votes *v);  /* NULL is fine */

/* hz positive. BC_OK or BC_NOMEM. */
int votes_add(votes *v, float strength, float hz);

/* The tuning: left edge of the fullest of 100 steps, the first of equals; 0 if
 * there was no peak. Or *again: add the same peaks once more, then ask again. */
int votes_count(double *tuning, bool *again, votes *v);

#endif
