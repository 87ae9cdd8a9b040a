/* winograd_tiles.h: maps to tiles' points and back, sixteen channels of a run of
 * tile rows at a time. */
#ifndef NN_WINOGRAD_TILES_H
#define NN_WINOGRAD_TILES_H

#include "winograd.h"

/* Where the points of sixteen channels lie: `stride` values from one of the 36
 * points to the next, `tile` from one tile to the next (from one pair of tiles to the next). */
typedef struct tile_points {
    void *at;
    size_t stride, tile;
    enum { POINTS_F32, POINTS_BF16, POINTS_PAIRS } as; /* pairs: of tiles, in bf16 */
} tile_points;

size_t tiles_scratch(const nn_winograd *g); /* floats */

/* B^T d B of channels [c, c+16) of x (ci, n, h, w), tile rows [first, last):
 * what a tile's outputs see. Channels behind the last are 0. */
void tiles_of_input(tile_points to, const void *x, enum nn_storage as, size_t c,
                    const nn_winograd *g, size_t first, size_t last, float *scratch);

/* A d A^T of channels [o, o+16) of dy (co, n, oh, ow). */
void tiles_of_gradient(tile_points to, const void *dy, enum nn_storage as, size_t o,
                       const nn_winograd *g, size_t first, size_t last, float *scratch);

/* A^T m A into channels [o, o+16) of y (co, n, oh, ow); bias (co) or NULL; add: to
 * what y holds. */
void tiles_to_output(void *y, enum nn_storage as, tile_points from, const float *bias, bool add,
                     size_t o, const nn_winograd *g, size_t first, size_t last, float *scratch);

#endif
