/* plan.c: the places of buffers in the arena. */
#include "plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "schedule.h"

#define KEEP_LIMIT ((size_t)1 << 30) /* bytes of an arena that NN_AUTO keeps all values in */

static enum nn_storage storage_of(const nn_graph *g, size_t layer, enum nn_precision p) {
    if (p == NN_F64) return NN_AS_F64;
    bool end = layer == 0 || layer + 1 == g->layers;
    if (p == NN_F32 || end || g->layer[layer].kind->flags & NN_WIDE) return NN_AS_F32;
    return p == NN_BF16 ? NN_AS_BF16 : NN_AS_F16;
}

static nn_fused fused(const nn_plan *p, const nn_graph *g) {
    return (nn_fused){.g = g, .o = &p->o, .node = p->node, .stored = p->stored, .keep = p->keep};
}

bool nn_plan_widens(const nn_plan *p, const nn_graph *g, size_t value) {
    nn_fused f = fused(p, g);
    return nn_widens(&f, value);
}

/* --- placing --------------------------------------------------------------------- */

static int larger_first(const void *a, const void *b) {
    const nn_buffer *x = *(nn_buffer *const *)a, *y = *(nn_buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : 1);
}

static int longer_first(const void *a, const void *b) {
    const nn_buffer *x = *(nn_buffer *const *)a, *y = *(nn_buffer *const *)b;
    size_t lx = x->last - x->first, ly = y->last - y->first;
    return lx != ly ? (lx < ly ? 1 : -1) : larger_first(a, b);
}

static int product_first(const void *a, const void *b) {
    const nn_buffer *x = *(nn_buffer *const *)a, *y = *(nn_buffer *const *)b;
    double px = (double)x->bytes * (double)(x->last - x->first + 1);
    double py = (double)y->bytes * (double)(y->last - y->first + 1);
    return px < py ? 1 : px > py ? -1 : larger_first(a, b);
}

/* Each buffer in turn goes to the lowest place that is free throughout its
 * life; returns the bytes of all. */
static size_t place_in_order(nn_buffer **order, nn_buffer **placed, size_t roots) {
    size_t count = 0, all = 0;
    for (size_t i = 0; i < roots; i++) {
        nn_buffer *b = order[i];
        size_t at = 0, k = 0;
        for (; k < count; k++) { /* placed is sorted by offset */
            const nn_buffer *other = placed[k];
            if (other->last < b->first || b->last < other->first) continue;
            if (other->offset >= at + b->bytes) break;
            if (other->offset + other->bytes > at) at = other->offset + other->bytes;
        }
        b->offset = at;
        for (k = count++; k > 0 && placed[k - 1]->offset > at; k--) placed[k] = placed[k - 1];
        placed[k] = b;
        if (at + b->bytes > all) all = at + b->bytes;
    }
    return all;
}

/* Greedy (Pisarchyk & Lee, 2020), in three orders, of which the best stays. */
static int place_buffers(nn_plan *p, nn_schedule *s) {
    static int (*const orders[])(const void *, const void *) = {larger_first, longer_first,
                                                                product_first};
    nn_buffer **order = malloc(2 * s->buffers * sizeof *order);
    size_t roots = 0, best = 0;
    if (order == NULL) return BC_NOMEM;
    for (size_t i = 0; i < s->buffers; i++) {
        nn_buffer *b = &s->buffer[i];
        if (b->into >= 0) continue;
        order[roots++] = b;
        if (b->first < s->loss && b->last > s->loss) p->kept += b->bytes;
    }
    p->bytes = SIZE_MAX;
    for (size_t k = 0; k < 4; k++) { /* the last time: the best again */
        qsort(order, roots, sizeof *order, orders[k < 3 ? k : best]);
        size_t bytes = place_in_order(order, order + s->buffers, roots);
        if (bytes < p->bytes) p->bytes = bytes, best = k;
    }
    free(order);
    return BC_OK;
}

static size_t offset_of(const nn_schedule *s, int buffer) {
    if (buffer < 0) return NN_NONE;
    while (s->buffer[buffer].into >= 0) buffer = s->buffer[buffer].into;
    return s->buffer[buffer].offset;
}

static nn_step step_of(const nn_schedule *s, const nn_op *op) {
    nn_step step = {.pass = op->pass,
                    .value = op->value,
                    .out = offset_of(s, op->out),
                    .grad_out = offset_of(s, op->grad_out),
                    .saved = offset_of(s, op->saved),
                    .temporary = offset_of(s, op->temporary),
                    .wide = offset_of(s, op->wide)};
    for (int j = 0; j < 2; j++) {
        step.in[j] = offset_of(s, op->in[j]);
        step.grad_in[j] = offset_of(s, op->grad_in[j]);
        step.add[j] = op->add[j];
    }
    return step;
}

static int write_plan(nn_plan *p, const nn_graph *g, const nn_schedule *s) {
    p->step = malloc(s->ops * sizeof *p->step);
    if (p->step == NULL) return BC_NOMEM;
    for (size_t k = 0; k < s->ops; k++) p->step[k] = step_of(s, &s->op[k]);
    p->steps = s->ops;
    p->loss = s->loss;
    p->input = offset_of(s, s->input);
    p->output = offset_of(s, s->output);
    p->output_gradient = p->step[p->loss].grad_out;
    p->input_gradient = p->o.input_gradient ? offset_of(s, s->grad[0]) : NN_NONE;
    for (size_t i = 0; i < g->layers; i++) {
        const nn_layer *l = &g->layer[i];
        p->saved[i] = NN_NONE;
        p->kept_value[i] = offset_of(s, s->kept[i]);
        size_t bytes = l->kind->scratch != NULL ? l->kind->scratch(l, p->o.n, p->o.precision) : 0;
        if (bytes > p->scratch) p->scratch = bytes;
    }
    for (size_t i = 0; i < g->layers; i++)
        if (p->node[i].layer >= 0) p->saved[p->node[i].layer] = offset_of(s, s->saved[i]);
    p->scratch = (p->scratch + 63) / 64 * 64;
    return BC_OK;
}

