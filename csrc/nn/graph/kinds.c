/* kinds.c: the kinds of layers: their options, shapes and tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../spectral/mel.h"
#include "../op/front.h"
#include "../op/passes.h"
#include "../conv/winograd.h"

#define END \
    { NULL, NN_SIZE, 0, 0, NULL }

/* --- input --------------------------------------------------------------------- */

static const nn_option no_options[] = {END};

const nn_kind nn_kind_input = {.name = "input", .options = no_options};

/* --- layers that keep the shape --------------------------------------------------- */

static int build_same(nn_graph *g, nn_layer *l, bc_error *e) {
    l->shape = l->in;
    for (int i = 1; i < l->kind->inputs; i++) {
        nn_shape s = g->layer[l->input[i]].shape;
        if (s.c != l->in.c || s.h != l->in.h || s.w != l->in.w)
            return bc_fail(e, "layer '%s': its inputs are %zu x %zu x %zu and %zu x %zu x %zu",
                           l->name, l->in.c, l->in.h, l->in.w, s.c, s.h, s.w);
    }
    return BC_OK;
}

static const nn_kind relu = {.name = "relu",
                             .inputs = 1,
                             .flags = NN_KEEPS_OUTPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_NARROW |
                                      NN_IS_CHEAP | NN_IS_RELU,
                             .options = no_options,
                             .build = build_same,
                             .forward = {nn_sum_pass_f32, nn_sum_pass_f64},
                             .backward = {nn_sum_back_f32, nn_sum_back_f64}};

static const nn_kind add = {
    .name = "add",
    .inputs = 2,
    .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_NARROW | NN_IS_CHEAP | NN_IS_SUM | NN_TAKES_RELU,
    .options = no_options,
    .build = build_same,
    .forward = {nn_sum_pass_f32, nn_sum_pass_f64},
    .backward = {nn_sum_back_f32, nn_sum_back_f64}};

static const nn_option decibel_options[] = {{"least", NN_NUMBER, 1e-10, 1e-300, NULL}, END};

static const nn_kind decibel = {.name = "decibel",
                                .inputs = 1,
                                .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_WIDE,
                                .options = decibel_options,
                                .build = build_same,
                                .forward = {nn_decibel_pass_f32, nn_decibel_pass_f64},
                                .backward = {nn_decibel_back_f32, nn_decibel_back_f64}};

static const char *const center_over[] = {"clip", "band", NULL};
static const nn_option center_options[] = {{"over", NN_CHOICE, NN_CENTER_CLIP, 0, center_over},
                                           {"scale", NN_NUMBER, 1, -HUGE_VAL, NULL},
                                           END};

static const nn_kind center = {.name = "center",
                               .inputs = 1,
                               .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_WIDE,
                               .options = center_options,
                               .build = build_same,
                               .forward = {nn_center_pass_f32, nn_center_pass_f64},
                               .backward = {nn_center_back_f32, nn_center_back_f64}};

/* librosa.pcen's defaults; scale 2^31 is what its documentation advises for
 * samples in -1..1. */
static const nn_option pcen_options[] = {
    {"frame_rate", NN_NUMBER, NAN, 1e-9, NULL},    {"scale", NN_NUMBER, 0x1p31, 0, NULL},
    {"time_constant", NN_NUMBER, 0.4, 1e-9, NULL}, {"gain", NN_NUMBER, 0.98, 0, NULL},
    {"bias", NN_NUMBER, 2, 1e-30, NULL},           {"power", NN_NUMBER, 0.5, 1e-30, NULL},
    {"eps", NN_NUMBER, 1e-6, 1e-30, NULL},         END};

static size_t pcen_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    (void)n, (void)p;
    return l->in.w * sizeof(double);
}

static const nn_kind pcen = {.name = "pcen",
                             .inputs = 1,
                             .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_WIDE,
                             .options = pcen_options,
                             .build = build_same,
                             .scratch = pcen_scratch,
                             .forward = {nn_pcen_pass_f32, nn_pcen_pass_f64},
                             .backward = {nn_pcen_back_f32, nn_pcen_back_f64}};

/* --- batch norm --------------------------------------------------------------------- */

static const nn_option norm_options[] = {
    {"eps", NN_NUMBER, 1e-5, 0, NULL}, {"momentum", NN_NUMBER, 0.1, 0, NULL}, END};

