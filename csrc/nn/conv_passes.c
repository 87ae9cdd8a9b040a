/* conv_passes.c: the forward and backward passes of convolutions. */
#include "passes.h"

#include <string.h>

#include "winograd.h"

/* Input channels of one item of a weight gradient: fixed by the layer's shape
 * alone, so that results do not depend on the number of threads. */
static size_t weight_channels(const nn_conv *s) {
    size_t channels = s->ci / 8 < 16 ? 16 : s->ci / 8;
    return channels < s->ci ? channels : s->ci;
}

nn_conv nn_layer_conv(const nn_layer *l, size_t n) {
    nn_conv s = l->window;
    s.n = n;
    return s;
}

size_t nn_conv_columns(const nn_conv *s) {
    nn_conv dual;
    size_t most = s->ci * s->kh * s->kw * nn_conv_strip(s) * s->ow;
    if (nn_conv_dual(&dual, s))
        most = larger(most, dual.ci * dual.kh * dual.kw * nn_conv_strip(&dual) * dual.ow);
    return most;
}

enum nn_algorithm nn_conv_algorithm(const nn_layer *l, size_t n, bool wide) {
    enum nn_algorithm told = (enum nn_algorithm)l->option[CONV_ALGORITHM];
    nn_conv s = nn_layer_conv(l, n);
    if (wide && told != NN_CONV_PLAIN) return NN_CONV_IM2COL;
    if (told != NN_CONV_AUTO) return told;
    return nn_winograd_pays(&s) ? NN_CONV_WINOGRAD : NN_CONV_IM2COL;
}

/* --- Winograd's convolution: an item is a block of tiles ------------------------- */

struct winograd {
    const nn_run *r;
    nn_winograd g;
    void *y;
    const void *x;
    enum nn_storage y_as, x_as;
    bool add, turned;
};

static void panel_item(void *context, size_t i, int worker) {
    const struct winograd *k = context;
    (void)worker;
    nn_winograd_weight_panel(k->r->temporary, k->r->tensor[NN_WEIGHT], &k->g, i, k->turned);
}

static void block_item(void *context, size_t i, int worker) {
    const struct winograd *k = context;
    nn_winograd_forward(k->y, k->y_as, k->x, k->x_as, k->r->temporary,
                        k->turned ? NULL : k->r->tensor[NN_BIAS], &k->g, k->add, i,
                        scratch_of(k->r, worker));
}

static void run_winograd(struct winograd *k) {
    bc_pool_run(k->r->pool, panel_item, k, parts(k->g.s.co, 8));
    bc_pool_run(k->r->pool, block_item, k, parts(k->g.rows, k->g.block));
}

static void winograd_pass(const nn_run *r, const nn_conv *s) {
    struct winograd k = {
        .r = r, .y = r->out, .x = r->in[0], .y_as = r->out_as, .x_as = r->in_as[0]};
    nn_winograd_cut(&k.g, s);
    run_winograd(&k);
}

static void winograd_input_gradient(const nn_run *r, const nn_conv *s) {
    nn_conv dual;
    struct winograd k = {.r = r,
                         .y = r->grad_in[0],
                         .x = r->grad_out,
                         .y_as = r->in_as[0],
                         .x_as = r->out_as,
                         .add = r->add[0],
                         .turned = true};
    nn_conv_dual(&dual, s);
    nn_winograd_cut(&k.g, &dual);
    run_winograd(&k);
}

/* Weight gradient: an item is one partial sum ... */
struct winograd_sum {
    const nn_run *r;
    nn_winograd_sum k;
    size_t blocks, block, outputs; /* in all; that workers share now; of one item */
    float *sums, *points;
};

static void take_group(const struct winograd_sum *t, float *points, size_t block, size_t group,
                       float *scratch) {
    const nn_run *r = t->r;
    nn_winograd_sum_take(points, r->in[0], r->in_as[0], r->grad_out, r->out_as, &t->k, block, group,
                         scratch);
}

