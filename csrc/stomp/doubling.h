/* doubling.h: sums of the last w values of a stream, by doubling. With T_m(t)
 * the sum of the last m values,
 *
 *   T_2m(t)   = T_m(t) + T_m(t - m)
 *   T_2m+1(t) = T_2m(t) + c(t - 2m)
 *
 * so that the bits of w, from the second highest down, give
 * log2(w) + popcount(w) - 1 additions a value, none of which ever subtracts.
 * Each sum has its own window's values in it and nothing else: it gathers no
 * error from the past, and NaN, infinities and huge values stay where they are.
 * The additions are in loops_sum.h. */
#ifndef BC_DOUBLING_H
#define BC_DOUBLING_H

#include <stddef.h>

enum { DOUBLING_LANES = 32 }; /* streams side by side */

struct doubling_level {
    double *ring; /* (lag, DOUBLING_LANES): the slot that is read is the one to replace */
    size_t lag, at;
    size_t odd;   /* 2 lag if c(t - 2 lag) is added, else 0 */
};

struct doubling {
    int levels;
    struct doubling_level level[64];
    double *c; /* (c_rows, DOUBLING_LANES): the last values; c_rows is 0 if w is 2^n */
    size_t c_rows, c_at;
};

/* Sums of w >= 1 values. BC_OK or BC_NOMEM; free after both. The sums are
 * right from the w-th value of a stream on, whatever came before it. */
int bc_doubling_new(struct doubling *s, size_t w);
void bc_doubling_free(struct doubling *s);

/* The sum of c (w), added in the very same order: the same bits. */
double bc_doubling_sum(const double *c, size_t w);

/* count doubles on a cache line, all fill; NULL if there is no memory. */
double *bc_aligned_doubles(size_t count, double fill);

#endif
