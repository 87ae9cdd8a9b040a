/* simple_vectors.h: what simple.c shares with the loops that are written once
 * and compiled for three kinds of vector (loops_avx512.c, loops_avx2.c,
 * loops_plain.c): a filter that is fast, in floats and integers, and a sweep that is steady, in
 * doubles. */
#ifndef BC_SIMPLE_VECTORS_H
#define BC_SIMPLE_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doubling.h"
#include "nearest.h"

/* Neighbouring diagonals j = i + d that a block computes at once; frames of the
 * filter's strips, and columns of y that lie together. */
enum { SIMPLE_LANES = 128, SIMPLE_STRIP = 16 };

/* Filter values are whole steps of a grid, below SIMPLE_FAR / 2; lanes to be left out begin at
 * SIMPLE_FAR, which stays out of reach. What has no windows is bounded by -SIMPLE_FAR / 4. */
enum { SIMPLE_FAR = 1 << 30 };

/* The nearest neighbours on one side so far: their distances in a sweep, value (n), DBL_MAX at
 * first; in a filter bound (n), the largest filter value that could still be nearer; index (n),
 * -1 at first. After a filter value has the bounds as distances. */
struct simple_side {
    double *value;
    int32_t *bound;
    int64_t *index;
};

struct simple {
    const double *x, *y; /* the caller's (dims, x_frames), (dims, y_frames) */
    size_t x_frames, y_frames, x_windows, y_windows, dims, window;
    struct simple_side right; /* for window i of x, among j = i + d */
    struct simple_side left;  /* for window j of y, among i = j - d; NULLs in a join */
    struct nearest *nearest;  /* of right, if more than one is wanted (no left then), or NULL */
    ptrdiff_t zone;           /* lags -zone .. zone are not looked at; < 0: all are */

    /* both: y has margins of at least SIMPLE_LANES + SIMPLE_STRIP zero frames, its frame 0
     * lies at `margin` of `stride` */
    size_t stride;
    ptrdiff_t margin;

    /* filter: -2 (x - mean), one frame after the other, (x_frames + SIMPLE_STRIP, dims), and
     * y - mean as (stride / SIMPLE_STRIP, dims, SIMPLE_STRIP), one stream of memory; squared
     * norms (x_frames + SIMPLE_STRIP), (stride). All in steps of the grid. */
    float *a, *b, *a_norm, *b_norm;
    double grid;
    double error;       /* no filter value is further from its distance */
    int32_t slack;      /* the same in steps of the grid */
    int32_t limit;      /* above all distances, and not above the filter values of windows with a
                           frame that is not finite */
    int32_t *ring;      /* (ring_rows, SIMPLE_PITCH): the last c's */
    size_t ring_rows;
    size_t ambiguous, ambiguous_allowed;
    struct simple *next; /* another window length of the same series, which uses a, b, the norms,
                            the grid and the ring of the first one (whose ring is long enough) */
    int32_t *lanes;      /* (SIMPLE_LANES): the sums where a strip of a block ends */
    size_t old;          /* the row of the ring that leaves the window */
    bool resting;        /* not in this block, or given up */

    /* sweep: x (x_frames, dims), y (dims, stride) */
    double *frames, *columns;
    struct doubling sums;

    double *terms; /* (window): scratch of a distance */
};

/* Before a filter, before a sweep, and after either. BC_OK or BC_NOMEM; *usable is false
 * where a filter would tell nothing: all frames equal, or values that are too large or small
 * for a grid. first: of any block of diagonals. */
int bc_simple_prepare_filter(struct simple *s, ptrdiff_t first, bool *usable);
int bc_simple_prepare_sweep(struct simple *s);
void bc_simple_free_scratch(struct simple *s);

/* Diagonals first .. first + SIMPLE_LANES - 1, rows begin .. end - 1, where
 * begin + first > -SIMPLE_LANES and end + first <= y_windows; linked ones end where
 * their own windows do. Of one side the
 * rows must come in ascending and the diagonals in descending order. */
typedef void simple_block(struct simple *s, ptrdiff_t first, size_t begin, size_t end);
simple_block bc_sweep_avx512, bc_sweep_avx2, bc_sweep_plain;
simple_block bc_filter_avx512, bc_filter_avx2, bc_filter_plain;

/* Without it, gcc keeps arrays of vectors in memory. */
#define UNROLL _Pragma("GCC unroll 32")

/* A row of the filter's ring: lanes, and behind them room for what spills over, of this row to
 * the right and of the next one to the left. */
enum { SIMPLE_SPILL = SIMPLE_STRIP, SIMPLE_PITCH = SIMPLE_LANES + SIMPLE_SPILL };

/* Is window `other`, with this filter value, nearer to window `at` than what
 * side knows? swapped: `at` is a window of y. Near ties are settled by the
 * distances themselves; on a tie the lower index wins. */
void bc_simple_update_neighbor(struct simple *s, struct simple_side *side, bool swapped, size_t at,
                               size_t other, int32_t value);

/* s->nearest: put window j of y, at this distance, for window i. */
void bc_simple_set_neighbor(struct simple *s, size_t i, size_t j, double distance);

#endif
