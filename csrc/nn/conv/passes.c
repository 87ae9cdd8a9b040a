/* passes.c: the passes of the fast convolutions, in float, and which convolution runs how. */
#include "passes.h"

#include <string.h>

#include "../../support/cpu.h"
#include "bf16_sum.h"
#include "direct.h"
#include "planar.h"
#include "products.h"
#include "products_bf16.h"
#include "winograd.h"

bool nn_conv_dual(nn_conv *dual, const nn_conv *s) {
    if (s->sh != 1 || s->sw != 1 || s->ph >= s->kh || s->pw >= s->kw) return false;
    *dual = (nn_conv){.n = s->n,
                      .ci = s->co,
                      .h = s->oh,
                      .w = s->ow,
                      .co = s->ci,
                      .oh = s->h,
                      .ow = s->w,
                      .kh = s->kh,
                      .kw = s->kw,
                      .sh = 1,
                      .sw = 1,
                      .ph = s->kh - 1 - s->ph,
                      .pw = s->kw - 1 - s->pw};
    return true;
}

size_t nn_conv_strip(const nn_conv *s) {
    size_t all = s->n * s->oh, columns = all * s->ow / 8;
    if (columns < 128) columns = 128;
    if (columns > 512) columns = 512;
    size_t rows = (columns + s->ow - 1) / s->ow;
    return rows < all ? rows : all;
}

/* Elements of a worker's columns. */
static size_t columns_of(const nn_conv *s) {
    nn_conv dual;
    size_t most = s->ci * s->kh * s->kw * nn_conv_strip(s) * s->ow;
    if (nn_conv_dual(&dual, s))
        most = larger(most, dual.ci * dual.kh * dual.kw * nn_conv_strip(&dual) * dual.ow);
    return most;
}

enum nn_algorithm nn_conv_algorithm(const nn_layer *l, size_t n, bool wide) {
    enum nn_algorithm told = (enum nn_algorithm)l->option[CONV_ALGORITHM];
    nn_conv s = nn_layer_conv(l, n);
    if (wide && told != NN_CONV_PLAIN) return NN_CONV_IM2COL;
    if (told != NN_CONV_AUTO && told != NN_CONV_BF16) return told;
    if (nn_planar_pays(&s)) return NN_CONV_PLANAR;
    return nn_winograd_pays(&s) ? NN_CONV_WINOGRAD : NN_CONV_DIRECT;
}

bool nn_conv_narrow(const nn_layer *l, size_t n) {
    return nn_is_fast(nn_conv_algorithm(l, n, false));
}

double nn_sum_stored(const void *values, enum nn_storage as, size_t n) {
    float wide[256];
    double sum = 0;
    for (size_t i = 0; i < n; i += 256) {
        size_t count = smaller(n - i, 256);
        nn_widen(wide, (const char *)values + i * nn_storage_size(as), as, count);
        for (size_t k = 0; k < count; k++) sum += (double)wide[k];
    }
    return sum;
}

/* --- jobs ------------------------------------------------------------------------------
 * What one run of the pool does. Backward the two gradients of a convolution are made in one
 * run where they can be: one barrier less, and the few large items of the weights' gradient
 * leave no thread waiting. */

typedef struct job {
    bc_task *task;
    void *context;
    size_t items;
} job;

static void run_job(const nn_run *r, job j) {
    bc_pool_run(r->pool, j.task, j.context, j.items);
}

static void pair_item(void *context, size_t i, int worker) {
    const job *pair = context, *j = i < pair[0].items ? &pair[0] : &pair[1];
    j->task(j->context, j == pair ? i : i - pair[0].items, worker);
}

static void run_pair(const nn_run *r, job a, job b) {
    job pair[2] = {a, b};
    run_job(r, (job){pair_item, pair, a.items + b.items});
}

/* --- weight gradients in parts that lie one behind the other ------------------------- */

