/* conv.c: convolutions and linear layers, by matrix products over strips of rows (im2col), or by
 * the fast ones of conv/. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "../../support/cpu.h"
#include "../conv/passes.h"
#include "../conv/planar.h"
#include "../conv/winograd.h"
#include "real.h"

enum { LINEAR_OUT, LINEAR_BIAS };

NN_PASSES(conv);

/* A 1x1 convolution of stride 1 reads its input as it lies. */
static bool is_pointwise(const nn_conv *s) {
    return s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && s->ph == 0 && s->pw == 0;
}

/* Output positions [*first, *last) whose input position x*stride + offset lies
 * in 0 .. w-1. */
static void valid_range(size_t *first, size_t *last, size_t ow, size_t w, size_t stride,
                        ptrdiff_t offset) {
    ptrdiff_t step = (ptrdiff_t)stride, lo = offset < 0 ? (step - 1 - offset) / step : 0;
    ptrdiff_t hi = offset < (ptrdiff_t)w ? ((ptrdiff_t)w - 1 - offset) / step + 1 : 0;
    if (hi > (ptrdiff_t)ow) hi = (ptrdiff_t)ow;
    if (hi < lo) hi = lo = 0;
    *first = (size_t)lo, *last = (size_t)hi;
}

/* Position in the input that the tap k of output position o looks at; false
 * if that is padding. */
static bool input_at(size_t *at, size_t o, size_t k, size_t stride, size_t padding, size_t extent) {
    size_t shifted = o * stride + k;
    if (shifted < padding || shifted - padding >= extent) return false;
    *at = shifted - padding;
    return true;
}

/* Rows are short: a call of memcpy for each costs more than it saves. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

/* Input channels of one item of a weight gradient: fixed by the layer's shape
 * alone, so that results do not depend on the number of threads. */
static size_t weight_channels(const nn_conv *s) {
    size_t channels = s->ci / 8 < 16 ? 16 : s->ci / 8;
    return channels < s->ci ? channels : s->ci;
}

/* One row of columns: positions first..last-1 see row, the others padding. */
static inline __attribute__((always_inline)) void take_row(real *to, const real *row, size_t first,
                                                           size_t last, size_t ow, size_t stride,
                                                           ptrdiff_t offset) {
    for (size_t i = 0; i < first; i++) to[i] = 0;
    const real *from = row + (ptrdiff_t)(first * stride) + offset;
    to += first;
    if (stride == 1)
        for (size_t i = 0; i < last - first; i++) to[i] = from[i];
    else
        for (size_t i = 0; i < last - first; i++) to[i] = from[i * stride];
    for (size_t i = last - first; i < ow - first; i++) to[i] = 0;
}

/* columns (kh*kw, (r1-r0)*ow): what each tap sees of channel x (n, h, w). */
BC_EACH_CPU(static, take_channel,
            (real *restrict columns, const real *restrict x, const nn_conv *s, size_t r0,
             size_t r1),
            (columns, x, s, r0, r1)) {
    for (size_t ky = 0; ky < s->kh; ky++)
        for (size_t kx = 0; kx < s->kw; kx++) {
            ptrdiff_t offset = (ptrdiff_t)kx - (ptrdiff_t)s->pw;
            size_t first, last, n = r0 / s->oh, y = r0 % s->oh;
            valid_range(&first, &last, s->ow, s->w, s->sw, offset);
            for (size_t r = r0; r < r1; r++, columns += s->ow) {
                size_t iy = y * s->sh + ky - s->ph; /* wraps around above the map */
                if (iy < s->h) {
                    const real *row = x + (n * s->h + iy) * s->w;
                    take_row(columns, row, first, last, s->ow, s->sw, offset);
                } else {
                    for (size_t i = 0; i < s->ow; i++) columns[i] = 0;
                }
                if (++y == s->oh) y = 0, n++;
            }
        }
}

/* The same for channels [c0, c1), one after the other. */
static void im2col(real *columns, const real *x, const nn_conv *s, size_t c0, size_t c1, size_t r0,
                   size_t r1) {
    size_t part = s->kh * s->kw * (r1 - r0) * s->ow;
    for (size_t c = c0; c < c1; c++, columns += part)
        take_channel(columns, x + c * s->n * s->h * s->w, s, r0, r1);
}

