/* winograd_tiles.h: maps to tiles' points and back, one channel of a run of
 * tile rows at a time. Points of a tile are `stride` floats apart, the tiles'
 * lanes side by side; lanes is a multiple of NN_LANES. */
#ifndef NN_WINOGRAD_TILES_H
#define NN_WINOGRAD_TILES_H

#include "winograd.h"

typedef struct tile_rows {
    const nn_winograd *g;
    size_t first, last, lanes; /* tile rows [first, last) of the batch; 0 in the lanes behind */
} tile_rows;

/* Floats of work. */
size_t tiles_work(size_t lanes);

/* B^T d B of channel c of x (ci, n, h, w): what a tile's outputs see. */
void tiles_from_input(float *points, size_t stride, const void *x, enum nn_storage as, size_t c,
                      const tile_rows *t, float *work);

/* A^T m A into channel o of y (co, n, oh, ow). */
void tiles_to_output(void *y, enum nn_storage as, const float *points, size_t stride, float bias,
                     bool add, size_t o, const tile_rows *t, float *work);

/* A d A^T of channel o of dy (co, n, oh, ow): the transpose of tiles_to_output. */
void tiles_from_gradient(float *points, size_t stride, const void *dy, enum nn_storage as,
                         size_t o, const tile_rows *t, float *work);

#endif
