/* decibel.c: decibels of a mel spectrogram: an item is one plane. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "../../support/cpu.h"
#include "real.h"

enum { DECIBEL_LEAST };

NN_PASSES(decibel);

/* log10 of a positive normal number to the last place or so, in steps that become vectors; what
 * is infinite or NaN stays so. v = m 2^e with m in sqrt(1/2) .. sqrt(2), and log m is
 * 2 artanh((m - 1) / (m + 1)). */
static inline __attribute__((always_inline)) double log10_of(double v) {
    const uint64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
    const uint64_t fraction = 0x000fffffffffffff, two_52 = 0x4330000000000000;
    uint64_t bits, exponent, part;
    double e, m;
    memcpy(&bits, &v, sizeof bits);
    bits += one - root_half;
    exponent = bits >> 52 | two_52; /* as a double: 2^52 + e + 1023 */
    part = (bits & fraction) + root_half;
    memcpy(&e, &exponent, sizeof e);
    memcpy(&m, &part, sizeof m);
    double s = (m - 1) / (m + 1), q = s * s, sum = 1.0 / 21;
    sum = sum * q + 1.0 / 19, sum = sum * q + 1.0 / 17, sum = sum * q + 1.0 / 15;
    sum = sum * q + 1.0 / 13, sum = sum * q + 1.0 / 11, sum = sum * q + 1.0 / 9;
    sum = sum * q + 1.0 / 7, sum = sum * q + 1.0 / 5, sum = sum * q + 1.0 / 3;
    double log = 2 * (s + s * (q * sum));
    double result = (e - (0x1p52 + 1023)) * (M_LN2 / M_LN10) + log * (1 / M_LN10);
    return v <= DBL_MAX ? result : v;
}

/* y = 10 log10(max(x, least)): finite for silence if least > 0. y may be x. */
BC_EACH_CPU(static, decibel_forward, (real * y, const real *x, double least, size_t n),
            (y, x, least, n)) {
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        y[i] = (real)(10 * log10_of(v < least ? least : v));
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
