/* ranking.h: how well scores put the rows of a class in front of the others. */
#ifndef BC_RANKING_H
#define BC_RANKING_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"
#include "../support/pool.h"

/* precision, recall: of the rows that score `threshold` or more; average_precision: the sum over
 * thresholds of precision times the recall gained there; roc_auc: the share of pairs of a row of
 * the class and another in which the former scores more (half, where equal). NAN where there is
 * nothing to divide by. */
typedef struct {
    double precision, recall, average_precision, roc_auc;
} ranking;

/* Rows by score, highest first, of equals the earlier first. BC_OK or BC_NOMEM. */
int ranking_order(size_t *order, const double *score, size_t n);

/* truth (n): 1 of the class, 0 not; weight (n): how often each row counts, NULL: once. Scores are
 * finite. */
void ranking_measure(ranking *r, const size_t *order, const double *score, const int64_t *truth,
                     const double *weight, size_t n, double threshold);

/* The same of `times` samples of the groups 0..groups-1 (recordings) of the rows, drawn with
 * replacement, as many as there are (Efron, 1979): out (times). Sample t is stream t of the
 * seed. BC_OK, BC_NOMEM or BC_STOPPED. */
int ranking_bootstrap(ranking *out, size_t times, const double *score, const int64_t *truth,
                      const int64_t *group, size_t groups, size_t n, double threshold,
                      uint64_t seed, bc_pool *pool, bc_tick *tick, void *context);

#endif
