/* products_avx512_bf16.c: products in bf16 on AVX512-BF16, 32 multiply-adds an instruction. */
#include "products_avx512_bf16.h"

#include <string.h>

#include "../../support/transpose.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define ALWAYS __attribute__((always_inline)) static inline
#define UNROLL _Pragma("GCC unroll 8")

enum { G = 16, TILE_ROWS = 8, TILE_V = 3 }; /* 24 sums, 3 vectors of b and one of a: 28 of 32 */

TARGET ALWAYS __m512bh load_pairs(const uint16_t *from) {
    return (__m512bh)_mm512_loadu_si512(from);
}

/* One pair of a, sixteen times. */
TARGET ALWAYS __m512bh load_pair(const uint16_t *from) {
    int pair;
    memcpy(&pair, from, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* TILE_ROWS rows from row i0 and 16 * vectors columns from column j0 of c. */
TARGET ALWAYS void tile(float *c, size_t ldc, const nn_bf16_factors *f, size_t i0, size_t j0,
                        bool add, const int vectors) {
    const size_t rows = f->m - i0, next = f->b_next, step = f->a_pair;
    const uint16_t *row[TILE_ROWS];
    __m512 sum[TILE_ROWS][TILE_V];
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        const size_t i = i0 + ((size_t)r < rows ? (size_t)r : 0);
        row[r] = f->a + (f->row != NULL ? f->row[i] : i / G * f->a_rows + i % G * f->a_row);
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_setzero_ps();
    }
    for (size_t run = 0; run < f->runs; run++) {
        const uint16_t *b = f->b + j0 / G * next + nn_bf16_run(f->b_run, run);
        size_t at = nn_bf16_run(f->a_run, run);
        for (size_t k = 0; k < f->pairs; k++, at += step, b += 2 * G) {
            __m512bh seen[TILE_V];
            UNROLL for (int v = 0; v < vectors; v++) seen[v] = load_pairs(b + (size_t)v * next);
            UNROLL for (int r = 0; r < TILE_ROWS; r++) {
                const __m512bh one = load_pair(row[r] + at);
                UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
                    _mm512_dpbf16_ps(sum[r][v], one, seen[v]);
            }
        }
    }
    c += i0 * ldc + j0;
    UNROLL for (int r = 0; r < TILE_ROWS; r++) {
        if ((size_t)r >= rows) continue;
        UNROLL for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)r * ldc + v * G;
            _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), sum[r][v]) : sum[r][v]);
        }
    }
}

TARGET void nn_bf16_multiply_avx512(float *c, size_t ldc, const nn_bf16_factors *f, bool add) {
    size_t j = 0, n = f->n;
    /* four vectors are better two by two than three and one */
    for (; n - j > 2 * G && n - j != 4 * G; j += TILE_V * G)
        for (size_t i = 0; i < f->m; i += TILE_ROWS) tile(c, ldc, f, i, j, add, TILE_V);
    for (; n - j >= 2 * G; j += 2 * G)
        for (size_t i = 0; i < f->m; i += TILE_ROWS) tile(c, ldc, f, i, j, add, 2);
    for (size_t i = 0; j < n && i < f->m; i += TILE_ROWS) tile(c, ldc, f, i, j, add, 1);
}

BC_AVX512_TARGET void nn_avx512_pairs(uint16_t *tiles, const uint16_t *rows, size_t k,
                                      size_t outputs) {
    for (size_t o = 0; o < outputs; o += G)
        for (size_t i = 0; i < k; i += 32, tiles += NN_BF16_TILE) {
            __m512 r[G];
#pragma GCC unroll 16
            for (size_t j = 0; j < G; j++) r[j] = _mm512_loadu_ps(rows + (o + j) * k + i);
            bc_transpose_avx512(r);
#pragma GCC unroll 16
            for (size_t j = 0; j < G; j++) _mm512_storeu_ps(tiles + 32 * j, r[j]);
        }
}

TARGET void nn_avx512_narrow(uint16_t *to, size_t stride, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++, to += stride, from += G)
        _mm256_storeu_si256((__m256i *)(void *)to,
                            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from)));
}

TARGET void nn_avx512_half(uint16_t *to, size_t stride, const float *from, size_t count,
                           enum nn_half half) {
    for (size_t i = 0; i < count; i++, to += stride, from += G) {
        __m512i now = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from)));
        if (half == NN_SECOND)
            now = _mm512_or_si512(_mm512_loadu_si512(to), _mm512_slli_epi32(now, 16));
        _mm512_storeu_si512(to, now);
    }
}
#else
void nn_bf16_multiply_avx512(float *c, size_t ldc, const nn_bf16_factors *f, bool add) {
    nn_bf16_multiply_plain(c, ldc, f, add);
}

void nn_avx512_pairs(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs) {
    (void)tiles, (void)rows, (void)k, (void)outputs;
}

void nn_avx512_narrow(uint16_t *to, size_t stride, const float *from, size_t count) {
    (void)to, (void)stride, (void)from, (void)count;
}

void nn_avx512_half(uint16_t *to, size_t stride, const float *from, size_t count,
                    enum nn_half half) {
    (void)to, (void)stride, (void)from, (void)count, (void)half;
}
#endif
