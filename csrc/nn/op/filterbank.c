/* filterbank.c: a trained filter bank, (1, n, bands, frames), which starts as the mel filters. */
#include <cblas.h>
#include <math.h>

#include "../../spectral/mel.h"
#include "elements.h"
#include "mel.h"

#define ROWS 16 /* of the gradient in one item */

enum { BANK_RATE, BANK_BANDS, BANK_FMIN, BANK_FMAX };

NN_PASSES(bank);

static const real *filters(const nn_run *r) {
    return r->tensor[NN_WEIGHT];
}

/* y (bands, frames) = max(0, w (bands, bins) x^T): with the first weights nothing
 * is below 0, and what training makes of them stays a power. */
static void bank_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t bands = r->layer->shape.h, frames = r->layer->shape.w, bins = r->layer->in.w;
    const real *x = (const real *)r->in[0] + i * frames * bins;
    real *y = (real *)r->out + i * bands * frames;
    (void)worker;
    NN_GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)bands, (blasint)frames, (blasint)bins,
            1, filters(r), (blasint)bins, x, (blasint)bins, 0, y, (blasint)frames);
    NN(nn_relu_forward)(y, y, bands * frames);
}

/* The gradient before the floor, into temporary; then that of x. */
static void bank_back_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t bands = r->layer->shape.h, frames = r->layer->shape.w, bins = r->layer->in.w;
    size_t cells = bands * frames;
    real *g = (real *)r->temporary + i * cells;
    (void)worker;
    NN(nn_relu_backward)
    (g, (const real *)r->grad_out + i * cells, (const real *)r->out + i * cells, false, cells);
    if (r->grad_in[0] == NULL) return;
    NN_GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)frames, (blasint)bins, (blasint)bands,
            1, g, (blasint)frames, filters(r), (blasint)bins, r->add[0] ? 1 : 0,
            (real *)r->grad_in[0] + i * frames * bins, (blasint)bins);
}

static void bank_weight_item(void *context, size_t i, int worker) {
    const nn_run *r = context;
    size_t bands = r->layer->shape.h, frames = r->layer->shape.w, bins = r->layer->in.w;
    size_t first = i * ROWS, rows = smaller(ROWS, bands - first);
    (void)worker;
    for (size_t n = 0; n < r->n; n++)
        NN_GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)bins,
                (blasint)frames, 1, (const real *)r->temporary + (n * bands + first) * frames,
                (blasint)frames, (const real *)r->in[0] + n * frames * bins, (blasint)bins, 1,
                (real *)r->grad[NN_WEIGHT] + first * bins, (blasint)bins);
}

void NN(nn_bank_pass)(const nn_run *r) {
    nn_run_items(r, bank_item, r->n);
}
void NN(nn_bank_back)(const nn_run *r) {
    nn_run_items(r, bank_back_item, r->n);
    nn_run_items(r, bank_weight_item, parts(r->layer->shape.h, ROWS));
}

#ifndef NN_DOUBLE
static const nn_option bank_options[] = {{"sample_rate", NN_NUMBER, NAN, 1, NULL},
                                         {"n_mels", NN_SIZE, 128, 1, NULL},
                                         {"fmin", NN_NUMBER, 0, 0, NULL},
                                         {"fmax", NN_NUMBER, 0, 0, NULL},
                                         NN_END};

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
                                    .release = nn_mel_release,
                                    .start = start_bank,
                                    .temporary = bank_temporary,
                                    .multiply_adds = bank_work,
                                    .forward = NN_IN_BOTH(nn_bank_pass),
                                    .backward = NN_IN_BOTH(nn_bank_back)};
#endif