struct partials {
    const nn_run *r;
    const float *dw;
    size_t count, weights;
};

BC_EACH_CPU(static, add_to, (float *restrict sum, const float *restrict x, size_t n), (sum, x, n)) {
    for (size_t i = 0; i < n; i++) sum[i] += x[i];
}

static void add_item(void *context, size_t i, int worker) {
    const struct partials *p = context;
    size_t first = i * 4096, last = smaller(first + 4096, p->weights);
    (void)worker;
    for (size_t k = 0; k < p->count; k++)
        add_to((float *)p->r->grad[NN_WEIGHT] + first, p->dw + k * p->weights + first,
               last - first);
}

static void add_partials(const nn_run *r, const float *dw, size_t count, size_t weights) {
    struct partials p = {r, dw, count, weights};
    bc_pool_run(r->pool, add_item, &p, parts(weights, 4096));
}

/* --- bf16 ---------------------------------------------------------------------------- */

/* Products in bf16 where they should be faster, and that is told, or nothing is and the processor
 * has them. */
static bool is_bf16(const nn_layer *l, const nn_conv *s) {
    long told = (long)l->option[CONV_ALGORITHM];
    return s->ci >= 32 && s->co >= 32 && s->kh * s->kw <= NN_BF16_TAPS &&
           s->n * s->oh * s->ow >= 64 &&
           (told == NN_CONV_BF16 || (told == NN_CONV_AUTO && bc_cpu_has(BC_CPU_BF16)));
}

/* Both sides are stored so, too. */
static bool runs_in_bf16(const nn_run *r, const nn_conv *s) {
    return r->in_as[0] == NN_AS_BF16 && r->out_as == NN_AS_BF16 && is_bf16(r->layer, s) &&
           (bc_cpu_now() >= BC_CPU_BF16 || r->layer->option[CONV_ALGORITHM] != NN_CONV_AUTO);
}

/* --- Winograd's convolution: an item is a block of tiles ------------------------- */

struct winograd {
    const nn_run *r;
    nn_winograd g;
    void *y;
    const void *x;
    enum nn_storage y_as, x_as;
    bool add, turned;
};

static void panel_item(void *context, size_t i, int worker) {
    const struct winograd *k = context;
    (void)worker;
    nn_winograd_weight_panel(k->r->temporary, k->r->tensor[NN_WEIGHT], &k->g, i, k->turned);
}

static void block_item(void *context, size_t i, int worker) {
    const struct winograd *k = context;
    nn_winograd_forward(k->y, k->y_as, k->x, k->x_as, k->r->temporary,
                        k->turned ? NULL : k->r->tensor[NN_BIAS], &k->g, k->add, i,
                        scratch_of(k->r, worker));
}

/* Weights are there when it returns. */
static job winograd_job(struct winograd *k) {
    run_job(k->r, (job){panel_item, k, parts(k->g.s.co, NN_LANES)});
    return (job){block_item, k, parts(k->g.rows, k->g.block)};
}

static void winograd_pass(const nn_run *r, const nn_conv *s) {
    struct winograd k = {
        .r = r, .y = r->out, .x = r->in[0], .y_as = r->out_as, .x_as = r->in_as[0]};
    nn_winograd_cut(&k.g, s, runs_in_bf16(r, s));
    run_job(r, winograd_job(&k));
}

static job winograd_input_job(struct winograd *k, const nn_run *r, const nn_conv *s) {
    nn_conv dual;
    *k = (struct winograd){.r = r,
                           .y = r->grad_in[0],
                           .x = r->grad_out,
                           .y_as = r->in_as[0],
                           .x_as = r->out_as,
                           .add = r->add[0],
                           .turned = true};
    nn_conv_dual(&dual, s);
    nn_winograd_cut(&k->g, &dual, runs_in_bf16(r, s));
    return winograd_job(k);
}

