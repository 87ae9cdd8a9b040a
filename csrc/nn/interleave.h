/* interleave.h: sixteen channels side by side. */
#ifndef NN_INTERLEAVE_H
#define NN_INTERLEAVE_H

#include <stdbool.h>
#include <stddef.h>

/* to[i*16 + j] = from[j*plane + i] for j < channels (at most 16), 0 for the
 * others; i < n. */
void nn_interleave(float *to, const float *from, size_t plane, size_t channels, size_t n);

/* to[j*plane + i] = from[i*16 + j] + bias[j], or added to it; bias may be NULL. */
void nn_deinterleave(float *to, size_t plane, const float *from, const float *bias, bool add,
                     size_t channels, size_t n);

#endif
