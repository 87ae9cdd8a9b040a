/* bf16_sum.h: the gradient of a convolution's weights from values and gradients in bf16
 * (products_bf16.h). */
#ifndef NN_BF16_SUM_H
#define NN_BF16_SUM_H

#include <stddef.h>
#include <stdint.h>

#include "../graph/conv_shape.h"

/* The gradient is made in parts, some channels in by some channels out, each over all
 * positions in order. They come in blocks: rows of one sample, or several whole samples one
 * behind the other. x is copied by the phases of the stride, every row `width` long with its
 * padding, so that a tap sees what lies at its own offset from each position; at positions
 * that are none dy is 0. */
typedef struct nn_bf16_sum {
    nn_conv s;
    size_t inputs, outputs;  /* channels of a part */
    size_t across, down;     /* parts along the input channels, the output channels */
    size_t seen_h, seen_w;   /* phases */
    size_t width, below;     /* of a row; rows beside the positions' own */
    size_t rows, samples;    /* of a block */
    size_t positions, plane; /* places of a block's positions; of one phase of x */
    size_t channel;          /* from one channel of x to the next */
} nn_bf16_sum;

void nn_bf16_sum_cut(nn_bf16_sum *k, const nn_conv *s);
size_t nn_bf16_sum_scratch(const nn_bf16_sum *k); /* floats */

/* dw += of part i, of across * down. */
void nn_bf16_sum_part(float *dw, const uint16_t *x, const uint16_t *dy, const nn_bf16_sum *k,
                      size_t i, float *scratch);

#endif
