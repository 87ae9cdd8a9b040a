/* norm.h: norms (Ioffe & Szegedy, 2015) over blocks of one channel, in float or double. */
#ifndef NN_NORM_H
#define NN_NORM_H

#include "real.h"

/* Slots of batch norm's options. */
enum { NORM_EPS, NORM_MOMENTUM };

/* Batch norm keeps, per channel and group: mean, inverse deviation, and the
 * biased variance: three blocks of c * groups. */
#define NN_NORM_SAVED 3

/* Sums run in lanes, so that the compiler may use vectors without changing the
 * order of additions: the result is the same on every processor. */
#define NN_SUM_LANES 16

static inline double nn_lane_total(const double *lane) {
    double sum = 0;
    for (int j = 0; j < NN_SUM_LANES; j++) sum += lane[j];
    return sum;
}

/* y = (x - mean) * scale + shift. */
typedef struct nn_scale {
    real mean, scale, shift;
} nn_scale;

/* Sums in NN_SUM_LANES lanes, added to; blocks before the last must be a multiple
 * of NN_SUM_LANES long. The second: of (x - mean)^2. */
void NN(nn_sum)(double *lane, const real *x, size_t n);
void NN(nn_sum_deviations)(double *lane, const real *x, double mean, size_t n);

/* Scaled x, plus addend unless NULL, then max(0, .) if relu. y may be x or addend. */
void NN(nn_norm_forward)(real *y, const real *x, const real *addend, const nn_scale *s, bool relu,
                         size_t n);

/* The gradient behind a norm's relu: dy where the relu was open, which is where y is
 * above 0 or, if y is NULL, the scaled x. Without relu dy itself. */
typedef struct nn_open {
    const real *dy, *y;
    nn_scale scale;
    bool relu;
} nn_open;

/* g <- that gradient; o->y is NULL. g may be dy. */
void NN(nn_norm_mask)(real *g, const nn_open *o, const real *x, size_t n);

/* g <- that gradient, and lanes of the sums of it, and of it times the normalised x.
 * g may be dy. */
void NN(nn_norm_sums)(double *sum, double *product, real *g, const nn_open *o, const real *x,
                      double inverse, size_t n);

/* dx = factor * (g - shift - (x - mean) * slope) of that gradient, or added to it; dx may
 * be dy if !add. With factor = gamma * inverse, shift = mean(g) and slope = mean(g *
 * normalised x) * inverse, that is the gradient of a norm with its own statistics. */
void NN(nn_norm_backward)(real *dx, const nn_open *o, const real *x, double factor, double shift,
                          double slope, bool add, size_t n);

#endif
