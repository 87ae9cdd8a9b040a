/* interleave.h: sixteen channels side by side. */
#ifndef NN_INTERLEAVE_H
#define NN_INTERLEAVE_H

#include <stddef.h>

/* to[i*16 + j] = from[j*plane + i] for j < channels (at most 16), 0 for the
 * others; i < n. */
void nn_interleave(float *to, const float *from, size_t plane, size_t channels, size_t n);

#endif