/* The reverse: dx += columns ((ci*kh*kw), (r1-r0)*ow). */
static void col2im(real *dx, const real *columns, const nn_conv *s, size_t r0, size_t r1) {
    for (size_t c = 0; c < s->ci; c++)
        for (size_t ky = 0; ky < s->kh; ky++)
            for (size_t kx = 0; kx < s->kw; kx++) {
                ptrdiff_t offset = (ptrdiff_t)kx - (ptrdiff_t)s->pw;
                size_t first, last;
                valid_range(&first, &last, s->ow, s->w, s->sw, offset);
                for (size_t r = r0; r < r1; r++, columns += s->ow) {
                    size_t n = r / s->oh, iy;
                    if (!input_at(&iy, r % s->oh, ky, s->sh, s->ph, s->h)) continue;
                    real *to = dx + ((c * s->n + n) * s->h + iy) * s->w +
                               ((ptrdiff_t)(first * s->sw) + offset);
                    for (size_t i = first; i < last; i++) to[(i - first) * s->sw] += columns[i];
                }
            }
}

/* Output channels [o0, o1) of rows [r0, r1). bias (co) or NULL. columns:
 * scratch for ci*kh*kw * (r1-r0)*ow values. */
static void conv_forward(real *y, const real *x, const real *w, const real *bias, const nn_conv *s,
                         bool add, size_t r0, size_t r1, size_t o0, size_t o1, real *columns) {
    size_t taps = s->ci * s->kh * s->kw, width = (r1 - r0) * s->ow, all = s->n * s->oh * s->ow;
    const real *seen = columns;
    size_t stride = width;
    if (is_pointwise(s)) {
        seen = x + r0 * s->ow;
        stride = all;
    } else {
        im2col(columns, x, s, 0, s->ci, r0, r1);
    }
    y += o0 * all + r0 * s->ow;
    NN_GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)(o1 - o0), (blasint)width,
            (blasint)taps, 1, w + o0 * taps, (blasint)taps, seen, (blasint)stride, add ? 1 : 0, y,
            (blasint)all);
    if (bias == NULL) return;
    for (size_t o = o0; o < o1; o++, y += all)
        for (size_t i = 0; i < width; i++) y[i] += bias[o];
}

/* flipped (ci, co, kh, kw) <- w (co, ci, kh, kw) turned by 180 degrees, input
 * channel c. conv_forward of dy with it and nn_conv_dual gives dx. */
static void conv_flip(real *flipped, const real *w, const nn_conv *s, size_t c) {
    size_t taps = s->kh * s->kw;
    real *to = flipped + c * s->co * taps;
    for (size_t o = 0; o < s->co; o++, to += taps) {
        const real *from = w + (o * s->ci + c) * taps;
        for (size_t k = 0; k < taps; k++) to[k] = from[taps - 1 - k];
    }
}

/* dx of samples [n0, n1), any stride. columns as in conv_forward, for
 * nn_conv_strip(s) rows. */
static void conv_backward_input(real *dx, const real *dy, const real *w, const nn_conv *s, bool add,
                                size_t n0, size_t n1, real *columns) {
    size_t taps = s->ci * s->kh * s->kw, all = s->n * s->oh * s->ow, plane = s->h * s->w;
    if (!add)
        for (size_t c = 0; c < s->ci; c++)
            memset(dx + (c * s->n + n0) * plane, 0, (n1 - n0) * plane * sizeof *dx);
    size_t rows = nn_conv_strip(s), end = n1 * s->oh;
    for (size_t r0 = n0 * s->oh; r0 < end; r0 += rows) {
        size_t r1 = r0 + rows < end ? r0 + rows : end, width = (r1 - r0) * s->ow;
        NN_GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)taps, (blasint)width,
                (blasint)s->co, 1, w, (blasint)taps, dy + r0 * s->ow, (blasint)all, 0, columns,
                (blasint)width);
        col2im(dx, columns, s, r0, r1);
    }
}

/* dw[:, c0..c1] += dy x, over all rows in order. columns: scratch for
 * (c1-c0)*kh*kw * rows*ow values, rows = nn_conv_strip(s). */
