/* lags.h: which lags (diagonals j - i of the matrix of distances) a tile has. */
#ifndef BC_LAGS_H
#define BC_LAGS_H

#include <stddef.h>

/* Narrow *first .. *last, lags of x_windows x y_windows cells, to part `tile`
 * (from 0) of `tiles` parts with about as many cells each; *first > *last if
 * the part has none. tiles 0 or 1: all. The parts follow each other. */
void bc_lags_of_tile(ptrdiff_t *first, ptrdiff_t *last, size_t x_windows, size_t y_windows,
                     size_t tile, size_t tiles);

#endif
