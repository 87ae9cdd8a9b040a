/* conv_passes.c: the forward and backward passes of convolutions. */
#include "passes.h"
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

/* --- memory -------------------------------------------------------------------------- */

size_t nn_conv_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward) {
    nn_conv s = nn_layer_conv(l, n), dual;
    nn_winograd g;
    bool turns = nn_conv_dual(&dual, &s);
    if (nn_conv_algorithm(l, n, nn_is_double(p)) == NN_CONV_WINOGRAD) {
        nn_winograd_cut(&g, backward ? &dual : &s);
        return nn_winograd_weights(&g) * sizeof(float);
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
    }
    return most;
}

#define NN_TWICE "conv_passes.inc"
#include "twice.h"
