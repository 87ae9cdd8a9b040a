/* schedule.h: the order of a plan's passes, and what each reads and writes.
 * Between graph and memory: shared by plan.c, fuse.c and schedule.c only. */
#ifndef NN_SCHEDULE_H
#define NN_SCHEDULE_H

#include "plan.h"

/* A buffer: from the first step that touches it to the last. */
typedef struct nn_item {
    size_t bytes, first, last, offset;
    int into; /* the item whose memory it takes over; -1: none */
} nn_item;

/* A step, with items (-1: none) where nn_step has offsets. */
typedef struct nn_turn {
    enum nn_pass_type pass;
    size_t value;
    int in[2], out, grad_out, grad_in[2], saved, temporary, wide;
    bool add[2];
} nn_turn;

typedef struct nn_schedule {
    const nn_graph *g;
    const nn_plan *p; /* its options, nodes and storage */
    const bool *drop; /* per layer: made again for backward */
    nn_turn *turn;
    size_t turns, turn_room, loss;
    nn_item *item;
    size_t items, item_room;
    int *value, *grad, *saved; /* per layer: the item that holds it now; -1: none */
    int *kept;                 /* per layer: the item of a value that keep asks for */
    int *chain;                /* layers made again on the way to another */
    size_t links;
    int input, output;
    int rc;
} nn_schedule;

/* fuse.c: the nodes of a graph: relus and sums go into the norm (or sum) before
 * them where nobody else reads that. */
void nn_fuse(nn_node *node, const nn_graph *g, const bool *keep);

/* A kind's flags, as they are for a node of it. */
unsigned nn_node_flags(const nn_node *node, const nn_graph *g);

/* May the layer run again rather than keep its output for backward? Those that
 * say so, and those that are little work. */
bool nn_is_cheap(const nn_layer *l);
size_t nn_value_bytes(const nn_plan *p, const nn_graph *g, size_t layer);

/* BC_OK or BC_NOMEM; free it in any case. */
int nn_schedule_new(nn_schedule *s, const nn_graph *g, const nn_plan *p, const bool *drop);
void nn_schedule_free(nn_schedule *s);

#endif
