/* products_loops.h: the product in vectors. The including file defines these:
 * see products_avx512.c. */
#include <string.h>

#define ALWAYS __attribute__((always_inline)) static inline

enum { ROWS, PANELS, PANELS_OF_ROWS }; /* how a lies; in the last b is gathered */

/* Columns [0, n) of the last vector. */
TARGET ALWAYS void store_part(float *c, V v, size_t n, bool add) {
    float part[VL];
    memcpy(part, &v, sizeof part);
    for (size_t i = 0; i < n; i++) c[i] = add ? c[i] + part[i] : part[i];
}

/* One row of b, times the value of each row of a. */
#define STEP(place, value)                                                                     \
    {                                                                                          \
        const float *seen_row = place;                                                         \
        V seen[TILE_V];                                                                        \
        UNROLL for (int v = 0; v < vectors; v++) seen[v] = LOADU(seen_row + v * VL);           \
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {                                           \
            const V one = SET1(value);                                                         \
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = FMA(one, seen[v], sum[r][v]); \
        }                                                                                      \
    }

/* TILE_ROWS rows from row i0 and `vectors` vectors from column j0 of c, over k in
 * [k0, k1). */
TARGET ALWAYS void tile(float *c, size_t ldc, const nn_factors *f, size_t i0, size_t j0, size_t k0,
                        size_t k1, bool add, const int vectors, const int mode) {
    const size_t rows = f->m - i0, n = f->n - j0, step = f->a_step, ldb = f->b_row;
    const float *row[TILE_ROWS], *b = f->b + j0;
    const float *a = f->a + i0 / NN_PANEL * f->a_row + i0 % NN_PANEL + k0 * step;
    V sum[TILE_ROWS][TILE_V];
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        const size_t i = i0 + ((size_t)r < rows ? (size_t)r : 0);
        if (mode == ROWS) row[r] = f->a + (f->a_rows != NULL ? f->a_rows[i] : i * f->a_row);
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = SET1(0);
    }
    size_t k = k0;
    if (mode == PANELS_OF_ROWS) {
        for (; k < k1; k++, a += step) STEP(b + f->b_rows[k], a[r])
    } else {
        b += k0 * ldb;
        for (; k + 4 <= k1; k += 4, a += 4 * step)
            UNROLL for (size_t j = 0; j < 4; j++, b += ldb) STEP(
                b, mode == ROWS ? row[r][k + j]
                                : a[j * step + (size_t)r]) for (; k < k1; k++, a += step, b += ldb)
                STEP(b, mode == ROWS ? row[r][k] : a[r])
    }
    c += i0 * ldc + j0;
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        if ((size_t)r >= rows) continue;
        UNROLL for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)r * ldc + v * VL;
            if ((size_t)(v + 1) * VL > n) {
                if (n > (size_t)v * VL) store_part(to, sum[r][v], n - (size_t)v * VL, add);
            } else {
                STOREU(to, add ? ADD(LOADU(to), sum[r][v]) : sum[r][v]);
            }
        }
    }
}

TARGET ALWAYS void rows_of(float *c, size_t ldc, const nn_factors *f, size_t i, size_t k0,
                           size_t k1, bool add, const int mode) {
    size_t j = 0, n = f->n;
    /* four vectors are better two by two than three and one */
    for (; n - j > 2 * VL && n - j != 4 * VL && TILE_V > 2; j += TILE_V * VL) {
        tile(c, ldc, f, i, j, k0, k1, add, TILE_V, mode);
        if (n - j <= TILE_V * VL) return;
    }
    for (; n - j > VL; j += 2 * VL) {
        tile(c, ldc, f, i, j, k0, k1, add, 2, mode);
        if (n - j <= 2 * VL) return;
    }
    if (j < n) tile(c, ldc, f, i, j, k0, k1, add, 1, mode);
}

TARGET void PRODUCT(float *c, size_t ldc, const nn_factors *f, bool add) {
    if (f->n == 0) return;
    for (size_t k0 = 0; k0 < f->k; k0 += NN_DEPTH) {
        size_t k1 = f->k - k0 < NN_DEPTH ? f->k : k0 + NN_DEPTH;
        bool more = add || k0 > 0;
        for (size_t i = 0; i < f->m; i += TILE_ROWS)
            if (f->a_step == 0)
                rows_of(c, ldc, f, i, k0, k1, more, ROWS);
            else if (f->b_rows == NULL)
                rows_of(c, ldc, f, i, k0, k1, more, PANELS);
            else
                rows_of(c, ldc, f, i, k0, k1, more, PANELS_OF_ROWS);
    }
}

/* --- dot products ------------------------------------------------------------------ */

TARGET ALWAYS void dots_tile(float *sum, const nn_factors *f, size_t i0, size_t j0,
                             const int vectors) {
    const float *a[TILE_ROWS], *b[TILE_V];
    float *to[TILE_ROWS];
    V lanes[TILE_ROWS][TILE_V];
    UNROLL for (int v = 0; v < vectors; v++) b[v] = f->b + f->b_rows[j0 + (size_t)v];
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        const size_t i = i0 + (i0 + (size_t)r < f->m ? (size_t)r : 0);
        a[r] = f->a + i * f->a_row;
        to[r] = sum + (i * f->n + j0) * NN_LANES;
        UNROLL for (int v = 0; v < vectors; v++) lanes[r][v] = LOADU(to[r] + v * NN_LANES);
    }
    for (size_t k = 0; k < f->k; k += VL) {
        V seen[TILE_V];
        UNROLL for (int v = 0; v < vectors; v++) seen[v] = LOADU(b[v] + k);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            const V one = LOADU(a[r] + k);
            UNROLL for (int v = 0; v < vectors; v++) lanes[r][v] = FMA(one, seen[v], lanes[r][v]);
        }
    }
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        if (i0 + (size_t)r >= f->m) continue;
        UNROLL for (int v = 0; v < vectors; v++) STOREU(to[r] + v * NN_LANES, lanes[r][v]);
    }
}

TARGET void DOTS(float *sum, const nn_factors *f) {
    for (size_t i = 0; i < f->m; i += TILE_ROWS) {
        size_t j = 0;
        for (; j + TILE_V <= f->n; j += TILE_V) dots_tile(sum, f, i, j, TILE_V);
        if (f->n - j == 2) dots_tile(sum, f, i, j, 2);
        if (f->n - j == 1) dots_tile(sum, f, i, j, 1);
    }
}