static int build_norm(nn_graph *g, nn_layer *l, bc_error *e) {
    int64_t c = (int64_t)l->in.c, one = 1;
    l->shape = l->in;
    int rc = nn_graph_tensor(g, l, NN_WEIGHT, "weight", NN_TRAINED, 1, &c, 0, 1, e);
    if (rc == BC_OK) rc = nn_graph_tensor(g, l, NN_BIAS, "bias", NN_TRAINED, 1, &c, 0, 0, e);
    if (rc == BC_OK)
        rc = nn_graph_tensor(g, l, NN_RUNNING_MEAN, "running_mean", NN_RUNNING, 1, &c, 0, 0, e);
    if (rc == BC_OK)
        rc = nn_graph_tensor(g, l, NN_RUNNING_VAR, "running_var", NN_RUNNING, 1, &c, 0, 1, e);
    if (rc == BC_OK)
        rc = nn_graph_tensor(g, l, NN_TRACKED, "num_batches_tracked", NN_COUNTER, 1, &one, 0, 0, e);
    return rc;
}

static size_t norm_saved(const nn_layer *l, size_t n, size_t groups, enum nn_precision p) {
    (void)n;
    return NN_NORM_SAVED * l->shape.c * groups * nn_real_size(p);
}

static const nn_kind batch_norm = {.name = "batch_norm",
                                   .inputs = 1,
                                   .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE |
                                            NN_NARROW | NN_IS_CHEAP | NN_TAKES_SUM | NN_TAKES_RELU,
                                   .options = norm_options,
                                   .build = build_norm,
                                   .saved = norm_saved,
                                   .forward = {nn_norm_pass_f32, nn_norm_pass_f64},
                                   .backward = {nn_norm_back_f32, nn_norm_back_f64}};

/* --- group norm, dropout ---------------------------------------------------------------- */

static const nn_option group_options[] = {
    {"groups", NN_SIZE, NAN, 1, NULL}, {"eps", NN_NUMBER, 1e-5, 0, NULL}, END};

static int build_group(nn_graph *g, nn_layer *l, bc_error *e) {
    int64_t c = (int64_t)l->in.c;
    size_t groups = (size_t)l->option[GROUP_GROUPS];
    if (l->in.c % groups != 0)
        return bc_fail(e, "layer '%s': %zu channels are not %zu equal groups", l->name, l->in.c,
                       groups);
    l->shape = l->in;
    int rc = nn_graph_tensor(g, l, NN_WEIGHT, "weight", NN_TRAINED, 1, &c, 0, 1, e);
    return rc == BC_OK ? nn_graph_tensor(g, l, NN_BIAS, "bias", NN_TRAINED, 1, &c, 0, 0, e) : rc;
}

static size_t group_saved(const nn_layer *l, size_t n, size_t groups, enum nn_precision p) {
    (void)groups;
    return 2 * (size_t)l->option[GROUP_GROUPS] * n * nn_real_size(p);
}

static size_t group_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward) {
    (void)backward;
    return 2 * l->shape.c * n * sizeof(double) + group_saved(l, n, 1, p);
}

static const nn_kind group_norm = {.name = "group_norm",
                                   .inputs = 1,
                                   .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE |
                                            NN_NARROW | NN_IS_CHEAP | NN_TAKES_RELU,
                                   .options = group_options,
                                   .build = build_group,
                                   .saved = group_saved,
                                   .temporary = group_temporary,
                                   .forward = {nn_group_pass_f32, nn_group_pass_f64},
                                   .backward = {nn_group_back_f32, nn_group_back_f64}};

static const nn_option dropout_options[] = {{"rate", NN_NUMBER, 0.5, 0, NULL}, END};

static int build_dropout(nn_graph *g, nn_layer *l, bc_error *e) {
    if (!(l->option[DROPOUT_RATE] < 1))
        return bc_fail(e, "layer '%s': option 'rate' must be below 1", l->name);
    return build_same(g, l, e);
}

static const nn_kind dropout = {.name = "dropout",
                                .inputs = 1,
                                .flags = NN_IN_PLACE | NN_GRAD_IN_PLACE | NN_NARROW | NN_IS_CHEAP,
                                .options = dropout_options,
                                .build = build_dropout,
                                .forward = {nn_dropout_pass_f32, nn_dropout_pass_f64},
                                .backward = {nn_dropout_back_f32, nn_dropout_back_f64}};

/* --- convolution and linear ----------------------------------------------------------- */

static const char *const algorithms[] = {"auto", "winograd", "direct", "im2col", "plain", NULL};
static const nn_option conv_options[] = {{"out", NN_SIZE, NAN, 1, NULL},
                                         {"kernel", NN_PAIR, NAN, 1, NULL},
                                         {"stride", NN_PAIR, 1, 1, NULL},
                                         {"padding", NN_PAIR, 0, 0, NULL},
                                         {"bias", NN_SWITCH, 0, 0, NULL},
                                         {"algorithm", NN_CHOICE, NN_CONV_AUTO, 0, algorithms},
                                         END};

/* Whole windows in an extent; 0 if not even one fits. */
static size_t windows(size_t extent, size_t kernel, size_t stride, size_t padding) {
    return extent + 2 * padding < kernel ? 0 : (extent + 2 * padding - kernel) / stride + 1;
}

