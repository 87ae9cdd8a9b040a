/* motiflets.h: sets of windows that are alike: of a given size as near as can be, or of a
 * given radius as many as can be.
 *
 * Distances are those of simple.h (squared), or of znorm.h (z; not squared). Members of a set
 * are more than `zone` frames apart. */
#ifndef BC_MOTIFLETS_H
#define BC_MOTIFLETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"
#include "../support/interrupt.h"
#include "../support/pool.h"

typedef struct bc_windows {
    const double *x; /* (dims, frames) */
    size_t dims, frames, window, zone;
    bool z;              /* z-normalised: dims is 1 */
    const double *among; /* (windows): those at 0 take no part; NULL: all do */
} bc_windows;

/* For each k of 2..most the k windows with the smallest extent, the largest distance between
 * two of them (Schaefer and Leser: Motiflets, PVLDB 2022): extent (most + 1) by k, and at
 * (most + 1, most) its first k, in order; INFINITY where there are not as many windows.
 *
 * Candidates are, around each window, the set within the least radius that has k (`least`,
 * (most + 1): no set of k has a smaller extent, so that it says how good the one found is;
 * for Euclidean distances that is at most twice as much, for squared ones four times), and
 * the k - 1 nearest windows in their order. dims * n^2 steps for the distances of n windows,
 * which are summed up along diagonals and begun anew every 256 windows; the extents are
 * exact. The same bits for any number of threads. */
int bc_motiflets(double *extent, double *least, int64_t *at, const bc_windows *w, size_t most,
                 bc_pool *pool, bc_tick *tick, void *context);

/* Disjoint sets, the largest first: the window around which most windows are within `radius`
 * (the nearer on the whole on ties), with the nearest of these, the next nearest that is far
 * enough from it, and so on; then the same among what is more than `zone` frames from all
 * of them (after Lin, Keogh, Lonardi and Patel, 2002), until a set has fewer than `fewest`
 * members. Of set s < *found, size[s] members at[first[s]] .. with distances to its centre,
 * which comes first. size, first have room for `sets`, at and distance for n. */
int bc_motif_sets(size_t *size, size_t *first, int64_t *at, double *distance, size_t *found,
                  const bc_windows *w, double radius, size_t fewest, size_t sets, bc_pool *pool,
                  bc_tick *tick, void *context);

#endif
