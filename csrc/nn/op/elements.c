/* elements.c: element by element. */
#include "elements.h"

#include "../../support/cpu.h"

BC_EACH_CPU(extern, NN(nn_relu_forward), (real *y, const real *x, size_t n), (y, x, n)) {
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays NaN */
}

BC_EACH_CPU(extern, NN(nn_relu_backward),
            (real *dx, const real *dy, const real *y, bool add, size_t n), (dx, dy, y, add, n)) {
    if (add) {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] += y[i] > 0 ? dy[i] : 0;
    } else {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
    }
}

BC_EACH_CPU(extern, NN(nn_add_forward), (real *y, const real *a, const real *b, size_t n),
            (y, a, b, n)) {
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

BC_EACH_CPU(extern, NN(nn_add_to), (real *y, const real *x, size_t n), (y, x, n)) {
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}
