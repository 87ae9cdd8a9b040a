/* tuning.c: spectral peaks and the histogram of their deviations. */
#include "tuning.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/batch.h"
#include "../spectral/frames.h"
#include "../spectral/stft.h"
#include "../support/clones.h"
#include "../support/interrupt.h"

enum {
    LANES = BATCH_F64,
    N_FFT = 2048,
    HOP = 512,
    BINS = N_FFT / 2 + 1,
    STEPS = 100, /* of the histogram, over one bin of 36 an octave */
};

/* Peaks of all frames: strength and place in the histogram. */
typedef struct peaks {
    float *strength;
    unsigned char *step;
    size_t count, room;
} peaks;

static int peaks_add(peaks *p, float strength, unsigned char step) {
    if (p->count == p->room) {
        size_t room = p->room > 0 ? 2 * p->room : 4096;
        float *a = realloc(p->strength, room * sizeof *a);
        if (a == NULL) return BC_NOMEM;
        p->strength = a;
        unsigned char *b = realloc(p->step, room);
        if (b == NULL) return BC_NOMEM;
        p->step = b;
        p->room = room;
    }
    p->strength[p->count] = strength;
    p->step[p->count++] = step;
    return BC_OK;
}

/* Left edge of a step, as numpy.linspace(-0.5, 0.5, 101) has it. */
static double edge_of(int step) { return step < STEPS ? step * 0.01 - 0.5 : 0.5; }

/* The step that a frequency's deviation from its nearest bin falls in. */
static int step_of(float hz) {
    float bins = 36 * log2f(hz / 27.5f);
    float off = bins - floorf(bins);
    if (off >= 0.5f) off -= 1;
    int step = (int)((off + 0.5) * STEPS);
    if (step > STEPS - 1) step = STEPS - 1;
    while (step > 0 && off < edge_of(step)) step--;
    while (step < STEPS - 1 && off >= edge_of(step + 1)) step++;
    return step;
}

/* s (last-first, 8) = |X| in f32, of X (last-first, 2, 8) rounded to f32. */
BC_CLONES static void magnitudes(float *restrict s, const double *restrict x, size_t count) {
    for (size_t k = 0; k < count; k++)
        for (int l = 0; l < LANES; l++) {
            double re = (float)x[k * 2 * LANES + (size_t)l];
            double im = (float)x[k * 2 * LANES + LANES + (size_t)l];
            s[k * LANES + (size_t)l] = sqrtf((float)(re * re + im * im));
        }
}

BC_CLONES static void largest(double *restrict out, const double *restrict power) {
    for (int l = 0; l < LANES; l++) out[l] = 0;
    for (size_t k = 0; k < BINS; k++)
        for (int l = 0; l < LANES; l++)
            out[l] = out[l] > power[k * LANES + (size_t)l] ? out[l] : power[k * LANES + (size_t)l];
}

/* Frequencies first..last-1 may be peaks; the spectrum is known one further. */
typedef struct range {
    size_t first, last;
    double hz; /* of bin 1 */
} range;

static range range_of(double sample_rate) {
    range r = {.first = 1, .hz = sample_rate / N_FFT};
    double top = fmin(4000, sample_rate / 2);
    while (r.first < BINS && (double)r.first * r.hz < 150) r.first++;
    r.last = r.first;
    while (r.last < BINS - 1 && (double)r.last * r.hz < top) r.last++;
    return r;
}

/* The parabola through s[k-1], s[k], s[k+1], one lane: where its top is from k,
 * and how high. With librosa's mixture of f32 and f64. */
static float parabola(float *strength, float before, float here, float after) {
    double a = (double)(before + after) - 2.0 * here, b = (double)(after - before) / 2;
    float shift = fabs(b) >= fabs(a) ? 0 : (float)(-b / a);
    *strength = here + 0.5f * ((after - before) / 2) * shift;
    return shift;
}

