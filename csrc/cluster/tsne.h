/* tsne.h: rows as points of a plane (t-SNE). */
#ifndef BC_TSNE_H
#define BC_TSNE_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"
#include "../support/pool.h"

/* Of each of n rows its k nearest others, 1 <= k < n: index (n, k) from 0, distance (n, k). */
typedef struct {
    const int64_t *index;
    const double *distance;
    size_t n, k;
} tsne_neighbors;

/* place (n, 2): from where the points start, along principal components say, to where they end:
 * t-SNE (van der Maaten & Hinton, 2008) with affinities to the k nearest only (van der Maaten,
 * 2014), all pairs repelling each other. 750 steps, the first 250 with affinities 12 times as
 * large; the rate is n / 48, at least 50 (Belkina et al., 2019). Where the points start is scaled
 * to a deviation of 1e-4 (Kobak & Berens, 2019). perplexity at most k / 3. Nothing is random; the
 * same bits on any number of threads. Takes memory of some n k. BC_OK, BC_NOMEM or BC_STOPPED. */
int tsne(double *place, const tsne_neighbors *near, double perplexity, bc_pool *pool,
         bc_tick *tick, void *context);

#endif
