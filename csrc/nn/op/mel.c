/* mel.c: what turns audio into a spectrum: |FFT|^2 of windowed frames, (1, n, frames, bins), and
 * the power mel spectrogram, (1, n, bands, frames). */
#include "mel.h"

#include <math.h>

#include "../../spectral/mel.h"

enum { MEL_RATE, MEL_FFT, MEL_HOP, MEL_BANDS, MEL_FMIN, MEL_FMAX, MEL_PAD };

enum { SPECTRUM_FFT, SPECTRUM_HOP };

NN_FORWARD(mel);
NN_FORWARD(spectrum);

typedef void transform(float *out, const float *samples, size_t n, const mel_plan *p,
                       void *scratch);

/* The kernels work in f32; a network in double converts around them. */
static void run(const nn_run *r, size_t i, int worker, transform *f) {
    const mel_plan *plan = r->layer->own;
    size_t samples = r->layer->in.w, cells = nn_volume(r->layer->shape);
    const real *x = r->part != NULL
                        ? (const real *)r->part[i / r->in_part] + i % r->in_part * samples
                        : (const real *)r->in[0] + i * samples;
    real *y = (real *)r->out + i * cells;
    char *scratch = scratch_of(r, worker);
    if (sizeof(real) == sizeof(float)) {
        f((float *)(void *)y, (const float *)(const void *)x, samples, plan, scratch);
        return;
    }
    float *single = (float *)(void *)(scratch + (mel_scratch(plan) + 63) / 64 * 64);
    float *power = single + samples;
    for (size_t k = 0; k < samples; k++) single[k] = (float)x[k];
    f(power, single, samples, plan, scratch);
    for (size_t k = 0; k < cells; k++) y[k] = (real)power[k];
}

static void spectrum_item(void *context, size_t i, int worker) {
    run(context, i, worker, mel_spectrum);
}

static void mel_item(void *context, size_t i, int worker) {
    run(context, i, worker, mel_power);
}

/* In f32 an item is sixteen frames, of whatever samples: no lane stays empty but at the end. */
static void mel_block_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    const bool parts = r->part != NULL;
    mel_power_block(r->out, parts ? r->part : &r->in[0], parts ? r->in_part : r->n, r->layer->in.w,
                    r->n, i, r->layer->own, scratch_of(r, worker));
}

void NN(nn_spectrum_pass)(const nn_run *r) {
    nn_run_items(r, spectrum_item, r->n);
}

void NN(nn_mel_pass)(const nn_run *r) {
    if (sizeof(real) == sizeof(float))
        nn_run_items(r, mel_block_item, mel_blocks(r->layer->own, r->layer->in.w, r->n));
    else
        nn_run_items(r, mel_item, r->n);
}

#ifndef NN_DOUBLE
static const char *const mel_pads[] = {"reflect", "constant", NULL};
static const nn_option mel_option_list[] = {
    {"sample_rate", NN_NUMBER, NAN, 1, NULL}, {"n_fft", NN_SIZE, NAN, 2, NULL},
    {"hop", NN_SIZE, NAN, 1, NULL},           {"n_mels", NN_SIZE, 128, 1, NULL},
    {"fmin", NN_NUMBER, 0, 0, NULL},          {"fmax", NN_NUMBER, 0, 0, NULL},
    {"pad", NN_CHOICE, 0, 0, mel_pads},       NN_END};

static int build_mel(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    const double *o = l->option;
    mel_options m = mel_defaults();
    m.sample_rate = o[MEL_RATE];
    m.n_fft = (size_t)o[MEL_FFT], m.hop = (size_t)o[MEL_HOP], m.n_mels = (size_t)o[MEL_BANDS];
    m.fmin = o[MEL_FMIN], m.fmax = o[MEL_FMAX];
    m.pad = o[MEL_PAD] == 0 ? MEL_PAD_REFLECT : MEL_PAD_CONSTANT;
    int rc = nn_check_audio(l, m.n_fft, e);
    if (rc != BC_OK) return rc;
    mel_plan *plan = NULL;
    rc = mel_plan_new(&plan, &m, e);
    if (rc != BC_OK) return rc;
    l->own = plan;
    l->shape = (nn_shape){1, m.n_mels, mel_frames(plan, l->in.w)};
    return BC_OK;
}

void nn_mel_release(nn_layer *l) {
    mel_plan_free(l->own);
    l->own = NULL;
}

static size_t scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    (void)n;
    size_t bytes = (mel_scratch(l->own) + 63) / 64 * 64;
    return nn_is_double(p) ? bytes + (l->in.w + nn_volume(l->shape)) * sizeof(float) : bytes;
}

const nn_kind nn_kind_mel = {.name = "mel",
                             .inputs = 1,
                             .flags = NN_WIDE | NN_TAKES_PARTS,
                             .options = mel_option_list,
                             .build = build_mel,
                             .release = nn_mel_release,
                             .scratch = scratch,
                             .forward = NN_IN_BOTH(nn_mel_pass)};

static const nn_option spectrum_options[] = {
    {"n_fft", NN_SIZE, NAN, 2, NULL}, {"hop", NN_SIZE, NAN, 1, NULL}, NN_END};

static int build_spectrum(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    mel_options m = mel_defaults();
    m.n_fft = (size_t)l->option[SPECTRUM_FFT], m.hop = (size_t)l->option[SPECTRUM_HOP];
    m.n_mels = 1; /* its matrix is not used */
    m.pad = MEL_PAD_REFLECT;
    int rc = nn_check_audio(l, m.n_fft, e);
    if (rc != BC_OK) return rc;
    mel_plan *plan = NULL;
    rc = mel_plan_new(&plan, &m, e);
    if (rc != BC_OK) return rc;
    l->own = plan;
    l->shape = (nn_shape){1, mel_frames(plan, l->in.w), mel_bins(plan)};
    return BC_OK;
}

const nn_kind nn_kind_spectrum = {.name = "spectrum",
                                  .inputs = 1,
                                  .flags = NN_WIDE | NN_TAKES_PARTS,
                                  .options = spectrum_options,
                                  .build = build_spectrum,
                                  .release = nn_mel_release,
                                  .scratch = scratch,
                                  .forward = NN_IN_BOTH(nn_spectrum_pass)};
#endif
