/* fuse.c: passes that go over the same memory one after the other, as one. */
#include "fuse.h"

#define CHEAP_WORK 16 /* multiply-adds for a value: a 3x3 convolution of 64 channels has 576 */

static size_t readers(const nn_graph *g, size_t layer) {
    size_t n = 0;
    for (size_t i = layer + 1; i < g->layers; i++)
        for (int j = 0; j < g->layer[i].kind->inputs; j++) n += g->layer[i].input[j] == (int)layer;
    return n;
}

/* May the node of this layer vanish into the one that reads it? */
static bool is_private(const nn_graph *g, const bool *keep, const nn_node *node, int layer) {
    return layer > 0 && node[layer].layer == layer && (keep == NULL || !keep[layer]) &&
           readers(g, (size_t)layer) == 1;
}

static void take_relu(nn_node *node, const nn_graph *g, const bool *keep, size_t i) {
    int from = g->layer[i].input[0];
    if (from == 0 || node[from].relu || (keep != NULL && keep[from])) return;
    if (readers(g, (size_t)from) != 1 || node[from].layer < 0) return;
    if (!(g->layer[node[from].layer].kind->flags & NN_TAKES_RELU)) return;
    node[i] = node[from];
    node[i].relu = true;
    node[from].layer = -1;
}

/* The first of the two that can: the other one is there by then. Not x + norm(x): one pass cannot
 * give both gradients of x, it would write the one over the other. */
static void take_sum(nn_node *node, const nn_graph *g, const bool *keep, size_t i) {
    for (int j = 0; j < 2; j++) {
        int from = node[i].input[j], other = node[i].input[1 - j];
        if (!is_private(g, keep, node, from) || node[from].relu || node[from].inputs != 1 ||
            from == other || node[from].input[0] == other)
            continue;
        if (!(g->layer[from].kind->flags & NN_TAKES_SUM)) continue;
        node[i].layer = from;
        node[i].input[0] = node[from].input[0];
        node[i].input[1] = other;
        node[from].layer = -1;
        return;
    }
}

void nn_fuse(nn_node *node, const nn_graph *g, const bool *keep) {
    for (size_t i = 0; i < g->layers; i++) {
        const nn_layer *l = &g->layer[i];
        node[i] = (nn_node){.layer = (int)i, .inputs = l->kind->inputs};
        for (int j = 0; j < l->kind->inputs; j++) node[i].input[j] = l->input[j];
        if (l->kind->flags & NN_IS_RELU) take_relu(node, g, keep, i);
        if (l->kind->flags & NN_IS_SUM) take_sum(node, g, keep, i);
    }
}

unsigned nn_node_flags(const nn_node *node, const nn_graph *g) {
    unsigned flags = g->layer[node->layer].kind->flags;
    /* where the relu was open is seen in the output; a norm alone sees it in its input */
    if (node->relu && node->inputs == 2) flags |= NN_KEEPS_OUTPUT;
    return flags;
}

bool nn_is_cheap(const nn_layer *l) {
    const nn_kind *kind = l->kind;
    if (kind->flags & NN_IS_CHEAP) return true;
    return kind->multiply_adds != NULL &&
           kind->multiply_adds(l) <= CHEAP_WORK * (double)nn_volume(l->shape);
}

size_t nn_value_bytes(const nn_fused *f, size_t layer) {
    return f->o->n * nn_volume(f->g->layer[layer].shape) * nn_storage_size(f->stored[layer]);
}

bool nn_reads_parts(const nn_fused *f) {
    bool all = !f->o->input_gradient && (f->keep == NULL || !f->keep[0]) && f->g->layers > 1;
    for (size_t i = 1; i < f->g->layers; i++)
        for (int j = 0; f->node[i].layer >= 0 && j < f->node[i].inputs; j++)
            if (f->node[i].input[j] == 0)
                all &= (f->g->layer[f->node[i].layer].kind->flags & NN_TAKES_PARTS) != 0;
    return all;
}

static bool is_narrow(enum nn_storage s) {
    return s == NN_AS_BF16 || s == NN_AS_F16;
}

bool nn_widens(const nn_fused *f, size_t value) {
    const nn_node *node = &f->node[value];
    const nn_layer *l = &f->g->layer[node->layer];
    if (l->kind->narrow != NULL && l->kind->narrow(l, f->o->n)) return false;
    if (l->kind->flags & NN_NARROW || f->o->precision == NN_F32 || f->o->precision == NN_F64)
        return false;
    bool narrow = is_narrow(f->stored[value]);
    for (int j = 0; j < node->inputs; j++) narrow |= is_narrow(f->stored[node->input[j]]);
    return narrow;
}
