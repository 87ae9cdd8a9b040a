/* front.c: kinds of layers that turn audio into a spectrum, trained ones among
 * them. */
#include "front.h"

#include <math.h>

#include "../../spectral/mel.h"
#include "passes.h"

#define END \
    { NULL, NN_SIZE, 0, 0, NULL }

static int check_audio(const nn_layer *l, size_t n_fft, bc_error *e) {
    if (l->in.c != 1 || l->in.h != 1)
        return bc_fail(e, "layer '%s': %s takes audio, got %zu x %zu x %zu", l->name, l->kind->name,
                       l->in.c, l->in.h, l->in.w);
    if (l->trained)
        return bc_fail(e, "layer '%s': %s hands no gradient to what is before it", l->name,
                       l->kind->name);
    if (l->in.w <= n_fft / 2)
        return bc_fail(e, "layer '%s': %zu samples are too few for n_fft %zu (at least %zu)",
                       l->name, l->in.w, n_fft, n_fft / 2 + 1);
    return BC_OK;
}

static void release_plan(nn_layer *l) {
    mel_plan_free(l->own);
    l->own = NULL;
}

/* --- spectrum ------------------------------------------------------------------------- */

static const nn_option spectrum_options[] = {
    {"n_fft", NN_SIZE, NAN, 2, NULL}, {"hop", NN_SIZE, NAN, 1, NULL}, END};

static int build_spectrum(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    mel_options m = mel_defaults();
    m.n_fft = (size_t)l->option[SPECTRUM_FFT], m.hop = (size_t)l->option[SPECTRUM_HOP];
    m.n_mels = 1; /* its matrix is not used */
    m.pad = MEL_PAD_REFLECT;
    int rc = check_audio(l, m.n_fft, e);
    if (rc != BC_OK) return rc;
    mel_plan *plan = NULL;
    rc = mel_plan_new(&plan, &m, e);
    if (rc != BC_OK) return rc;
    l->own = plan;
    l->shape = (nn_shape){1, mel_frames(plan, l->in.w), mel_bins(plan)};
    return BC_OK;
}

static size_t spectrum_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    (void)n;
    size_t bytes = (mel_scratch(l->own) + 63) / 64 * 64;
    return nn_is_double(p) ? bytes + (l->in.w + nn_volume(l->shape)) * sizeof(float) : bytes;
}

const nn_kind nn_kind_spectrum = {.name = "spectrum",
                                  .inputs = 1,
                                  .flags = NN_WIDE,
                                  .options = spectrum_options,
                                  .build = build_spectrum,
                                  .release = release_plan,
                                  .scratch = spectrum_scratch,
                                  .forward = {nn_spectrum_pass_f32, nn_spectrum_pass_f64}};

/* --- dense Fourier kernels --------------------------------------------------------------- */

static int build_fourier(nn_graph *g, nn_layer *l, bc_error *e) {
    size_t n_fft = (size_t)l->option[FOURIER_FFT], hop = (size_t)l->option[FOURIER_HOP];
    int rc = check_audio(l, n_fft, e);
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
                                 .options = spectrum_options,
                                 .build = build_fourier,
                                 .start = start_fourier,
                                 .saved = fourier_saved,
                                 .scratch = fourier_scratch,
                                 .multiply_adds = fourier_work,
                                 .forward = {nn_fourier_pass_f32, nn_fourier_pass_f64},
                                 .backward = {nn_fourier_back_f32, nn_fourier_back_f64}};

/* --- filter bank ---------------------------------------------------------------------------- */

static const nn_option bank_options[] = {{"sample_rate", NN_NUMBER, NAN, 1, NULL},
                                         {"n_mels", NN_SIZE, 128, 1, NULL},
                                         {"fmin", NN_NUMBER, 0, 0, NULL},
                                         {"fmax", NN_NUMBER, 0, 0, NULL},
                                         END};

static int build_bank(nn_graph *g, nn_layer *l, bc_error *e) {
    mel_options m = mel_defaults();
    if (l->in.c != 1 || l->in.w < 2)
        return bc_fail(e, "layer '%s': filterbank takes a spectrum, got %zu x %zu x %zu", l->name,
                       l->in.c, l->in.h, l->in.w);
    m.sample_rate = l->option[BANK_RATE];
    m.n_fft = 2 * (l->in.w - 1);
    m.n_mels = (size_t)l->option[BANK_BANDS];
    m.fmin = l->option[BANK_FMIN], m.fmax = l->option[BANK_FMAX];
    mel_plan *plan = NULL;
    int rc = mel_plan_new(&plan, &m, e);
    if (rc != BC_OK) return rc;
    l->own = plan;
    l->shape = (nn_shape){1, m.n_mels, l->in.h};
    int64_t shape[2] = {(int64_t)m.n_mels, (int64_t)l->in.w};
    return nn_graph_tensor(g, l, NN_WEIGHT, "weight", NN_TRAINED, 2, shape, 0, 0, e);
}

static void start_bank(const nn_layer *l, int slot, double *to) {
    const float *matrix = mel_matrix(l->own);
    (void)slot;
    for (size_t i = 0; i < l->shape.h * l->in.w; i++) to[i] = (double)matrix[i];
}

static size_t bank_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward) {
    return backward ? n * nn_volume(l->shape) * nn_real_size(p) : 0;
}

static double bank_work(const nn_layer *l) {
    return (double)nn_volume(l->shape) * (double)l->in.w;
}

const nn_kind nn_kind_filterbank = {.name = "filterbank",
                                    .inputs = 1,
                                    .flags = NN_WIDE | NN_KEEPS_INPUT | NN_KEEPS_OUTPUT,
                                    .options = bank_options,
                                    .build = build_bank,
                                    .release = release_plan,
                                    .start = start_bank,
                                    .temporary = bank_temporary,
                                    .multiply_adds = bank_work,
                                    .forward = {nn_bank_pass_f32, nn_bank_pass_f64},
                                    .backward = {nn_bank_back_f32, nn_bank_back_f64}};
