/* schedule.c: the order of a plan's passes. */
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

static void *room_for(nn_schedule *s, void *array, size_t *room, size_t used, size_t size) {
    if (used < *room || s->rc != BC_OK) return array;
    size_t more = *room == 0 ? 64 : 2 * *room;
    void *bigger = realloc(array, more * size);
    if (bigger == NULL) {
        s->rc = BC_NOMEM;
        return array;
    }
    *room = more;
    return bigger;
}

/* A new buffer, first touched by the step that is being made; -1 for no bytes. */
static int new_buffer(nn_schedule *s, size_t bytes) {
    s->buffer = room_for(s, s->buffer, &s->buffer_room, s->buffers, sizeof *s->buffer);
    if (s->rc != BC_OK || bytes == 0) return -1;
    s->buffer[s->buffers] = (nn_buffer){(bytes + 63) / 64 * 64, s->ops, s->ops, 0, -1};
    return (int)s->buffers++;
}

static int use(nn_schedule *s, int buffer) {
    if (buffer >= 0 && s->buffer[buffer].last < s->ops) s->buffer[buffer].last = s->ops;
    return buffer;
}

static nn_op start_op(enum nn_pass_type pass, size_t value) {
    return (nn_op){pass, value, {-1, -1}, -1, -1, {-1, -1}, -1, -1, -1, {false, false}};
}

static void end_op(nn_schedule *s, const nn_op *op) {
    s->op = room_for(s, s->op, &s->op_room, s->ops, sizeof *s->op);
    if (s->rc == BC_OK) s->op[s->ops++] = *op;
}

static const nn_node *node_of(const nn_schedule *s, size_t value) {
    return &s->f->node[value];
}

static const nn_layer *layer_of(const nn_schedule *s, size_t value) {
    return &s->f->g->layer[node_of(s, value)->layer];
}

static size_t widened(const nn_schedule *s, size_t layer) {
    return (s->f->o->n * nn_volume(s->f->g->layer[layer].shape) * sizeof(float) + 63) / 64 * 64;
}

/* What a pass needs beside values; the widened copies of all that it touches. */
static void add_room(nn_schedule *s, nn_op *op) {
    const nn_node *node = node_of(s, op->value);
    const nn_layer *l = layer_of(s, op->value);
    const nn_plan_options *o = s->f->o;
    size_t bytes = 0;
    if (l->kind->temporary != NULL)
        op->temporary =
            new_buffer(s, l->kind->temporary(l, o->n, o->precision, op->pass == NN_BACKWARD_PASS));
    if (!nn_widens(s->f, op->value)) return;
    if (op->out >= 0) bytes += widened(s, op->value);
    if (op->grad_out >= 0) bytes += widened(s, op->value);
    for (int j = 0; j < node->inputs; j++) {
        if (op->in[j] >= 0) bytes += widened(s, (size_t)node->input[j]);
        if (op->grad_in[j] >= 0) bytes += widened(s, (size_t)node->input[j]);
    }
    op->wide = new_buffer(s, bytes);
}

static void forward(nn_schedule *s, size_t value, enum nn_pass_type pass) {
    const nn_node *node = node_of(s, value);
    const nn_layer *l = layer_of(s, value);
    const nn_plan_options *o = s->f->o;
    nn_op op = start_op(pass, value);
    for (int j = 0; j < node->inputs; j++) op.in[j] = use(s, s->value[node->input[j]]);
    op.out = s->value[value] = new_buffer(s, nn_value_bytes(s->f, value));
    if ((o->train || o->backward) && l->kind->saved != NULL && pass == NN_FORWARD_PASS)
        s->saved[value] = new_buffer(s, l->kind->saved(l, o->n, o->groups, o->precision));
    op.saved = use(s, s->saved[value]);
    add_room(s, &op);
    end_op(s, &op);
}

/* --- backward -------------------------------------------------------------------- */

static void recompute(nn_schedule *s, size_t value) {
    if (s->value[value] >= 0) return;
    const nn_node *node = node_of(s, value);
    for (int j = 0; j < node->inputs; j++) recompute(s, (size_t)node->input[j]);
    forward(s, value, NN_RECOMPUTE);
    if (nn_is_cheap(layer_of(s, value))) s->chain[s->links++] = (int)value;
}

/* The buffer that holds a value, made again if it was dropped. Cheap values that
 * were only on the way are forgotten: backward asks for them when it comes by. */
static int demand(nn_schedule *s, size_t value) {
    s->links = 0;
    recompute(s, value);
    for (size_t k = 0; k < s->links; k++)
        if (s->chain[k] != (int)value) s->value[s->chain[k]] = -1;
    return s->value[value];
}

static bool goes_back(const nn_schedule *s, size_t layer) {
    bool all = s->f->o->input_gradient;
    return layer == 0 ? all : s->f->g->layer[layer].trained || all;
}

