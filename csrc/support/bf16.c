/* bf16.c: floats in 16 bits and back. */
#include "bf16.h"

#include <string.h>

#include "cpu.h"

static inline float wide(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint16_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40; /* rounding could make a NaN infinite */
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : nearest);
}

BC_EACH_CPU(extern, bc_bf16_widen, (float *restrict to, const uint16_t *restrict from, size_t n),
            (to, from, n)) {
    for (size_t i = 0; i < n; i++) to[i] = wide(from[i]);
}

BC_EACH_CPU(extern, bc_bf16_narrow, (uint16_t *restrict to, const float *restrict from, size_t n),
            (to, from, n)) {
    for (size_t i = 0; i < n; i++) to[i] = rounded(from[i]);
}

BC_EACH_CPU(extern, bc_bf16_round, (float *x, size_t n), (x, n)) {
    for (size_t i = 0; i < n; i++) x[i] = wide(rounded(x[i]));
}

BC_EACH_CPU(extern, bc_bf16_add, (float *restrict x, const uint16_t *restrict y, size_t n),
            (x, y, n)) {
    for (size_t i = 0; i < n; i++) x[i] = wide(rounded(x[i] + wide(y[i])));
}
