/* scan.h: the rows of a large table that are nearest to some others. */
#ifndef BC_SCAN_H
#define BC_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"
#include "../support/pool.h"
#include "neighbors.h"

/* One row of the table, and which query it is nearest to, from 0. */
typedef struct {
    double distance;
    int64_t row, query;
} scan_hit;

typedef struct {
    const float *x; /* (n, d): the table, in memory or mapped */
    size_t n, d;
    const double *query; /* (queries, d), finite */
    size_t queries;
    neighbors_metric metric; /* cosine: 1 - cos; 1 where a row is all zeros */
} scan_table;

/* The k rows nearest to any of the queries, nearest first, of equally near ones the earlier first;
 * *found <= k of them, as rows with a NaN or an infinity are near to none. hit has room for k.
 * Looks at every row once, in order, in blocks: memory of k hits a thread. In double precision, in a
 * fixed order: the same bits on any processor and number of threads. BC_OK, BC_NOMEM or BC_STOPPED. */
int scan_nearest(scan_hit *hit, size_t *found, size_t k, const scan_table *table, bc_pool *pool,
                 bc_tick *tick, void *context);

#endif
