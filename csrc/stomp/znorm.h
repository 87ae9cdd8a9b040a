/* znorm.h: z-normalised matrix profiles of one-dimensional series.
 *
 * Zhu et al.: Matrix profile II: exploiting a novel algorithm ... (STOMP, ICDM
 * 2016). The distance of two windows is the Euclidean distance (not squared)
 * of the windows after each has been given mean 0 and deviation 1:
 *
 *   D(i, j) = sqrt(sum over k < m of ((x[i+k] - mean_i) / sd_i - (y[j+k] - mean_j) / sd_j)^2)
 *
 * = sqrt(2 m (1 - correlation)). Special windows have stumpy's meaning:
 *   - a window with a NaN or an infinity is infinitely far from every other:
 *     INFINITY and -1, and it is nobody's neighbour;
 *   - two constant windows have distance 0, a constant and another sqrt(m).
 * A window whose deviation is below 1e-140 of the series' largest magnitude
 * counts as constant.
 *
 * The reported distance is computed from the definition: identical windows
 * have exactly 0, nothing drifts, and a small sound on a large offset is as
 * exact as its numbers are. The neighbour is the one with the smallest such
 * distance, the lowest index on ties: cells are compared by bounds of their
 * correlation, and where bounds overlap by their distances. */
#ifndef BC_ZNORM_H
#define BC_ZNORM_H

#include "simple.h"

/* As bc_simple_self_join and bc_simple_join, in one dimension. */
int bc_znorm_self_join(double *distance, int64_t *index, const bc_sides *sides, const double *x,
                       size_t frames, size_t window, size_t zone,
                       const bc_simple_options *options);
int bc_znorm_join(double *distance, int64_t *index, const double *x, size_t x_frames,
                  const double *y, size_t y_frames, size_t window,
                  const bc_simple_options *options);

/* As bc_simple_nearest; zone >= 0: y is x. Pairs with a constant window are in
 * every tile. */
int bc_znorm_nearest(double *distance, int64_t *index, size_t k, const double *x,
                     size_t x_frames, const double *y, size_t y_frames, size_t window,
                     ptrdiff_t zone, const bc_simple_options *options);

/* As bc_simple_query, in one dimension. */
int bc_znorm_query(double *distance, const double *query, const double *x, size_t frames,
                   size_t window, const bc_simple_options *options);

/* The definition, cell by cell: the yardstick. zone < 0 excludes nothing. */
int bc_znorm_brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                   const double *y, size_t y_frames, size_t window, ptrdiff_t zone,
                   const bc_simple_options *options);

#endif
