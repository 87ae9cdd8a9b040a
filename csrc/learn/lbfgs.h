/* lbfgs.h: the minimum of a smooth function of many variables. */
#ifndef BC_LBFGS_H
#define BC_LBFGS_H

#include <stddef.h>

#include "../support/interrupt.h"

/* The function at w (m); its gradient there into g (m). */
typedef double lbfgs_objective(void *context, double *g, const double *w);

typedef struct {
    size_t iterations; /* at most */
    double gradient;   /* no entry exceeds it: done */
    bc_tick *tick;     /* asked before each step; NULL: never */
    void *tick_context;
} lbfgs_limits;

/* L-BFGS (Liu & Nocedal, 1989) with a backtracking line search, from w (m), which it changes.
 * *done: iterations taken. Takes memory of 24 m doubles. BC_OK, BC_NOMEM, BC_STOPPED, or
 * BC_FAIL: far from the minimum no step leads down, as the function's numbers overflow. */
int lbfgs_minimise(double *w, size_t *done, size_t m, lbfgs_objective *objective, void *context,
                   const lbfgs_limits *limits);

#endif
