/* cqt_plan.c: constant-Q filters as librosa 0.11 makes them, and their cache.
 *
 * Formulas: Schoerkhuber & Klapuri, Constant-Q transform toolbox for music
 * processing, 2010; roundings to f32 and the order of operations: librosa. */
#include "cqt_plan.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/fft.h"
#include "../spectral/stft.h"
#include "../support/interrupt.h"

/* Equivalent noise bandwidth of the Hann window in bins, as librosa has it. */
#define HANN_BANDWIDTH 1.50018310546875
#define SPARSITY 0.01f

cqt_options cqt_defaults(double sample_rate) {
    double hop = floor(sample_rate / 10);
    return (cqt_options){.sample_rate = sample_rate,
                         .hop = hop >= 1 ? (size_t)hop : 1,
                         .octaves = 7,
                         .fmin = 440 * exp2(-45.0 / 12), /* C1, 32.7 Hz */
                         .high = INFINITY};
}

/* Frequency in Hz of bin i = 0 .. 36*octaves-1. */
static double frequency_of(const cqt_options *o, int bin) {
    return o->fmin * exp2(o->tuning / CQT_BINS) * exp2((double)bin / CQT_BINS);
}

/* Q = 1 / alpha with alpha the relative bandwidth of evenly tempered bins. */
static double quality(void) {
    double ratio = exp2(2.0 / CQT_BINS);
    return (ratio + 1) / (ratio - 1);
}

static double cutoff(const cqt_options *o) {
    return frequency_of(o, CQT_BINS * o->octaves - 1) * (1 + 0.5 * HANN_BANDWIDTH / quality());
}

/* The highest semitone of C1's scale, counted from it, below which all bins fit. */
static int highest_semitone(double sample_rate) {
    double most = sample_rate / 2 / (1 + 0.5 * HANN_BANDWIDTH / quality());
    return (int)floor(12 * log2(most * exp2(0.5 / CQT_BINS) / (440 * exp2(-45.0 / 12))));
}

int cqt_options_band(cqt_options *o, double low, double high, bc_error *e) {
    double c1 = 440 * exp2(-45.0 / 12);
    if (!(low > 0 && low < high))
        return bc_fail(e, "band must be two frequencies, the lower one first, got %g and %g", low,
                       high);
    int top = highest_semitone(o->sample_rate);
    if (12 * log2(high / c1) < top) top = (int)ceil(12 * log2(high / c1) - 1e-9);
    double octaves = ceil(top / 12.0 - log2(low / c1) - 1e-9);
    if (!(octaves >= 1) || c1 * exp2(top / 12.0) <= low)
        return bc_fail(e, "band from %g to %g Hz: nothing of it fits below half of %g Hz", low,
                       high, o->sample_rate);
    o->octaves = octaves < CQT_MAX_OCTAVES ? (int)octaves : CQT_MAX_OCTAVES;
    o->fmin = c1 * exp2(top / 12.0 - o->octaves);
    o->low = low;
    o->high = high;
    double bin = ceil(CQT_BINS * log2(low / o->fmin));
    if (o->fmin * exp2(bin / CQT_BINS) <= high) return BC_OK;
    return bc_fail(e, "band from %g to %g Hz holds none of 36 bins an octave", low, high);
}

static int twos(size_t n) {
    int k = 0;
    for (; n > 0 && n % 2 == 0; n /= 2) k++;
    return k;
}

/* How often the rate can be halved before the first octave without loss. */
static int early_halvings(const cqt_options *o) {
    int room = (int)ceil(log2(o->sample_rate / 2 / cutoff(o))) - 2;
    int steps = twos(o->hop) - o->octaves + 1;
    int count = room < steps ? room : steps;
    return count > 0 ? count : 0;
}

enum { CQT_LONGEST = 1 << 22 }; /* samples of a filter: a second, to make one */

