/* plan.c: lifetimes of buffers, and their places in the arena. */
#include "plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Time runs in passes: layer i goes forward at i and back at 2L - i, where L
 * is the number of layers; between them, at L, the loss writes the gradient of
 * the last output. */
typedef struct span {
    size_t size, first, last, offset;
} span;

typedef struct planner {
    const nn_graph *g;
    nn_plan *p;
    size_t loss, end; /* times */
    span *buffer;
    size_t buffers;
    int *value, *grad, *saved; /* per layer: its buffer, -1: none */
    int (*temporary)[2], (*wide)[2];
} planner;

static size_t time_back(const planner *w, size_t layer) {
    return 2 * w->loss - layer;
}

static int new_buffer(planner *w, size_t size, size_t first, size_t last) {
    w->buffer[w->buffers] = (span){(size + 63) / 64 * 64, first, last, 0};
    return (int)w->buffers++;
}

static void live_until(planner *w, int buffer, size_t time) {
    if (w->buffer[buffer].last < time) w->buffer[buffer].last = time;
}

static enum nn_storage storage_of(const nn_graph *g, size_t layer, enum nn_precision p) {
    if (p == NN_F64) return NN_AS_F64;
    bool end = layer == 0 || layer + 1 == g->layers;
    if (p == NN_F32 || end || g->layer[layer].kind->flags & NN_WIDE) return NN_AS_F32;
    return p == NN_BF16 ? NN_AS_BF16 : NN_AS_F16;
}

static size_t value_bytes(const planner *w, size_t layer) {
    return w->p->o.n * nn_volume(w->g->layer[layer].shape) *
           nn_storage_size(w->p->place[layer].stored);
}

static bool is_narrow(enum nn_storage s) {
    return s == NN_AS_BF16 || s == NN_AS_F16;
}

bool nn_plan_widens(const nn_plan *p, const nn_graph *g, size_t layer) {
    const nn_layer *l = &g->layer[layer];
    bool narrow = is_narrow(p->place[layer].stored);
    for (int j = 0; j < l->kind->inputs; j++)
        narrow |= is_narrow(p->place[l->input[j]].stored);
    return narrow && !(l->kind->flags & NN_NARROW);
}

static bool reads(const nn_layer *l, size_t layer) {
    for (int j = 0; j < l->kind->inputs; j++)
        if (l->input[j] == (int)layer) return true;
    return false;
}

/* When the output of a layer is read for the last time. */
static size_t last_read(const planner *w, size_t layer) {
    const nn_graph *g = w->g;
    const nn_place *place = w->p->place;
    if (w->p->keep != NULL && w->p->keep[layer]) return w->end;
    size_t last = layer + 1 == g->layers ? w->loss : layer;
    if (place[layer].backward && g->layer[layer].kind->flags & NN_KEEPS_OUTPUT)
        last = time_back(w, layer);
    for (size_t i = layer + 1; i < g->layers; i++) {
        if (!reads(&g->layer[i], layer)) continue;
        size_t at = i;
        if (place[i].backward && g->layer[i].kind->flags & NN_KEEPS_INPUT) at = time_back(w, i);
        if (at > last) last = at;
    }
    return last;
}

static void choose_backward(planner *w) {
    for (size_t i = 0; i < w->g->layers; i++) {
        const nn_layer *l = &w->g->layer[i];
        nn_place *place = &w->p->place[i];
        if (!w->p->o.train) continue;
        place->backward = i == 0 ? w->p->o.input_gradient : l->trained || w->p->o.input_gradient;
        for (int j = 0; j < l->kind->inputs; j++)
            place->wanted[j] = place->backward && w->p->place[l->input[j]].backward;
    }
}

/* Values: a pass that may work in place takes over the buffer of an input that
 * is not read after it. */
static void lay_values(planner *w) {
    for (size_t i = 0; i < w->g->layers; i++) {
        const nn_layer *l = &w->g->layer[i];
        size_t size = value_bytes(w, i), last = last_read(w, i);
        int candidates = l->kind->flags & NN_IN_PLACE ? l->kind->inputs : 0;
        w->value[i] = -1;
        for (int j = 0; j < candidates && w->value[i] < 0; j++)
            if (last_read(w, (size_t)l->input[j]) == i &&
                w->p->place[l->input[j]].stored == w->p->place[i].stored)
                w->value[i] = w->value[l->input[j]];
        if (w->value[i] < 0) w->value[i] = new_buffer(w, size, i, last);
        live_until(w, w->value[i], last);
        size_t passed =
            w->p->o.train && l->kind->saved != NULL
                ? l->kind->saved(l, w->p->o.n, w->p->o.groups, w->p->o.precision)
                : 0;
        w->saved[i] = passed > 0 ? new_buffer(w, passed, i, w->end) : -1;
    }
}

