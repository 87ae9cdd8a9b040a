/* products_loops.h: the product in vectors. The including file defines these:
 * see products_avx512.c. */
#include <string.h>

#define ALWAYS __attribute__((always_inline)) static inline

/* Columns [0, n) of the last vector. */
TARGET ALWAYS void store_part(float *c, V v, size_t n, bool add) {
    float part[VL];
    memcpy(part, &v, sizeof part);
    for (size_t i = 0; i < n; i++) c[i] = add ? c[i] + part[i] : part[i];
}

/* TILE_ROWS rows by `vectors` vectors of c; rows and n: how much of it there is. */
TARGET ALWAYS void tile(float *c, size_t ldc, const float *a, const float *b, size_t ldb, size_t k,
                        size_t rows, size_t n, bool add, const int vectors) {
    V sum[TILE_ROWS][TILE_V];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = SET1(0);
    for (size_t i = 0; i < k; i++, a += NN_PANEL, b += ldb) {
        V seen[TILE_V];
        UNROLL for (int v = 0; v < vectors; v++) seen[v] = LOADU(b + v * VL);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            const V one = SET1(a[r]);
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = FMA(one, seen[v], sum[r][v]);
        }
    }
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

TARGET ALWAYS void rows_of(float *c, size_t ldc, const float *a, const float *b, size_t ldb,
                           size_t m, size_t n, size_t k, bool add) {
    size_t j = 0;
    for (; j + TILE_V * VL <= n; j += TILE_V * VL)
        tile(c + j, ldc, a, b + j, ldb, k, m, n - j, add, TILE_V);
    if (j == n) return;
    if (n - j <= VL)
        tile(c + j, ldc, a, b + j, ldb, k, m, n - j, add, 1);
    else if (TILE_V == 2 || n - j <= 2 * VL)
        tile(c + j, ldc, a, b + j, ldb, k, m, n - j, add, 2);
    else
        tile(c + j, ldc, a, b + j, ldb, k, m, n - j, add, TILE_V);
}

TARGET void PRODUCT(float *c, size_t ldc, const float *a, const float *b, size_t ldb, size_t m,
                    size_t n, size_t k, bool add) {
    if (k == 0) return;
    for (size_t k0 = 0; k0 < k; k0 += NN_DEPTH) {
        size_t depth = k - k0 < NN_DEPTH ? k - k0 : NN_DEPTH;
        for (size_t i = 0; i < m; i += TILE_ROWS)
            rows_of(c + i * ldc, ldc,
                    a + i / NN_PANEL * NN_PANEL * k + k0 * NN_PANEL + i % NN_PANEL, b + k0 * ldb,
                    ldb, m - i, n, depth, add || k0 > 0);
    }
}
