/* products_amx.h: products_bf16.h on matrix registers (BC_CPU_AMX of cpu.h). */
#ifndef NN_PRODUCTS_AMX_H
#define NN_PRODUCTS_AMX_H

#include "products_bf16.h"

void nn_amx_product(float *c, size_t ldc, const nn_bf16_taps *t, size_t m, size_t outputs,
                    uint16_t *packed);
void nn_amx_sum(float *c, const nn_bf16_rows *f, size_t m, size_t n, bool add);

#endif