int cqt_options_check(const cqt_options *o, bc_error *e) {
    if (!(o->sample_rate > 0 && o->sample_rate <= 1e9))
        return bc_fail(e, "sample_rate must be above 0 and at most 1e9 Hz, got %g", o->sample_rate);
    if (o->hop < 1) return bc_fail(e, "hop must be at least 1, got %zu", o->hop);
    if (o->octaves < 1 || o->octaves > CQT_MAX_OCTAVES)
        return bc_fail(e, "n_octaves must be 1..%d, got %d", CQT_MAX_OCTAVES, o->octaves);
    if (!(o->fmin > 0) || !isfinite(o->fmin))
        return bc_fail(e, "fmin must be positive, got %g", o->fmin);
    if (!(fabs(o->tuning) <= CQT_BINS))
        return bc_fail(e, "tuning must be -36..36 bins, got %g", o->tuning);
    if (cutoff(o) > o->sample_rate / 2)
        return bc_fail(e, "sample_rate must be at least %.0f for %d octaves from %.1f Hz, got %g",
                       ceil(2 * cutoff(o)), o->octaves, frequency_of(o, 0), o->sample_rate);
    if (quality() * o->sample_rate / frequency_of(o, 0) > CQT_LONGEST)
        return bc_fail(e, "fmin must be higher at this sample_rate, got %g", o->fmin);
    return BC_OK;
}

/* Memory for one filter on its way to its spectrum. */
typedef struct workspace {
    double *window;          /* (n_fft) */
    double *wave, *spectrum; /* (n_fft) complex */
    float *magnitude;        /* (n_fft/2+1) */
    uint32_t *bits, *sorted;
    const fft_plan *fft;
} workspace;

