/* pcen.c: per-channel energy normalisation: an item is one plane. */
#include <math.h>

#include "real.h"

enum { PCEN_RATE, PCEN_SCALE, PCEN_TIME, PCEN_GAIN, PCEN_BIAS, PCEN_POWER, PCEN_EPS };

NN_PASSES(pcen);

/* Per-channel energy normalisation (Wang et al., 2017) of one band over n
 * frames, as librosa.pcen: M follows scale*x with coefficient b, M = 1 before
 * the first frame; y = (scale*x / (eps+M)^gain + bias)^power - bias^power.
 * Needs bias > 0, power > 0, eps > 0. y may be x. */
typedef struct nn_pcen {
    double scale, b, gain, bias, power, eps;
} nn_pcen;
static void pcen_forward(real *y, const real *x, const nn_pcen *o, size_t n) {
    double m = 1, rest = pow(o->bias, o->power);
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i] * o->scale;
        m = o->b * v + (1 - o->b) * m;
        /* expm1 and log1p keep the digits that small values would lose */
        double u = v * exp(-o->gain * (log(o->eps) + log1p(m / o->eps)));
        y[i] = (real)(rest * expm1(o->power * log1p(u / o->bias)));
    }
}

static void pcen_backward(real *dx, const real *dy, const real *x, const nn_pcen *o, bool add,
                          double *smooth, size_t n) {
    double m = 1;
    for (size_t i = 0; i < n; i++) smooth[i] = m = o->b * (double)x[i] * o->scale + (1 - o->b) * m;
    double dm = 0; /* gradient of M at this frame, through all later frames */
    for (size_t i = n; i-- > 0;) {
        double v = (double)x[i] * o->scale, base = o->eps + smooth[i];
        double divided = pow(base, -o->gain), u = v * divided;
        double du = (double)dy[i] * o->power * pow(u + o->bias, o->power - 1);
        dm = dm * (1 - o->b) - du * o->gain * u / base;
        double d = (du * divided + dm * o->b) * o->scale;
        dx[i] = (real)(d + (add ? (double)dx[i] : 0));
    }
}

/* librosa's coefficient for a time constant of T frames. */
static nn_pcen pcen_of(const nn_layer *l) {
    const double *o = l->option;
    double t = o[PCEN_TIME] * o[PCEN_RATE];
    return (nn_pcen){.scale = o[PCEN_SCALE],
                     .b = (sqrt(1 + 4 * t * t) - 1) / (2 * t * t),
                     .gain = o[PCEN_GAIN],
                     .bias = o[PCEN_BIAS],
                     .power = o[PCEN_POWER],
                     .eps = o[PCEN_EPS]};
}

static void pcen_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t n = r->layer->in.w, h = r->layer->in.h;
    nn_pcen o = pcen_of(r->layer);
    (void)worker;
    for (size_t at = i * h * n; at < (i + 1) * h * n; at += n)
        pcen_forward((real *)r->out + at, (const real *)r->in[0] + at, &o, n);
}

static void pcen_back_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t n = r->layer->in.w, h = r->layer->in.h;
    nn_pcen o = pcen_of(r->layer);
    for (size_t at = i * h * n; at < (i + 1) * h * n; at += n)
        pcen_backward((real *)r->grad_in[0] + at, (const real *)r->grad_out + at,
                      (const real *)r->in[0] + at, &o, r->add[0], scratch_of(r, worker), n);
}

void NN(nn_pcen_pass)(const nn_run *r) {
    nn_run_items(r, pcen_item, r->n * r->layer->in.c);
}
void NN(nn_pcen_back)(const nn_run *r) {
    nn_run_items(r, pcen_back_item, r->n * r->layer->in.c);
}

#ifndef NN_DOUBLE
/* librosa.pcen's defaults; scale 2^31 is what its documentation advises for
 * samples in -1..1. */
static const nn_option pcen_options[] = {
    {"frame_rate", NN_NUMBER, NAN, 1e-9, NULL},    {"scale", NN_NUMBER, 0x1p31, 0, NULL},
    {"time_constant", NN_NUMBER, 0.4, 1e-9, NULL}, {"gain", NN_NUMBER, 0.98, 0, NULL},
    {"bias", NN_NUMBER, 2, 1e-30, NULL},           {"power", NN_NUMBER, 0.5, 1e-30, NULL},
    {"eps", NN_NUMBER, 1e-6, 1e-30, NULL},         NN_END};

static size_t pcen_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    (void)n, (void)p;
    return l->in.w * sizeof(double);
}

const nn_kind nn_kind_pcen = {.name = "pcen",
                              .inputs = 1,
                              .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_WIDE,
                              .options = pcen_options,
                              .build = nn_build_same,
                              .scratch = pcen_scratch,
                              .forward = NN_IN_BOTH(nn_pcen_pass),
                              .backward = NN_IN_BOTH(nn_pcen_back)};
#endif
