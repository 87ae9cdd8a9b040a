/* rows.c: rows of a matrix, packed so that distances to many of them come at once. */
#include "rows.h"

#include <math.h>
#include <stdlib.h>

#include "../support/cpu.h"
#include "../support/error.h"

int rows_pack(rows_packed *rows, const double *x, size_t n, size_t d) {
    size_t blocks = (n + ROWS_LANES - 1) / ROWS_LANES;
    *rows = (rows_packed){calloc(blocks * d * ROWS_LANES + 1, sizeof *rows->x), n, d, blocks};
    if (rows->x == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++) {
        double *to = rows->x + i / ROWS_LANES * d * ROWS_LANES + i % ROWS_LANES;
        for (size_t c = 0; c < d; c++) to[c * ROWS_LANES] = x[i * d + c];
    }
    return BC_OK;
}

void rows_free(rows_packed *rows) {
    free(rows->x);
    rows->x = NULL;
}

void rows_get(double *out, const rows_packed *rows, size_t i) {
    const double *from = rows->x + i / ROWS_LANES * rows->d * ROWS_LANES + i % ROWS_LANES;
    for (size_t c = 0; c < rows->d; c++) out[c] = from[c * ROWS_LANES];
}

/* Vectors by hand: left to itself gcc shuffles columns together. Four of them, as a sum has to wait
 * for the one before it. */
typedef double lanes __attribute__((vector_size(ROWS_LANES / 4 * sizeof(double)), aligned(8),
                                    may_alias));

BC_EACH_CPU(static, distances, (double *square, const double *x, const double *point, size_t d),
            (square, x, point, d)) {
    lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (size_t c = 0; c < d; c++) {
        const lanes *at = (const lanes *)(x + c * ROWS_LANES);
        lanes d0 = at[0] - point[c], d1 = at[1] - point[c];
        lanes d2 = at[2] - point[c], d3 = at[3] - point[c];
        s0 += d0 * d0;
        s1 += d1 * d1;
        s2 += d2 * d2;
        s3 += d3 * d3;
    }
    lanes *to = (lanes *)square;
    to[0] = s0, to[1] = s1, to[2] = s2, to[3] = s3;
}

void rows_distances(double *square, const rows_packed *rows, size_t block, const double *point) {
    distances(square, rows->x + block * rows->d * ROWS_LANES, point, rows->d);
}

void rows_to_length_one(double *out, const double *x, size_t n, size_t d) {
    for (size_t i = 0; i < n; i++, x += d, out += d) {
        double most = 0, sum = 0;
        for (size_t c = 0; c < d; c++) most = fmax(most, fabs(x[c]));
        /* by the largest first: squares of tiny or huge values are 0 or infinite */
        for (size_t c = 0; c < d; c++) out[c] = most > 0 ? x[c] / most : 0;
        for (size_t c = 0; c < d; c++) sum += out[c] * out[c];
        for (size_t c = 0; c < d; c++) out[c] /= most > 0 ? sqrt(sum) : 1;
    }
}