struct winograd_sum {
    const nn_run *r;
    nn_winograd_sum k;
    size_t blocks, block; /* in all; that workers share now */
    size_t inputs;        /* parts of dU along the input channels */
    size_t weights;       /* of the layer */
    float *dw, *points;
};

static void take_group(const struct winograd_sum *t, float *points, size_t block, size_t group,
                       float *scratch) {
    const nn_run *r = t->r;
    nn_winograd_sum_take(points, r->in[0], r->in_as[0], r->grad_out, r->out_as, &t->k, block, group,
                         scratch);
}

/* A narrow layer: an item is a run of blocks, and what it adds to the weights'
 * gradient. */
static void partial_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    const nn_winograd_sum *k = &t->k;
    nn_winograd_part all = {0, k->g.s.co, 0, k->g.s.ci};
    float *points = scratch_of(t->r, worker), *sum = points + nn_winograd_sum_points(k);
    float *scratch = sum + nn_winograd_sum_size(all.o1, all.c1), *dw = t->dw + i * t->weights;
    size_t first = i * t->blocks / k->partials, last = (i + 1) * t->blocks / k->partials;
    for (size_t block = first; block < last; block++) {
        for (size_t group = 0; group < nn_winograd_sum_groups(k); group++)
            take_group(t, points, block, group, scratch);
        nn_winograd_sum_multiply(sum, points, k, block, &all, block > first);
    }
    memset(dw, 0, t->weights * sizeof *dw);
    if (first < last) nn_winograd_sum_weights(dw, sum, k, &all);
}

/* A wide layer: an item is one group of channels, then one part of dU, of a
 * block that all share. */
static void take_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    take_group(t, t->points, t->block, i, scratch_of(t->r, worker));
}

static void part_item(void *context, size_t i, int worker) {
    const struct winograd_sum *t = context;
    nn_winograd_part part = {.o0 = i / t->inputs * NN_SUM_OUTPUTS,
                             .c0 = i % t->inputs * NN_SUM_INPUTS};
    float *sum = scratch_of(t->r, worker);
    part.o1 = smaller(part.o0 + NN_SUM_OUTPUTS, t->k.g.s.co);
    part.c1 = smaller(part.c0 + NN_SUM_INPUTS, t->k.g.s.ci);
    nn_winograd_sum_multiply(sum, t->points, &t->k, t->block, &part, false);
    nn_winograd_sum_weights(t->r->grad[NN_WEIGHT], sum, &t->k, &part);
}

static size_t turned_weights(const nn_conv *s) {
    nn_conv dual;
    nn_winograd g;
    nn_conv_dual(&dual, s);
    nn_winograd_cut(&g, &dual, false);
    return nn_winograd_weights(&g);
}

static void winograd_back(const nn_run *r, const nn_conv *s) {
    struct winograd_sum t = {.r = r, .points = r->temporary};
    struct winograd k;
    nn_winograd_sum_cut(&t.k, s, runs_in_bf16(r, s));
    t.blocks = parts(t.k.g.rows, t.k.block);
    t.inputs = parts(s->ci, NN_SUM_INPUTS);
    t.weights = s->co * s->ci * 9;
    if (t.k.partials > 1) {
        job sums = {partial_item, &t, t.k.partials}, none = {0};
        t.dw = (float *)r->temporary + turned_weights(s);
        run_pair(r, sums, r->grad_in[0] == NULL ? none : winograd_input_job(&k, r, s));
        add_partials(r, t.dw, t.k.partials, t.weights);
        return;
    }
    for (; t.block < t.blocks; t.block++) {
        run_job(r, (job){take_item, &t, nn_winograd_sum_groups(&t.k)});
        run_job(r, (job){part_item, &t, parts(s->co, NN_SUM_OUTPUTS) * t.inputs});
    }
    if (r->grad_in[0] != NULL) run_job(r, winograd_input_job(&k, r, s));
}

/* --- products over rows as they lie: an item is a block of rows ------------------- */

