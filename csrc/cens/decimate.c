/* decimate.c: the low-pass by overlap-save, 16 blocks at a time.
 *
 * A block of 2048 samples is, taken as complex numbers, the even samples e and
 * the odd samples o: one FFT of 1024 points gives the spectra of both, and
 * every other output of the filter is h_even * e + h_odd * o (its polyphase
 * form). One inverse FFT gives 1024 outputs, of which those whose taps do not
 * reach over the ends of the block are kept. Direct sums would take four times
 * as long. */
#include "decimate.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/batch.h"
#include "../spectral/frames.h"
#include "../spectral/lanes.h"
#include "../support/cpu.h"
#include "../support/interrupt.h"

enum {
    LANES = BATCH_F32,
    POINTS = 1024,              /* even and odd samples of a block */
    HALF = POINTS / 2,          /* complex points of the inverse FFT */
    FIRST = DECIMATE_REACH / 2, /* the first output that is kept */
    KEPT = DECIMATE_BLOCK,      /* POINTS - 2 * FIRST - 2, a multiple of 4 */
};

/* Spectra of the taps with even and odd numbers, k = 0..512, times all scale
 * factors of the way. The even taps are symmetric about 0: a real spectrum. */
static struct { float even[HALF + 1], odd_re[HALF + 1], odd_im[HALF + 1]; } response;

