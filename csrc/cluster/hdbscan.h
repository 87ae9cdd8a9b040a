/* hdbscan.h: clusters by density (HDBSCAN). */
#ifndef BC_HDBSCAN_H
#define BC_HDBSCAN_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"
#include "../support/pool.h"

typedef struct {
    const double *x; /* (n, d), finite, squares too */
    size_t n, d;
    size_t least; /* rows of a cluster, and of a core distance; at least 2 */
} hdbscan_rows;

/* Clusters by density, of any number, each of `least` rows or more (Campello, Moulavi & Sander,
 * 2013; McInnes & Healy, 2017): the tree of the components of rows that are at most t apart, for
 * all t, by mutual reachability; of it the clusters that together have the greatest excess of mass.
 * The root, all rows, is none of them. What comes apart at the same distance comes apart at once,
 * so that the clusters do not depend on the order of the rows.
 *
 * label (n): 1.. by falling size, of equal ones the one with the earlier row first; 0: noise.
 * probability (n): how deep in its cluster a row is, the density at which it leaves by the
 * greatest there; 0 of noise. stability: excess of mass of each, room for n / least; *clusters:
 * how many. Densities are 1 / distance, at most 1e150. Same bits on any number of threads.
 * BC_OK, BC_NOMEM or BC_STOPPED. */
int hdbscan(int64_t *label, double *probability, double *stability, size_t *clusters,
            const hdbscan_rows *rows, bc_pool *pool, bc_tick *tick, void *context);

#endif