struct direct {
    const nn_run *r;
    nn_direct g;
    nn_direct_sum sum;
    nn_bf16_sum bf16;
    bool backward;
};

static void pack_item(void *context, size_t i, int worker) {
    const struct direct *k = context;
    (void)worker;
    nn_direct_pack(k->r->temporary, k->r->tensor[NN_WEIGHT], &k->g, k->backward, i);
}

static void rows_item(void *context, size_t i, int worker) {
    const struct direct *k = context;
    const nn_run *r = k->r;
    if (k->backward)
        nn_direct_backward(r->grad_in[0], r->in_as[0], r->grad_out, r->out_as, r->temporary, &k->g,
                           r->add[0], i, scratch_of(r, worker));
    else
        nn_direct_forward(r->out, r->out_as, r->in[0], r->in_as[0], r->temporary,
                          r->tensor[NN_BIAS], &k->g, false, i, scratch_of(r, worker));
}

static job direct_job(struct direct *k, const nn_conv *s, bool backward) {
    k->backward = backward;
    if (runs_in_bf16(k->r, s))
        nn_direct_cut_bf16(&k->g, s, backward);
    else
        nn_direct_cut(&k->g, s, backward);
    run_job(k->r, (job){pack_item, k, k->g.co / NN_LANES});
    return (job){rows_item, k, parts(k->g.rows, k->g.block)};
}

static void direct_sum_item(void *context, size_t i, int worker) {
    const struct direct *k = context;
    const nn_run *r = k->r;
    nn_direct_sum_part(r->grad[NN_WEIGHT], r->in[0], r->in_as[0], r->grad_out, r->out_as, &k->sum,
                       i, scratch_of(r, worker));
}

static void direct_pass(const nn_run *r, const nn_conv *s) {
    struct direct k = {.r = r};
    run_job(r, direct_job(&k, s, false));
}

static job direct_sum_job(struct direct *k, const nn_conv *s) {
    nn_direct_sum_cut(&k->sum, s);
    return (job){direct_sum_item, k, k->sum.across * k->sum.down};
}

static void bf16_sum_item(void *context, size_t i, int worker) {
    const struct direct *k = context;
    const nn_run *r = k->r;
    nn_bf16_sum_part(r->grad[NN_WEIGHT], r->in[0], r->grad_out, &k->bf16, i, scratch_of(r, worker));
}

static job bf16_sum_job(struct direct *k, const nn_conv *s) {
    nn_bf16_sum_cut(&k->bf16, s);
    return (job){bf16_sum_item, k, k->bf16.across * k->bf16.down};
}

static void direct_back(const nn_run *r, const nn_conv *s) {
    struct direct k = {.r = r};
    job sums = runs_in_bf16(r, s) ? bf16_sum_job(&k, s) : direct_sum_job(&k, s), none = {0};
    run_pair(r, sums, r->grad_in[0] == NULL ? none : direct_job(&k, s, true));
}

static size_t direct_scratch(const nn_conv *s) {
    nn_direct there, back;
    nn_direct_sum sum;
    nn_direct_cut(&there, s, false);
    nn_direct_cut(&back, s, true);
    nn_direct_sum_cut(&sum, s);
    return larger(larger(nn_direct_scratch(&there), nn_direct_scratch(&back)),
                  nn_direct_sum_scratch(&sum));
}

/* --- products over rows of few channels: an item is a block of rows --------------- */

#define PLANAR_PARTIALS 16

struct planar {
    const nn_run *r;
    nn_planar g;
    void *to;
    const void *from;
    enum nn_storage to_as, from_as;
    size_t blocks;
};

static void planar_pack_item(void *context, size_t i, int worker) {
    const struct planar *k = context;
    (void)worker;
    nn_planar_pack(k->r->temporary, k->r->tensor[NN_WEIGHT], &k->g, i);
}

