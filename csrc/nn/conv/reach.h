/* reach.h: which outputs of a strided window an input position is seen by. */
#ifndef NN_REACH_H
#define NN_REACH_H

#include <stdbool.h>
#include <stddef.h>

/* Tap k of one side reaches input position p of stride s at position p/s of
 * the output plus an offset (p + padding - k) / s, if that is whole. */
static inline bool nn_reaches(ptrdiff_t *offset, size_t p, size_t k, size_t stride,
                              size_t padding) {
    ptrdiff_t at = (ptrdiff_t)(p + padding) - (ptrdiff_t)k, step = (ptrdiff_t)stride;
    *offset = at / step;
    return at % step == 0;
}

/* The offsets of all taps of one side, and 0, lie in [*least, *least + count). */
static inline size_t nn_reach(ptrdiff_t *least, size_t taps, size_t stride, size_t padding) {
    ptrdiff_t low = 0, high = 0, at;
    for (size_t p = 0; p < stride; p++)
        for (size_t k = 0; k < taps; k++)
            if (nn_reaches(&at, p, k, stride, padding)) {
                low = at < low ? at : low;
                high = at > high ? at : high;
            }
    *least = low;
    return (size_t)(high - low) + 1;
}

#endif
