/* pool.c: average and maximum pooling: an item is one channel of all samples. */
#include <string.h>

#include "real.h"

enum { POOL_KH, POOL_KW, POOL_SH, POOL_SW, POOL_GLOBAL };

NN_PASSES(average_pool);
NN_PASSES(max_pool);

enum { LANES = 32 };

/* Wide windows are taken in lanes beside each other, which compilers take at once; narrow ones in
 * one. */
static size_t lanes_of(const nn_conv *s) {
    return s->kw < LANES ? 1 : LANES;
}

static double sum_of(const real *x, const nn_conv *s) {
    double lane[LANES] = {0};
    for (size_t ky = 0; ky < s->kh; ky++, x += s->w) {
        size_t kx = 0;
        for (; kx + LANES <= s->kw; kx += LANES)
            for (size_t j = 0; j < LANES; j++) lane[j] += (double)x[kx + j];
        for (; kx < s->kw; kx++) lane[0] += (double)x[kx];
    }
    for (size_t j = 1; j < lanes_of(s); j++) lane[0] += lane[j];
    return lane[0];
}

/* Mean over kh x kw windows of one plane (h, w) -> (oh, ow), no padding; rows
 * and columns behind the last whole window are not seen, as in PyTorch. */
static void average_plane(real *y, const real *x, const nn_conv *s) {
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++)
            *y++ = (real)(sum_of(x + oy * s->sh * s->w + ox * s->sw, s) / (double)(s->kh * s->kw));
}

static void average_plane_back(real *dx, const real *dy, const nn_conv *s) {
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            real share = (real)((double)*dy++ / (double)(s->kh * s->kw));
            for (size_t ky = 0; ky < s->kh; ky++)
                for (size_t kx = 0; kx < s->kw; kx++)
                    dx[(oy * s->sh + ky) * s->w + ox * s->sw + kx] += share;
        }
}

/* Where the largest value of a window is, the first of equals, as in PyTorch; a NaN is the largest.
 */
static size_t largest(const real *x, const nn_conv *s) {
    size_t at = 0;
    for (size_t ky = 0; ky < s->kh; ky++)
        for (size_t kx = 0; kx < s->kw; kx++) {
            size_t k = ky * s->w + kx;
            if (x[k] > x[at] || x[k] != x[k]) at = k;
        }
    return at;
}

static real larger_of(real a, real b) {
    return (b > a) | (b != b) ? b : a;
}

static real largest_value(const real *x, const nn_conv *s) {
    real lane[LANES];
    for (size_t j = 0; j < lanes_of(s); j++) lane[j] = *x;
    for (size_t ky = 0; ky < s->kh; ky++, x += s->w) {
        size_t kx = 0;
        for (; kx + LANES <= s->kw; kx += LANES)
            for (size_t j = 0; j < LANES; j++) lane[j] = larger_of(lane[j], x[kx + j]);
        for (; kx < s->kw; kx++) lane[0] = larger_of(lane[0], x[kx]);
    }
    for (size_t j = 1; j < lanes_of(s); j++) lane[0] = larger_of(lane[0], lane[j]);
    return lane[0];
}

static void max_plane(real *y, const real *x, const nn_conv *s) {
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++)
            *y++ = largest_value(x + oy * s->sh * s->w + ox * s->sw, s);
}

static void max_plane_back(real *dx, const real *dy, const real *x, const nn_conv *s) {
    for (size_t oy = 0; oy < s->oh; oy++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            size_t corner = oy * s->sh * s->w + ox * s->sw;
            dx[corner + largest(x + corner, s)] += *dy++;
        }
}

static void pool_channel(const nn_run *r, size_t c, bool of_largest) {
    nn_conv s = nn_layer_conv(r->layer, r->n);
    for (size_t k = c * s.n; k < (c + 1) * s.n; k++) {
        const real *x = (const real *)r->in[0] + k * s.h * s.w;
        (of_largest ? max_plane : average_plane)((real *)r->out + k * s.oh * s.ow, x, &s);
    }
}

static void pool_channel_back(const nn_run *r, size_t c, bool of_largest) {
    nn_conv s = nn_layer_conv(r->layer, r->n);
    size_t plane = s.h * s.w;
    for (size_t k = c * s.n; k < (c + 1) * s.n; k++) {
        real *dx = (real *)r->grad_in[0] + k * plane;
        const real *dy = (const real *)r->grad_out + k * s.oh * s.ow;
        if (!r->add[0]) memset(dx, 0, plane * sizeof *dx);
        if (of_largest)
            max_plane_back(dx, dy, (const real *)r->in[0] + k * plane, &s);
        else
            average_plane_back(dx, dy, &s);
    }
}

static void average_item(void *context, size_t c, int worker) {
    (void)worker;
    pool_channel(context, c, false);
}
static void average_back_item(void *context, size_t c, int worker) {
    (void)worker;
    pool_channel_back(context, c, false);
}
static void max_item(void *context, size_t c, int worker) {
    (void)worker;
    pool_channel(context, c, true);
}
static void max_back_item(void *context, size_t c, int worker) {
    (void)worker;
    pool_channel_back(context, c, true);
}

void NN(nn_average_pool_pass)(const nn_run *r) {
    nn_run_items(r, average_item, r->layer->shape.c);
}
void NN(nn_average_pool_back)(const nn_run *r) {
    nn_run_items(r, average_back_item, r->layer->shape.c);
}
void NN(nn_max_pool_pass)(const nn_run *r) {
    nn_run_items(r, max_item, r->layer->shape.c);
}
void NN(nn_max_pool_back)(const nn_run *r) {
    nn_run_items(r, max_back_item, r->layer->shape.c);
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
                                      .forward = NN_IN_BOTH(nn_average_pool_pass),
                                      .backward = NN_IN_BOTH(nn_average_pool_back)};

const nn_kind nn_kind_max_pool = {.name = "max_pool",
                                  .inputs = 1,
                                  .flags = NN_KEEPS_INPUT,
                                  .options = pool_options,
                                  .build = build_pool,
                                  .forward = NN_IN_BOTH(nn_max_pool_pass),
                                  .backward = NN_IN_BOTH(nn_max_pool_back)};
#endif
