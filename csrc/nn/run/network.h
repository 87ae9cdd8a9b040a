/* network.h: a network with its weights, gradients and optimiser state, and
 * the executor that runs its plan on a thread pool. */
#ifndef NN_NETWORK_H
#define NN_NETWORK_H

#include "../../array/array.h"
#include "../graph/graph.h"
#include "../graph/plan.h"
#include "../op/adamw.h"

typedef struct nn_network nn_network;

typedef struct nn_network_options {
    enum nn_precision precision; /* see graph.h */
    int threads;                 /* 0: bc_threads() */
    uint64_t seed;               /* of the first weights */
    bool input_gradient;         /* backward also gives the gradient of the input */
    enum nn_recompute recompute;
} nn_network_options;

/* Takes the graph over, also on failure. Tensor i starts from generator
 * stream i of the seed: the same on every machine. BC_NOMEM. */
int nn_network_new(nn_network **out, nn_graph *g, const nn_network_options *o);
void nn_network_free(nn_network *net); /* NULL is fine */

const nn_graph *nn_network_graph(const nn_network *net);
const nn_network_options *nn_network_settings(const nn_network *net);
int nn_network_threads(const nn_network *net);

typedef struct nn_batch {
    const void *const *part; /* each (n / parts, C, H, W) in the network's precision */
    size_t parts, n;
} nn_batch;

typedef struct nn_forward_options {
    bool train;    /* with batch statistics */
    bool backward; /* keep what backward needs */
    size_t groups; /* n / groups samples share batch statistics; 1 or more */
    /* Where the statistics of the first group go, for commit: in training at most as many
     * as earlier passes have left. */
    size_t first_group;
    uint64_t seed;    /* of dropout */
    const bool *keep; /* per layer: nn_network_value will ask for it; NULL: none */
} nn_forward_options;

/* Passes from now on keep what they need for the way back in memory number `place` (0 at first), so that
 * several can go forward before any goes back. BC_NOMEM: nothing has changed. */
int nn_network_go(nn_network *net, size_t place);

/* out (n, C, H, W) of the last layer. Lays out a new plan when the batch is of
 * another size; before taking the memory for it, checks that it is there. Batch norm's running
 * statistics stay as they are (see nn_network_commit). BC_FAIL: the batch does not suit the
 * network; BC_NOMEM; BC_STOPPED. */
int nn_network_forward(nn_network *net, void *out, const nn_batch *batch,
                       const nn_forward_options *o, bc_error *e);

/* Told in a backward pass that the gradients from element `from` of all (nn_network_gradients) to the
 * end will not change any more; `from` falls from call to call, to 0 at last. A status but BC_OK ends
 * the pass with it. */
typedef int nn_ready(void *context, size_t from);

/* After a forward pass with backward: adds the gradients of all trained tensors
 * for the gradient dout (n, C, H, W) of the output. ready: NULL is fine. BC_FAIL: there was no such
 * pass, or it was gone back already. */
int nn_network_backward(nn_network *net, const void *dout, nn_ready *ready, void *context,
                        bc_error *e);

/* Fold the batch statistics of the last forward pass in train mode (and of the
 * groups before its first_group, from earlier passes) into the running ones, group after group, as
 * PyTorch would pass after pass. Apart from forward, so that a step that turns out not finite
 * leaves no trace. */
int nn_network_commit(nn_network *net, bc_error *e);

/* What commit would fold: (groups, elements of running statistics), means and unbiased variances; returns
 * their number. They may be changed before. */
size_t nn_network_statistics(const nn_network *net, double **to);

/* Gradients and moments come into being at zero with the first call of one of
 * these (BC_NOMEM). */
int nn_network_need_gradients(nn_network *net);
int nn_network_need_moments(nn_network *net);
void nn_network_zero_gradients(nn_network *net);
const bc_array *nn_network_gradients(const nn_network *net); /* all, flat; need them first */
int nn_network_gradient_norm(nn_network *net, double *norm); /* BC_NOMEM */
int nn_network_adamw(nn_network *net, const nn_adamw *o);

/* The output of a layer, or the gradient of the input, of the last forward or
 * backward pass, as (n, C, H, W). BC_FAIL if its memory has been used again
 * since: ask for it with keep. */
int nn_network_value(const nn_network *net, void *out, size_t layer, bc_error *e);
int nn_network_input_gradient(const nn_network *net, void *out, bc_error *e);
size_t nn_network_batch(const nn_network *net); /* samples of the last pass; 0: none */

/* A view of the i-th tensor of the graph, or of its gradient or moments
 * (trained tensors only, after nn_network_need_*). Release it. */
enum nn_memory { NN_VALUE, NN_GRADIENT, NN_MOMENT1, NN_MOMENT2, NN_MEMORIES };
bool nn_network_tensor(const nn_network *net, bc_array *view, size_t i, enum nn_memory m);

/* Bytes that a batch takes, without taking them. */
typedef struct nn_memory_estimate {
    size_t weights, gradients, moments;
    size_t kept;      /* of the arena: held from forward to backward */
    size_t arena;     /* all values and gradients of values at their peak */
    size_t scratch;   /* all workers' */
    size_t recompute; /* passes that are run again for backward */
} nn_memory_estimate;
int nn_network_memory_estimate(const nn_network *net, nn_memory_estimate *f,
                               const nn_plan_options *o, bc_error *e);

/* Bytes of weights, gradients, moments and arena that are there now. */
size_t nn_network_held(const nn_network *net);

/* Seconds spent in a layer's passes since the last reset. */
double nn_network_seconds(const nn_network *net, size_t layer, bool backward);
void nn_network_reset_seconds(nn_network *net);

/* The library that multiplies matrices, and how it was built. */
const char *nn_library(void);

#endif