static void backward(nn_schedule *s, size_t value) {
    const nn_node *node = node_of(s, value);
    unsigned flags = nn_node_flags(node, s->f->g);
    if (s->grad[value] < 0) return; /* nothing reads it */
    if (flags & NN_KEEPS_INPUT) demand(s, (size_t)node->input[0]);
    if (flags & NN_KEEPS_OUTPUT) demand(s, value);
    if (s->rc != BC_OK) return;
    nn_op op = start_op(NN_BACKWARD_PASS, value);
    if (flags & NN_KEEPS_INPUT) op.in[0] = use(s, s->value[node->input[0]]);
    if (flags & NN_KEEPS_OUTPUT) op.out = use(s, s->value[value]);
    op.saved = use(s, s->saved[value]);
    op.grad_out = use(s, s->grad[value]);
    for (int j = 0; j < node->inputs; j++) {
        size_t from = (size_t)node->input[j];
        if (!goes_back(s, from)) continue;
        op.add[j] = s->grad[from] >= 0;
        if (!op.add[j]) s->grad[from] = new_buffer(s, nn_value_bytes(s->f, from));
        op.grad_in[j] = use(s, s->grad[from]);
    }
    add_room(s, &op);
    end_op(s, &op);
}

static void order_passes(nn_schedule *s) {
    size_t last = s->f->g->layers - 1;
    s->input = s->value[0] =
        new_buffer(s, nn_reads_parts(s->f) ? 0 : nn_value_bytes(s->f, 0));
    if (s->f->keep != NULL && s->f->keep[0]) s->kept[0] = s->value[0];
    for (size_t i = 1; i <= last && s->rc == BC_OK; i++) {
        if (node_of(s, i)->layer < 0) continue;
        forward(s, i, NN_FORWARD_PASS);
        if (s->f->keep != NULL && s->f->keep[i]) s->kept[i] = s->value[i];
    }
    nn_op loss = start_op(NN_LOSS, last);
    loss.in[0] = s->output = use(s, s->value[last]);
    for (size_t i = 0; i <= last; i++) use(s, s->saved[i]); /* batch statistics are read now */
    if (s->f->o->backward && goes_back(s, last))
        loss.grad_out = s->grad[last] = new_buffer(s, nn_value_bytes(s->f, last));
    s->loss = s->ops;
    end_op(s, &loss);
    for (size_t i = 0; i <= last; i++)
        if (s->drop[i] && s->kept[i] < 0) s->value[i] = -1;
    for (size_t i = last; i > 0 && s->rc == BC_OK && s->f->o->backward; i--)
        if (node_of(s, i)->layer >= 0) backward(s, i);
    for (size_t i = 0; i <= last; i++) use(s, s->kept[i]);
    if (s->f->o->input_gradient) use(s, s->grad[0]);
}

/* --- in place ----------------------------------------------------------------------- */

static int root_of(const nn_schedule *s, int buffer) {
    while (s->buffer[buffer].into >= 0) buffer = s->buffer[buffer].into;
    return buffer;
}

/* Let `to` take over the memory of `from` if this step is the last to read it. */
static bool reuse(nn_schedule *s, int to, int from, size_t now) {
    if (to < 0 || from < 0) return false;
    nn_buffer *a = &s->buffer[root_of(s, from)], *b = &s->buffer[to];
    if (a->last != now || b->first != now || a->bytes != b->bytes || b->into >= 0) return false;
    b->into = root_of(s, from);
    if (a->last < b->last) a->last = b->last;
    return true;
}

static void work_in_place(nn_schedule *s) {
    for (size_t k = 0; k < s->ops; k++) {
        const nn_op *op = &s->op[k];
        const nn_node *node = node_of(s, op->value);
        if (op->pass == NN_LOSS) continue;
        unsigned flags = nn_node_flags(node, s->f->g);
        bool forward = op->pass != NN_BACKWARD_PASS, taken = false;
        if (!(flags & (forward ? NN_IN_PLACE : NN_GRAD_IN_PLACE))) continue;
        for (int j = 0; j < node->inputs && !taken; j++) {
            if (s->f->stored[node->input[j]] != s->f->stored[op->value]) continue;
            taken = forward ? reuse(s, op->out, op->in[j], k)
                            : reuse(s, op->grad_in[j], op->grad_out, k);
        }
    }
}

int nn_schedule_new(nn_schedule *s, const nn_fused *f, const bool *drop) {
    size_t n = f->g->layers;
    *s = (nn_schedule){.f = f, .drop = drop, .input = -1, .output = -1, .rc = BC_OK};
    s->value = malloc(5 * n * sizeof *s->value);
    if (s->value == NULL) return BC_NOMEM;
    s->grad = s->value + n, s->saved = s->grad + n, s->kept = s->saved + n, s->chain = s->kept + n;
    for (size_t i = 0; i < 5 * n; i++) s->value[i] = -1;
    order_passes(s);
    if (s->rc == BC_OK) work_in_place(s);
    return s->rc;
}

void nn_schedule_free(nn_schedule *s) {
    free(s->value);
    free(s->op);
    free(s->buffer);
}