/* Modified Bessel function of order 0. */
static double bessel(double x) {
    double sum = 1, term = 1;
    for (int k = 1; term > 1e-18 * sum; k++) {
        term *= x / (2 * k) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

void decimate_taps(double *h) {
    const double cutoff = 0.47843591, beta = 13.04003665, width = 194.5;
    for (int k = 0; k <= DECIMATE_REACH; k++) {
        double z = M_PI * cutoff * k, sinc = k > 0 ? sin(z) / z : 1;
        h[k] = cutoff * sinc * bessel(beta * sqrt(1 - k / width * (k / width))) / bessel(beta);
    }
}

static void fill_response(void) {
    double h[DECIMATE_REACH + 1], turn[POINTS];
    const double scale = sqrt(2.0) / (4 * HALF);
    decimate_taps(h);
    for (int i = 0; i < POINTS; i++) turn[i] = cos(2 * M_PI * i / POINTS);
    for (int f = 0; f <= HALF; f++) {
        double even = 0, re = 0, im = 0;
        for (int d = -FIRST; d <= FIRST; d++) {
            int angle = (f * (d + POINTS)) % POINTS; /* of e^(-i...) */
            even += h[abs(2 * d)] * turn[angle];
            if (abs(2 * d - 1) > DECIMATE_REACH) continue;
            re += h[abs(2 * d - 1)] * turn[angle];
            im += h[abs(2 * d - 1)] * turn[(angle + POINTS / 4) % POINTS]; /* -sin */
        }
        response.even[f] = (float)(scale * even);
        response.odd_re[f] = (float)(scale * re);
        response.odd_im[f] = (float)(scale * im);
    }
}

/* y[k] of w (HALF, 2, 16), imaginary part first, out of z (POINTS, 2, 16) as
 * the forward FFT left it. Four points of z make two of w: the spectra of e
 * and o at k and at 512-k, filtered, then put together as the spectrum of the
 * even outputs plus i times that of the odd ones. A forward FFT of numbers
 * with real and imaginary part exchanged is an inverse FFT, exchanged. */
BC_EACH_CPU(static, filter_blocks,
            (float *restrict w, const float *restrict z, const batch_plan *forward,
             const batch_plan *inverse),
            (w, z, forward, inverse)) {
    for (size_t k = 0; k <= HALF / 2; k++) {
        const size_t m = HALF - k;
        const float *a = z + forward->position[k] * (size_t)(2 * LANES);
        const float *b = z + forward->position[(POINTS - k) % POINTS] * (size_t)(2 * LANES);
        const float *c = z + forward->position[m] * (size_t)(2 * LANES);
        const float *d = z + forward->position[POINTS - m] * (size_t)(2 * LANES);
        const float even1 = response.even[k], even2 = response.even[m];
        const float odd1r = response.odd_re[k], odd1i = response.odd_im[k];
        const float odd2r = response.odd_re[m], odd2i = response.odd_im[m];
        const float tr = inverse->unpack_f32[2 * k], ti = -inverse->unpack_f32[2 * k + 1];
        float *low = w + k * 2 * LANES, *high = w + (m % HALF) * 2 * LANES;
        EACH_LANE(l, LANES) {
            float e1r = a[l] + b[l], e1i = a[LANES + l] - b[LANES + l];
            float o1r = a[LANES + l] + b[LANES + l], o1i = b[l] - a[l];
            float e2r = c[l] + d[l], e2i = c[LANES + l] - d[LANES + l];
            float o2r = c[LANES + l] + d[LANES + l], o2i = d[l] - c[l];
            float y1r = even1 * e1r + (odd1r * o1r - odd1i * o1i);
            float y1i = even1 * e1i + (odd1r * o1i + odd1i * o1r);
            float y2r = even2 * e2r + (odd2r * o2r - odd2i * o2i);
            float y2i = even2 * e2i + (odd2r * o2i + odd2i * o2r);
            float sr = y1r + y2r, si = y1i - y2i, dr = y1r - y2r, di = y1i + y2i;
            float ur = tr * dr - ti * di, ui = tr * di + ti * dr;
            high[l] = ur - si, high[LANES + l] = sr + ui;
            low[l] = si + ur, low[LANES + l] = sr - ui; /* last: high is low at k = 0 */
        }
    }
}

struct decimate_scratch {
    float in[LANES][2 * POINTS]; /* padded blocks */
    float z[2 * POINTS][LANES];
    float w[2 * HALF][LANES];
    float out[LANES][KEPT]; /* a block that reaches over the end */
    const float *row[KEPT];
    const batch_plan *forward, *inverse;
};

int decimate_scratch_new(decimate_scratch **out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_response);
    decimate_scratch *s = *out = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (s == NULL) return BC_NOMEM;
    s->forward = batch_get(POINTS);
    s->inverse = batch_get(HALF);
    if (s->forward == NULL || s->inverse == NULL) return BC_NOMEM;
    for (size_t i = 0; i < KEPT; i++) {
        size_t at = FIRST + i;
        s->row[i] = s->w[2 * s->inverse->position[at / 2] + (at % 2 == 0)];
    }
    return BC_OK;
}

void decimate_scratch_free(decimate_scratch *s) {
    free(s);
}

frame_view decimate_view(void) {
    return (frame_view){.first = -DECIMATE_REACH, .hop = 2 * KEPT, .length = 2 * POINTS};
}

/* Where the taps see nothing but zeros, the FFT left rounding errors of what
 * else was in the block; digital silence must stay silent. Output j sees the
 * 389 samples from low + 2j on; shorter runs of zeros than 194, of which some
 * may not be found, are of no account. */
static void silence(float *out, size_t count, const frame_view *v, ptrdiff_t low) {
    const ptrdiff_t reach = DECIMATE_REACH, n = (ptrdiff_t)v->n;
    const ptrdiff_t high = low + 2 * (ptrdiff_t)count - 1 + 2 * reach;
    const ptrdiff_t from = low > 0 ? low : 0, to = high < n ? high : n;
    const float *x = v->samples;
    for (ptrdiff_t i = from; i < to; i += reach) {
        if (x[i] != 0) continue;
        ptrdiff_t begin = i, end = i + 1;
        while (begin > from && x[begin - 1] == 0) begin--;
        while (end < to && x[end] == 0) end++;
        ptrdiff_t first = begin == from ? 0 : (begin - low + 1) / 2;
        ptrdiff_t seen = end - low - (2 * reach + 1); /* by the last output that is silent */
        ptrdiff_t last = end == to ? (ptrdiff_t)count : seen < 0 ? 0 : seen / 2 + 1;
        if (last > first) memset(out + first, 0, (size_t)(last - first) * sizeof *out);
        i = end; /* x[end] is not zero: go on behind it */
    }
}

void decimate_blocks(float *out, size_t count, decimate_scratch *s, const frame_view *v,
                     size_t block) {
    const size_t blocks = (count + KEPT - 1) / KEPT;
    const float *from[LANES];
    float *to[LANES];
    frames_locate(from, s->in[0], v, block, block + blocks, LANES);
    frames_gather_f32(s->z[0], from, NULL, 2 * POINTS);
    batch_fft_f32(s->z[0], s->forward);
    filter_blocks(s->w[0], s->z[0], s->forward, s->inverse);
    batch_fft_f32(s->w[0], s->inverse);
    for (size_t l = 0; l < LANES; l++) to[l] = (l + 1) * KEPT <= count ? out + l * KEPT : s->out[l];
    frames_scatter(to, s->row, KEPT);
    for (size_t l = 0; l < LANES && l * KEPT < count; l++)
        if (to[l] == s->out[l]) memcpy(out + l * KEPT, to[l], (count - l * KEPT) * sizeof *out);
    silence(out, count < LANES * KEPT ? count : LANES * KEPT, v,
            v->first + (ptrdiff_t)(block * v->hop));
}

int decimate(float *out, const float *x, size_t n) {
    if (n == 0) return BC_OK;
    decimate_scratch *s;
    frame_view v = decimate_view();
    v.samples = x;
    v.n = n;
    int rc = decimate_scratch_new(&s);
    for (size_t at = 0, count = (n + 1) / 2; rc == BC_OK && at < count; at += DECIMATE_BATCH) {
        if (bc_interrupted()) rc = BC_STOPPED;
        if (rc == BC_OK) decimate_blocks(out + at, count - at, s, &v, at / KEPT);
    }
    decimate_scratch_free(s);
    return rc;
}