static void planar_item(void *context, size_t i, int worker) {
    const struct planar *k = context;
    nn_planar_block(k->to, k->to_as, k->from, k->from_as, k->r->temporary,
                    k->g.backward ? NULL : k->r->tensor[NN_BIAS], &k->g,
                    k->g.backward && k->r->add[0], i, scratch_of(k->r, worker));
}

static job planar_job(struct planar *k) {
    run_job(k->r, (job){planar_pack_item, k, parts(k->g.co, NN_LANES)});
    return (job){planar_item, k, k->g.s.n * k->g.down};
}

static void planar_pass(const nn_run *r, const nn_conv *s) {
    struct planar k = {.r = r, .to = r->out, .from = r->in[0]};
    k.to_as = r->out_as, k.from_as = r->in_as[0];
    nn_planar_cut(&k.g, s, false);
    run_job(r, planar_job(&k));
}

static job planar_input_job(struct planar *k, const nn_run *r, const nn_conv *s) {
    *k = (struct planar){.r = r, .to = r->grad_in[0], .from = r->grad_out};
    k->to_as = r->in_as[0], k->from_as = r->out_as;
    nn_planar_cut(&k->g, s, true);
    return planar_job(k);
}

static size_t weights_of(const nn_conv *s) {
    return s->co * s->ci * s->kh * s->kw;
}

static void planar_sum_item(void *context, size_t i, int worker) {
    const struct planar *k = context;
    const nn_run *r = k->r;
    nn_planar_weight_gradient((float *)k->to + i * weights_of(&k->g.s), r->in[0], r->in_as[0],
                              r->grad_out, r->out_as, &k->g, i * k->blocks / PLANAR_PARTIALS,
                              (i + 1) * k->blocks / PLANAR_PARTIALS, scratch_of(r, worker));
}

static size_t planar_weights(const nn_conv *s, bool backward) {
    nn_planar g;
    nn_planar_cut(&g, s, backward);
    return nn_planar_weights(&g);
}

static void planar_back(const nn_run *r, const nn_conv *s) {
    struct planar t = {.r = r, .to = (float *)r->temporary + planar_weights(s, true)}, k;
    job sums = {planar_sum_item, &t, PLANAR_PARTIALS}, none = {0};
    nn_planar_cut(&t.g, s, false);
    t.blocks = s->n * t.g.down;
    run_pair(r, sums, r->grad_in[0] == NULL ? none : planar_input_job(&k, r, s));
    add_partials(r, t.to, PLANAR_PARTIALS, weights_of(s));
}

static size_t planar_scratch(const nn_conv *s) {
    nn_planar there, back;
    nn_planar_cut(&there, s, false);
    nn_planar_cut(&back, s, true);
    return larger(larger(nn_planar_scratch(&there), nn_planar_scratch(&back)),
                  nn_planar_sum_scratch(&there));
}

static size_t planar_temporary(const nn_conv *s, bool backward) {
    return planar_weights(s, backward) + (backward ? PLANAR_PARTIALS * weights_of(s) : 0);
}

/* --- either ---------------------------------------------------------------------------- */

/* In bf16 matrix registers are faster at direct products than Winograd's transforms. */
static enum nn_algorithm of_values(const nn_run *r, const nn_conv *s, enum nn_algorithm how) {
    return how == NN_CONV_WINOGRAD && runs_in_bf16(r, s) && bc_cpu_now() == BC_CPU_AMX
               ? NN_CONV_DIRECT
               : how;
}

void nn_fast_forward(const nn_run *r, const nn_conv *s, enum nn_algorithm how) {
    switch (of_values(r, s, how)) {
    case NN_CONV_WINOGRAD: winograd_pass(r, s); break;
    case NN_CONV_PLANAR: planar_pass(r, s); break;
    default: direct_pass(r, s);
    }
}

