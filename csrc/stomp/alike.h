/* alike.h: windows that correlate, among very many.
 *
 * A window is a row of d values with mean 0 and length 1: two windows correlate by u . v (Clark,
 * Marler and Beeman, Ethology 1987). With k directions B (k, d) of length 1 and at right angles
 *
 *   u . v <= Bu . Bv + sqrt(1 - |Bu|^2) sqrt(1 - |Bv|^2)
 *
 * by the inequality of Cauchy and Schwarz in what B leaves out. The k + 1 values are the sketch of
 * a row. Products of sketches rule out most pairs, and none that is alike; those left are worked
 * out in full. So the result is exact, whatever B is; the more of the rows is in it, the faster. */
#ifndef BC_ALIKE_H
#define BC_ALIKE_H

#include <stddef.h>

#include "../support/error.h"
#include "../support/interrupt.h"
#include "../support/pool.h"

/* out (frames - window + 1, dims * window): all windows of x (dims, frames) as rows, dimension by
 * dimension; zeros where a window is constant or not finite, which is then alike to none. */
void bc_unit_windows(float *out, const float *x, size_t dims, size_t frames, size_t window);

/* out (n, k + 1): the sketches of rows u (n, d) by basis (k, d). BC_OK or BC_NOMEM. */
int bc_sketch(float *out, const float *u, const double *basis, size_t n, size_t d, size_t k);

typedef struct bc_alike_rows {
    const float *u, *sketch; /* (n, d), (n, k + 1) */
    size_t n, d, k;
} bc_alike_rows;

/* best (groups, t->n): of the rows first[g] .. first[g + 1] - 1 of s, with `first` (groups + 1), the
 * largest correlation with each row of t where it is at least `least` > 0, else 0. s->n * t->n *
 * (k + 1) steps, and d for each pair that is left. The same bits for any number of threads.
 * BC_OK, BC_NOMEM or BC_STOPPED. */
int bc_alike(float *best, const bc_alike_rows *s, const size_t *first, size_t groups,
             const bc_alike_rows *t, float least, bc_pool *pool, bc_tick *tick, void *context);

#endif