static void conv_backward_weight(real *dw, const real *x, const real *dy, const nn_conv *s,
                                 size_t c0, size_t c1, real *columns) {
    size_t taps = s->kh * s->kw, all = s->n * s->oh * s->ow, end = s->n * s->oh;
    size_t rows = nn_conv_strip(s);
    bool pointwise = is_pointwise(s);
    for (size_t r0 = 0; r0 < end; r0 += rows) {
        size_t r1 = r0 + rows < end ? r0 + rows : end, width = (r1 - r0) * s->ow;
        if (!pointwise) im2col(columns, x, s, c0, c1, r0, r1);
        const real *seen = pointwise ? x + c0 * all + r0 * s->ow : columns;
        NN_GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)s->co,
                (blasint)((c1 - c0) * taps), (blasint)width, 1, dy + r0 * s->ow, (blasint)all, seen,
                (blasint)(pointwise ? all : width), 1, dw + c0 * taps, (blasint)(s->ci * taps));
    }
}

static void conv_backward_bias(real *db, const real *dy, const nn_conv *s, size_t o) {
    double sum = 0;
    size_t all = s->n * s->oh * s->ow;
    for (size_t i = 0; i < all; i++) sum += (double)dy[o * all + i];
    db[o] += (real)sum;
}

/* --- the definition, in loops: the yardstick of the fast ones
 * ----------------------------------------------------------- */

/* Calls BODY with the positions yi, xi, wi of every product of the sum. */
#define NN_EVERY_PRODUCT(s, BODY)                                                        \
    for (size_t o = 0; o < s->co; o++)                                                   \
        for (size_t n = 0; n < s->n; n++)                                                \
            for (size_t oy = 0; oy < s->oh; oy++)                                        \
                for (size_t ox = 0; ox < s->ow; ox++) {                                  \
                    size_t yi = ((o * s->n + n) * s->oh + oy) * s->ow + ox;              \
                    for (size_t c = 0; c < s->ci; c++)                                   \
                        for (size_t ky = 0; ky < s->kh; ky++)                            \
                            for (size_t kx = 0; kx < s->kw; kx++) {                      \
                                size_t iy, ix;                                           \
                                if (!input_at(&iy, oy, ky, s->sh, s->ph, s->h) ||        \
                                    !input_at(&ix, ox, kx, s->sw, s->pw, s->w))          \
                                    continue;                                            \
                                size_t xi = ((c * s->n + n) * s->h + iy) * s->w + ix;    \
                                size_t wi = ((o * s->ci + c) * s->kh + ky) * s->kw + kx; \
                                BODY;                                                    \
                            }                                                            \
                }

static void conv_plain_forward(real *y, const real *x, const real *w, const real *bias,
                               const nn_conv *s) {
    size_t all = s->n * s->oh * s->ow;
    for (size_t o = 0; o < s->co; o++)
        for (size_t i = 0; i < all; i++) y[o * all + i] = bias != NULL ? bias[o] : 0;
    NN_EVERY_PRODUCT(s, y[yi] += x[xi] * w[wi])
}

static void conv_plain_backward_input(real *dx, const real *dy, const real *w, const nn_conv *s,
                                      bool add) {
    if (!add) memset(dx, 0, s->ci * s->n * s->h * s->w * sizeof *dx);
    NN_EVERY_PRODUCT(s, dx[xi] += dy[yi] * w[wi])
}

static void conv_plain_backward_weight(real *dw, const real *x, const real *dy, const nn_conv *s) {
    NN_EVERY_PRODUCT(s, dw[wi] += dy[yi] * x[xi])
}

#undef NN_EVERY_PRODUCT

/* --- passes: an item is fixed by shapes alone, and writes memory of its own ------------ */

struct strips {
    const nn_run *r;
    nn_conv s;
    real *y;
    const real *x, *w, *bias;
    bool add;
    size_t rows, strips, outputs, blocks;
};

static void strip_item(void *context, size_t i, int worker) {
    const struct strips *k = context;
    size_t r0 = i / k->blocks * k->rows, o0 = i % k->blocks * k->outputs;
    size_t r1 = smaller(r0 + k->rows, k->s.n * k->s.oh), o1 = smaller(o0 + k->outputs, k->s.co);
    conv_forward(k->y, k->x, k->w, k->bias, &k->s, k->add, r0, r1, o0, o1,
                 scratch_of(k->r, worker));
}

