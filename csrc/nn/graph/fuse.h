/* fuse.h: a graph whose relus and sums have gone into the passes before them, as one run of it sees
 * it. */
#ifndef NN_FUSE_H
#define NN_FUSE_H

#include "graph.h"

/* What is kept from forward to backward of the values that it reads.
 * NN_AUTO        all of them if the arena is at most 1 GiB, else as NN_CHEAP.
 * NN_KEEP_ALL    all of them.
 * NN_CHEAP       those that take a large convolution to make; the others (norms, relus,
 *                sums, convolutions of few taps) are made again when backward comes by.
 * NN_STAGE       those at the joints of the network (where one value is all that the
 *                rest depends on) that make the plan smallest; what lies between is
 *                made again, convolutions too.
 * The results are the same to the bit. */
enum nn_recompute { NN_AUTO, NN_CHEAP, NN_KEEP_ALL, NN_STAGE };

typedef struct nn_plan_options {
    size_t n;      /* samples */
    size_t groups; /* equal parts of them with own batch statistics */
    bool train;    /* with batch statistics */
    bool backward; /* a backward pass will follow */
    bool input_gradient;
    enum nn_precision precision;
    enum nn_recompute recompute;
    const bool *keep; /* per layer: its output must be there at the end; NULL: none */
} nn_plan_options;

/* How the value of a layer comes about: by the passes of layer `layer`, which
 * may have taken over the sum and the relu behind it. -1: the value is never
 * there, another node has taken the layer over. */
typedef struct nn_node {
    int layer;
    int inputs, input[2];
    bool relu;
} nn_node;

enum nn_pass_type { NN_FORWARD_PASS, NN_RECOMPUTE, NN_LOSS, NN_BACKWARD_PASS };

typedef struct nn_fused {
    const nn_graph *g;
    const nn_plan_options *o;
    const nn_node *node;           /* per layer, like the next */
    const enum nn_storage *stored; /* of values and their gradients */
    const bool *keep;              /* as in the options */
} nn_fused;

/* The nodes of a graph: relus and sums go into the norm (or sum) before
 * them where nobody else reads that. */
void nn_fuse(nn_node *node, const nn_graph *g, const bool *keep);

/* A kind's flags, as they are for a node of it. */
unsigned nn_node_flags(const nn_node *node, const nn_graph *g);

/* May the layer run again rather than keep its output for backward? Those that
 * say so, and those that are little work. */
bool nn_is_cheap(const nn_layer *l);
size_t nn_value_bytes(const nn_fused *f, size_t layer);

/* Is the network's input read by front ends only, where the caller has it? Then it has no buffer. */
bool nn_reads_parts(const nn_fused *f);

/* Does the executor have to widen what the passes of this value's node touch? */
bool nn_widens(const nn_fused *f, size_t value);

#endif
