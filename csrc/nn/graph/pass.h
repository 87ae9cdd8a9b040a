/* pass.h: one pass of one layer: it cuts its work into items of fixed size and hands them to the
 * pool. */
#ifndef NN_PASS_H
#define NN_PASS_H

#include "../../support/pool.h"
#include "graph.h"

/* One pass of one layer, as the executor hands it to the kind. Values are
 * (C, N, H, W); see conv_shape.h. */
struct nn_run {
    const nn_layer *layer;
    size_t n, groups; /* samples; equal parts of them with own batch statistics */
    bool train;
    bool recompute;       /* the forward pass was done before, and saved is there */
    bool relu;            /* the output is max(0, what else it would be) */
    uint64_t seed;        /* of what is drawn in this step, ... */
    size_t first;         /* ... where the first sample has this number */
    const void *in[2];    /* backward: NULL unless kept; in[1] NULL: nothing to add */
    /* NN_TAKES_PARTS: in[0] is in parts, each of so many samples. */
    const void *const *part;
    size_t in_part;
    void *out;            /* backward: the output that forward gave, if kept */
    const void *grad_out; /* backward only, like all that follows */
    void *grad_in[2];     /* NULL: not wanted */
    bool add[2];          /* add to grad_in instead of writing it */
    /* How in[] and grad_in[], out and grad_out lie in memory. All NN_AS_F32 (or
     * F64) unless the kind has NN_NARROW; the ends of the network are wide, so
     * that in_as and out_as may differ. */
    enum nn_storage in_as[2], out_as;
    void *saved, *temporary;
    void *tensor[5], *grad[5];
    bc_pool *pool;
    char *scratch; /* of worker 0; the others' follow at scratch_bytes */
    size_t scratch_bytes;
};

/* Hand n items of a pass to the pool; their context is the run. */
void nn_run_items(const nn_run *r, bc_task *item, size_t n);

static inline size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}
static inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t parts(size_t n, size_t size) {
    return (n + size - 1) / size;
}
static inline void *scratch_of(const nn_run *r, int worker) {
    return r->scratch + (size_t)worker * r->scratch_bytes;
}

#endif
