/* cens.c: from chroma to CENS. */
#include "cens.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "../spectral/stft.h"
#include "../support/clones.h"
#include "cqt.h"

enum { CHROMA = 12 };

void cens_quantize(float *out, const float *in, size_t frames) {
    for (size_t t = 0; t < frames; t++) {
        double sum = 0;
        for (size_t c = 0; c < CHROMA; c++) sum += fabs((double)in[c * frames + t]);
        if (sum < FLT_MIN) sum = 1;
        for (size_t c = 0; c < CHROMA; c++) {
            float v = (float)(in[c * frames + t] / sum);
            out[c * frames + t] =
                0.25f * (float)((v > 0.4f) + (v > 0.2f) + (v > 0.1f) + (v > 0.05f));
        }
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

static void normalize(float *x, size_t frames) {
    for (size_t t = 0; t < frames; t++) {
        double sum = 0;
        for (size_t c = 0; c < CHROMA; c++) sum += (double)x[c * frames + t] * x[c * frames + t];
        double norm = sqrt(sum);
        if (norm < FLT_MIN) continue;
        for (size_t c = 0; c < CHROMA; c++) x[c * frames + t] = (float)(x[c * frames + t] / norm);
    }
}

int cens_smooth(float *out, const float *in, size_t frames, size_t smoothing) {
    size_t taps = smoothing > 0 ? smoothing + 2 : 1;
    double *w = malloc(taps * sizeof *w), sum = 0;
    if (w == NULL) return BC_NOMEM;
    hann_symmetric(w, taps);
    for (size_t i = 0; i < taps; i++) sum += w[i];
    for (size_t i = 0; i < taps; i++) w[i] /= sum;
    for (size_t c = 0; c < CHROMA; c++)
        convolve(out + c * frames, in + c * frames, frames, w, taps);
    normalize(out, frames);
    free(w);
    return BC_OK;
}

int cens(float *out, const float *samples, size_t n, const cqt_plan *p, size_t smoothing) {
    size_t frames = cqt_frames(&p->o, n);
    float *chroma = malloc((CHROMA * frames + 1) * sizeof *chroma);
    if (chroma == NULL) return BC_NOMEM;
    int rc = cqt_chroma(chroma, samples, n, p);
    if (rc == BC_OK) {
        cens_quantize(chroma, chroma, frames);
        rc = cens_smooth(out, chroma, frames, smoothing);
    }
    free(chroma);
    return rc;
}

/* NaN and infinity are the numbers with all bits of the exponent set. */
typedef uint32_t float_bits __attribute__((may_alias));

BC_CLONES static uint32_t any_bad(const float_bits *bits, size_t n) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) bad |= (bits[i] & 0x7f800000) == 0x7f800000;
    return bad;
}

size_t cens_first_bad(const float *samples, size_t n) {
    enum { BLOCK = 65536 };
    for (size_t at = 0; at < n; at += BLOCK) {
        if (!any_bad((const float_bits *)samples + at, n - at < BLOCK ? n - at : BLOCK)) continue;
        while (isfinite(samples[at])) at++;
        return at;
    }
    return n;
}
