/* simple.h: SiMPle matrix profiles of multi-dimensional series.
 *
 * Silva, Yeh, Batista, Keogh: SiMPle: assessing music similarity using
 * subsequences joins (ISMIR 2016). The distance of two windows is the squared
 * Euclidean distance, summed over the dimensions, not normalised:
 *
 *   D(i, j) = sum over k < w, d < dims of (x[d][i+k] - y[d][j+k])^2
 *
 * Each distance is summed afresh from its own window, in an order that depends
 * on w alone (pairs of pairs, see doubling.h). So
 *   - identical windows have distance exactly 0, and no distance is negative;
 *   - the relative error is below (dims + 2 log2(w)) * 2.2e-16, wherever on a
 *     diagonal the window lies: nothing drifts;
 *   - D(i, j) and D(j, i) are the same number, equal windows tie exactly, and
 *     the lowest index wins: there is no tolerance;
 *   - a window with a NaN or an infinity spoils no other. It has no neighbour
 *     (distance INFINITY, index -1) and is none.
 * Two windows whose distance overflows (above 1.8e308) are no neighbours
 * either. Squares below 4.9e-324 are 0. */
#ifndef BC_SIMPLE_H
#define BC_SIMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/cpu.h"
#include "../support/error.h"
#include "../support/interrupt.h"

/* The strategy: the filter leaves most cells after a cheap bound,
 * the sweep computes every one; BC_SIMPLE_AUTO filters first and sweeps where
 * too many cells are too close to tell (silence, constants, a huge spike). All
 * strategies and all instructions give the same bits. */
enum bc_simple_strategy { BC_SIMPLE_AUTO, BC_SIMPLE_FILTER, BC_SIMPLE_SWEEP };

typedef struct bc_simple_options {
    enum bc_cpu level;      /* one that bc_cpu_has; BC_CPU_BEST: what is in force */
    enum bc_simple_strategy strategy; /* BC_SIMPLE_FILTER: BC_SIMPLE_AUTO that never gives up */
    bc_tick *tick;          /* may be NULL; called every few milliseconds */
    void *context;
    size_t tile, tiles; /* only the pairs of part `tile` (from 0) of `tiles`; 0: all pairs */
} bc_simple_options;

/* Of a self-join: the nearest window before and after each one, (n) all. */
typedef struct bc_sides {
    double *left_distance, *right_distance;
    int64_t *left_index, *right_index;
} bc_sides;

/* For each of the n = frames - window + 1 windows of x (dims, frames) its
 * nearest other window: distance (n), index (n) from 0. Windows i and j with
 * |i - j| <= zone are never paired; a window without an allowed, finite
 * neighbour gets INFINITY and -1. Needs dims >= 1 and 1 <= window <= frames.
 * dims * n^2 / 2 steps; scratch of about 2 copies of x and 0.6 KiB * window.
 * sides may be NULL. Of the joins of all tiles the nearest neighbours, the
 * lower index on ties, are the bits of the whole.
 * Unless BC_OK, the outputs are unspecified. */
int bc_simple_self_join(double *distance, int64_t *index, const bc_sides *sides, const double *x,
                        size_t dims, size_t frames, size_t window, size_t zone,
                        const bc_simple_options *options);

/* For each window of x (dims, x_frames) the nearest window of y
 * (dims, y_frames), as above without a zone. Needs window <= both. */
int bc_simple_join(double *distance, int64_t *index, const double *x, size_t x_frames,
                   const double *y, size_t y_frames, size_t dims, size_t window,
                   const bc_simple_options *options);

/* A window length of bc_simple_pan, its zone, and the profile (n, each). */
typedef struct bc_simple_length {
    size_t window, zone;
    double *distance;
    int64_t *index;
} bc_simple_length;

/* bc_simple_self_join for each of count >= 1 window lengths, the same bits. The
 * distances of single frames, which are most of the work, are computed once. */
int bc_simple_pan(const bc_simple_length *lengths, size_t count, const double *x, size_t dims,
                  size_t frames, const bc_simple_options *options);

/* The k nearest windows of y for each window of x, as struct nearest has them:
 * distance, index (n, k). Windows with |i - j| <= zone are left out; zone < 0:
 * none. They may overlap each other. Of its k columns the first is the
 * profile of the joins above, bit for bit. */
int bc_simple_nearest(double *distance, int64_t *index, size_t k, const double *x, size_t x_frames,
                      const double *y, size_t y_frames, size_t dims, size_t window, ptrdiff_t zone,
                      const bc_simple_options *options);

/* The distance of the one window query (dims, window) and each of the n windows of
 * x (dims, frames): distance (n), INFINITY where it is not finite. */
int bc_simple_query(double *distance, const double *query, const double *x, size_t frames,
                    size_t dims, size_t window, const bc_simple_options *options);

/* Of the windows from .. to - 1 of x, whose dims rows are `stride` apart, the one nearest to window i,
 * backwards until one is nearer than `enough`; INFINITY and -1: there is none. */
int bc_simple_before(double *distance, int64_t *index, const double *x, size_t stride, size_t dims,
                     size_t window, size_t i, size_t from, size_t to, double enough, bc_tick *tick,
                     void *context);

/* The definition, term by term: the yardstick of the two above. zone < 0
 * excludes nothing. Sums in another order, so distances differ by rounding. */
int bc_simple_brute(double *distance, int64_t *index, const double *x, size_t x_frames,
                    const double *y, size_t y_frames, size_t dims, size_t window, ptrdiff_t zone,
                    const bc_simple_options *options);

#endif
