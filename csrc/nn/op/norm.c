/* norm.c: norms of one channel, block by block. */
#include "norm.h"

#include "../../support/cpu.h"
#include "elements.h"

BC_EACH_CPU(extern, NN(nn_sum), (double *lane, const real *x, size_t n), (lane, x, n)) {
    size_t i = 0;
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES)
        for (int j = 0; j < NN_SUM_LANES; j++) lane[j] += (double)x[i + j];
    for (; i < n; i++) lane[i % NN_SUM_LANES] += (double)x[i];
}

BC_EACH_CPU(extern, NN(nn_sum_deviations), (double *lane, const real *x, double mean, size_t n),
            (lane, x, mean, n)) {
    size_t i = 0;
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES)
        for (int j = 0; j < NN_SUM_LANES; j++) {
            double d = (double)x[i + j] - mean;
            lane[j] += d * d;
        }
    for (; i < n; i++) lane[i % NN_SUM_LANES] += ((double)x[i] - mean) * ((double)x[i] - mean);
}

BC_EACH_CPU(extern, NN(nn_norm_forward),
            (real *y, const real *x, const real *addend, const nn_scale *s, bool relu, size_t n),
            (y, x, addend, s, relu, n)) {
    real m = s->mean, a = s->scale, b = s->shift;
    if (addend != NULL) {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - m) * a + b + addend[i];
    } else {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) y[i] = (x[i] - m) * a + b;
    }
    if (relu) NN(nn_relu_forward)(y, y, n);
}

BC_EACH_CPU(extern, NN(nn_norm_mask),
            (real *g, const real *dy, const real *x, const nn_scale *s, size_t n),
            (g, dy, x, s, n)) {
    real m = s->mean, a = s->scale, b = s->shift;
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) g[i] = (x[i] - m) * a + b > 0 ? dy[i] : 0;
}

BC_EACH_CPU(extern, NN(nn_norm_sums),
            (double *sum, double *product, const real *dy, const real *x, double mean,
             double inverse, size_t n),
            (sum, product, dy, x, mean, inverse, n)) {
    real m = (real)mean, s = (real)inverse;
    size_t i = 0;
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES)
        for (int j = 0; j < NN_SUM_LANES; j++) {
            sum[j] += (double)dy[i + j];
            product[j] += (double)(dy[i + j] * ((x[i + j] - m) * s));
        }
    for (; i < n; i++) {
        sum[i % NN_SUM_LANES] += (double)dy[i];
        product[i % NN_SUM_LANES] += (double)(dy[i] * ((x[i] - m) * s));
    }
}

BC_EACH_CPU(extern, NN(nn_norm_backward),
            (real *dx, const real *dy, const real *x, double mean, double factor, double shift,
             double slope, bool add, size_t n),
            (dx, dy, x, mean, factor, shift, slope, add, n)) {
    real m = (real)mean, a = (real)factor, b = (real)shift, c = (real)slope;
    if (add) {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] += a * (dy[i] - b - (x[i] - m) * c);
    } else {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] = a * (dy[i] - b - (x[i] - m) * c);
    }
}