void nn_fast_back(const nn_run *r, const nn_conv *s, enum nn_algorithm how) {
    switch (of_values(r, s, how)) {
    case NN_CONV_WINOGRAD: winograd_back(r, s); break;
    case NN_CONV_PLANAR: planar_back(r, s); break;
    default: direct_back(r, s);
    }
}

/* --- memory -------------------------------------------------------------------------- */

static size_t bf16_scratch(const nn_conv *s) {
    nn_direct there, back;
    nn_direct_cut_bf16(&there, s, false);
    nn_direct_cut_bf16(&back, s, true);
    nn_bf16_sum sum;
    nn_bf16_sum_cut(&sum, s);
    return larger(larger(nn_direct_scratch(&there), nn_direct_scratch(&back)),
                  nn_bf16_sum_scratch(&sum));
}

static size_t winograd_scratch(const nn_conv *s) {
    nn_conv dual;
    nn_winograd there, back;
    nn_winograd_sum k;
    nn_conv_dual(&dual, s);
    nn_winograd_cut(&there, s, false);
    nn_winograd_cut(&back, &dual, false);
    nn_winograd_sum_cut(&k, s, false);
    size_t sum = nn_winograd_sum_size(NN_SUM_OUTPUTS, NN_SUM_INPUTS);
    if (k.partials > 1) sum = nn_winograd_sum_points(&k) + nn_winograd_sum_size(s->co, s->ci);
    return larger(larger(nn_winograd_scratch(&there), nn_winograd_scratch(&back)),
                  sum + nn_winograd_sum_scratch(&k));
}

static size_t winograd_temporary(const nn_conv *s, bool backward) {
    nn_conv dual;
    nn_winograd g;
    nn_winograd_sum k;
    nn_conv_dual(&dual, s);
    nn_winograd_cut(&g, backward ? &dual : s, false);
    nn_winograd_sum_cut(&k, s, false);
    if (!backward) return nn_winograd_weights(&g);
    return k.partials > 1 ? nn_winograd_weights(&g) + k.partials * s->co * s->ci * 9
                          : larger(nn_winograd_weights(&g), nn_winograd_sum_points(&k));
}

size_t nn_conv_temporary(const nn_layer *l, size_t n, enum nn_precision p, bool backward) {
    nn_conv s = nn_layer_conv(l, n), dual;
    nn_direct d;
    size_t floats;
    switch (nn_conv_algorithm(l, n, nn_is_double(p))) {
    case NN_CONV_WINOGRAD: floats = winograd_temporary(&s, backward); break;
    case NN_CONV_PLANAR: floats = planar_temporary(&s, backward); break;
    case NN_CONV_DIRECT:
        nn_direct_cut(&d, &s, backward);
        floats = nn_direct_weights(&d);
        break;
    case NN_CONV_IM2COL:
        return backward && nn_conv_dual(&dual, &s) ? s.co * s.ci * s.kh * s.kw * nn_real_size(p)
                                                   : 0;
    default: return 0;
    }
    if (p == NN_BF16 && is_bf16(l, &s)) {
        nn_direct_cut_bf16(&d, &s, backward);
        floats = larger(floats, nn_direct_weights(&d));
    }
    return floats * sizeof(float);
}

size_t nn_conv_scratch(const nn_layer *l, size_t n, enum nn_precision p) {
    nn_conv s = nn_layer_conv(l, n);
    size_t floats;
    switch (nn_conv_algorithm(l, n, nn_is_double(p))) {
    case NN_CONV_WINOGRAD: floats = winograd_scratch(&s); break;
    case NN_CONV_PLANAR: floats = planar_scratch(&s); break;
    case NN_CONV_DIRECT: floats = direct_scratch(&s); break;
    case NN_CONV_IM2COL: return columns_of(&s) * nn_real_size(p);
    default: return 0;
    }
    if (p == NN_BF16 && is_bf16(l, &s)) floats = larger(floats, bf16_scratch(&s));
    return floats * sizeof(float);
}
