/* plan.h: where everything lies in memory during one forward pass, and the
 * backward pass behind it, laid out before the first step. */
#ifndef NN_PLAN_H
#define NN_PLAN_H

#include "graph.h"

typedef struct nn_plan_options {
    size_t n;      /* samples */
    size_t groups; /* equal parts of them with own batch statistics */
    bool train;
    bool input_gradient;
    enum nn_precision precision;
    const bool *keep; /* per layer: its output must be there at the end; NULL: none */
} nn_plan_options;

/* Offsets in bytes into one arena; NN_NONE: not there. */
typedef struct nn_place {
    enum nn_storage stored; /* value and grad */
    size_t value, grad, saved, temporary[2]; /* temporary: forward, backward */
    size_t wide[2];                          /* room for widened values, if its kind needs it */
    bool backward;                           /* does a backward pass */
    bool wanted[2], add[2];                  /* gradients of its inputs */
} nn_place;

typedef struct nn_plan {
    nn_plan_options o; /* keep is a copy */
    nn_place *place;   /* per layer */
    bool *keep;
    size_t bytes;   /* of the arena */
    size_t kept;    /* of these, held from forward to backward */
    size_t scratch; /* bytes per worker, a multiple of 64 */
} nn_plan;

/* Buffers live from the pass that writes them to the last that reads them, and
 * share memory with others that do not live at the same time; a pass works in
 * place where its kind allows it and nobody reads the input later. BC_FAIL if
 * the batch does not suit a layer (batch norm over a single value). */
int nn_plan_new(nn_plan **plan, const nn_graph *g, const nn_plan_options *o, bc_error *e);
void nn_plan_free(nn_plan *p); /* NULL is fine */

/* Does the executor have to widen what the layer's passes read? And the bytes
 * of all that it reads and writes, widened; each piece is a multiple of 64. */
bool nn_plan_widens(const nn_plan *p, const nn_graph *g, size_t layer);

#endif
