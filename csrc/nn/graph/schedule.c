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
static int new_item(nn_schedule *s, size_t bytes) {
    s->item = room_for(s, s->item, &s->item_room, s->items, sizeof *s->item);
    if (s->rc != BC_OK || bytes == 0) return -1;
    s->item[s->items] = (nn_item){(bytes + 63) / 64 * 64, s->turns, s->turns, 0, -1};
    return (int)s->items++;
}

static int use(nn_schedule *s, int item) {
    if (item >= 0 && s->item[item].last < s->turns) s->item[item].last = s->turns;
    return item;
}

static nn_turn start_turn(enum nn_pass_type pass, size_t value) {
    return (nn_turn){pass, value, {-1, -1}, -1, -1, {-1, -1}, -1, -1, -1, {false, false}};
}

static void end_turn(nn_schedule *s, const nn_turn *t) {
    s->turn = room_for(s, s->turn, &s->turn_room, s->turns, sizeof *s->turn);
    if (s->rc == BC_OK) s->turn[s->turns++] = *t;
}

static const nn_node *node_of(const nn_schedule *s, size_t value) {
    return &s->p->node[value];
}

static const nn_layer *layer_of(const nn_schedule *s, size_t value) {
    return &s->g->layer[node_of(s, value)->layer];
}

static size_t widened(const nn_schedule *s, size_t layer) {
    return (s->p->o.n * nn_volume(s->g->layer[layer].shape) * sizeof(float) + 63) / 64 * 64;
}

/* What a pass needs beside values; the widened copies of all that it touches. */
static void add_room(nn_schedule *s, nn_turn *t) {
    const nn_node *node = node_of(s, t->value);
    const nn_layer *l = layer_of(s, t->value);
    const nn_plan_options *o = &s->p->o;
    size_t bytes = 0;
    if (l->kind->temporary != NULL)
        t->temporary = new_item(s, l->kind->temporary(l, o->n, o->precision, t->pass == NN_BACK));
    if (!nn_plan_widens(s->p, s->g, t->value)) return;
    if (t->out >= 0) bytes += widened(s, t->value);
    if (t->grad_out >= 0) bytes += widened(s, t->value);
    for (int j = 0; j < node->inputs; j++) {
        if (t->in[j] >= 0) bytes += widened(s, (size_t)node->input[j]);
        if (t->grad_in[j] >= 0) bytes += widened(s, (size_t)node->input[j]);
    }
    t->wide = new_item(s, bytes);
}

static void go(nn_schedule *s, size_t value, enum nn_pass_type pass) {
    const nn_node *node = node_of(s, value);
    const nn_layer *l = layer_of(s, value);
    const nn_plan_options *o = &s->p->o;
    nn_turn t = start_turn(pass, value);
    for (int j = 0; j < node->inputs; j++) t.in[j] = use(s, s->value[node->input[j]]);
    t.out = s->value[value] = new_item(s, nn_value_bytes(s->p, s->g, value));
    if ((o->train || o->backward) && l->kind->saved != NULL && pass == NN_GO)
        s->saved[value] = new_item(s, l->kind->saved(l, o->n, o->groups, o->precision));
    t.saved = use(s, s->saved[value]);
    add_room(s, &t);
    end_turn(s, &t);
}

/* --- backward -------------------------------------------------------------------- */

static void make_again(nn_schedule *s, size_t value) {
    if (s->value[value] >= 0) return;
    const nn_node *node = node_of(s, value);
    for (int j = 0; j < node->inputs; j++) make_again(s, (size_t)node->input[j]);
    go(s, value, NN_AGAIN);
    if (nn_is_cheap(layer_of(s, value))) s->chain[s->links++] = (int)value;
}

/* The item that holds a value, made again if it was dropped. Cheap values that
 * were only on the way are forgotten: backward asks for them when it comes by. */
static int demand(nn_schedule *s, size_t value) {
    s->links = 0;
    make_again(s, value);
    for (size_t k = 0; k < s->links; k++)
        if (s->chain[k] != (int)value) s->value[s->chain[k]] = -1;
    return s->value[value];
}

static bool goes_back(const nn_schedule *s, size_t layer) {
    bool all = s->p->o.input_gradient;
    return layer == 0 ? all : s->g->layer[layer].trained || all;
}