/* Gradients, in the order of the backward passes: the first writer of a
 * gradient makes it, the others add to it. */
static void lay_gradients(planner *w) {
    const nn_graph *g = w->g;
    size_t top = g->layers - 1;
    for (size_t i = 0; i < g->layers; i++) w->grad[i] = -1;
    if (!w->p->place[top].backward) return;
    w->grad[top] =
        new_buffer(w, value_bytes(w, top), w->loss, time_back(w, top));
    for (size_t i = top; i > 0; i--) {
        const nn_layer *l = &g->layer[i];
        nn_place *place = &w->p->place[i];
        size_t now = time_back(w, i);
        bool taken = !(l->kind->flags & NN_GRAD_IN_PLACE);
        if (w->grad[i] < 0) place->backward = false; /* nothing reads it */
        for (int j = 0; j < l->kind->inputs; j++) {
            int *to = &w->grad[l->input[j]];
            place->wanted[j] &= place->backward;
            if (!place->wanted[j]) continue;
            place->add[j] = *to >= 0;
            if (!place->add[j]) {
                bool own = taken || w->p->place[l->input[j]].stored != place->stored;
                *to = own ? new_buffer(w, value_bytes(w, (size_t)l->input[j]), now, now)
                          : w->grad[i];
                taken |= !own;
            }
            live_until(w, *to, l->input[j] == 0 ? w->end : time_back(w, (size_t)l->input[j]));
        }
    }
}

/* Input and output as floats, and in backward their gradients. */
static size_t widened_bytes(const planner *w, size_t i, bool backward) {
    const nn_layer *l = &w->g->layer[i];
    size_t bytes = (w->p->o.n * nn_volume(l->shape) * sizeof(float) + 63) / 64 * 64;
    for (int j = 0; j < l->kind->inputs; j++) {
        nn_shape s = w->g->layer[l->input[j]].shape;
        bytes += (w->p->o.n * nn_volume(s) * sizeof(float) + 63) / 64 * 64;
    }
    return backward ? 2 * bytes : bytes;
}

static void lay_temporaries(planner *w) {
    for (size_t i = 0; i < w->g->layers; i++) {
        const nn_layer *l = &w->g->layer[i];
        for (int b = 0; b < 2; b++) {
            bool runs = l->kind->temporary != NULL && (b == 0 || w->p->place[i].backward);
            size_t size = runs ? l->kind->temporary(l, w->p->o.n, w->p->o.precision, b == 1) : 0;
            size_t at = b ? time_back(w, i) : i, wide = 0;
            w->temporary[i][b] = size > 0 ? new_buffer(w, size, at, at) : -1;
            if (i > 0 && nn_plan_widens(w->p, w->g, i) && (b == 0 || w->p->place[i].backward))
                wide = widened_bytes(w, i, b == 1);
            w->wide[i][b] = wide > 0 ? new_buffer(w, wide, at, at) : -1;
        }
    }
}

static int larger_first(const void *a, const void *b) {
    const span *x = *(span *const *)a, *y = *(span *const *)b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : 1);
}

/* Greedy by size (Pisarchyk & Lee, 2020): the largest buffer first, each at
 * the lowest place that is free throughout its life. */
static int place_buffers(planner *w) {
    span **order = malloc(w->buffers * sizeof *order),
         **placed = malloc(w->buffers * sizeof *placed);
    size_t count = 0;
    int rc = BC_NOMEM;
    if (order == NULL || placed == NULL) goto out;
    for (size_t i = 0; i < w->buffers; i++) order[i] = &w->buffer[i];
    qsort(order, w->buffers, sizeof *order, larger_first);
    for (size_t i = 0; i < w->buffers; i++) {
        span *b = order[i];
        size_t at = 0, k = 0;
        for (; k < count; k++) { /* placed is sorted by offset */
            const span *other = placed[k];
            if (other->last < b->first || b->last < other->first) continue;
            if (other->offset >= at + b->size) break;
            if (other->offset + other->size > at) at = other->offset + other->size;
        }
        b->offset = at;
        for (k = count++; k > 0 && placed[k - 1]->offset > at; k--) placed[k] = placed[k - 1];
        placed[k] = b;
        if (at + b->size > w->p->bytes) w->p->bytes = at + b->size;
        if (b->first < w->loss && b->last > w->loss) w->p->kept += b->size;
    }
    rc = BC_OK;
out:
    free(order);
    free(placed);
    return rc;
}

