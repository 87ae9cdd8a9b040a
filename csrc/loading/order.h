/* order.h: in which order a round takes the triplets. */
#ifndef BC_ORDER_H
#define BC_ORDER_H

#include <stdint.h>

#include "../support/random.h"

/* 0..n-1, shuffled: order (n). */
void bc_order_shuffle(uint32_t *order, int64_t n, bc_random *r);

/* A walk over slices: those of recording i are first[i]..first[i+1]-1
 * (recordings + 1). The recordings come in random order, `open` of them at a
 * time, one slice of each in turn, from its first to its last: order
 * (first[recordings]). first begins with 0 and never falls. BC_OK or BC_NOMEM. */
int bc_order_walk(uint32_t *order, const int64_t *first, int64_t recordings, int open,
                  bc_random *r);

#endif
