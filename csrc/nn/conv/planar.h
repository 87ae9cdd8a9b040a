/* planar.h: convolutions of few channels as products over the rows of maps as
 * they lie, sixteen positions of one channel a vector: channels need not fill
 * vectors, and nothing is transposed. Computes in single precision; values may be
 * stored in 16 bits. */
#ifndef NN_PLANAR_H
#define NN_PLANAR_H

#include <stdbool.h>

#include "../graph/conv_shape.h"
#include "../graph/storage.h"

/* Positions (oh rows of ow) look at a map (ci, n, h, w) and give `phases` results
 * of co channels each: forward one, towards the gradient of the input those of the
 * sh x sw inputs that share a position. Worked on in blocks of rows of one sample.
 * A block's part of the map is copied by its own phases, so that what neighbouring
 * positions see lies side by side: every channel is (seen_h * seen_w) planes of
 * rows + (a few) rows, `width` columns. */
typedef struct nn_planar {
    nn_conv s;
    bool backward;
    size_t ci, co, h, w, oh, ow;
    size_t sh, sw;         /* from one row of a plane to the next, in the map */
    ptrdiff_t above, left; /* of the map: where position 0 begins to look */
    size_t seen_h, seen_w; /* phases that are seen */
    size_t width, below;   /* columns of a plane; rows beside those of the block */
    size_t rows, down;     /* of a block; blocks of a sample */
} nn_planar;

enum { NN_PLANAR_TAPS = 25 }; /* at most, of a window */

bool nn_planar_can(const nn_conv *s);

/* Whether it should be faster than the others. By shape alone. */
bool nn_planar_pays(const nn_conv *s);

/* forward, or towards the input's gradient. */
void nn_planar_cut(nn_planar *g, const nn_conv *s, bool backward);

/* Floats: of the packed weights, and of one worker's scratch. */
size_t nn_planar_weights(const nn_planar *g);
size_t nn_planar_scratch(const nn_planar *g);

/* Packs 16 of the channels that come out, of parts of 16. */
void nn_planar_pack(float *u, const float *w, const nn_planar *g, size_t group);

/* Block i (of n * down), all channels: y from x, or dx from dy if g was cut backward.
 * bias (co) or NULL; add: to what is there. */
void nn_planar_block(void *to, enum nn_storage to_as, const void *from, enum nn_storage from_as,
                     const float *u, const float *bias, const nn_planar *g, bool add, size_t i,
                     float *scratch);

/* dw (co, ci, kh, kw) <- of blocks [first, last); g cut forward. */
void nn_planar_weight_gradient(float *dw, const void *x, enum nn_storage x_as, const void *dy,
                               enum nn_storage dy_as, const nn_planar *g, size_t first, size_t last,
                               float *scratch);
size_t nn_planar_sum_scratch(const nn_planar *g);

#endif
