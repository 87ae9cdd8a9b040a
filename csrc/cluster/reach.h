/* reach.h: mutual reachability distances, and the order in which single linkage visits rows. */
#ifndef BC_REACH_H
#define BC_REACH_H

#include <stddef.h>

#include "../support/interrupt.h"
#include "../support/pool.h"
#include "rows.h"

/* core (n): of each row the squared distance to its m-th nearest row, itself counted; 1 <= m <= n.
 * Takes time of n^2 d and memory of 32 m doubles a thread. BC_OK, BC_NOMEM or BC_STOPPED. */
int reach_core(double *core, const rows_packed *rows, size_t m, bc_pool *pool, bc_tick *tick,
               void *context);

/* Prim's algorithm over all pairs of rows, the distance of two being the largest of their own and
 * of both cores (Campello, Moulavi & Sander, 2013): order (n), the rows as they are visited, from
 * row 0 on, of equally near ones the earlier first; step (n), the squared distance by which each
 * was reached, step[0] INFINITY. Runs of rows with steps of at most t are the components of the
 * graph of all pairs that are at most t apart. Takes time of n^2 d at most, memory of a few n.
 * None of it depends on the number of threads. BC_OK, BC_NOMEM or BC_STOPPED. */
int reach_order(size_t *order, double *step, const double *core, const rows_packed *rows,
                bc_pool *pool, bc_tick *tick, void *context);

#endif
