/* mel.c: power mel spectrograms, 16 frames at a time. */
#include "mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cpu.h"
#include "../support/interrupt.h"
#include "batch.h"
#include "columns.h"
#include "fft.h"
#include "frame_queue.h"
#include "lanes.h"
#include "stft.h"

#define LANES BATCH_F32

struct mel_plan {
    mel_options o;
    size_t bins;
    float *window;           /* (n_fft) */
    float *matrix;           /* (n_mels, bins) */
    size_t *begin, *end;     /* (n_mels): where a row of the matrix is not zero */
    const batch_plan *batch; /* n_fft a power of two */
    const fft_plan *fft;     /* any other */
};

mel_options mel_defaults(void) {
    return (mel_options){.sample_rate = 22050, .n_fft = 2048, .hop = 512, .n_mels = 128};
}

/* Slaney's scale: linear below 1000 Hz (mel 15), 27 mel for a factor of 6.4 above. */
static double to_mel(double hz, bool htk) {
    if (htk) return 2595 * log10(1 + hz / 700);
    return hz < 1000 ? 3 * hz / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double to_hz(double mel, bool htk) {
    if (htk) return 700 * (pow(10, mel / 2595) - 1);
    return mel < 15 ? 200 * mel / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

void mel_frequencies(double *hz, size_t n, double fmin, double fmax, bool htk) {
    double low = to_mel(fmin, htk), high = to_mel(fmax, htk);
    for (size_t i = 0; i < n; i++)
        hz[i] = to_hz(n > 1 ? low + (high - low) * (double)i / (double)(n - 1) : low, htk);
}

/* Row m: a triangle over edge[m], edge[m+1], edge[m+2]. */
static void fill_row(mel_plan *p, size_t m, const double *edge) {
    double area = p->o.norm == MEL_UNIT_AREA ? 2 / (edge[m + 2] - edge[m]) : 1;
    float *row = p->matrix + m * p->bins;
    double first = floor(edge[m] * (double)p->o.n_fft / p->o.sample_rate);
    for (size_t k = first < (double)p->bins ? (size_t)first : p->bins; k < p->bins; k++) {
        double hz = (double)k * p->o.sample_rate / (double)p->o.n_fft;
        if (hz > edge[m + 2]) break;
        double up = (hz - edge[m]) / (edge[m + 1] - edge[m]);
        double down = (edge[m + 2] - hz) / (edge[m + 2] - edge[m + 1]);
        double height = fmin(up, down);
        row[k] = height > 0 ? (float)(height * area) : 0;
        if (row[k] == 0) continue;
        if (p->end[m] == 0) p->begin[m] = k;
        p->end[m] = k + 1;
    }
}

static int check(const mel_options *o, bc_error *e) {
    if (!(o->sample_rate > 0) || !isfinite(o->sample_rate))
        return bc_fail(e, "sample_rate must be positive, got %g", o->sample_rate);
    if (o->n_fft < 2 || o->n_fft > (size_t)1 << 26)
        return bc_fail(e, "n_fft must be 2..2^26, got %zu", o->n_fft);
    if (o->win_length > o->n_fft)
        return bc_fail(e, "win_length must be at most n_fft, %zu, got %zu", o->n_fft,
                       o->win_length);
    if (o->hop < 1) return bc_fail(e, "hop must be at least 1, got %zu", o->hop);
    if (o->n_mels < 1 || o->n_mels > 65536)
        return bc_fail(e, "n_mels must be 1..65536, got %zu", o->n_mels);
    double fmax = o->fmax > 0 ? o->fmax : o->sample_rate / 2;
    if (!(o->fmin >= 0 && o->fmin < fmax && isfinite(fmax)))
        return bc_fail(e, "fmin must be 0 or more and less than fmax, got %g and %g", o->fmin,
                       fmax);
    return BC_OK;
}

void mel_plan_free(mel_plan *p) {
    if (p == NULL) return;
    free(p->window);
    free(p->matrix);
    free(p->begin);
    free(p->end);
    free(p);
}

static int fill(mel_plan *p) {
    size_t n = p->o.n_fft;
    double *w = malloc(n * sizeof *w), *edge = malloc((p->o.n_mels + 2) * sizeof *edge);
    int ok = w != NULL && edge != NULL;
    if (ok) {
        stft_window_fill(w, n, p->o.win_length, p->o.window);
        for (size_t i = 0; i < n; i++) p->window[i] = (float)w[i];
        mel_frequencies(edge, p->o.n_mels + 2, p->o.fmin, p->o.fmax, p->o.htk);
        for (size_t m = 0; m < p->o.n_mels; m++) fill_row(p, m, edge);
    }
    free(w);
    free(edge);
    return ok ? BC_OK : BC_NOMEM;
}

int mel_plan_new(mel_plan **out, const mel_options *o, bc_error *e) {
    *out = NULL;
    if (check(o, e) != BC_OK) return BC_FAIL;
    mel_plan *p = calloc(1, sizeof *p);
    if (p == NULL) return BC_NOMEM;
    p->o = *o;
    if (!(p->o.fmax > 0)) p->o.fmax = o->sample_rate / 2;
    p->bins = o->n_fft / 2 + 1;
    p->window = malloc(o->n_fft * sizeof *p->window);
    p->matrix = calloc(o->n_mels * p->bins, sizeof *p->matrix);
    p->begin = calloc(o->n_mels, sizeof *p->begin);
    p->end = calloc(o->n_mels, sizeof *p->end);
    bool is_power = (o->n_fft & (o->n_fft - 1)) == 0 && o->n_fft >= 4;
    if (is_power)
        p->batch = batch_get(o->n_fft / 2);
    else
        p->fft = fft_get(FFT_REAL_F32, o->n_fft);
    if (!p->window || !p->matrix || !p->begin || !p->end || (!p->batch && !p->fft) ||
        fill(p) != BC_OK) {
        mel_plan_free(p);
        return BC_NOMEM;
    }
    *out = p;
    return BC_OK;
}

size_t mel_bands(const mel_plan *p) {
    return p->o.n_mels;
}
size_t mel_empty(const mel_plan *p) {
    size_t count = 0;
    for (size_t m = 0; m < p->o.n_mels; m++) count += p->end[m] == 0;
    return count;
}
size_t mel_bins(const mel_plan *p) {
    return p->bins;
}
const float *mel_matrix(const mel_plan *p) {
    return p->matrix;
}

size_t mel_frames(const mel_plan *p, size_t samples) {
    return frames_count(samples, p->o.n_fft, p->o.hop, p->o.pad);
}

/* The scratch: padded frames, frames side by side, their power. */
typedef struct scratch {
    float *edge;     /* (16, n_fft) */
    float *frames;   /* (n_fft + 2, 16) */
    float *power;    /* (bins, 16) */
    float *spectrum; /* (n_fft + 2): FFTW's */
} scratch;

static size_t round64(size_t floats) {
    return (floats + 15) / 16 * 16;
}

static scratch divide(const mel_plan *p, void *memory) {
    scratch s;
    s.edge = memory;
    s.frames = s.edge + LANES * p->o.n_fft;
    s.power = s.frames + LANES * (p->o.n_fft + 2);
    s.spectrum = s.power + LANES * p->bins;
    return s;
}

size_t mel_scratch(const mel_plan *p) {
    size_t floats = LANES * (2 * p->o.n_fft + 2 + p->bins);
    if (p->fft != NULL) floats += round64(p->o.n_fft + 2) + round64(p->o.n_fft);
    return floats * sizeof(float);
}

static frame_view view(const mel_plan *p, const float *samples, size_t n) {
    frame_view v = {.samples = samples, .n = n, .hop = p->o.hop, .length = p->o.n_fft};
    v.pad = p->o.pad;
    v.first = v.pad == MEL_PAD_NONE ? 0 : -(ptrdiff_t)(p->o.n_fft / 2);
    return v;
}

static void power_by_fftw(const mel_plan *p, const scratch *s, const float *const *lane) {
    float *frame = s->spectrum + round64(p->o.n_fft + 2);
    for (int l = 0; l < LANES; l++) {
        for (size_t i = 0; i < p->o.n_fft; i++) frame[i] = p->window[i] * lane[l][i];
        fft_real_f32(s->spectrum, frame, p->fft);
        for (size_t k = 0; k < p->bins; k++) {
            float re = s->spectrum[2 * k], im = s->spectrum[2 * k + 1];
            s->power[k * LANES + (size_t)l] = re * re + im * im;
        }
    }
}

/* s->power (bins, 16) of what the lanes point to. */
static void power_of_lanes(const mel_plan *p, const scratch *s, const float *const *lane) {
    if (p->batch == NULL) {
        power_by_fftw(p, s, lane);
        return;
    }
    frames_gather_f32(s->frames, lane, p->window, p->o.n_fft);
    batch_fft_f32(s->frames, p->batch);
    batch_power_f32(s->power, s->frames, p->batch);
}

/* s->power of frames t..t+15; those from `frames` on are zero. */
static void power_of(const mel_plan *p, const scratch *s, const frame_view *v, size_t t,
                     size_t frames) {
    const float *lane[LANES];
    frames_locate(lane, s->edge, v, t, frames, LANES);
    power_of_lanes(p, s, lane);
}

/* sum (16) = weight (n) x power (n, 16) */
BC_EACH_CPU(static, weigh,
            (float *restrict sum, const float *restrict weight, const float *restrict power,
             size_t n),
            (sum, weight, power, n)) {
    float s[LANES] = {0};
    for (size_t k = 0; k < n; k++, power += LANES) {
        EACH_LANE(l, LANES) s[l] += weight[k] * power[l];
    }
    for (int l = 0; l < LANES; l++) sum[l] = s[l];
}

/* `count` columns, at most 16, from t on of out (n_mels, frames). */
static void mel_columns(float *out, const mel_plan *p, const scratch *s, size_t t, size_t frames,
                        size_t count) {
    if (count > LANES) count = LANES;
    for (size_t m = 0; m < p->o.n_mels; m++) {
        float sum[LANES];
        size_t k = p->begin[m];
        weigh(sum, p->matrix + m * p->bins + k, s->power + k * LANES, p->end[m] - k);
        memcpy(out + m * frames + t, sum, count * sizeof *sum);
    }
}

size_t mel_blocks(const mel_plan *p, size_t n, size_t clips) {
    return (mel_frames(p, n) * clips + LANES - 1) / LANES;
}

/* Lanes that hold neighbouring frames of one clip. */
typedef struct run {
    size_t clip, frame, lane, count;
} run;

/* The runs of a block; lanes behind the last frame belong to none. */
static size_t runs_of(run *r, size_t frames, size_t clips, size_t block) {
    size_t count = 0, at = block * LANES, end = frames * clips, lane = 0;
    while (lane < LANES && at < end) {
        size_t clip = at / frames, frame = at % frames, n = frames - frame;
        if (n > LANES - lane) n = LANES - lane;
        r[count++] = (run){clip, frame, lane, n};
        at += n, lane += n;
    }
    return count;
}

void mel_power_block(float *out, const void *const *part, size_t each, size_t n, size_t clips,
                     size_t block, const mel_plan *p, void *memory) {
    scratch s = divide(p, memory);
    const float *lane[LANES];
    run r[LANES];
    size_t frames = mel_frames(p, n), bands = p->o.n_mels, lanes = 0;
    size_t runs = runs_of(r, frames, clips, block);
    for (size_t i = 0; i < runs; i++, lanes = r[i - 1].lane + r[i - 1].count) {
        frame_view v = view(p, (const float *)part[r[i].clip / each] + r[i].clip % each * n, n);
        frames_locate(lane + r[i].lane, s.edge + r[i].lane * p->o.n_fft, &v, r[i].frame, frames,
                      (int)r[i].count);
    }
    for (size_t l = lanes; l < LANES; l++) lane[l] = lane[0]; /* anything: nobody reads it */
    power_of_lanes(p, &s, lane);
    for (size_t m = 0; m < bands; m++) {
        float sum[LANES];
        size_t k = p->begin[m];
        weigh(sum, p->matrix + m * p->bins + k, s.power + k * LANES, p->end[m] - k);
        for (size_t i = 0; i < runs; i++)
            memcpy(out + (r[i].clip * bands + m) * frames + r[i].frame, sum + r[i].lane,
                   r[i].count * sizeof *sum);
    }
}

void mel_power(float *out, const float *samples, size_t n, const mel_plan *p, void *memory) {
    const void *part = samples;
    for (size_t i = 0; i < mel_blocks(p, n, 1); i++)
        mel_power_block(out, &part, 1, n, 1, i, p, memory);
}

int mel_spectrogram(float *out, const float *samples, size_t n, const mel_plan *p) {
    void *memory = aligned_alloc(64, mel_scratch(p));
    if (memory == NULL) return BC_NOMEM;
    size_t blocks = mel_blocks(p, n, 1);
    const void *part = samples;
    bool stopped = false;
    for (size_t i = 0; i < blocks && !(stopped = bc_interrupted()); i++)
        mel_power_block(out, &part, 1, n, 1, i, p, memory);
    free(memory);
    return stopped ? BC_STOPPED : BC_OK;
}

struct mel_stream {
    const mel_plan *p;
    void *memory;
    frame_queue queue;
    columns out;
};

int mel_stream_new(mel_stream **out, const mel_plan *p) {
    mel_stream *s = *out = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    const frame_view v = view(p, NULL, 0);
    s->p = p;
    s->out = columns_of(p->o.n_mels);
    s->memory = aligned_alloc(64, mel_scratch(p));
    int rc = s->memory != NULL ? BC_OK : BC_NOMEM;
    if (rc == BC_OK) rc = frame_queue_new(&s->queue, &v, frame_queue_batch(p->o.hop, LANES));
    if (rc == BC_OK) return BC_OK;
    mel_stream_free(s);
    *out = NULL;
    return rc;
}

void mel_stream_free(mel_stream *s) {
    if (s == NULL) return;
    free(s->memory);
    frame_queue_free(&s->queue);
    columns_free(&s->out);
    free(s);
}

static int take(void *context, const frame_view *v, size_t t, size_t end) {
    mel_stream *s = context;
    const scratch memory = divide(s->p, s->memory);
    size_t column;
    if (bc_interrupted()) return BC_STOPPED;
    float *out = columns_at(&column, &s->out, t);
    if (out == NULL) return BC_NOMEM;
    power_of(s->p, &memory, v, t, end);
    mel_columns(out, s->p, &memory, column, s->out.width, end - t);
    return BC_OK;
}

int mel_stream_push(mel_stream *s, const float *samples, size_t n) {
    return frame_queue_push(&s->queue, samples, n, take, s);
}

int mel_stream_finish(mel_stream *s) {
    size_t frames = mel_frames(s->p, frame_queue_samples(&s->queue));
    return frame_queue_finish(&s->queue, frames, take, s);
}

size_t mel_stream_ready(const mel_stream *s) {
    return s->queue.next - s->out.first;
}

void mel_stream_take(float *out, mel_stream *s) {
    columns_take(out, &s->out, s->queue.next);
}

void mel_spectrum(float *power, const float *samples, size_t n, const mel_plan *p, void *memory) {
    scratch s = divide(p, memory);
    frame_view v = view(p, samples, n);
    size_t frames = mel_frames(p, n);
    for (size_t t = 0; t < frames; t += LANES) {
        power_of(p, &s, &v, t, frames);
        for (size_t l = 0; l < LANES && t + l < frames; l++)
            for (size_t k = 0; k < p->bins; k++)
                power[(t + l) * p->bins + k] = s.power[k * LANES + l];
    }
}
