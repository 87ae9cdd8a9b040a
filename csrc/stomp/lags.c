/* lags.c: which lags a tile has. */
#include "lags.h"

static double cells_of(ptrdiff_t lag, ptrdiff_t xn, ptrdiff_t yn) {
    const ptrdiff_t begin = lag < 0 ? -lag : 0, end = yn - lag < xn ? yn - lag : xn;
    return end > begin ? (double)(end - begin) : 0;
}

void bc_lags_of_tile(ptrdiff_t *first, ptrdiff_t *last, size_t x_windows, size_t y_windows,
                     size_t tile, size_t tiles) {
    if (tiles <= 1) return;
    const ptrdiff_t xn = (ptrdiff_t)x_windows, yn = (ptrdiff_t)y_windows;
    const ptrdiff_t from = *first, to = *last;
    double total = 0, before = 0;
    for (ptrdiff_t d = from; d <= to; d++) total += cells_of(d, xn, yn);
    *last = from - 1;
    for (ptrdiff_t d = from; d <= to; d++) {
        const size_t part = (size_t)(before / total * (double)tiles);
        if (part < tile) *first = d + 1;
        if (part <= tile || tile == tiles - 1) *last = d;
        before += cells_of(d, xn, yn);
    }
}
