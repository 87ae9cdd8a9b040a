/* cens.c: from chroma to CENS. */
#include "cens.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/stft.h"

enum { CHROMA = 12 };

cens_options cens_defaults(void) {
    return (cens_options){.smoothing = 41,
                          .norm = CENS_NORM_2,
                          .levels = 4,
                          .step = {0.4f, 0.2f, 0.1f, 0.05f},
                          .weight = {0.25, 0.25, 0.25, 0.25}};
}

static float quantized(float v, const cens_options *o) {
    float q = 0;
    for (int i = 0; i < o->levels; i++)
        if (v > o->step[i]) q = (float)(q + o->weight[i]);
    return q;
}

void cens_quantize(float *out, const float *in, size_t frames, const cens_options *o) {
    for (size_t t = 0; t < frames; t++) {
        double sum = 0;
        for (size_t c = 0; c < CHROMA; c++) sum += fabs((double)in[c * frames + t]);
        if (sum < FLT_MIN) sum = 1;
        for (size_t c = 0; c < CHROMA; c++)
            out[c * frames + t] = quantized((float)(in[c * frames + t] / sum), o);
    }
}

/* out = in * w, both (frames); the taps of an even window have one more ahead. */
static void convolve(float *out, const float *in, size_t frames, const double *w, size_t taps) {
    const size_t behind = (taps - 1) / 2;
    for (size_t t = 0; t < frames; t++) {
        size_t first = t < behind ? behind - t : 0; /* of w */
        size_t last = taps < frames - t + behind ? taps : frames - t + behind;
        double sum = 0;
        for (size_t k = first; k < last; k++) sum += w[k] * in[t + k - behind];
        out[t] = (float)sum;
    }
}

static double norm_of(const float *x, size_t stride, enum cens_norm norm) {
    double sum = 0, most = 0;
    for (size_t c = 0; c < CHROMA; c++) {
        double v = fabs((double)x[c * stride]);
        sum += norm == CENS_NORM_2 ? v * v : v;
        most = fmax(most, v);
    }
    return norm == CENS_NORM_2 ? sqrt(sum) : norm == CENS_NORM_1 ? sum : most;
}

static void normalize(float *x, size_t frames, enum cens_norm how) {
    for (size_t t = 0; how != CENS_NORM_NONE && t < frames; t++) {
        double norm = norm_of(x + t, frames, how);
        if (norm < FLT_MIN) continue;
        for (size_t c = 0; c < CHROMA; c++) x[c * frames + t] = (float)(x[c * frames + t] / norm);
    }
}

/* x (12, frames) smoothed along time with a Hann window of `smoothing` + 2
 * values whose ends are 0 (0: not at all; what lies outside is 0), then each
 * frame divided by its norm (all-zero frames stay). BC_OK or BC_NOMEM. */
static int smooth(float *x, size_t frames, const cens_options *o) {
    size_t taps = o->smoothing > 0 ? o->smoothing + 2 : 1;
    double *w = malloc(taps * sizeof *w), sum = 0;
    float *row = malloc((frames + 1) * sizeof *row);
    bool ok = w != NULL && row != NULL;
    if (ok) {
        hann_symmetric(w, taps);
        for (size_t i = 0; i < taps; i++) sum += w[i];
        for (size_t i = 0; i < taps; i++) w[i] /= sum;
        for (size_t c = 0; c < CHROMA; c++) {
            memcpy(row, x + c * frames, frames * sizeof *row);
            convolve(x + c * frames, row, frames, w, taps);
        }
        normalize(x, frames, o->norm);
    }
    free(w);
    free(row);
    return ok ? BC_OK : BC_NOMEM;
}

int cens_of_chroma(float *x, size_t frames, const cens_options *o) {
    cens_quantize(x, x, frames, o);
    return smooth(x, frames, o);
}
