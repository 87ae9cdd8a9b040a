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

/* One row of b, times the value of each row of a. */
#define STEP(value)                                                                      \
    {                                                                                    \
        V seen[TILE_V];                                                                  \
        UNROLL for (int v = 0; v < vectors; v++) seen[v] = LOADU(b + v * VL);            \
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {                                     \
            const V one = SET1(value);                                                   \
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = FMA(one, seen[v], sum[r][v]); \
        }                                                                                \
    }

/* TILE_ROWS rows by `vectors` vectors of c; rows and n: how much of it there is.
 * lda: from row to row of a; 0: rows side by side. */
TARGET ALWAYS void tile(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                        size_t ldb, size_t k, size_t rows, size_t n, bool add, const int vectors,
                        const bool panels) {
    const float *row[TILE_ROWS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        row[r] = panels ? a + r : a + ((size_t)r < rows ? (size_t)r : 0) * lda;
    V sum[TILE_ROWS][TILE_V];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = SET1(0);
    size_t i = 0;
    for (; i + 4 <= k; i += 4, a += 4 * NN_PANEL)
        UNROLL for (size_t j = 0; j < 4; j++, b += ldb)
            STEP(panels ? a[j * NN_PANEL + (size_t)r] : row[r][i + j])
    for (; i < k; i++, a += NN_PANEL, b += ldb) STEP(panels ? a[r] : row[r][i])
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

TARGET ALWAYS void rows_of(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                           size_t ldb, size_t m, size_t n, size_t k, bool add, const bool panels) {
    size_t j = 0;
    /* four vectors are better two by two than three and one */
    for (; n - j > 2 * VL && n - j != 4 * VL && TILE_V > 2; j += TILE_V * VL) {
        tile(c + j, ldc, a, lda, b + j, ldb, k, m, n - j, add, TILE_V, panels);
        if (n - j <= TILE_V * VL) return;
    }
    for (; n - j > VL; j += 2 * VL) {
        tile(c + j, ldc, a, lda, b + j, ldb, k, m, n - j, add, 2, panels);
        if (n - j <= 2 * VL) return;
    }
    if (j < n) tile(c + j, ldc, a, lda, b + j, ldb, k, m, n - j, add, 1, panels);
}

TARGET void PRODUCT(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb,
                    size_t m, size_t n, size_t k, bool add) {
    if (n == 0) return;
    for (size_t k0 = 0; k0 < k; k0 += NN_DEPTH) {
        size_t depth = k - k0 < NN_DEPTH ? k - k0 : NN_DEPTH;
        const float *to = b + k0 * ldb;
        for (size_t i = 0; i < m; i += TILE_ROWS)
            if (lda > 0)
                rows_of(c + i * ldc, ldc, a + i * lda + k0, lda, to, ldb, m - i, n, depth,
                        add || k0 > 0, false);
            else
                rows_of(c + i * ldc, ldc,
                        a + i / NN_PANEL * NN_PANEL * k + k0 * NN_PANEL + i % NN_PANEL, 0, to, ldb,
                        m - i, n, depth, add || k0 > 0, true);
    }
}
