/* blocks.h: values of any storage, block by block, for the passes that compute
 * in float or double. Sees the first cache only, so it costs little. */
#ifndef NN_BLOCKS_H
#define NN_BLOCKS_H

#include <string.h>

#include "elements.h"

#define BLOCK 1024 /* values at once */

static inline bool is_plain(enum nn_storage s) {
    return sizeof(real) == sizeof(double) || s == NN_AS_F32;
}

/* n values from position at: where they lie, or widened into room. */
static inline const real *read_block(real *room, const void *from, enum nn_storage s, size_t at,
                                     size_t n) {
    if (is_plain(s)) return (const real *)from + at;
    nn_widen((float *)(void *)room, (const uint16_t *)from + at, s, n);
    return room;
}

/* Where to write n values for position at: there, or in room; then put them. */
static inline real *block_for(real *room, void *to, enum nn_storage s, size_t at) {
    return is_plain(s) ? (real *)to + at : room;
}

static inline void write_block(void *to, const real *room, enum nn_storage s, size_t at, size_t n) {
    if (!is_plain(s)) nn_narrow((uint16_t *)to + at, (const float *)(const void *)room, s, n);
}

/* Where the gradient of input j lies if values are as they are computed; else, or if it is
 * not wanted, room. */
static inline real *gradient_block(real *room, const nn_run *r, int j, size_t at) {
    return r->grad_in[j] != NULL && is_plain(r->in_as[j]) ? (real *)r->grad_in[j] + at : room;
}

/* Write x to the gradient of input j, or add it. */
static inline void give_gradient(const nn_run *r, int j, const real *x, size_t at, size_t n) {
    real room[BLOCK];
    if (r->add[j]) {
        const real *old = read_block(room, r->grad_in[j], r->in_as[j], at, n);
        real *to = block_for(room, r->grad_in[j], r->in_as[j], at);
        if (to != old) memcpy(to, old, n * sizeof *to);
        NN(nn_add_to)(to, x, n);
        write_block(r->grad_in[j], to, r->in_as[j], at, n);
    } else if (is_plain(r->in_as[j])) {
        real *to = (real *)r->grad_in[j] + at;
        if (to != x) memcpy(to, x, n * sizeof *to);
    } else {
        write_block(r->grad_in[j], x, r->in_as[j], at, n);
    }
}

#endif
