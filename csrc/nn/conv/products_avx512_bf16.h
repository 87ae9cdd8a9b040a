/* products_avx512_bf16.h: products_bf16.h for BC_CPU_BF16 (pairs: for BC_CPU_AVX512). */
#ifndef NN_PRODUCTS_AVX512_BF16_H
#define NN_PRODUCTS_AVX512_BF16_H

#include "products_bf16.h"

void nn_avx512_pairs(uint16_t *tiles, const uint16_t *rows, size_t k, size_t outputs);
void nn_avx512_narrow(uint16_t *to, size_t stride, const float *from, size_t count);
void nn_avx512_half(uint16_t *to, size_t stride, const float *from, size_t count,
                    enum nn_half half);

#endif
