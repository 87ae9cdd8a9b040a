/* dot.h: the scalar product. */
#ifndef BC_DOT_H
#define BC_DOT_H

#include <stddef.h>

/* Of a (n) and b (n), summed in their order: the same bits everywhere. */
static inline double bc_dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

#endif
