/* own.h: what a network is inside; shared by network.c and execute.c only. */
#ifndef NN_OWN_H
#define NN_OWN_H

#include "network.h"

#define NN_PLANS 4 /* training with roles one by one needs two, validation another */

/* What lies between a forward pass and its way back. */
typedef struct nn_place {
    nn_plan *plan; /* of the last pass: one of the network's */
    char *arena;
    size_t arena_bytes;
    enum { NOTHING, WENT_FORWARD, WENT_BACK } state; /* of the arena */
    uint64_t seed;                                   /* of what the last forward pass drew */
    size_t first;                                    /* number of its first sample */
} nn_place;

struct nn_network {
    nn_graph *g;
    nn_network_options o;
    bc_pool *pool;
    bc_array memory[NN_MEMORIES]; /* of all trained tensors, flat */
    bc_array running, counters;
    double *statistics; /* (groups, elements of running): of batches, not yet committed */
    size_t statistics_room, collected; /* groups */
    nn_plan *plans[NN_PLANS];
    size_t next; /* of plans, to be replaced */
    const nn_batch *batch; /* during a forward pass */
    nn_place *places, *here;
    size_t nplaces;
    char *scratch;
    size_t scratch_bytes;
    double *seconds; /* (layers, 2) */
    /* Called behind each step k of the plan, to look at what it wrote; may be NULL. */
    void (*watch)(void *watcher, const struct nn_network *net, size_t k);
    void *watcher;
};

/* The memory of tensor i, -1: none; NULL if it is not there. */
void *nn_network_memory(const nn_network *net, int i, enum nn_memory m);

#endif
