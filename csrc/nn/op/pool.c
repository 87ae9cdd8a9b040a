/* pool.c: average pooling: an item is one channel of all samples. */
#include "real.h"

enum { POOL_KH, POOL_KW, POOL_SH, POOL_SW, POOL_GLOBAL };

NN_PASSES(pool);

/* Mean over kh x kw windows of one plane (h, w) -> (oh, ow), no padding; rows
 * and columns behind the last whole window are not seen, as in PyTorch. */
static void pool_plane_forward(real *y, const real *x, const nn_conv *s) {
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            double sum = 0;
            for (size_t ky = 0; ky < s->kh; ky++)
                for (size_t kx = 0; kx < s->kw; kx++)
                    sum += (double)x[(oy * s->sh + ky) * s->w + ox * s->sw + kx];
            *y++ = (real)(sum / (double)(s->kh * s->kw));
        }
}

static void pool_plane_backward(real *dx, const real *dy, const nn_conv *s, bool add) {
    if (!add)
        for (size_t i = 0; i < s->h * s->w; i++) dx[i] = 0;
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            real share = (real)((double)*dy++ / (double)(s->kh * s->kw));
            for (size_t ky = 0; ky < s->kh; ky++)
                for (size_t kx = 0; kx < s->kw; kx++)
                    dx[(oy * s->sh + ky) * s->w + ox * s->sw + kx] += share;
        }
}

static void pool_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    nn_conv s = nn_layer_conv(r->layer, r->n);
    (void)worker;
    for (size_t k = c * s.n; k < (c + 1) * s.n; k++)
        pool_plane_forward((real *)r->out + k * s.oh * s.ow, (const real *)r->in[0] + k * s.h * s.w,
                           &s);
}

static void pool_back_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    nn_conv s = nn_layer_conv(r->layer, r->n);
    (void)worker;
    for (size_t k = c * s.n; k < (c + 1) * s.n; k++)
        pool_plane_backward((real *)r->grad_in[0] + k * s.h * s.w,
                            (const real *)r->grad_out + k * s.oh * s.ow, &s, r->add[0]);
}

void NN(nn_pool_pass)(const nn_run *r) {
    nn_run_items(r, pool_item, r->layer->shape.c);
}
void NN(nn_pool_back)(const nn_run *r) {
    nn_run_items(r, pool_back_item, r->layer->shape.c);
}

#ifndef NN_DOUBLE
static const nn_option pool_options[] = {{"kernel", NN_PAIR, 0, 0, NULL},
                                         {"stride", NN_PAIR, 0, 0, NULL},
                                         {"global", NN_SWITCH, 0, 0, NULL},
                                         NN_END};

static int build_pool(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    double *o = l->option;
    if (o[POOL_GLOBAL] != 0) o[POOL_KH] = (double)l->in.h, o[POOL_KW] = (double)l->in.w;
    if (o[POOL_KH] < 1 || o[POOL_KW] < 1)
        return bc_fail(e, "layer '%s': needs kernel, or global = true", l->name);
    if (o[POOL_SH] < 1) o[POOL_SH] = o[POOL_KH];
    if (o[POOL_SW] < 1) o[POOL_SW] = o[POOL_KW];
    nn_conv w = {.kh = (size_t)o[POOL_KH],
                 .kw = (size_t)o[POOL_KW],
                 .sh = (size_t)o[POOL_SH],
                 .sw = (size_t)o[POOL_SW]};
    return nn_build_window(l, l->in.c, w, e);
}

const nn_kind nn_kind_average_pool = {.name = "average_pool",
                                      .inputs = 1,
                                      .flags = 0,
                                      .options = pool_options,
                                      .build = build_pool,
                                      .forward = NN_IN_BOTH(nn_pool_pass),
                                      .backward = NN_IN_BOTH(nn_pool_back)};
#endif
