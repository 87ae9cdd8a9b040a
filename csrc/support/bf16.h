/* bf16.h: floats in 16 bits: the upper half of a float, with its range and 8 bits of precision
 * (bfloat16). Rounding is to the nearest, ties to even; beyond the range becomes infinite, NaN
 * stays NaN. */
#ifndef BC_BF16_H
#define BC_BF16_H

#include <stddef.h>
#include <stdint.h>

void bc_bf16_widen(float *to, const uint16_t *from, size_t n); /* exactly */
void bc_bf16_narrow(uint16_t *to, const float *from, size_t n);
void bc_bf16_round(float *x, size_t n); /* to what bf16 holds */

/* x = round(x + y), the sum being a float. */
void bc_bf16_add(float *x, const uint16_t *y, size_t n);

#endif
