/* plan.h: what runs when, and where everything lies in memory, during one
 * forward pass and the backward pass behind it; laid out before the first step. */
#ifndef NN_PLAN_H
#define NN_PLAN_H

#include "fuse.h"

/* One pass of a node. Offsets in bytes into one arena; NN_NONE: not there, or
 * not wanted. */
typedef struct nn_step {
    enum nn_pass_type pass;
    size_t value; /* the layer whose value it makes, or whose gradient it reads */
    size_t in[2], out, grad_out, grad_in[2], saved, temporary, wide;
    bool add[2]; /* to grad_in */
} nn_step;

typedef struct nn_plan {
    nn_plan_options o; /* keep is a copy */
    bool *keep;
    nn_node *node;           /* per layer, like the next */
    enum nn_storage *stored; /* of values and their gradients */
    size_t *saved;           /* offsets of what a layer's forward pass saved */
    nn_step *step;
    size_t steps, loss;                    /* step[loss] is the loss */
    size_t input, output, output_gradient; /* offsets; input: NN_NONE if it is read in parts */
    size_t *kept_value;                    /* per layer: offset if keep, else NN_NONE */
    size_t input_gradient;
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

/* Does the executor have to widen what the passes of this value's node touch? */
bool nn_plan_widens(const nn_plan *p, const nn_graph *g, size_t value);

#endif
