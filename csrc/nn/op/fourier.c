/* fourier.c: a spectrum by dense Fourier kernels that are trained, (1, n, frames, bins). */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "real.h"

#define BINS 128 /* of the kernels' gradients in one item */

enum { FOURIER_FFT, FOURIER_HOP };

NN_PASSES(fourier);

/* The sample at a position that may lie outside: mirrored, edge not repeated. */
static size_t mirrored(ptrdiff_t at, size_t n) {
    ptrdiff_t last = (ptrdiff_t)n - 1;
    while (at < 0 || at > last) at = at < 0 ? -at : 2 * last - at;
    return (size_t)at;
}

/* frame (frames, n_fft) of sample i: centred, mirrored at the ends. */
static void take_frames(real *frame, const nn_run *r, size_t i) {
    size_t samples = r->layer->in.w, n_fft = (size_t)r->layer->option[FOURIER_FFT];
    size_t hop = (size_t)r->layer->option[FOURIER_HOP], frames = r->layer->shape.h;
    const real *x = (const real *)r->in[0] + i * samples;
    for (size_t f = 0; f < frames; f++, frame += n_fft) {
        ptrdiff_t start = (ptrdiff_t)(f * hop) - (ptrdiff_t)(n_fft / 2);
        if (start >= 0 && (size_t)start + n_fft <= samples) {
            memcpy(frame, x + start, n_fft * sizeof *frame);
            continue;
        }
        for (size_t k = 0; k < n_fft; k++) frame[k] = x[mirrored(start + (ptrdiff_t)k, samples)];
    }
}

/* Real or imaginary parts of sample i, (frames, bins), as backward reads them. */
static real *half_of(const nn_run *r, size_t i, int imaginary) {
    size_t cells = nn_volume(r->layer->shape);
    return (real *)r->saved + (2 * i + (size_t)imaginary) * cells;
}

static void fourier_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t bins = r->layer->shape.w, frames = r->layer->shape.h, cells = bins * frames;
    size_t n_fft = (size_t)r->layer->option[FOURIER_FFT];
    real *frame = scratch_of(r, worker), *room = frame + frames * n_fft;
    real *y = (real *)r->out + i * cells;
    take_frames(frame, r, i);
    for (int j = 0; j < 2; j++) {
        real *part = r->saved != NULL ? half_of(r, i, j) : room;
        NN_GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)frames, (blasint)bins,
                (blasint)n_fft, 1, frame, (blasint)n_fft, (const real *)r->tensor[j],
                (blasint)n_fft, 0, part, (blasint)bins);
        for (size_t k = 0; k < cells; k++) y[k] = (j ? y[k] : 0) + part[k] * part[k];
    }
}

/* Kernels [i * BINS, ...): their gradients, sample after sample. */
static void fourier_weight_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t all = r->layer->shape.w, frames = r->layer->shape.h, first = i * BINS;
    size_t bins = smaller(BINS, all - first), n_fft = (size_t)r->layer->option[FOURIER_FFT];
    real *frame = scratch_of(r, worker), *g = frame + frames * n_fft;
    for (size_t n = 0; n < r->n; n++) {
        take_frames(frame, r, n);
        const real *dy = (const real *)r->grad_out + n * frames * all + first;
        for (int j = 0; j < 2; j++) {
            const real *part = half_of(r, n, j) + first;
            for (size_t f = 0; f < frames; f++)
                for (size_t k = 0; k < bins; k++)
                    g[f * bins + k] = 2 * part[f * all + k] * dy[f * all + k];
            NN_GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)bins, (blasint)n_fft,
                    (blasint)frames, 1, g, (blasint)bins, frame, (blasint)n_fft, 1,
                    (real *)r->grad[j] + first * n_fft, (blasint)n_fft);
        }
    }
}

void NN(nn_fourier_pass)(const nn_run *r) {
    nn_run_items(r, fourier_item, r->n);
}
void NN(nn_fourier_back)(const nn_run *r) {
    nn_run_items(r, fourier_weight_item, parts(r->layer->shape.w, BINS));
}

#ifndef NN_DOUBLE
static const nn_option fourier_options[] = {
    {"n_fft", NN_SIZE, NAN, 2, NULL}, {"hop", NN_SIZE, NAN, 1, NULL}, NN_END};

static int build_fourier(nn_graph *g, nn_layer *l, bc_error *e) {
    size_t n_fft = (size_t)l->option[FOURIER_FFT], hop = (size_t)l->option[FOURIER_HOP];
    int rc = nn_check_audio(l, n_fft, e);
    if (rc != BC_OK) return rc;
    int64_t shape[3] = {(int64_t)n_fft / 2 + 1, 1, (int64_t)n_fft};
    l->shape = (nn_shape){1, 1 + l->in.w / hop, n_fft / 2 + 1};
    rc = nn_graph_tensor(g, l, 0, "wcos", NN_TRAINED, 3, shape, 0, 0, e);
    return rc == BC_OK ? nn_graph_tensor(g, l, 1, "wsin", NN_TRAINED, 3, shape, 0, 0, e) : rc;
}

/* Windowed cosines (slot 0) and sines, so that training starts from the STFT. */
static void start_fourier(const nn_layer *l, int slot, double *to) {
    size_t n = (size_t)l->option[FOURIER_FFT];
    double turn = 2 * acos(-1.0) / (double)n;
    for (size_t k = 0; k < n / 2 + 1; k++)
        for (size_t t = 0; t < n; t++) {
            double hann = 0.5 - 0.5 * cos(turn * (double)t), angle = turn * (double)(k * t % n);
            *to++ = hann * (slot == 0 ? cos(angle) : -sin(angle));
        }
}

static size_t fourier_saved(const nn_layer *l, size_t n, size_t groups, enum nn_precision p) {
    (void)groups;
    return 2 * n * nn_volume(l->shape) * nn_real_size(p);
}

/* The frames of a sample, and one part of its transform or of a block's gradient. */
static size_t fourier_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    size_t n_fft = (size_t)l->option[FOURIER_FFT], bins = larger(l->shape.w, 128);
    (void)n;
    return l->shape.h * (n_fft + bins) * nn_real_size(p);
}

static double fourier_work(const nn_layer *l) {
    return 2 * (double)nn_volume(l->shape) * l->option[FOURIER_FFT];
}

const nn_kind nn_kind_fourier = {.name = "fourier",
                                 .inputs = 1,
                                 .flags = NN_WIDE | NN_KEEPS_INPUT | NN_IS_FIRST,
                                 .options = fourier_options,
                                 .build = build_fourier,
                                 .start = start_fourier,
                                 .saved = fourier_saved,
                                 .scratch = fourier_scratch,
                                 .multiply_adds = fourier_work,
                                 .forward = NN_IN_BOTH(nn_fourier_pass),
                                 .backward = NN_IN_BOTH(nn_fourier_back)};
#endif