static int set_window(nn_layer *l, size_t co, nn_conv w, bc_error *e) {
    w.ci = l->in.c, w.h = l->in.h, w.w = l->in.w, w.co = co;
    w.oh = windows(w.h, w.kh, w.sh, w.ph);
    w.ow = windows(w.w, w.kw, w.sw, w.pw);
    if (w.oh == 0 || w.ow == 0)
        return bc_fail(e, "layer '%s': a %zu x %zu window does not fit into %zu x %zu", l->name,
                       w.kh, w.kw, w.h, w.w);
    l->window = w;
    l->shape = (nn_shape){co, w.oh, w.ow};
    return BC_OK;
}

/* PyTorch's start: kaiming_uniform with a = sqrt(5), which is uniform in
 * +-1/sqrt(fan in), for weights and bias alike. */
static int add_weights(nn_graph *g, nn_layer *l, int ndim, const int64_t *shape, bool bias,
                       bc_error *e) {
    const nn_conv *w = &l->window;
    double bound = 1 / sqrt((double)(w->ci * w->kh * w->kw));
    int rc = nn_graph_tensor(g, l, NN_WEIGHT, "weight", NN_TRAINED, ndim, shape, bound, 0, e);
    if (rc == BC_OK && bias)
        rc = nn_graph_tensor(g, l, NN_BIAS, "bias", NN_TRAINED, 1, shape, bound, 0, e);
    return rc;
}

static int build_conv(nn_graph *g, nn_layer *l, bc_error *e) {
    const double *o = l->option;
    nn_conv w = {.kh = (size_t)o[CONV_KH],
                 .kw = (size_t)o[CONV_KW],
                 .sh = (size_t)o[CONV_SH],
                 .sw = (size_t)o[CONV_SW],
                 .ph = (size_t)o[CONV_PH],
                 .pw = (size_t)o[CONV_PW]};
    int rc = set_window(l, (size_t)o[CONV_OUT], w, e);
    if (rc != BC_OK) return rc;
    if (o[CONV_ALGORITHM] == NN_CONV_WINOGRAD && !nn_winograd_can(&l->window))
        return bc_fail(e, "layer '%s': winograd needs a 3x3 kernel, stride 1, padding up to 2",
                       l->name);
    int64_t shape[4] = {(int64_t)l->window.co, (int64_t)l->window.ci, (int64_t)w.kh, (int64_t)w.kw};
    return add_weights(g, l, 4, shape, o[CONV_BIAS] != 0, e);
}

static double conv_work(const nn_layer *l) {
    const nn_conv *w = &l->window;
    return (double)(w->co * w->oh * w->ow) * (double)(w->ci * w->kh * w->kw);
}

static const nn_kind conv2d = {.name = "conv2d",
                               .inputs = 1,
                               .flags = NN_KEEPS_INPUT,
                               .options = conv_options,
                               .build = build_conv,
                               .temporary = nn_conv_temporary,
                               .scratch = nn_conv_scratch,
                               .narrow = nn_conv_narrow,
                               .multiply_adds = conv_work,
                               .forward = {nn_conv_pass_f32, nn_conv_pass_f64},
                               .backward = {nn_conv_back_f32, nn_conv_back_f64}};

/* Linear over all values of a sample: a convolution with one window. */
static const nn_option linear_options[] = {
    {"out", NN_SIZE, NAN, 1, NULL}, {"bias", NN_SWITCH, 1, 0, NULL}, END};

static int build_linear(nn_graph *g, nn_layer *l, bc_error *e) {
    nn_conv w = {.kh = l->in.h, .kw = l->in.w, .sh = 1, .sw = 1};
    int rc = set_window(l, (size_t)l->option[LINEAR_OUT], w, e);
    if (rc != BC_OK) return rc;
    int64_t shape[2] = {(int64_t)l->window.co, (int64_t)nn_volume(l->in)};
    return add_weights(g, l, 2, shape, l->option[LINEAR_BIAS] != 0, e);
}

static const nn_kind linear = {.name = "linear",
                               .inputs = 1,
                               .flags = NN_KEEPS_INPUT,
                               .options = linear_options,
                               .build = build_linear,
                               .temporary = nn_conv_temporary,
                               .scratch = nn_conv_scratch,
                               .narrow = nn_conv_narrow,
                               .multiply_adds = conv_work,
                               .forward = {nn_conv_pass_f32, nn_conv_pass_f64},
                               .backward = {nn_conv_back_f32, nn_conv_back_f64}};

/* --- pooling ---------------------------------------------------------------------------- */

static const nn_option pool_options[] = {{"kernel", NN_PAIR, 0, 0, NULL},
                                         {"stride", NN_PAIR, 0, 0, NULL},
                                         {"global", NN_SWITCH, 0, 0, NULL},
                                         END};