static void *aligned(size_t count, size_t size) {
    return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

static int workspace_new(workspace *w, size_t n_fft) {
    w->window = aligned(n_fft, sizeof(double));
    w->wave = aligned(n_fft, 2 * sizeof(double));
    w->spectrum = aligned(n_fft, 2 * sizeof(double));
    w->magnitude = aligned(n_fft, sizeof(float));
    w->bits = aligned(n_fft, sizeof *w->bits);
    w->sorted = aligned(n_fft, sizeof *w->sorted);
    w->fft = fft_get(FFT_COMPLEX_F64, n_fft);
    return w->window && w->wave && w->spectrum && w->magnitude && w->bits && w->sorted && w->fft;
}

static void workspace_free(workspace *w) {
    free(w->window);
    free(w->wave);
    free(w->spectrum);
    free(w->magnitude);
    free(w->bits);
    free(w->sorted);
}

/* e^(2 pi i f n / s) under a periodic Hann window of L(s) = Q s / f samples,
 * L1 norm 1 and then times L / n_fft, in the middle of n_fft samples. One
 * sample more before the middle than behind it when the length is odd. */
static void fill_wave(workspace *w, double frequency, double rate, size_t n_fft) {
    double length = quality() * rate / frequency, sum = 0;
    ptrdiff_t before = (ptrdiff_t)ceil(length / 2), after = (ptrdiff_t)floor(length / 2);
    size_t count = (size_t)(before + after), front = (n_fft - count) / 2;
    memset(w->wave, 0, 2 * n_fft * sizeof *w->wave);
    hann_periodic(w->window, count);
    for (size_t k = 0; k < count; k++) sum += fabs(w->window[k]);
    for (size_t k = 0; k < count; k++) {
        double angle = 2 * M_PI * frequency * (double)((ptrdiff_t)k - before) / rate;
        double height = w->window[k] / sum, scale = length / (double)n_fft;
        double *z = w->wave + 2 * (front + k);
        z[0] = (float)((float)(height * cos(angle)) * scale);
        z[1] = (float)((float)(height * sin(angle)) * scale);
    }
}

/* Ascending order of n floats that are not negative, whose bits are in the same
 * order as they: three passes over 11 bits each. */
static void sort(uint32_t *bits, uint32_t *spare, size_t n) {
    for (int shift = 0; shift < 33; shift += 11) {
        size_t start[2049] = {0};
        for (size_t i = 0; i < n; i++) start[(bits[i] >> shift & 2047) + 1]++;
        for (int d = 0; d < 2048; d++) start[d + 1] += start[d];
        for (size_t i = 0; i < n; i++) spare[start[bits[i] >> shift & 2047]++] = bits[i];
        uint32_t *swap = bits;
        bits = spare;
        spare = swap;
    }
}

/* The smallest magnitude that is kept: those below add up to less than 1 %. */
static float threshold(workspace *w, size_t bins) {
    double total = 0;
    float sum = 0;
    for (size_t k = 0; k < bins; k++) total += w->magnitude[k];
    memcpy(w->bits, w->magnitude, bins * sizeof *w->bits);
    sort(w->bits, w->sorted, bins);
    for (size_t k = 0; k < bins; k++) {
        float magnitude;
        memcpy(&magnitude, &w->sorted[k], sizeof magnitude);
        sum += magnitude / (float)total;
        if (sum >= SPARSITY) return magnitude;
    }
    return 0;
}

/* Append row i: from the first to the last value that is kept, zeros between. */
static int append_row(cqt_filters *f, size_t i, size_t *used, workspace *w, size_t n_fft) {
    size_t bins = n_fft / 2 + 1, first = bins, last = 0;
    fft_complex_f64(w->spectrum, w->wave, w->fft);
    for (size_t k = 0; k < bins; k++)
        w->magnitude[k] = hypotf((float)w->spectrum[2 * k], (float)w->spectrum[2 * k + 1]);
    float least = threshold(w, bins);
    for (size_t k = 0; k < bins; k++) {
        if (w->magnitude[k] < least) continue;
        if (k < first) first = k;
        last = k + 1;
    }
    f->start[i] = first, f->count[i] = last - first, f->offset[i] = *used;
    *used += last - first;
    float *re = realloc(f->re, *used * sizeof *re);
    if (re != NULL) f->re = re;
    float *im = realloc(f->im, *used * sizeof *im);
    if (im != NULL) f->im = im;
    if (re == NULL || im == NULL) return BC_NOMEM;
    for (size_t k = first; k < last; k++) {
        bool kept = w->magnitude[k] >= least;
        re[f->offset[i] + k - first] = kept ? (float)w->spectrum[2 * k] : 0;
        im[f->offset[i] + k - first] = kept ? (float)w->spectrum[2 * k + 1] : 0;
    }
    if (first < f->first) f->first = first;
    if (last > f->last) f->last = last;
    return BC_OK;
}

static void filters_free(cqt_filters *f) {
    if (f == NULL) return;
    free(f->re);
    free(f->im);
    free(f);
}

/* The filters for bins lowest..lowest+35 of a signal at `rate`. NULL: no memory, or Ctrl-C. */
static cqt_filters *filters_new(const cqt_options *o, int lowest, double rate) {
    double longest = quality() * rate / frequency_of(o, lowest);
    size_t n_fft = 4, used = 0;
    while ((double)n_fft < longest) n_fft *= 2;
    workspace w = {0};
    cqt_filters *f = calloc(1, sizeof *f);
    bool ok = workspace_new(&w, n_fft) && f != NULL;
    if (ok) {
        f->n_fft = n_fft;
        f->first = n_fft;
        for (size_t i = 0; ok && i < CQT_BINS; i++) {
            fill_wave(&w, frequency_of(o, lowest + (int)i), rate, n_fft);
            ok = !bc_interrupted() && append_row(f, i, &used, &w, n_fft) == BC_OK;
        }
    }
    workspace_free(&w);
    if (ok) return f;
    filters_free(f);
    return NULL;
}

static void plan_free(cqt_plan *p) {
    if (p == NULL) return;
    for (int i = 0; i < p->filters; i++) filters_free(p->made[i]);
    free(p);
}

/* Three bins a semitone, the middle one in tune: bins -1, 0 and 1 are fmin's. */
static void fill_chroma(cqt_plan *p) {
    double semitones = 69 + 12 * log2(p->o.fmin / 440);
    int shift = (int)rint(semitones - 12 * floor(semitones / 12));
    for (int i = 0; i < CQT_BINS; i++) p->chroma[i] = ((i + 1) / 3 + shift) % 12;
    p->last = CQT_BINS * p->o.octaves;
    while (p->first < p->last && frequency_of(&p->o, p->first) < p->o.low) p->first++;
    while (p->last > p->first && frequency_of(&p->o, p->last - 1) > p->o.high) p->last--;
}

static int fill_octaves(cqt_plan *p) {
    const double first_rate = ldexp(p->o.sample_rate, -p->early);
    double rate = first_rate;
    size_t hop = p->o.hop >> p->early;
    bool shared = false; /* the rate was halved along with the pitch */
    for (int i = 0; i < p->o.octaves; i++) {
        cqt_octave *octave = &p->octave[i];
        int lowest = CQT_BINS * (p->o.octaves - 1 - i);
        if (!shared) {
            cqt_filters *f = filters_new(&p->o, lowest, rate);
            if (f == NULL) return BC_NOMEM;
            p->made[p->filters++] = f;
        }
        octave->filters = p->made[p->filters - 1];
        octave->hop = hop;
        octave->halve = shared = hop % 2 == 0;
        for (int k = 0; k < CQT_BINS; k++) {
            double length = quality() * first_rate / frequency_of(&p->o, lowest + k);
            octave->scale[k] = (float)(sqrt(first_rate / rate) / sqrt(length));
        }
        if (octave->halve) {
            hop /= 2;
            rate /= 2;
        }
    }
    return BC_OK;
}

static cqt_plan *plan_new(const cqt_options *o) {
    cqt_plan *p = calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->o = *o;
    p->early = early_halvings(o);
    fill_chroma(p);
    if (fill_octaves(p) == BC_OK) return p;
    plan_free(p);
    return NULL;
}

/* The cache: there are 100 tunings, each with filters of some 30 kB that take
 * milliseconds to make. Slots are reused in the order of their last use. */
enum { SLOTS = 128 };

static struct slot {
    cqt_plan *plan;
    int users;
    unsigned long used;
} slots[SLOTS];
static unsigned long uses;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool same(const cqt_options *a, const cqt_options *b) {
    return a->sample_rate == b->sample_rate && a->hop == b->hop && a->tuning == b->tuning &&
           a->octaves == b->octaves && a->fmin == b->fmin && a->low == b->low && a->high == b->high;
}

/* The rest is for callers that hold the lock. */
static cqt_plan *find(const cqt_options *o) {
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].plan != NULL && same(&slots[i].plan->o, o)) {
            slots[i].users++;
            slots[i].used = ++uses;
            return slots[i].plan;
        }
    return NULL;
}