static size_t offset_of(const planner *w, int buffer) {
    return buffer < 0 ? NN_NONE : w->buffer[buffer].offset;
}

static int check_batch(const nn_graph *g, const nn_plan_options *o, bc_error *e) {
    if (o->n == 0) return bc_fail(e, "batch without samples");
    for (size_t i = 0; i < g->layers; i++) {
        const nn_layer *l = &g->layer[i];
        size_t all, plane = l->shape.h * l->shape.w;
        if (__builtin_mul_overflow(o->n, nn_volume(l->shape), &all) || o->n * plane > INT_MAX ||
            all > SIZE_MAX / 64)
            return bc_fail(e, "a batch of %zu is too large for layer '%s'", o->n, l->name);
        if (o->train && o->input_gradient && i > 0 && l->kind->backward[0] == NULL)
            return bc_fail(e, "layer '%s' hands no gradient to the input", l->name);
        if (o->train && strcmp(l->kind->name, "batch_norm") == 0 && o->n / o->groups * plane < 2)
            return bc_fail(
                e,
                "batch norm '%s' would see a single value per channel: it needs a larger "
                "batch in training",
                l->name);
    }
    return BC_OK;
}

static void write_places(planner *w) {
    for (size_t i = 0; i < w->g->layers; i++) {
        nn_place *place = &w->p->place[i];
        const nn_layer *l = &w->g->layer[i];
        place->value = offset_of(w, w->value[i]);
        place->grad = offset_of(w, w->grad[i]);
        place->saved = offset_of(w, w->saved[i]);
        for (int b = 0; b < 2; b++) {
            place->temporary[b] = offset_of(w, w->temporary[i][b]);
            place->wide[b] = offset_of(w, w->wide[i][b]);
        }
        size_t bytes =
            l->kind->scratch != NULL ? l->kind->scratch(l, w->p->o.n, w->p->o.precision) : 0;
        if (bytes > w->p->scratch) w->p->scratch = bytes;
    }
    w->p->scratch = (w->p->scratch + 63) / 64 * 64;
}

static int lay_out(planner *w) {
    for (size_t i = 0; i < w->g->layers; i++)
        w->p->place[i].stored = storage_of(w->g, i, w->p->o.precision);
    choose_backward(w);
    lay_values(w);
    lay_gradients(w);
    lay_temporaries(w);
    int rc = place_buffers(w);
    if (rc == BC_OK) write_places(w);
    return rc;
}

static int copy_keep(nn_plan *p, const bool *keep, size_t layers) {
    if (keep == NULL) return BC_OK;
    p->keep = malloc(layers * sizeof *keep);
    if (p->keep == NULL) return BC_NOMEM;
    memcpy(p->keep, keep, layers * sizeof *keep);
    return BC_OK;
}

int nn_plan_new(nn_plan **out, const nn_graph *g, const nn_plan_options *o, bc_error *e) {
    int rc = check_batch(g, o, e);
    if (rc != BC_OK) return rc;
    size_t n = g->layers;
    planner w = {.g = g, .loss = n, .end = 2 * n + 1};
    nn_plan *p = w.p = calloc(1, sizeof *p);
    w.buffer = calloc(7 * n, sizeof *w.buffer);
    w.value = calloc(n, sizeof *w.value);
    w.grad = calloc(n, sizeof *w.grad);
    w.saved = calloc(n, sizeof *w.saved);
    w.temporary = calloc(n, sizeof *w.temporary);
    w.wide = calloc(n, sizeof *w.wide);
    rc = BC_NOMEM;
    if (p == NULL || w.buffer == NULL || w.value == NULL || w.grad == NULL || w.saved == NULL ||
        w.temporary == NULL || w.wide == NULL)
        goto out;
    p->place = calloc(n, sizeof *p->place);
    if (p->place == NULL || copy_keep(p, o->keep, n) != BC_OK) goto out;
    p->o = *o;
    p->o.keep = NULL;
    rc = lay_out(&w);
out:
    free(w.buffer);
    free(w.value);
    free(w.grad);
    free(w.saved);
    free(w.temporary);
    free(w.wide);
    if (rc == BC_OK)
        *out = p;
    else
        nn_plan_free(p);
    return rc;
}

void nn_plan_free(nn_plan *p) {
    if (p == NULL) return;
    free(p->place);
    free(p->keep);
    free(p);
}
