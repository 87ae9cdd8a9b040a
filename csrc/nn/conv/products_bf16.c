/* products_bf16.c: products in bf16 in plain code, and the choice. */
#include "products_bf16.h"

#include <math.h>
#include <string.h>

#include "../../support/bf16.h"
#include "../../support/cpu.h"
#include "products_amx.h"
#include "products_avx512_bf16.h"

enum { G = 16 };

/* --- plain ----------------------------------------------------------------------------- */

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t flushed(uint32_t bits) {
    return (bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits;
}

static float wide(uint16_t x) {
    return of_bits(flushed((uint32_t)x << 16));
}

static float fused(float sum, uint16_t a, uint16_t b) {
    return of_bits(flushed(bits_of(fmaf(wide(a), wide(b), sum))));
}

static void narrow(uint16_t *to, const float *from) {
    float x[G];
    for (size_t j = 0; j < G; j++) x[j] = of_bits(flushed(bits_of(from[j])));
    bc_bf16_narrow(to, x, G);
}

void nn_bf16_multiply_plain(float *c, size_t ldc, const nn_bf16_factors *f, bool add) {
    for (size_t i = 0; i < f->m; i++)
        for (size_t j = 0; j < f->n; j++) {
            size_t first = f->row != NULL ? f->row[i] : i / G * f->a_rows + i % G * f->a_row;
            float sum = 0, *to = c + i * ldc + j;
            for (size_t run = 0; run < f->runs; run++) {
                const uint16_t *a = f->a + first + nn_bf16_run(f->a_run, run);
                const uint16_t *b =
                    f->b + j / G * f->b_next + j % G * 2 + nn_bf16_run(f->b_run, run);
                for (size_t k = 0; k < f->pairs; k++, a += f->a_pair, b += 2 * G)
                    sum = fused(fused(sum, a[1], b[1]), a[0], b[0]);
            }
            *to = add ? *to + sum : sum;
        }
}

static void pairs_plain(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs) {
    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i < k; i++)
            tiles[(o / G * (k / 2) + i / 2) * 2 * G + o % G * 2 + i % 2] = rows[o * k + i];
}

/* --- the choice ------------------------------------------------------------------------ */

nn_bf16_multiply *nn_bf16_multiply_best(void) {
    return bc_cpu_now() >= BC_CPU_BF16 ? nn_bf16_multiply_avx512 : nn_bf16_multiply_plain;
}

void nn_bf16_taps_product(float *c, size_t ldc, const nn_bf16_taps *t, size_t m, size_t outputs,
                          uint16_t *packed) {
    if (bc_cpu_now() == BC_CPU_AMX) {
        nn_amx_product(c, ldc, t, m, outputs, packed);
        return;
    }
    size_t weights[NN_BF16_TAPS], of_tap = t->depth * G;
    for (size_t i = 0; i < t->taps; i++) weights[i] = t->weight[i] * of_tap;
    nn_bf16_factors f = {.a = t->a, .row = t->place, .a_run = t->tap, .a_pair = 2, .m = m};
    f.b = t->b, f.b_run = weights, f.b_next = t->of_taps * of_tap, f.n = outputs;
    f.runs = t->taps, f.pairs = t->depth / 2;
    nn_bf16_multiply_best()(c, ldc, &f, false);
}

void nn_bf16_pairs(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs) {
    if (bc_cpu_now() >= BC_CPU_AVX512)
        nn_avx512_pairs(tiles, rows, k, outputs);
    else
        pairs_plain(tiles, rows, k, outputs);
}

void nn_bf16_rows_product(float *c, const nn_bf16_rows *rows, size_t m, size_t n, bool add) {
    if (bc_cpu_now() == BC_CPU_AMX) {
        nn_amx_sum(c, rows, m, n, add);
        return;
    }
    nn_bf16_factors f = {.a = rows->a, .a_row = rows->step, .a_pair = 2, .m = m, .runs = 1};
    f.b = rows->b, f.b_next = rows->k * G, f.n = n, f.pairs = rows->k / 2;
    f.a_rows = G * rows->step;
    nn_bf16_multiply_best()(c, n, &f, add);
}

void nn_bf16_narrow(uint16_t *to, size_t stride, const float *from, size_t count) {
    if (bc_cpu_now() >= BC_CPU_BF16) {
        nn_avx512_narrow(to, stride, from, count);
        return;
    }
    for (size_t i = 0; i < count; i++, to += stride, from += G) narrow(to, from);
}

void nn_bf16_half(uint16_t *to, size_t stride, const float *from, size_t count, enum nn_half half) {
    if (bc_cpu_now() >= BC_CPU_BF16) {
        nn_avx512_half(to, stride, from, count, half);
        return;
    }
    for (size_t i = 0; i < count; i++, to += stride, from += G) {
        uint16_t x[G];
        narrow(x, from);
        for (size_t j = 0; j < G; j++) {
            if (half == NN_FIRST) to[2 * j + 1] = 0;
            to[2 * j + half] = x[j];
        }
    }
}
