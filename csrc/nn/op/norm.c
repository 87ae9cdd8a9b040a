/* norm.c: norms of one channel, block by block. */
#include "norm.h"

#include "../../spectral/lanes.h"
#include "../../support/cpu.h"
#include "elements.h"

/* Lanes are summed in registers, and put back at the end. */
static inline __attribute__((always_inline)) void copy_lanes(double *to, const double *from) {
    EACH_LANE(j, NN_SUM_LANES) to[j] = from[j];
}

BC_EACH_CPU(extern, NN(nn_sum), (double *lane, const real *x, size_t n), (lane, x, n)) {
    double sum[NN_SUM_LANES];
    size_t i = 0;
    copy_lanes(sum, lane);
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES) {
        EACH_LANE(j, NN_SUM_LANES) sum[j] += (double)x[i + (size_t)j];
    }
    copy_lanes(lane, sum);
    for (; i < n; i++) lane[i % NN_SUM_LANES] += (double)x[i];
}

BC_EACH_CPU(extern, NN(nn_sum_deviations), (double *lane, const real *x, double mean, size_t n),
            (lane, x, mean, n)) {
    double sum[NN_SUM_LANES];
    size_t i = 0;
    copy_lanes(sum, lane);
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES) {
        EACH_LANE(j, NN_SUM_LANES) {
            double d = (double)x[i + (size_t)j] - mean;
            sum[j] += d * d;
        }
    }
    copy_lanes(lane, sum);
    for (; i < n; i++) lane[i % NN_SUM_LANES] += ((double)x[i] - mean) * ((double)x[i] - mean);
}

BC_EACH_CPU(extern, NN(nn_norm_forward),
            (real * y, const real *x, const real *addend, const nn_scale *s, bool relu, size_t n),
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
            (real * g, const real *dy, const real *x, const nn_scale *s, size_t n),
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
    double a[NN_SUM_LANES], b[NN_SUM_LANES];
    size_t i = 0;
    copy_lanes(a, sum);
    copy_lanes(b, product);
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES) {
        EACH_LANE(j, NN_SUM_LANES) {
            real g = dy[i + (size_t)j];
            a[j] += (double)g;
            b[j] += (double)(g * ((x[i + (size_t)j] - m) * s));
        }
    }
    copy_lanes(sum, a);
    copy_lanes(product, b);
    for (; i < n; i++) {
        sum[i % NN_SUM_LANES] += (double)dy[i];
        product[i % NN_SUM_LANES] += (double)(dy[i] * ((x[i] - m) * s));
    }
}

BC_EACH_CPU(extern, NN(nn_norm_backward),
            (real * dx, const real *dy, const real *x, double mean, double factor, double shift,
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
