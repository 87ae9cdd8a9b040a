/* conv_shape.h: the geometry of a convolution. */
#ifndef NN_CONV_SHAPE_H
#define NN_CONV_SHAPE_H

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

#endif
