/* winograd.h: 3x3 convolutions of stride 1 with a quarter of the products:
 * Winograd's F(4x4, 3x3), as Lavin & Gray (2016), "Fast algorithms for
 * convolutional neural networks". In single precision, or with products in bf16 of points that
 * are computed in single precision and rounded. */
#ifndef NN_WINOGRAD_H
#define NN_WINOGRAD_H

#include <stdbool.h>

#include "../graph/conv_shape.h"
#include "../graph/storage.h"

enum {
    NN_TILE = 4,  /* outputs of a tile, along either side */
    NN_POINTS = 6 /* inputs that they see; 6*6 products take the place of 4*4*9 */
};

/* Polynomials are taken at 0, at both signs of these two, and at infinity. One is the other's
 * inverse: that rounds half as much as the usual 1 and 2 (Alam et al., 2022, "Winograd convolution
 * for deep neural networks: efficient point selection"). Their squares are 1/2 and 2. */
#define NN_POINT_NEAR 0.70710678F
#define NN_POINT_FAR 1.41421356F

/* A convolution cut into tiles. Tile rows are counted through all samples, and
 * worked on in blocks whose memory stays in the cache. */
typedef struct nn_winograd {
    nn_conv s;
    bool bf16;             /* points, as products_bf16.h wants them */
    size_t ci, co;         /* channels, up to a whole vector */
    size_t down, across;   /* tiles of one map */
    size_t rows;           /* tile rows of the batch: n * down */
    size_t block;          /* tile rows of one block */
    size_t in, out, panel; /* values from one point to the next, of x, y, weights */
} nn_winograd;

/* Whether the kernel can do it: 3x3, stride 1, padding up to 2. */
bool nn_winograd_can(const nn_conv *s);

/* Whether it should be faster than the direct product. By shape alone. */
bool nn_winograd_pays(const nn_conv *s);

/* bf16: with no more memory than in floats. */
void nn_winograd_cut(nn_winograd *g, const nn_conv *s, bool bf16);

/* Floats: of the transformed weights, and of one worker's scratch. */
size_t nn_winograd_weights(const nn_winograd *g);
size_t nn_winograd_scratch(const nn_winograd *g);

/* Output channels [16*panel, 16*panel + 16) of the transformed weights. turned: g
 * is the dual (nn_conv_dual) of the convolution that w belongs to. */
void nn_winograd_weight_panel(float *u, const float *w, const nn_winograd *g, size_t panel,
                              bool turned);

/* y of block i: tile rows [i*block, (i+1)*block), all channels. bias (co) or
 * NULL. add: to what y holds. */
void nn_winograd_forward(void *y, enum nn_storage y_as, const void *x, enum nn_storage x_as,
                         const float *u, const float *bias, const nn_winograd *g, bool add,
                         size_t i, float *scratch);

/* --- weight gradient -------------------------------------------------------------
 * In the points' domain dU (36, co, ci) is a sum over tiles of products of x's
 * and dy's points. The tiles come in blocks. In a narrow layer several workers
 * sum up runs of blocks side by side, each with points and dU of its own; in a
 * wide one, whose dU is large, all share each block's points, and each makes a
 * part of dU small enough for the cache. */
enum {
    NN_SUM_OUTPUTS = 64, /* of a part of dU */
    NN_SUM_INPUTS = 144  /* a multiple of 48 */
};

typedef struct nn_winograd_sum {
    nn_winograd g;
    size_t columns;  /* ci, up to a whole vector */
    size_t block;    /* tile rows of one block */
    size_t in, out;  /* values from one point of a block to the next, of x and of dy */
    size_t partials; /* runs of blocks; 1: a wide layer */
} nn_winograd_sum;

void nn_winograd_sum_cut(nn_winograd_sum *k, const nn_conv *s, bool bf16);

/* Floats: the points of one block; dU for so many channels; scratch of one
 * worker, for taking points. */
size_t nn_winograd_sum_points(const nn_winograd_sum *k);
size_t nn_winograd_sum_size(size_t outputs, size_t inputs);
size_t nn_winograd_sum_scratch(const nn_winograd_sum *k);

/* Groups of 16 channels whose points are taken at once: x's, then dy's. */
size_t nn_winograd_sum_groups(const nn_winograd_sum *k);
void nn_winograd_sum_take(float *points, const void *x, enum nn_storage x_as, const void *dy,
                          enum nn_storage dy_as, const nn_winograd_sum *k, size_t block,
                          size_t group, float *scratch);

/* A part of dU: output channels [o0, o1), input channels [c0, c1). o0 a multiple
 * of 16, c0 of 48. */
typedef struct nn_winograd_part {
    size_t o0, o1, c0, c1;
} nn_winograd_part;

/* sum <- or += the part's products over the tiles of one block. */
void nn_winograd_sum_multiply(float *sum, const float *points, const nn_winograd_sum *k,
                              size_t block, const nn_winograd_part *part, bool add);

/* dw (co, ci, 3, 3) += G^T dU G of the part. */
void nn_winograd_sum_weights(float *dw, const float *sum, const nn_winograd_sum *k,
                             const nn_winograd_part *part);

#endif
