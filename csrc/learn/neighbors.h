/* neighbors.h: how far rows of a matrix are from each other. */
#ifndef BC_NEIGHBORS_H
#define BC_NEIGHBORS_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"
#include "../support/pool.h"

typedef enum { NEIGHBORS_EUCLIDEAN, NEIGHBORS_COSINE } neighbors_metric;

/* Rows of one group (windows of one recording) are never compared with each other. */
typedef struct {
    const double *x;      /* (n, d), finite */
    const int64_t *group; /* (n) */
    size_t n, d;
    neighbors_metric metric; /* cosine: 1 - cos; 1 where a row is all zeros */
} neighbors_rows;

/* The k nearest rows of other groups of every row, nearest first, of equally near ones the
 * earlier first: index (n, k) from 0, -1 where there are fewer; distance (n, k), there INFINITY.
 * Distances come from products of blocks; those that are returned are worked out again, row by
 * row. Takes time of n^2 d, memory of n d doubles and 0.5 MB a thread. Does not depend on the
 * number of threads. tick is called now and then. BC_OK, BC_NOMEM or BC_STOPPED. */
int neighbors_nearest(const neighbors_rows *rows, int64_t *index, double *distance, size_t k,
                      bc_pool *pool, bc_tick *tick, void *context);

/* Into sum (n, classes): of every row the sum of its distances to the rows of each class (label
 * (n), 0..classes-1) that are of other groups. Distances below 3e-7 of the rows' own lengths
 * count as 0. As above otherwise. */
int neighbors_class_sums(const neighbors_rows *rows, double *sum, const int64_t *label,
                         size_t classes, bc_pool *pool, bc_tick *tick, void *context);

#endif
