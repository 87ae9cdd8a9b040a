/* products_bf16.h: the products of convolutions in bf16, on matrix registers (BC_CPU_AMX of
 * cpu.h), on pairs of values in vectors (BC_CPU_BF16), or in plain code with the bits of the
 * latter. Products are exact, sums are floats. */
#ifndef NN_PRODUCTS_BF16_H
#define NN_PRODUCTS_BF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NN_BF16_ROWS = 32,  /* positions are counted in these */
    NN_BF16_DEPTH = 32, /* channels that come in, too */
    NN_BF16_TILE = 512, /* values of one tile of weights or of positions: 16 pairs, 16, 2 */
    NN_BF16_TAPS = 25   /* most of a window */
};

/* Two factors whose values lie in pairs of k, side by side. Row i of a begins at a + row[i], or,
 * if row is NULL, at a + i/16 * a_rows + i%16 * a_row. Sixteen columns of b are (pairs, 16, 2).
 * k comes in runs of `pairs`, the i-th at a_run[i] and b_run[i] behind the beginning; these are
 * NULL where there is one, which begins there. */
typedef struct nn_bf16_factors {
    const uint16_t *a, *b;
    const size_t *row;
    size_t a_row, a_rows;
    size_t a_pair; /* values from one pair of a to the next */
    size_t b_next; /* values from 16 columns of b to the next 16 */
    const size_t *a_run, *b_run;
    size_t runs, pairs;
    size_t m, n; /* n: a multiple of 16 */
} nn_bf16_factors;

static inline size_t nn_bf16_run(const size_t *runs, size_t i) {
    return runs == NULL ? 0 : runs[i];
}

/* c (m, n), rows ldc apart, <- a b, or c + a b if add. A sum begins at 0 and takes each pair's
 * second product, then its first, as a fused multiply-add; what is less than the least normal
 * number is 0. That is what vdpbf16ps does. */
typedef void nn_bf16_multiply(float *c, size_t ldc, const nn_bf16_factors *f, bool add);

nn_bf16_multiply nn_bf16_multiply_avx512, nn_bf16_multiply_plain;
nn_bf16_multiply *nn_bf16_multiply_best(void);

/* Several taps of a convolution: what position i sees of tap t begins at
 * a + place[i] + tap[t], `depth` channels side by side; its weights are the
 * tiles from b + (o * of_taps + weight[t]) * depth/32 * 512 for the o-th 16
 * outputs, each (16 pairs of channels, 16 outputs, 2). */
typedef struct nn_bf16_taps {
    const uint16_t *a, *b;
    const size_t *place, *tap, *weight;
    size_t taps, of_taps, depth; /* at most NN_BF16_TAPS */
} nn_bf16_taps;

/* c (m, outputs), rows ldc apart, <- the sum over taps and channels. outputs:
 * a multiple of 16. c has room for m rounded up to 32 rows. packed: room for so
 * many rows of taps * depth values, on 64 bytes. */
void nn_bf16_taps_product(float *c, size_t ldc, const nn_bf16_taps *t, size_t m, size_t outputs,
                          uint16_t *packed);

/* tiles (outputs/16, k/2 pairs, 16, 2) <- rows (outputs, k). k: a multiple of 32, outputs of 16. */
void nn_bf16_pairs(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs);

/* Rows of a as they lie, `step` values apart, and b in such tiles. */
typedef struct nn_bf16_rows {
    const uint16_t *a, *b;
    size_t step, k;
} nn_bf16_rows;

/* c (m, n) <- a b, or c + a b if add. m and n: multiples of 32, k too. */
void nn_bf16_rows_product(float *c, const nn_bf16_rows *f, size_t m, size_t n, bool add);

/* `count` vectors of 16 floats to bf16, each to + i * stride, to the nearest, ties to even; what
 * is less than the least normal number is 0. */
void nn_bf16_narrow(uint16_t *to, size_t stride, const float *from, size_t count);

/* The same as one half of 16 pairs: the first, with zeros for the second, then the second. */
enum nn_half { NN_FIRST, NN_SECOND };
void nn_bf16_half(uint16_t *to, size_t stride, const float *from, size_t count, enum nn_half half);

#endif
