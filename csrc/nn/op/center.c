/* center.c: a clip, or each of its bands, less its mean: an item is one plane. */
#include <math.h>

#include "real.h"

enum { CENTER_OVER, CENTER_SCALE };

NN_PASSES(center);

enum { OVER_CLIP, OVER_BAND };

/* y = (x - mean(x)) * scale; y may be x. */
static double mean_of(const real *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    return sum / (double)n;
}

static void center_forward(real *y, const real *x, double scale, size_t n) {
    double mean = mean_of(x, n);
    for (size_t i = 0; i < n; i++) y[i] = (real)(((double)x[i] - mean) * scale);
}

static void center_backward(real *dx, const real *dy, double scale, bool add, size_t n) {
    double mean = mean_of(dy, n);
    for (size_t i = 0; i < n; i++)
        dx[i] = (real)(((double)dy[i] - mean) * scale + (add ? (double)dx[i] : 0));
}

/* Center over a plane (clip) or over each of its rows (band). */
static void center_extent(size_t *rows, size_t *n, const nn_layer *l) {
    bool band = l->option[CENTER_OVER] == OVER_BAND;
    *rows = band ? l->in.h : 1;
    *n = band ? l->in.w : l->in.h * l->in.w;
}

static void center_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t rows, n;
    (void)worker;
    center_extent(&rows, &n, r->layer);
    for (size_t at = i * rows * n, end = at + rows * n; at < end; at += n)
        center_forward((real *)r->out + at, (const real *)r->in[0] + at,
                       r->layer->option[CENTER_SCALE], n);
}

static void center_back_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t rows, n;
    (void)worker;
    center_extent(&rows, &n, r->layer);
    for (size_t at = i * rows * n, end = at + rows * n; at < end; at += n)
        center_backward((real *)r->grad_in[0] + at, (const real *)r->grad_out + at,
                        r->layer->option[CENTER_SCALE], r->add[0], n);
}

void NN(nn_center_pass)(const nn_run *r) {
    nn_run_items(r, center_item, r->n * r->layer->in.c);
}
void NN(nn_center_back)(const nn_run *r) {
    nn_run_items(r, center_back_item, r->n * r->layer->in.c);
}

#ifndef NN_DOUBLE
static const char *const center_over[] = {"clip", "band", NULL};
static const nn_option center_options[] = {{"over", NN_CHOICE, OVER_CLIP, 0, center_over},
                                           {"scale", NN_NUMBER, 1, -HUGE_VAL, NULL},
                                           NN_END};

const nn_kind nn_kind_center = {.name = "center",
                                .inputs = 1,
                                .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_WIDE,
                                .options = center_options,
                                .build = nn_build_same,
                                .forward = NN_IN_BOTH(nn_center_pass),
                                .backward = NN_IN_BOTH(nn_center_back)};
#endif
