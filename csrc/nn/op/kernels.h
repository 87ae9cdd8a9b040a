/* kernels.h: what layers, loss and optimiser compute, on plain memory. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/* One letter per dimension: N samples, C channels (ci in, co out), H x W the
 * map of one channel. A layer's values are (C, N, H, W): with the samples of a
 * channel side by side, a convolution is one matrix product over the whole
 * batch, and batch norm reads a channel in one go. */

/* A convolution: x (ci, n, h, w) -> y (co, n, oh, ow) with weights
 * (co, ci, kh, kw), strides sh, sw and zero padding ph, pw. "Rows" are output
 * rows, counted through all samples: 0 .. n*oh. */
typedef struct nn_conv {
    size_t n, ci, h, w, co, oh, ow, kh, kw, sh, sw, ph, pw;
} nn_conv;

typedef struct nn_adamw {
    double lr, beta1, beta2, eps, weight_decay;
    double scale; /* of the gradients, before anything else */
    long step; /* 1 for the first */
} nn_adamw;

/* The convolution that gives dx from dy when the stride is 1: of dy, with
 * flipped weights. False if padding is larger than the kernel allows. */
bool nn_conv_dual(nn_conv *dual, const nn_conv *s);

/* Output rows in one strip: some hundred positions, which suits the matrix
 * product, but at least eight strips where there are positions enough. Depends
 * on the shape alone. */
size_t nn_conv_strip(const nn_conv *s);

/* Sums run in lanes, so that the compiler may use vectors without changing the
 * order of additions: the result is the same on every processor. */
#define NN_SUM_LANES 16
double nn_lane_total(const double *lane);

#define NN_TWICE "kernels.inc"
#include "twice.h"

#endif
