/* tuning.c: spectral peaks, eight frames at a time. */
#include "tuning.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/batch.h"
#include "../spectral/frame_queue.h"
#include "../spectral/lanes.h"
#include "../spectral/stft.h"
#include "../support/cpu.h"
#include "../support/interrupt.h"
#include "tuning_histogram.h"

enum {
    LANES = BATCH_F64,
    N_FFT = 2048,
    HOP = 512,
    BINS = N_FFT / 2 + 1,
};

/* s (last-first, 8) = |X| in f32, of X (last-first, 2, 8) rounded to f32. */
BC_EACH_CPU(static, magnitudes, (float *restrict s, const double *restrict x, size_t count),
            (s, x, count)) {
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
 * before and not below the one behind? (librosa takes what is not above least
 * for 0 first: that changes nothing, as it is below s at k+1 anyway.) */
BC_EACH_CPU(static, mark,
            (unsigned char *restrict peak, const float *restrict s, const float *restrict least,
             size_t count),
            (peak, s, least, count)) {
    for (size_t k = 0; k < count; k++, s += LANES, peak += LANES) {
        EACH_LANE(l, LANES) {
            float before = s[l], here = s[LANES + l], after = s[2 * LANES + l];
            peak[l] = (here > least[l]) & (here > before) & (here >= after);
        }
    }
}

/* The peaks of the first `lanes` lanes of s (., 8), whose first row is bin
 * r->first - 1; most: the largest squared magnitude of each frame. */
static int find_peaks(tuning_histogram *histogram, unsigned char *peak, const float *s,
                      const double *most, const range *r, size_t lanes) {
    float least[LANES];
    for (size_t l = 0; l < LANES; l++) least[l] = 0.1f * sqrtf((float)most[l]);
    mark(peak, s, least, r->last - r->first);
    for (size_t k = r->first; k < r->last; k++, s += LANES, peak += LANES) {
        uint64_t any;
        memcpy(&any, peak, sizeof any);
        for (; any != 0; any &= any - 1) { /* every byte is 0 or 1 */
            size_t l = (size_t)__builtin_ctzll(any) / 8;
            if (l >= lanes) break;
            float strength, shift = parabola(&strength, s[l], s[LANES + l], s[2 * LANES + l]);
            float hz = (float)(((double)k + (double)shift) * r->hz);
            int rc = hz > 0 ? tuning_histogram_add(histogram, strength, hz) : BC_OK;
            if (rc != BC_OK) return rc;
        }
    }
    return BC_OK;
}

struct tuning_stream {
    float edge[LANES][N_FFT];
    double window[N_FFT];
    double frame[N_FFT][LANES];
    double most[LANES];
    double spectrum[BINS + 1][2][LANES];
    float s[BINS + 1][LANES];
    unsigned char peak[BINS][LANES];
    range range;
    const batch_plan *fft;
    tuning_histogram *histogram;
    frame_queue queue;
};

static const frame_view centred = {.first = -N_FFT / 2, .hop = HOP, .length = N_FFT};

int tuning_stream_new(tuning_stream **out, double sample_rate) {
    tuning_stream *s = *out = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (s == NULL) return BC_NOMEM;
    memset(s, 0, sizeof *s);
    s->range = range_of(sample_rate);
    hann_periodic(s->window, N_FFT);
    s->fft = batch_get(N_FFT / 2);
    if (s->fft != NULL && tuning_histogram_new(&s->histogram) == BC_OK &&
        frame_queue_new(&s->queue, &centred, LANES) == BC_OK)
        return BC_OK;
    tuning_stream_free(s);
    *out = NULL;
    return BC_NOMEM;
}

void tuning_stream_free(tuning_stream *s) {
    if (s == NULL) return;
    tuning_histogram_free(s->histogram);
    frame_queue_free(&s->queue);
    free(s);
}

static int take(void *context, const frame_view *v, size_t t, size_t end) {
    tuning_stream *s = context;
    const range *r = &s->range;
    const size_t last = r->last + 1;
    if (bc_interrupted()) return BC_STOPPED;
    if (r->first >= r->last) return BC_OK;
    const float *lane[LANES];
    frames_locate(lane, s->edge[0], v, t, end, LANES);
    frames_gather_f64(s->frame[0], lane, s->window, N_FFT);
    batch_fft_f64(s->frame[0], s->fft);
    batch_largest_f64(s->most, s->frame[0], s->fft);
    batch_real_f64(s->spectrum[0][0], s->frame[0], r->first - 1, last, s->fft);
    magnitudes(s->s[0], s->spectrum[0][0], last - (r->first - 1));
    return find_peaks(s->histogram, s->peak[0], s->s[0], s->most, r, end - t);
}

int tuning_stream_push(tuning_stream *s, const float *samples, size_t n) {
    return frame_queue_push(&s->queue, samples, n, take, s);
}

int tuning_stream_finish(double *tuning, bool *again, tuning_stream *s) {
    size_t n = frame_queue_samples(&s->queue);
    int rc = n > 0 ? frame_queue_finish(&s->queue, 1 + n / HOP, take, s) : BC_OK;
    *again = false;
    if (rc == BC_OK) rc = tuning_histogram_count(tuning, again, s->histogram);
    frame_queue_restart(&s->queue);
    return rc;
}

/* The same without a queue: all samples are at hand. */
static int estimate(double *tuning, tuning_stream *s, const frame_view *v) {
    const size_t frames = 1 + v->n / HOP;
    bool again = false;
    do {
        int rc = BC_OK;
        for (size_t t = 0; rc == BC_OK && t < frames; t += LANES)
            rc = take(s, v, t, t + LANES < frames ? t + LANES : frames);
        if (rc == BC_OK) rc = tuning_histogram_count(tuning, &again, s->histogram);
        if (rc != BC_OK) return rc;
    } while (again);
    return BC_OK;
}

int tuning_estimate(double *tuning, const float *samples, size_t n, double sample_rate) {
    *tuning = NAN;
    if (n == 0) return BC_OK;
    tuning_stream *s;
    int rc = tuning_stream_new(&s, sample_rate);
    if (rc != BC_OK) return rc;
    frame_view v = centred;
    v.samples = samples;
    v.n = n;
    rc = estimate(tuning, s, &v);
    tuning_stream_free(s);
    return rc;
}
