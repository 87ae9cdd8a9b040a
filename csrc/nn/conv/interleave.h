/* interleave.h: channels of a row, side by side. */
#ifndef NN_INTERLEAVE_H
#define NN_INTERLEAVE_H

#include <stdbool.h>
#include <stddef.h>

#include "../graph/storage.h"

/* to[i*step + j] = map[at + j*plane + i] for j < channels (at most 16), 0 for the
 * others; i < n in order, so that step may be less than 16 if channels is, but
 * 16 values are written from the last of them. wide: room for 16*n floats; not
 * used if the map is in f32. */
void nn_take_row(float *to, size_t step, const void *map, enum nn_storage as, size_t at,
                 size_t plane, size_t channels, size_t n, float *wide);

/* map[at + j*plane + i] = from[i*step + j] + bias[j], or added to it; bias may be
 * NULL. */
void nn_put_row(void *map, enum nn_storage as, size_t at, size_t plane, const float *from,
                size_t step, const float *bias, bool add, size_t channels, size_t n, float *wide);

/* nn_take_row for 32 channels of 16-bit values, unchanged. */
void nn_take_row_16(uint16_t *to, size_t step, const uint16_t *from, size_t plane, size_t channels,
                    size_t n);

#endif