/* y = conv(x, w), by strips of rows; where these are few (one small map), also
 * by blocks of output channels, so that there is work for several threads. */
static void run_strips(struct strips *k) {
    k->rows = nn_conv_strip(&k->s);
    k->strips = parts(k->s.n * k->s.oh, k->rows);
    k->blocks = smaller(parts(4, k->strips), parts(k->s.co, 64));
    k->outputs = parts(k->s.co, k->blocks);
    bc_pool_run(k->r->pool, strip_item, k, k->strips * k->blocks);
}

void NN(nn_conv_pass)(const nn_run *r) {
    struct strips k = {.r = r,
                       .s = nn_layer_conv(r->layer, r->n),
                       .y = r->out,
                       .x = r->in[0],
                       .w = r->tensor[NN_WEIGHT],
                       .bias = r->tensor[NN_BIAS]};
    enum nn_algorithm how = nn_conv_algorithm(r->layer, r->n, sizeof(real) != sizeof(float));
    if (how == NN_CONV_PLAIN)
        conv_plain_forward(k.y, k.x, k.w, k.bias, &k.s);
    else if (nn_is_fast(how))
        nn_fast_forward(r, &k.s, how);
    else
        run_strips(&k);
}

struct conv_work {
    const nn_run *r;
    nn_conv s;
    const real *dy;
    size_t channels, samples;
};

static void weight_item(void *context, size_t i, int worker) {
    const struct conv_work *k = context;
    size_t c0 = i * k->channels;
    conv_backward_weight(k->r->grad[NN_WEIGHT], k->r->in[0], k->dy, &k->s, c0,
                         smaller(c0 + k->channels, k->s.ci), scratch_of(k->r, worker));
}

static void bias_item(void *context, size_t o, int worker) {
    const struct conv_work *k = context;
    enum nn_storage as = k->r->out_as;
    (void)worker;
    if (as == NN_AS_BF16 || as == NN_AS_F16) {
        size_t all = k->s.n * k->s.oh * k->s.ow;
        ((real *)k->r->grad[NN_BIAS])[o] +=
            (real)nn_sum_stored((const uint16_t *)k->r->grad_out + o * all, as, all);
        return;
    }
    conv_backward_bias(k->r->grad[NN_BIAS], k->dy, &k->s, o);
}

static void flip_item(void *context, size_t c, int worker) {
    const struct conv_work *k = context;
    (void)worker;
    conv_flip(k->r->temporary, k->r->tensor[NN_WEIGHT], &k->s, c);
}

static void input_item(void *context, size_t i, int worker) {
    const struct conv_work *k = context;
    size_t n0 = i * k->samples;
    conv_backward_input(k->r->grad_in[0], k->dy, k->r->tensor[NN_WEIGHT], &k->s, k->r->add[0], n0,
                        smaller(n0 + k->samples, k->s.n), scratch_of(k->r, worker));
}

static void conv_input_gradient(struct conv_work *k) {
    const nn_run *r = k->r;
    struct strips t = {.r = r, .y = r->grad_in[0], .x = k->dy, .w = r->temporary, .add = r->add[0]};
    if (nn_conv_dual(&t.s, &k->s)) {
        bc_pool_run(r->pool, flip_item, k, k->s.ci);
        run_strips(&t);
        return;
    }
    k->samples = larger(1, 128 / (k->s.oh * k->s.ow));
    bc_pool_run(r->pool, input_item, k, parts(k->s.n, k->samples));
}

void NN(nn_conv_back)(const nn_run *r) {
    struct conv_work k = {.r = r, .s = nn_layer_conv(r->layer, r->n), .dy = r->grad_out};
    if (r->grad[NN_BIAS] != NULL) bc_pool_run(r->pool, bias_item, &k, k.s.co);
    enum nn_algorithm how = nn_conv_algorithm(r->layer, r->n, sizeof(real) != sizeof(float));
    if (how == NN_CONV_PLAIN) {
        conv_plain_backward_weight(r->grad[NN_WEIGHT], r->in[0], k.dy, &k.s);
        if (r->grad_in[0] != NULL)
            conv_plain_backward_input(r->grad_in[0], k.dy, r->tensor[NN_WEIGHT], &k.s, r->add[0]);
        return;
    }
    if (nn_is_fast(how)) {
        nn_fast_back(r, &k.s, how);
        return;
    }
    k.channels = weight_channels(&k.s);
    bc_pool_run(r->pool, weight_item, &k, parts(k.s.ci, k.channels));
    if (r->grad_in[0] != NULL) conv_input_gradient(&k);
}

