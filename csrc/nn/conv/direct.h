/* direct.h: convolutions of any window and stride as products over the input as
 * it lies, once the channels of a few rows are side by side: nothing is copied
 * for each tap, and the gradient of the input gathers instead of scattering.
 * Computes in single precision; values may be stored in 16 bits. */
#ifndef NN_DIRECT_H
#define NN_DIRECT_H

#include <stdbool.h>

#include "../graph/conv_shape.h"
#include "../graph/storage.h"

/* `rows` rows of positions, counted through all samples, look at a map through
 * a window: `seen` (oh rows of ow positions, kh x kw taps, h x w map of ci
 * channels). Worked on in blocks of rows. */
typedef struct nn_direct {
    nn_conv s, seen;
    size_t ci, co; /* of seen, as they lie in memory: up to a whole vector */
    size_t rows, block;
    bool bf16;             /* products_bf16.h */
    size_t width;          /* columns of a row that positions look at, padding included */
    ptrdiff_t above, left; /* gradient of the input: the least offset of a tap */
} nn_direct;

/* forward, or towards the input's gradient. */
void nn_direct_cut(nn_direct *g, const nn_conv *s, bool backward);

/* The same with values, weights and products in bf16: x or dy must be stored so.
 * Weights are rounded; sums are floats. */
void nn_direct_cut_bf16(nn_direct *g, const nn_conv *s, bool backward);

/* Floats: of the packed weights, and of one worker's scratch. */
size_t nn_direct_weights(const nn_direct *g);
size_t nn_direct_scratch(const nn_direct *g);

/* Packs 16 of the channels that come out: output channels forward, input
 * channels backward. There are co/16 such groups. */
void nn_direct_pack(float *u, const float *w, const nn_direct *g, bool backward, size_t group);

/* y of block i, all channels. bias (co) or NULL; add: to what y holds. */
void nn_direct_forward(void *y, enum nn_storage y_as, const void *x, enum nn_storage x_as,
                       const float *u, const float *bias, const nn_direct *g, bool add, size_t i,
                       float *scratch);

/* dx of block i; g cut backward. */
void nn_direct_backward(void *dx, enum nn_storage dx_as, const void *dy, enum nn_storage dy_as,
                        const float *u, const nn_direct *g, bool add, size_t i, float *scratch);

/* The weights' gradient is made in parts, each over all positions in order. */
typedef struct nn_direct_sum {
    nn_direct g;            /* forward, for the channels of one part */
    size_t inputs, outputs; /* channels of a part */
    size_t across, down;    /* parts along the input channels, the output channels */
} nn_direct_sum;

void nn_direct_sum_cut(nn_direct_sum *k, const nn_conv *s);
size_t nn_direct_sum_scratch(const nn_direct_sum *k);

/* dw += of part i, of across * down. */
void nn_direct_sum_part(float *dw, const void *x, enum nn_storage x_as, const void *dy,
                        enum nn_storage dy_as, const nn_direct_sum *k, size_t i, float *scratch);

#endif
