/* binary.h: logistic regressions of classes that need not exclude each other. */
#ifndef BC_BINARY_H
#define BC_BINARY_H

#include <stddef.h>

#include "../support/interrupt.h"
#include "../support/pool.h"

/* Rows x (n, d), finite, their columns of one scale, and k classes: target (k, n), 0 to 1, is the
 * probability that a row is of a class; weight (k, n), 0 or more, how much that counts. */
typedef struct {
    const double *x, *target, *weight;
    size_t n, d, k;
} binary_rows;

/* For each class minimise  c * sum_i weight_i * -log p(target_i | x_i)  +  1/2 |weights|^2  (no
 * penalty on the bias) by `lbfgs_minimise`, from w (k, d+1): weights, then the bias; the minimum
 * goes there. Stops where no gradient entry exceeds tolerance * c * sum of weights, or after
 * `iterations`; *done: most iterations that a class took. Classes are independent of each other,
 * of which the pool takes several at once. BC_OK, BC_NOMEM, BC_STOPPED, or BC_FAIL: numbers
 * overflow. */
int binary_fit(double *w, size_t *done, const binary_rows *rows, double c, size_t iterations,
               double tolerance, bc_pool *pool, bc_tick *tick, void *context);

/* score (n, k) = x (n, d) . weights' + bias: the logarithm of the odds. */
void binary_scores(double *score, const double *w, const double *x, size_t n, size_t d, size_t k);

#endif