/* Put a plan in the slot that nobody has used for longest. If all are in use,
 * it stays outside and cqt_plan_put frees it. */
static void keep(cqt_plan *p) {
    struct slot *best = NULL;
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].users == 0 && (best == NULL || slots[i].used < best->used)) best = &slots[i];
    if (best == NULL) return;
    plan_free(best->plan);
    *best = (struct slot){.plan = p, .users = 1, .used = ++uses};
}

int cqt_plan_get(const cqt_plan **out, const cqt_options *o, bc_error *e) {
    *out = NULL;
    if (cqt_options_check(o, e) != BC_OK) return BC_FAIL;
    pthread_mutex_lock(&lock);
    cqt_plan *p = find(o);
    pthread_mutex_unlock(&lock);
    if (p == NULL) {
        cqt_plan *made = plan_new(o); /* others need not wait for this */
        if (made == NULL) return bc_interrupted() ? BC_STOPPED : BC_NOMEM;
        pthread_mutex_lock(&lock);
        p = find(o); /* another thread may have been faster */
        if (p == NULL) keep(p = made);
        pthread_mutex_unlock(&lock);
        if (p != made) plan_free(made);
    }
    *out = p;
    return BC_OK;
}

void cqt_plan_put(const cqt_plan *p) {
    if (p == NULL) return;
    bool found = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SLOTS && !found; i++)
        if (slots[i].plan == p) {
            slots[i].users--;
            found = true;
        }
    pthread_mutex_unlock(&lock);
    if (!found) plan_free((cqt_plan *)(uintptr_t)p);
}
