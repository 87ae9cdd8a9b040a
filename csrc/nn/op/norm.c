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

/* What tells where a relu was open. */
enum { NO_RELU, BY_X, BY_Y };

static inline int told_by(const nn_open *o) {
    return !o->relu ? NO_RELU : o->y == NULL ? BY_X : BY_Y;
}

static inline __attribute__((always_inline)) real open_at(const nn_open *o, const real *x, size_t i,
                                                          const int by) {
    if (by == NO_RELU) return o->dy[i];
    real seen = by == BY_Y ? o->y[i] : (x[i] - o->scale.mean) * o->scale.scale + o->scale.shift;
    return seen > 0 ? o->dy[i] : 0;
}

BC_EACH_CPU(extern, NN(nn_norm_mask), (real * g, const nn_open *o, const real *x, size_t n),
            (g, o, x, n)) {
    const nn_open k = *o;
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) g[i] = open_at(&k, x, i, BY_X);
}

static inline __attribute__((always_inline)) void sums(double *sum, double *product, real *g,
                                                       nn_open o, const real *x, real inverse,
                                                       size_t n, const int by) {
    double a[NN_SUM_LANES], b[NN_SUM_LANES];
    size_t i = 0;
    copy_lanes(a, sum);
    copy_lanes(b, product);
    for (; i + NN_SUM_LANES <= n; i += NN_SUM_LANES) {
        real open[NN_SUM_LANES]; /* by itself, or the compiler makes branches of it */
        EACH_LANE(j, NN_SUM_LANES) open[j] = open_at(&o, x, i + (size_t)j, by);
        EACH_LANE(j, NN_SUM_LANES) {
            a[j] += (double)open[j];
            b[j] += (double)(open[j] * ((x[i + (size_t)j] - o.scale.mean) * inverse));
        }
        EACH_LANE(j, NN_SUM_LANES) g[i + (size_t)j] = open[j];
    }
    copy_lanes(sum, a);
    copy_lanes(product, b);
    for (; i < n; i++) {
        g[i] = open_at(&o, x, i, by);
        sum[i % NN_SUM_LANES] += (double)g[i];
        product[i % NN_SUM_LANES] += (double)(g[i] * ((x[i] - o.scale.mean) * inverse));
    }
}

BC_EACH_CPU(extern, NN(nn_norm_sums),
            (double *sum, double *product, real *g, const nn_open *o, const real *x, double inverse,
             size_t n),
            (sum, product, g, o, x, inverse, n)) {
    switch (told_by(o)) {
    case NO_RELU: sums(sum, product, g, *o, x, (real)inverse, n, NO_RELU); break;
    case BY_X: sums(sum, product, g, *o, x, (real)inverse, n, BY_X); break;
    default: sums(sum, product, g, *o, x, (real)inverse, n, BY_Y);
    }
}

static inline __attribute__((always_inline)) void backward(real *dx, nn_open o, const real *x,
                                                           real a, real b, real c, bool add,
                                                           size_t n, const int by) {
    real m = o.scale.mean;
    if (add) {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] += a * (open_at(&o, x, i, by) - b - (x[i] - m) * c);
    } else {
        BC_INDEPENDENT
        for (size_t i = 0; i < n; i++) dx[i] = a * (open_at(&o, x, i, by) - b - (x[i] - m) * c);
    }
}

BC_EACH_CPU(extern, NN(nn_norm_backward),
            (real * dx, const nn_open *o, const real *x, double factor, double shift, double slope,
             bool add, size_t n),
            (dx, o, x, factor, shift, slope, add, n)) {
    real a = (real)factor, b = (real)shift, c = (real)slope;
    switch (told_by(o)) {
    case NO_RELU: backward(dx, *o, x, a, b, c, add, n, NO_RELU); break;
    case BY_X: backward(dx, *o, x, a, b, c, add, n, BY_X); break;
    default: backward(dx, *o, x, a, b, c, add, n, BY_Y);
    }
}