/* --- what is dropped ---------------------------------------------------------------- */

static bool is_front(const nn_graph *g, size_t i) {
    return i == 0 || g->layer[i].kind->flags & NN_WIDE;
}

/* Does everything behind value i depend on what is before it through i alone? */
static bool is_joint(const nn_plan *p, const nn_graph *g, size_t i) {
    for (size_t k = i + 1; k < g->layers; k++)
        for (int j = 0; p->node[k].layer >= 0 && j < p->node[k].inputs; j++)
            if (p->node[k].input[j] < (int)i) return false;
    return p->node[i].layer >= 0;
}

static bool is_cheap(const nn_plan *p, const nn_graph *g, size_t i) {
    return p->node[i].layer >= 0 && nn_is_cheap(&g->layer[p->node[i].layer]);
}

/* parts: roughly so many stages, by the bytes of what is costly to make again;
 * 0: only cheap values are dropped. */
static void choose_drops(bool *drop, const nn_plan *p, const nn_graph *g, size_t parts) {
    double all = 0, sum = 0;
    nn_fused f = fused(p, g);
    for (size_t i = 1; i < g->layers; i++)
        if (!is_cheap(p, g, i)) all += (double)nn_value_bytes(&f, i);
    for (size_t i = 0; i < g->layers; i++) {
        bool cheap = is_cheap(p, g, i);
        drop[i] = !is_front(g, i) && (cheap ? p->o.recompute != NN_KEEP_ALL : parts > 0);
        if (parts == 0 || is_front(g, i)) continue;
        sum += cheap ? 0 : (double)nn_value_bytes(&f, i);
        if (sum * (double)parts >= all && is_joint(p, g, i)) drop[i] = false, sum = 0;
    }
}

static int lay_out(nn_plan *p, const nn_graph *g, size_t parts) {
    bool *drop = malloc(g->layers * sizeof *drop);
    nn_schedule s = {.rc = BC_OK};
    nn_fused f = fused(p, g);
    if (drop == NULL) return BC_NOMEM;
    choose_drops(drop, p, g, parts);
    int rc = nn_schedule_new(&s, &f, drop);
    free(p->step);
    p->step = NULL;
    p->bytes = p->kept = p->scratch = 0;
    if (rc == BC_OK) rc = place_buffers(p, &s);
    if (rc == BC_OK) rc = write_plan(p, g, &s);
    nn_schedule_free(&s);
    free(drop);
    return rc;
}

/* Try several numbers of stages; the smallest plan stays. */
static int lay_out_stages(nn_plan *p, const nn_graph *g) {
    size_t best = 0, least = SIZE_MAX;
    for (size_t parts = 1; parts <= 16; parts++) {
        int rc = lay_out(p, g, parts);
        if (rc != BC_OK) return rc;
        if (p->bytes < least) least = p->bytes, best = parts;
    }
    return lay_out(p, g, best);
}

static int lay_out_as_told(nn_plan *p, const nn_graph *g) {
    if (p->o.backward && p->o.recompute == NN_STAGE) return lay_out_stages(p, g);
    bool chooses = p->o.recompute == NN_AUTO;
    if (chooses) p->o.recompute = NN_KEEP_ALL;
    int rc = lay_out(p, g, 0);
    if (rc != BC_OK || !chooses || p->bytes <= KEEP_LIMIT) return rc;
    p->o.recompute = NN_CHEAP;
    return lay_out(p, g, 0);
}

/* --- the whole ------------------------------------------------------------------------ */

static int check_batch(const nn_graph *g, const nn_plan_options *o, bc_error *e) {
    if (o->n == 0) return bc_fail(e, "batch without samples");
    for (size_t i = 0; i < g->layers; i++) {
        const nn_layer *l = &g->layer[i];
        size_t all, plane = l->shape.h * l->shape.w;
        if (__builtin_mul_overflow(o->n, nn_volume(l->shape), &all) || o->n * plane > INT_MAX ||
            all > SIZE_MAX / 64)
            return bc_fail(e, "a batch of %zu is too large for layer '%s'", o->n, l->name);
        if (o->backward && o->input_gradient && i > 0 &&
            (l->kind->backward[0] == NULL || l->kind->flags & NN_IS_FIRST))
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
    nn_plan *p = calloc(1, sizeof *p);
    if (p == NULL) return BC_NOMEM;
    p->node = calloc(n, sizeof *p->node);
    p->stored = calloc(n, sizeof *p->stored);
    p->saved = calloc(n, sizeof *p->saved);
    p->kept_value = calloc(n, sizeof *p->kept_value);
    rc = BC_NOMEM;
    if (p->node == NULL || p->stored == NULL || p->saved == NULL || p->kept_value == NULL ||
        copy_keep(p, o->keep, n) != BC_OK)
        goto out;
    p->o = *o;
    p->o.keep = NULL;
    nn_fuse(p->node, g, p->keep);
    for (size_t i = 0; i < n; i++) p->stored[i] = storage_of(g, i, o->precision);
    rc = lay_out_as_told(p, g);
out:
    if (rc == BC_OK)
        *out = p;
    else
        nn_plan_free(p);
    return rc;
}

void nn_plan_free(nn_plan *p) {
    if (p == NULL) return;
    free(p->node);
    free(p->stored);
    free(p->saved);
    free(p->kept_value);
    free(p->step);
    free(p->keep);
    free(p);
}
