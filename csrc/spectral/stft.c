/* stft.c: short-time Fourier transforms of any length, through FFTW in f64. */
#include "stft.h"

#include <math.h>
#include <stdlib.h>

#include "../support/interrupt.h"
#include "columns.h"
#include "fft.h"
#include "frame_queue.h"

static void hann(double *w, size_t n, double period) {
    for (size_t i = 0; i < n; i++)
        w[i] = n > 1 ? 0.5 - 0.5 * cos(2 * M_PI * (double)i / period) : 1;
}

void hann_periodic(double *w, size_t n) {
    hann(w, n, (double)n);
}
void hann_symmetric(double *w, size_t n) {
    hann(w, n, (double)n - 1);
}

void stft_window_fill(double *w, size_t n_fft, size_t win_length, enum stft_window window) {
    const size_t n = win_length == 0 ? n_fft : win_length, first = (n_fft - n) / 2;
    for (size_t i = 0; i < n_fft; i++) w[i] = 0;
    if (window == STFT_HANN) hann_periodic(w + first, n);
    for (size_t i = 0; i < n && window != STFT_HANN; i++) {
        const double turn = 2 * M_PI * (double)i / (double)n;
        w[first + i] = window == STFT_ONES || n == 1 ? 1
                       : window == STFT_HAMMING
                           ? 0.54 - 0.46 * cos(turn)
                           : 0.42 - 0.5 * cos(turn) + 0.08 * cos(2 * turn);
    }
}

size_t stft_frames(const stft_options *o, size_t samples) {
    return frames_count(samples, o->n_fft, o->hop, o->pad);
}

/* Where a frame's spectrum goes: a column of one or two matrices. */
typedef struct sink {
    float *re, *im; /* im NULL: magnitudes */
    double power;
    size_t stride; /* from row to row */
} sink;

static void put(const sink *s, size_t column, const double *spectrum, size_t bins) {
    for (size_t k = 0; k < bins; k++) {
        double re = spectrum[2 * k], im = spectrum[2 * k + 1], square = re * re + im * im;
        size_t at = k * s->stride + column;
        if (s->im != NULL)
            s->re[at] = (float)re, s->im[at] = (float)im;
        else if (s->power == 2)
            s->re[at] = (float)square;
        else if (s->power == 1)
            s->re[at] = (float)sqrt(square);
        else
            s->re[at] = (float)pow(square, 0.5 * s->power);
    }
}

typedef struct scratch {
    double *window, *frame, *spectrum;
    float *edge;
    const fft_plan *fft;
} scratch;

static void *aligned(size_t count, size_t size) {
    return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

static void scratch_free(scratch *s) {
    free(s->window);
    free(s->frame);
    free(s->spectrum);
    free(s->edge);
}

/* BC_OK or BC_NOMEM; free it also then. */
static int scratch_new(scratch *s, const stft_options *o) {
    size_t length = o->n_fft;
    s->window = aligned(length, sizeof *s->window);
    s->frame = aligned(length, sizeof *s->frame);
    s->spectrum = aligned(length + 2, sizeof *s->spectrum);
    s->edge = aligned(length, sizeof *s->edge);
    s->fft = fft_get(FFT_REAL_F64, length);
    if (!s->window || !s->frame || !s->spectrum || !s->edge || !s->fft) return BC_NOMEM;
    stft_window_fill(s->window, length, o->win_length, o->window);
    return BC_OK;
}

static frame_view view(const stft_options *o, const float *samples, size_t n) {
    frame_view v = {
        .samples = samples, .n = n, .hop = o->hop, .length = o->n_fft, .pad = o->pad};
    v.first = o->pad == MEL_PAD_NONE ? 0 : -(ptrdiff_t)(o->n_fft / 2);
    return v;
}

/* Frames t..end-1 of v to the columns from `column` on. */
static int transform(const sink *to, size_t column, const scratch *s, const frame_view *v, size_t t,
                     size_t end) {
    for (; t < end; t++, column++) {
        if (t % 64 == 0 && bc_interrupted()) return BC_STOPPED;
        const float *x;
        frames_locate(&x, s->edge, v, t, end, 1);
        for (size_t i = 0; i < v->length; i++) s->frame[i] = s->window[i] * x[i];
        fft_real_f64(s->spectrum, s->frame, s->fft);
        put(to, column, s->spectrum, v->length / 2 + 1);
    }
    return BC_OK;
}

static int run(const sink *to, const float *samples, size_t n, const stft_options *o) {
    scratch s = {0};
    frame_view v = view(o, samples, n);
    int rc = scratch_new(&s, o);
    if (rc == BC_OK) rc = transform(to, 0, &s, &v, 0, stft_frames(o, n));
    scratch_free(&s);
    return rc;
}

int stft_complex(float *re, float *im, const float *samples, size_t n, const stft_options *o) {
    sink s = {.re = re, .im = im, .stride = stft_frames(o, n)};
    return run(&s, samples, n, o);
}

int stft_magnitude(float *out, double power, const float *samples, size_t n,
                   const stft_options *o) {
    sink s = {.re = out, .power = power, .stride = stft_frames(o, n)};
    return run(&s, samples, n, o);
}

struct stft_stream {
    stft_options o;
    double power;
    scratch scratch;
    frame_queue queue;
    columns re, im;
};

int stft_stream_new(stft_stream **out, double power, const stft_options *o) {
    stft_stream *s = *out = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    const frame_view v = view(o, NULL, 0);
    s->o = *o;
    s->power = power;
    s->re = s->im = columns_of(o->n_fft / 2 + 1);
    int rc = scratch_new(&s->scratch, o);
    if (rc == BC_OK) rc = frame_queue_new(&s->queue, &v, frame_queue_batch(o->hop, 16));
    if (rc == BC_OK) return BC_OK;
    stft_stream_free(s);
    *out = NULL;
    return rc;
}

void stft_stream_free(stft_stream *s) {
    if (s == NULL) return;
    scratch_free(&s->scratch);
    frame_queue_free(&s->queue);
    columns_free(&s->re);
    columns_free(&s->im);
    free(s);
}

static int take(void *context, const frame_view *v, size_t t, size_t end) {
    stft_stream *s = context;
    sink to = {.power = s->power, .stride = s->re.width};
    size_t column;
    if (bc_interrupted()) return BC_STOPPED;
    to.re = columns_at(&column, &s->re, t);
    if (s->power == 0) to.im = columns_at(&column, &s->im, t);
    if (to.re == NULL || (s->power == 0 && to.im == NULL)) return BC_NOMEM;
    return transform(&to, column, &s->scratch, v, t, end);
}

int stft_stream_push(stft_stream *s, const float *samples, size_t n) {
    return frame_queue_push(&s->queue, samples, n, take, s);
}

int stft_stream_finish(stft_stream *s) {
    size_t frames = stft_frames(&s->o, frame_queue_samples(&s->queue));
    return frame_queue_finish(&s->queue, frames, take, s);
}

size_t stft_stream_ready(const stft_stream *s) {
    return s->queue.next - s->re.first;
}

void stft_stream_take(float *re, float *im, stft_stream *s) {
    columns_take(re, &s->re, s->queue.next);
    if (s->power == 0) columns_take(im, &s->im, s->queue.next);
}
