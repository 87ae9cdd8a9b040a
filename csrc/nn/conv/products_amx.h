/* products_amx.h: the products of convolutions in bf16, on Intel's
 * matrix registers (BC_CPU_AMX of cpu.h). Sums are floats. */
#ifndef NN_PRODUCTS_AMX_H
#define NN_PRODUCTS_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NN_AMX_ROWS = 32,  /* positions are counted in these */
    NN_AMX_DEPTH = 32, /* channels that come in, too */
    NN_AMX_TILE = 512  /* values of one tile of weights or of positions */
};

/* Several taps of a convolution: what position i sees of tap t begins at
 * a + place[i] + tap[t], `depth` channels side by side; its weights are the
 * tiles from b + (o * of_taps + weight[t]) * depth/32 * 512 for the o-th 16
 * outputs, each (16 pairs of channels, 16 outputs, 2). */
typedef struct nn_amx_taps {
    const uint16_t *a, *b;
    const size_t *place, *tap, *weight;
    size_t taps, of_taps, depth;
} nn_amx_taps;

/* c (m, outputs), rows ldc apart, <- the sum over taps and channels. outputs:
 * a multiple of 16. c has room for m rounded up to 32 rows. packed: room for so
 * many rows of taps * depth values, on 64 bytes. */
void nn_amx_product(float *c, size_t ldc, const nn_amx_taps *t, size_t m, size_t outputs,
                    uint16_t *packed);

/* tiles (k/32, outputs/16, 16 pairs of k, 16, 2) <- rows (outputs, k). k: a multiple of 32,
 * outputs of 16. */
void nn_amx_pairs(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs);

/* Rows of a as they lie, `step` values apart, and b in such tiles. */
typedef struct nn_amx_rows {
    const uint16_t *a, *b;
    size_t step, k;
} nn_amx_rows;

/* c (m, n) <- a b, or c + a b if add. m and n: multiples of 32, k too. */
void nn_amx_sum(float *c, const nn_amx_rows *f, size_t m, size_t n, bool add);

#endif