#ifndef NN_DOUBLE
static const char *const algorithms[] = {"auto", "winograd", "direct", "planar", "bf16", "im2col", "plain", NULL};
static const nn_option conv_options[] = {{"out", NN_SIZE, NAN, 1, NULL},
                                         {"kernel", NN_PAIR, NAN, 1, NULL},
                                         {"stride", NN_PAIR, 1, 1, NULL},
                                         {"padding", NN_PAIR, 0, 0, NULL},
                                         {"bias", NN_SWITCH, 0, 0, NULL},
                                         {"algorithm", NN_CHOICE, NN_CONV_AUTO, 0, algorithms},
                                         NN_END};

static int build_conv(nn_graph *g, nn_layer *l, bc_error *e) {
    const double *o = l->option;
    nn_conv w = {.kh = (size_t)o[CONV_KH],
                 .kw = (size_t)o[CONV_KW],
                 .sh = (size_t)o[CONV_SH],
                 .sw = (size_t)o[CONV_SW],
                 .ph = (size_t)o[CONV_PH],
                 .pw = (size_t)o[CONV_PW]};
    int rc = nn_build_window(l, (size_t)o[CONV_OUT], w, e);
    if (rc != BC_OK) return rc;
    if (o[CONV_ALGORITHM] == NN_CONV_WINOGRAD && !nn_winograd_can(&l->window))
        return bc_fail(e, "layer '%s': winograd needs a 3x3 kernel, stride 1, padding up to 2",
                       l->name);
    if (o[CONV_ALGORITHM] == NN_CONV_PLANAR && !nn_planar_can(&l->window))
        return bc_fail(e, "layer '%s': planar takes windows of at most %d values", l->name,
                       NN_PLANAR_TAPS);
    int64_t shape[4] = {(int64_t)l->window.co, (int64_t)l->window.ci, (int64_t)w.kh, (int64_t)w.kw};
    return nn_build_weights(g, l, 4, shape, o[CONV_BIAS] != 0, e);
}

static double conv_work(const nn_layer *l) {
    const nn_conv *w = &l->window;
    return (double)(w->co * w->oh * w->ow) * (double)(w->ci * w->kh * w->kw);
}

const nn_kind nn_kind_conv2d = {.name = "conv2d",
                                .inputs = 1,
                                .flags = NN_KEEPS_INPUT,
                                .options = conv_options,
                                .build = build_conv,
                                .temporary = nn_conv_temporary,
                                .scratch = nn_conv_scratch,
                                .narrow = nn_conv_narrow,
                                .multiply_adds = conv_work,
                                .forward = NN_IN_BOTH(nn_conv_pass),
                                .backward = NN_IN_BOTH(nn_conv_back)};

/* Linear over all values of a sample: a convolution with one window. */
static const nn_option linear_options[] = {
    {"out", NN_SIZE, NAN, 1, NULL}, {"bias", NN_SWITCH, 1, 0, NULL}, NN_END};

static int build_linear(nn_graph *g, nn_layer *l, bc_error *e) {
    nn_conv w = {.kh = l->in.h, .kw = l->in.w, .sh = 1, .sw = 1};
    int rc = nn_build_window(l, (size_t)l->option[LINEAR_OUT], w, e);
    if (rc != BC_OK) return rc;
    int64_t shape[2] = {(int64_t)l->window.co, (int64_t)nn_volume(l->in)};
    return nn_build_weights(g, l, 2, shape, l->option[LINEAR_BIAS] != 0, e);
}

const nn_kind nn_kind_linear = {.name = "linear",
                                .inputs = 1,
                                .flags = NN_KEEPS_INPUT,
                                .options = linear_options,
                                .build = build_linear,
                                .temporary = nn_conv_temporary,
                                .scratch = nn_conv_scratch,
                                .narrow = nn_conv_narrow,
                                .multiply_adds = conv_work,
                                .forward = NN_IN_BOTH(nn_conv_pass),
                                .backward = NN_IN_BOTH(nn_conv_back)};
#endif
