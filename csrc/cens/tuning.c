/* tuning.c: spectral peaks and the histogram of their deviations. */
#include "tuning.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/batch.h"
#include "../spectral/frames.h"
#include "../spectral/lanes.h"
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

/* Peaks of all frames. */
typedef struct peaks {
    float *strength, *hz;
    size_t count, room;
} peaks;

static int peaks_add(peaks *p, float strength, float hz) {
    if (p->count == p->room) {
        size_t room = p->room > 0 ? 2 * p->room : 4096;
        float *a = realloc(p->strength, room * sizeof *a);
        if (a == NULL) return BC_NOMEM;
        p->strength = a;
        float *b = realloc(p->hz, room * sizeof *b);
        if (b == NULL) return BC_NOMEM;
        p->hz = b;
        p->room = room;
    }
    p->strength[p->count] = strength;
    p->hz[p->count++] = hz;
    return BC_OK;
}

/* Left edge of a step, as numpy.linspace(-0.5, 0.5, 101) has it. */
static double edge_of(int step) {
    return step < STEPS ? step * 0.01 - 0.5 : 0.5;
}

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
    for (size_t k = 0; k < count; k++, x += 2 * LANES, s += LANES) {
        EACH_LANE(l, LANES) {
            double re = (float)x[l], im = (float)x[LANES + l];
            s[l] = sqrtf((float)(re * re + im * im));
        }
    }
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

/* peak (count, 8): is s (count+2, 8) at k+1 above least, above its neighbour
 * before and not below the one behind, where what is not above least is 0? */
BC_CLONES static void mark(unsigned char *restrict peak, const float *restrict s,
                           const float *restrict least, size_t count) {
    for (size_t k = 0; k < count; k++, s += LANES, peak += LANES) {
        EACH_LANE(l, LANES) {
            float before = s[l], here = s[LANES + l], after = s[2 * LANES + l];
            before = before > least[l] ? before : 0;
            after = after > least[l] ? after : 0;
            peak[l] = (here > least[l]) & (here > before) & (here >= after);
        }
    }
}

/* The peaks of the first `lanes` lanes of s (., 8), whose first row is bin
 * r->first - 1; most: the largest squared magnitude of each frame. */
static int find_peaks(peaks *p, unsigned char *peak, const float *s, const double *most,
                      const range *r, size_t lanes) {
    float least[LANES];
    for (size_t l = 0; l < LANES; l++) least[l] = 0.1f * sqrtf((float)most[l]);
    mark(peak, s, least, r->last - r->first);
    for (size_t k = r->first; k < r->last; k++, s += LANES, peak += LANES) {
        uint64_t any;
        memcpy(&any, peak, sizeof any);
        for (size_t l = 0; any != 0 && l < lanes; l++) {
            if (!peak[l]) continue;
            float strength, shift = parabola(&strength, s[l], s[LANES + l], s[2 * LANES + l]);
            float hz = (float)(((double)k + (double)shift) * r->hz);
            int rc = hz > 0 ? peaks_add(p, strength, hz) : BC_OK;
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
        if (p->strength[i] >= least) count[step_of(p->hz[i])]++;
    for (int i = 1; i < STEPS; i++)
        if (count[i] > count[best]) best = i;
    *tuning = edge_of(best);
    return rc;
}

typedef struct scratch {
    float edge[LANES][N_FFT];
    double window[N_FFT];
    double frame[N_FFT][LANES];
    double most[LANES];
    double spectrum[BINS + 1][2][LANES];
    float s[BINS + 1][LANES];
    unsigned char peak[BINS][LANES];
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
        batch_largest_f64(s->most, s->frame[0], fft);
        batch_real_f64(s->spectrum[0][0], s->frame[0], r.first - 1, last, fft);
        magnitudes(s->s[0], s->spectrum[0][0], last - (r.first - 1));
        size_t lanes = frames - t < LANES ? frames - t : LANES;
        int rc = find_peaks(p, s->peak[0], s->s[0], s->most, &r, lanes);
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
    free(p.hz);
    return rc;
}
