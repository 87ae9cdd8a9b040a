/* products_amx.c: products in bf16 on matrix registers. */
#include "products_amx.h"

#include "../../support/cpu.h"

#if BC_HAVE_AMX
#include <immintrin.h>

#define AMX __attribute__((target("amx-tile,amx-bf16,avx512f")))

/* Palette 1: eight tiles of 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} shape = {.palette = 1,
           .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
           .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* packed (m/16, taps * depth/32, 16, 32): tiles of positions; those behind the
 * last repeat it. */
AMX static void pack(uint16_t *packed, const nn_bf16_taps *t, size_t m, size_t rows) {
    size_t chunks = t->depth / NN_BF16_DEPTH, all = t->taps * chunks * NN_BF16_TILE;
    for (size_t i = 0; i < rows; i++) {
        const uint16_t *from = t->a + t->place[i < m ? i : m - 1];
        uint16_t *to = packed + i / 16 * all + i % 16 * NN_BF16_DEPTH;
        for (size_t k = 0; k < t->taps; k++)
            for (size_t q = 0; q < chunks; q++, to += NN_BF16_TILE)
                _mm512_store_si512(to, _mm512_loadu_si512(from + t->tap[k] + q * NN_BF16_DEPTH));
    }
}

/* 32 positions by 32 outputs (or 16, if !both). */
AMX static void square(float *c, size_t ldc, const nn_bf16_taps *t, const uint16_t *a, size_t o,
                       bool both) {
    size_t chunks = t->depth / NN_BF16_DEPTH, all = t->taps * chunks * NN_BF16_TILE;
    size_t step = chunks * NN_BF16_TILE, next = both ? t->of_taps * step : 0;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t k = 0; k < t->taps; k++) {
        const uint16_t *b = t->b + (o * t->of_taps + t->weight[k]) * step;
        for (size_t q = 0; q < chunks; q++, a += NN_BF16_TILE, b += NN_BF16_TILE) {
            _tile_loadd(4, a, 64);
            _tile_loadd(6, b, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(5, a + all, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_loadd(7, b + next, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, ldc * sizeof *c);
    _tile_stored(2, c + 16 * ldc, ldc * sizeof *c);
    if (!both) return;
    _tile_stored(1, c + 16, ldc * sizeof *c);
    _tile_stored(3, c + 16 * ldc + 16, ldc * sizeof *c);
}

AMX void nn_amx_product(float *c, size_t ldc, const nn_bf16_taps *t, size_t m, size_t outputs,
                        uint16_t *packed) {
    size_t rows = (m + NN_BF16_ROWS - 1) / NN_BF16_ROWS * NN_BF16_ROWS;
    pack(packed, t, m, rows);
    _tile_loadconfig(&shape);
    for (size_t o = 0; o < outputs; o += 32)
        for (size_t i = 0; i < rows; i += NN_BF16_ROWS)
            square(c + i * ldc + o, ldc, t, packed + i * t->taps * t->depth, o / 16,
                   o + 16 < outputs);
    _tile_release();
}

/* --- sums over positions ------------------------------------------------------------- */

/* 32 rows by 32 columns; `next` values from 16 columns of b to the next. */
AMX static void sum_square(float *c, size_t ldc, const uint16_t *a, size_t step, const uint16_t *b,
                           size_t next, size_t k, bool add) {
    if (add) {
        _tile_loadd(0, c, ldc * sizeof *c);
        _tile_loadd(1, c + 16, ldc * sizeof *c);
        _tile_loadd(2, c + 16 * ldc, ldc * sizeof *c);
        _tile_loadd(3, c + 16 * ldc + 16, ldc * sizeof *c);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t i = 0; i < k; i += 32, b += NN_BF16_TILE) {
        _tile_loadd(4, a + i, step * sizeof *a);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + next, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + 16 * step + i, step * sizeof *a);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, ldc * sizeof *c);
    _tile_stored(1, c + 16, ldc * sizeof *c);
    _tile_stored(2, c + 16 * ldc, ldc * sizeof *c);
    _tile_stored(3, c + 16 * ldc + 16, ldc * sizeof *c);
}

AMX void nn_amx_sum(float *c, const nn_bf16_rows *f, size_t m, size_t n, bool add) {
    _tile_loadconfig(&shape);
    for (size_t i = 0; i < m; i += 32)
        for (size_t j = 0; j < n; j += 32)
            sum_square(c + i * n + j, n, f->a + i * f->step, f->step, f->b + j * f->k, 16 * f->k,
                       f->k, add);
    _tile_release();
}

#else
void nn_amx_product(float *c, size_t ldc, const nn_bf16_taps *t, size_t m, size_t outputs,
                    uint16_t *packed) {
    (void)c, (void)ldc, (void)t, (void)m, (void)outputs, (void)packed;
}

void nn_amx_sum(float *c, const nn_bf16_rows *f, size_t m, size_t n, bool add) {
    (void)c, (void)f, (void)m, (void)n, (void)add;
}
#endif