static int build_pool(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    double *o = l->option;
    if (o[POOL_GLOBAL] != 0) o[POOL_KH] = (double)l->in.h, o[POOL_KW] = (double)l->in.w;
    if (o[POOL_KH] < 1 || o[POOL_KW] < 1)
        return bc_fail(e, "layer '%s': needs kernel, or global = true", l->name);
    if (o[POOL_SH] < 1) o[POOL_SH] = o[POOL_KH];
    if (o[POOL_SW] < 1) o[POOL_SW] = o[POOL_KW];
    nn_conv w = {.kh = (size_t)o[POOL_KH],
                 .kw = (size_t)o[POOL_KW],
                 .sh = (size_t)o[POOL_SH],
                 .sw = (size_t)o[POOL_SW]};
    return set_window(l, l->in.c, w, e);
}

static const nn_kind average_pool = {.name = "average_pool",
                                     .inputs = 1,
                                     .flags = 0,
                                     .options = pool_options,
                                     .build = build_pool,
                                     .forward = {nn_pool_pass_f32, nn_pool_pass_f64},
                                     .backward = {nn_pool_back_f32, nn_pool_back_f64}};

/* --- mel front end -------------------------------------------------------------------------- */

static const char *const mel_pads[] = {"reflect", "constant", NULL};
static const nn_option mel_option_list[] = {
    {"sample_rate", NN_NUMBER, NAN, 1, NULL}, {"n_fft", NN_SIZE, NAN, 2, NULL},
    {"hop", NN_SIZE, NAN, 1, NULL},           {"n_mels", NN_SIZE, 128, 1, NULL},
    {"fmin", NN_NUMBER, 0, 0, NULL},          {"fmax", NN_NUMBER, 0, 0, NULL},
    {"pad", NN_CHOICE, 0, 0, mel_pads},       END};

static int build_mel(nn_graph *g, nn_layer *l, bc_error *e) {
    (void)g;
    const double *o = l->option;
    mel_options m = mel_defaults();
    m.sample_rate = o[MEL_RATE];
    m.n_fft = (size_t)o[MEL_FFT], m.hop = (size_t)o[MEL_HOP], m.n_mels = (size_t)o[MEL_BANDS];
    m.fmin = o[MEL_FMIN], m.fmax = o[MEL_FMAX];
    m.pad = o[MEL_PAD] == 0 ? MEL_PAD_REFLECT : MEL_PAD_CONSTANT;
    if (l->in.c != 1 || l->in.h != 1)
        return bc_fail(e, "layer '%s': mel takes audio, got %zu x %zu x %zu", l->name, l->in.c,
                       l->in.h, l->in.w);
    if (l->trained)
        return bc_fail(e, "layer '%s': mel hands no gradient to what is before it", l->name);
    /* shorter, every frame would be mostly a mirror image of itself */
    if (l->in.w <= m.n_fft / 2)
        return bc_fail(e, "layer '%s': %zu samples are too few for n_fft %zu (at least %zu)",
                       l->name, l->in.w, m.n_fft, m.n_fft / 2 + 1);
    mel_plan *plan = NULL;
    int rc = mel_plan_new(&plan, &m, e);
    if (rc != BC_OK) return rc;
    l->own = plan;
    l->shape = (nn_shape){1, m.n_mels, mel_frames(plan, l->in.w)};
    return BC_OK;
}

static void release_mel(nn_layer *l) {
    mel_plan_free(l->own);
    l->own = NULL;
}

static size_t mel_bytes(const nn_layer *l, size_t n, enum nn_precision p) {
    (void)n;
    size_t bytes = (mel_scratch(l->own) + 63) / 64 * 64;
    return !nn_is_double(p) ? bytes : bytes + (l->in.w + nn_volume(l->shape)) * sizeof(float);
}

static const nn_kind mel = {.name = "mel",
                            .inputs = 1,
                            .flags = NN_WIDE,
                            .options = mel_option_list,
                            .build = build_mel,
                            .release = release_mel,
                            .scratch = mel_bytes,
                            .forward = {nn_mel_pass_f32, nn_mel_pass_f64}};

static const nn_kind *const kinds[] = {&mel,
                                       &nn_kind_spectrum,
                                       &nn_kind_fourier,
                                       &nn_kind_filterbank,
                                       &decibel,
                                       &center,
                                       &pcen,
                                       &conv2d,
                                       &linear,
                                       &batch_norm,
                                       &group_norm,
                                       &dropout,
                                       &relu,
                                       &add,
                                       &average_pool};

const nn_kind *nn_kind_at(size_t i) {
    return i < sizeof kinds / sizeof *kinds ? kinds[i] : NULL;
}

const nn_kind *nn_kind_find(const char *name) {
    for (size_t i = 0; nn_kind_at(i) != NULL; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}