/* The peaks among lanes frames; s (., 8) begins with bin r->first - 1. */
static int find_peaks(peaks *p, const float *s, const double *power, const range *r, size_t lanes) {
    double most[LANES];
    largest(most, power);
    for (size_t l = 0; l < lanes; l++) {
        float least = 0.1f * sqrtf((float)most[l]);
        const float *at = s + l;
        for (size_t k = r->first; k < r->last; k++, at += LANES) {
            float before = at[0], here = at[LANES], after = at[2 * LANES], strength;
            if (!(here > least)) continue;
            if (!(here > (before > least ? before : 0) && here >= (after > least ? after : 0)))
                continue;
            float shift = parabola(&strength, before, here, after);
            float hz = (float)(((double)k + (double)shift) * r->hz);
            if (!(hz > 0)) continue;
            int rc = peaks_add(p, strength, (unsigned char)step_of(hz));
            if (rc != BC_OK) return rc;
        }
    }
    return BC_OK;
}

/* The k-th smallest of x (n), which is put in another order. */
static float select_kth(float *x, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = x[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i >= j) break;
            float t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        /* x[low..i-1] <= pivot <= x[i..high] or so; keep the side of k */
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return x[k];
}

static int median(float *out, const float *x, size_t n) {
    float *copy = malloc(n * sizeof *copy);
    if (copy == NULL) return BC_NOMEM;
    memcpy(copy, x, n * sizeof *copy);
    *out = select_kth(copy, n, n / 2);
    if (n % 2 == 0) *out = (select_kth(copy, n / 2, n / 2 - 1) + *out) / 2;
    free(copy);
    return BC_OK;
}

/* The left edge of the fullest step, the first of equals. */
static int vote(double *tuning, const peaks *p) {
    size_t count[STEPS] = {0};
    float least = 0;
    if (p->count == 0) {
        *tuning = 0;
        return BC_OK;
    }
    int best = 0, rc = median(&least, p->strength, p->count);
    for (size_t i = 0; i < p->count; i++)
        if (p->strength[i] >= least) count[p->step[i]]++;
    for (int i = 1; i < STEPS; i++)
        if (count[i] > count[best]) best = i;
    *tuning = edge_of(best);
    return rc;
}

typedef struct scratch {
    float edge[LANES][N_FFT];
    double window[N_FFT];
    double frame[N_FFT][LANES];
    double power[BINS][LANES];
    double spectrum[BINS + 1][2][LANES];
    float s[BINS + 1][LANES];
} scratch;

static int collect(peaks *p, scratch *s, const frame_view *v, double sample_rate) {
    const batch_plan *fft = batch_get(N_FFT / 2);
    if (fft == NULL) return BC_NOMEM;
    const range r = range_of(sample_rate);
    const size_t frames = 1 + v->n / HOP, last = r.last + 1;
    hann_periodic(s->window, N_FFT);
    for (size_t t = 0; r.first < r.last && t < frames; t += LANES) {
        if (bc_interrupted()) return BC_STOPPED;
        const float *lane[LANES];
        frames_locate(lane, s->edge[0], v, t, frames, LANES);
        frames_gather_f64(s->frame[0], lane, s->window, N_FFT);
        batch_fft_f64(s->frame[0], fft);
        batch_power_f64(s->power[0], s->frame[0], fft);
        batch_real_f64(s->spectrum[0][0], s->frame[0], r.first - 1, last, fft);
        magnitudes(s->s[0], s->spectrum[0][0], last - (r.first - 1));
        int rc = find_peaks(p, s->s[0], s->power[0], &r, frames - t < LANES ? frames - t : LANES);
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}

int tuning_estimate(double *tuning, const float *samples, size_t n, double sample_rate) {
    peaks p = {0};
    *tuning = 0;
    if (n == 0) return BC_OK;
    scratch *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (s == NULL) return BC_NOMEM;
    frame_view v = {.samples = samples, .n = n, .first = -N_FFT / 2, .hop = HOP, .length = N_FFT};
    int rc = collect(&p, s, &v, sample_rate);
    if (rc == BC_OK) rc = vote(tuning, &p);
    free(s);
    free(p.strength);
    free(p.step);
    return rc;
}
