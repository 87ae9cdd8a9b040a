/* storage.h: how values of layers lie in memory. Passes compute in float (or
 * double); values and their gradients may be kept in 16 bits. */
#ifndef NN_STORAGE_H
#define NN_STORAGE_H

#include <stddef.h>
#include <stdint.h>

/* bf16: the upper half of a float. f16: IEEE half precision, up to 65504. */
enum nn_storage { NN_AS_F32, NN_AS_F64, NN_AS_BF16, NN_AS_F16 };

static inline size_t nn_storage_size(enum nn_storage s) {
    return s == NN_AS_F64 ? 8 : s == NN_AS_F32 ? 4 : 2;
}

/* n values as floats, exactly. s: any but NN_AS_F64. */
void nn_widen(float *to, const void *from, enum nn_storage s, size_t n);

/* n floats rounded to the nearest, ties to even; beyond the range becomes
 * infinite, NaN stays NaN. s: any but NN_AS_F64. */
void nn_narrow(void *to, const float *from, enum nn_storage s, size_t n);

#endif