static void partial_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    const nn_winograd_sum *k = &t->k;
    float *points = scratch_of(t->r, worker), *scratch = points + nn_winograd_sum_points(k);
    float *sum = t->sums + i * nn_winograd_sum_size(k);
    size_t first = i * t->blocks / k->partials, last = (i + 1) * t->blocks / k->partials;
    if (first == last) memset(sum, 0, nn_winograd_sum_size(k) * sizeof *sum);
    for (size_t block = first; block < last; block++) {
        for (size_t group = 0; group < nn_winograd_sum_groups(k); group++)
            take_group(t, points, block, group, scratch);
        for (size_t p = 0; p < 36; p++)
            nn_winograd_sum_multiply(sum, points, k, block, p, 0, k->g.s.co, block > first);
    }
}

/* ... or one group of channels, then one point of some outputs, of a block that all share. */
static void take_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    take_group(t, t->points, t->block, i, scratch_of(t->r, worker));
}

static void multiply_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    size_t o0 = i / 36 * t->outputs;
    (void)worker;
    nn_winograd_sum_multiply(t->sums, t->points, &t->k, t->block, i % 36, o0,
                             smaller(o0 + t->outputs, t->k.g.s.co), t->block > 0);
}

static void weights_item(void *context, size_t o, int worker) {
    const struct winograd_sum *t = context;
    (void)worker;
    nn_winograd_sum_weights(t->r->grad[NN_WEIGHT], t->sums, &t->k, o);
}

static void winograd_weight_gradient(const nn_run *r, const nn_conv *s) {
    struct winograd_sum t = {.r = r, .sums = r->temporary, .outputs = 128};
    nn_winograd_sum_cut(&t.k, s);
    t.blocks = parts(t.k.g.rows, t.k.block);
    if (t.k.partials > 1) {
        bc_pool_run(r->pool, partial_item, &t, t.k.partials);
    } else {
        t.points = t.sums + nn_winograd_sum_size(&t.k);
        for (; t.block < t.blocks; t.block++) {
            bc_pool_run(r->pool, take_item, &t, nn_winograd_sum_groups(&t.k));
            bc_pool_run(r->pool, multiply_item, &t, 36 * parts(s->co, t.outputs));
        }
    }
    bc_pool_run(r->pool, weights_item, &t, s->co);
}

/* --- memory -------------------------------------------------------------------------- */

size_t nn_conv_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward) {
    nn_conv s = nn_layer_conv(l, n), dual;
    nn_winograd g;
    bool turns = nn_conv_dual(&dual, &s);
    if (nn_conv_algorithm(l, n, nn_is_double(p)) == NN_CONV_WINOGRAD) {
        nn_winograd_cut(&g, backward ? &dual : &s);
        size_t weights = nn_winograd_weights(&g), sums;
        if (!backward) return weights * sizeof(float);
        nn_winograd_sum k;
        nn_winograd_sum_cut(&k, &s);
        sums = k.partials * nn_winograd_sum_size(&k);
        if (k.partials == 1) sums += nn_winograd_sum_points(&k);
        return larger(weights, sums) * sizeof(float);
    }
    return backward && turns ? s.co * s.ci * s.kh * s.kw * nn_real_size(p) : 0;
}

size_t nn_conv_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    nn_conv s = nn_layer_conv(l, n), dual;
    size_t most = nn_conv_columns(&s) * nn_real_size(p);
    if (nn_conv_algorithm(l, n, nn_is_double(p)) == NN_CONV_WINOGRAD) {
        nn_winograd g;
        nn_winograd_cut(&g, &s);
        most = larger(most, nn_winograd_scratch(&g) * sizeof(float));
        nn_conv_dual(&dual, &s);
        nn_winograd_cut(&g, &dual);
        most = larger(most, nn_winograd_scratch(&g) * sizeof(float));
        nn_winograd_sum k;
        nn_winograd_sum_cut(&k, &s);
        size_t floats = nn_winograd_sum_scratch(&k);
        if (k.partials > 1) floats += nn_winograd_sum_points(&k);
        most = larger(most, floats * sizeof(float));
    }
    return most;
}

#define NN_TWICE "conv_passes.inc"
#include "twice.h"