static void back(nn_schedule *s, size_t value) {
    const nn_node *node = node_of(s, value);
    unsigned flags = nn_node_flags(node, s->g);
    if (s->grad[value] < 0) return; /* nothing reads it */
    if (flags & NN_KEEPS_INPUT) demand(s, (size_t)node->input[0]);
    if (flags & NN_KEEPS_OUTPUT) demand(s, value);
    if (s->rc != BC_OK) return;
    nn_turn t = start_turn(NN_BACK, value);
    if (flags & NN_KEEPS_INPUT) t.in[0] = use(s, s->value[node->input[0]]);
    if (flags & NN_KEEPS_OUTPUT) t.out = use(s, s->value[value]);
    t.saved = use(s, s->saved[value]);
    t.grad_out = use(s, s->grad[value]);
    for (int j = 0; j < node->inputs; j++) {
        size_t from = (size_t)node->input[j];
        if (!goes_back(s, from)) continue;
        t.add[j] = s->grad[from] >= 0;
        if (!t.add[j]) s->grad[from] = new_item(s, nn_value_bytes(s->p, s->g, from));
        t.grad_in[j] = use(s, s->grad[from]);
    }
    add_room(s, &t);
    end_turn(s, &t);
}

static void whole(nn_schedule *s) {
    size_t last = s->g->layers - 1;
    s->input = s->value[0] = new_item(s, nn_value_bytes(s->p, s->g, 0));
    if (s->p->keep != NULL && s->p->keep[0]) s->kept[0] = s->value[0];
    for (size_t i = 1; i <= last && s->rc == BC_OK; i++) {
        if (node_of(s, i)->layer < 0) continue;
        go(s, i, NN_GO);
        if (s->p->keep != NULL && s->p->keep[i]) s->kept[i] = s->value[i];
    }
    nn_turn loss = start_turn(NN_LOSS, last);
    loss.in[0] = s->output = use(s, s->value[last]);
    for (size_t i = 0; i <= last; i++) use(s, s->saved[i]); /* batch statistics are read now */
    if (s->p->o.backward && goes_back(s, last))
        loss.grad_out = s->grad[last] = new_item(s, nn_value_bytes(s->p, s->g, last));
    s->loss = s->turns;
    end_turn(s, &loss);
    for (size_t i = 0; i <= last; i++)
        if (s->drop[i] && s->kept[i] < 0) s->value[i] = -1;
    for (size_t i = last; i > 0 && s->rc == BC_OK && s->p->o.backward; i--)
        if (node_of(s, i)->layer >= 0) back(s, i);
    for (size_t i = 0; i <= last; i++) use(s, s->kept[i]);
    if (s->p->o.input_gradient) use(s, s->grad[0]);
}

/* --- in place ----------------------------------------------------------------------- */

static int root_of(const nn_schedule *s, int item) {
    while (s->item[item].into >= 0) item = s->item[item].into;
    return item;
}

/* Let `to` take over the memory of `from` if this step is the last to read it. */
static bool take_over(nn_schedule *s, int to, int from, size_t now) {
    if (to < 0 || from < 0) return false;
    nn_item *a = &s->item[root_of(s, from)], *b = &s->item[to];
    if (a->last != now || b->first != now || a->bytes != b->bytes || b->into >= 0) return false;
    b->into = root_of(s, from);
    if (a->last < b->last) a->last = b->last;
    return true;
}

static void merge(nn_schedule *s) {
    for (size_t k = 0; k < s->turns; k++) {
        const nn_turn *t = &s->turn[k];
        const nn_node *node = node_of(s, t->value);
        if (t->pass == NN_LOSS) continue;
        unsigned flags = nn_node_flags(node, s->g);
        bool forward = t->pass != NN_BACK, taken = false;
        if (!(flags & (forward ? NN_IN_PLACE : NN_GRAD_IN_PLACE))) continue;
        for (int j = 0; j < node->inputs && !taken; j++) {
            if (s->p->stored[node->input[j]] != s->p->stored[t->value]) continue;
            taken = forward ? take_over(s, t->out, t->in[j], k)
                            : take_over(s, t->grad_in[j], t->grad_out, k);
        }
    }
}

int nn_schedule_new(nn_schedule *s, const nn_graph *g, const nn_plan *p, const bool *drop) {
    size_t n = g->layers;
    *s = (nn_schedule){.g = g, .p = p, .drop = drop, .input = -1, .output = -1, .rc = BC_OK};
    s->value = malloc(5 * n * sizeof *s->value);
    if (s->value == NULL) return BC_NOMEM;
    s->grad = s->value + n, s->saved = s->grad + n, s->kept = s->saved + n, s->chain = s->kept + n;
    for (size_t i = 0; i < 5 * n; i++) s->value[i] = -1;
    whole(s);
    if (s->rc == BC_OK) merge(s);
    return s->rc;
}

void nn_schedule_free(nn_schedule *s) {
    free(s->value);
    free(s->turn);
    free(s->item);
}
