/* order.c: in which order a round takes the triplets. */
#include "order.h"

#include <stdlib.h>

#include "../support/error.h"

void bc_order_shuffle(uint32_t *order, int64_t n, bc_random *r) {
    for (int64_t i = 0; i < n; i++) { /* Fisher and Yates, inside out */
        int64_t j = (int64_t)bc_random_below(r, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
}

int bc_order_walk(uint32_t *order, const int64_t *first, int64_t recordings, int open,
                  bc_random *r) {
    typedef struct {
        int64_t at, end;
    } walker;
    uint32_t *queue = malloc(((size_t)recordings + 1) * sizeof *queue);
    walker *walkers = malloc(((size_t)open + 1) * sizeof *walkers);
    int rc = queue == NULL || walkers == NULL ? BC_NOMEM : BC_OK;
    if (rc != BC_OK) goto out;
    bc_order_shuffle(queue, recordings, r);
    int64_t next = 0, n = 0;
    int active = 0, turn = 0;
    for (;;) {
        while (active < open && next < recordings) {
            uint32_t k = queue[next++];
            if (first[k] < first[k + 1]) walkers[active++] = (walker){first[k], first[k + 1]};
        }
        if (active == 0) break;
        if (turn >= active) turn = 0;
        walker *w = &walkers[turn++];
        order[n++] = (uint32_t)w->at++;
        if (w->at == w->end) *w = walkers[--active];
    }
out:
    free(queue);
    free(walkers);
    return rc;
}
