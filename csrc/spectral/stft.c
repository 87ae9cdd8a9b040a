/* stft.c: short-time Fourier transforms of any length, through FFTW in f64. */
#include "stft.h"

#include <math.h>
#include <stdlib.h>

#include "../support/interrupt.h"
#include "fft.h"
#include "frames.h"

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

size_t stft_frames(const stft_options *o, size_t samples) {
    return frames_count(samples, o->n_fft, o->hop, o->pad);
}

/* Where a frame's spectrum goes: column t of one or two matrices. */
typedef struct sink {
    float *re, *im; /* im NULL: magnitudes */
    double power;
    size_t frames;
} sink;

static void put(const sink *s, size_t t, const double *spectrum, size_t bins) {
    for (size_t k = 0; k < bins; k++) {
        double re = spectrum[2 * k], im = spectrum[2 * k + 1], square = re * re + im * im;
        size_t at = k * s->frames + t;
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

static void *aligned(size_t count, size_t size) {
    return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

static int run(const sink *s, const float *samples, size_t n, const stft_options *o) {
    int rc = BC_NOMEM;
    size_t length = o->n_fft;
    frame_view view = {.samples = samples, .n = n, .hop = o->hop, .length = length, .pad = o->pad};
    view.first = o->pad == MEL_PAD_NONE ? 0 : -(ptrdiff_t)(length / 2);
    double *window = aligned(length, sizeof *window), *frame = aligned(length, sizeof *frame);
    double *spectrum = aligned(length + 2, sizeof *spectrum);
    float *edge = aligned(length, sizeof *edge);
    const fft_plan *fft = fft_get(FFT_REAL_F64, length);
    if (!window || !frame || !spectrum || !edge || !fft) goto out;

    if (o->window == STFT_HANN)
        hann_periodic(window, length);
    else
        for (size_t i = 0; i < length; i++) window[i] = 1;
    for (size_t t = 0; t < s->frames; t++) {
        if (t % 64 == 0 && bc_interrupted()) {
            rc = BC_STOPPED;
            goto out;
        }
        const float *x;
        frames_locate(&x, edge, &view, t, s->frames, 1);
        for (size_t i = 0; i < length; i++) frame[i] = window[i] * x[i];
        fft_real_f64(spectrum, frame, fft);
        put(s, t, spectrum, length / 2 + 1);
    }
    rc = BC_OK;
out:
    free(window);
    free(frame);
    free(spectrum);
    free(edge);
    return rc;
}

int stft_complex(float *re, float *im, const float *samples, size_t n, const stft_options *o) {
    sink s = {.re = re, .im = im, .frames = stft_frames(o, n)};
    return run(&s, samples, n, o);
}

int stft_magnitude(float *out, double power, const float *samples, size_t n,
                   const stft_options *o) {
    sink s = {.re = out, .power = power, .frames = stft_frames(o, n)};
    return run(&s, samples, n, o);
}
