/* decibel.c: decibels of a mel spectrogram: an item is one plane. Once over a small input: clarity
 * before speed. */
#include <math.h>

#include "real.h"

enum { DECIBEL_LEAST };

NN_PASSES(decibel);

/* y = 10 log10(max(x, least)): finite for silence if least > 0. y may be x. */
static void decibel_forward(real *y, const real *x, double least, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        y[i] = (real)(10 * log10(v < least ? least : v));
    }
}

static void decibel_backward(real *dx, const real *dy, const real *x, double least, bool add,
                             size_t n) {
    const double factor = 10 / log(10.0);
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], d = v < least ? 0 : (double)dy[i] * factor / v;
        dx[i] = (real)(d + (add ? (double)dx[i] : 0));
    }
}

static void decibel_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t plane = r->layer->in.h * r->layer->in.w;
    (void)worker;
    decibel_forward((real *)r->out + i * plane, (const real *)r->in[0] + i * plane,
                    r->layer->option[DECIBEL_LEAST], plane);
}

static void decibel_back_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t plane = r->layer->in.h * r->layer->in.w, at = i * plane;
    (void)worker;
    decibel_backward((real *)r->grad_in[0] + at, (const real *)r->grad_out + at,
                     (const real *)r->in[0] + at, r->layer->option[DECIBEL_LEAST], r->add[0],
                     plane);
}

void NN(nn_decibel_pass)(const nn_run *r) {
    nn_run_items(r, decibel_item, r->n * r->layer->in.c);
}
void NN(nn_decibel_back)(const nn_run *r) {
    nn_run_items(r, decibel_back_item, r->n * r->layer->in.c);
}

#ifndef NN_DOUBLE
static const nn_option decibel_options[] = {{"least", NN_NUMBER, 1e-10, 1e-300, NULL}, NN_END};

const nn_kind nn_kind_decibel = {.name = "decibel",
                                 .inputs = 1,
                                 .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_WIDE,
                                 .options = decibel_options,
                                 .build = nn_build_same,
                                 .forward = NN_IN_BOTH(nn_decibel_pass),
                                 .backward = NN_IN_BOTH(nn_decibel_back)};
#endif
