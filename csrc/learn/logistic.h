/* logistic.h: multinomial logistic regression with an L2 penalty. */
#ifndef BC_LOGISTIC_H
#define BC_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

#include "../support/interrupt.h"

/* Minimise  c * sum_i -log p(label_i | x_i)  +  1/2 |weights|^2  (the bias has
 * no penalty; scikit-learn's LogisticRegression has the same objective) by
 * `lbfgs_minimise`, from zero.
 * w (K, D+1): weights, then the bias, of every class. x (N, D), label in
 * 0..K-1; N, D, K >= 1. Stops when no gradient entry exceeds tolerance * c * N, or
 * after `iterations`. *done: iterations taken. With one class all is zero.
 * BC_OK, BC_NOMEM, BC_STOPPED, or BC_FAIL: no step lowers the objective, as its
 * numbers overflow. x must be finite. */
int logistic_fit(double *w, size_t *done, const double *x, const int64_t *label, size_t n, size_t d,
                 size_t k, double c, size_t iterations, double tolerance, bc_tick *tick,
                 void *context);

/* The most likely class of each row (the first of equals), 0..K-1. */
void logistic_predict(int64_t *label, const double *w, const double *x, size_t n, size_t d,
                      size_t k);

#endif
