/* batch_norm.c: batch norm, with the sum and the relu behind it: an item is a channel. */
#include <math.h>

#include "blocks.h"
#include "elements.h"
#include "norm.h"

NN_PASSES(norm);

static void moments(double *mean, double *variance, const nn_run *r, size_t at, size_t count) {
    double lane[NN_SUM_LANES] = {0}, square[NN_SUM_LANES] = {0};
    real room[BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = smaller(BLOCK, count - i);
        NN(nn_sum)(lane, read_block(room, r->in[0], r->in_as[0], at + i, n), n);
    }
    *mean = nn_lane_total(lane) / (double)count;
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = smaller(BLOCK, count - i);
        NN(nn_sum_deviations)(square, read_block(room, r->in[0], r->in_as[0], at + i, n), *mean, n);
    }
    *variance = nn_lane_total(square) / (double)count;
}

/* The scale of channel c in group g, from what forward saved. */
static nn_scale saved_scale(const nn_run *r, size_t c, size_t g) {
    const real *gamma = r->tensor[NN_WEIGHT], *beta = r->tensor[NN_BIAS], *saved = r->saved;
    size_t slot = c * r->groups + g, block = r->layer->shape.c * r->groups;
    return (nn_scale){saved[slot], (real)((double)saved[block + slot] * (double)gamma[c]), beta[c]};
}

static nn_scale running_scale(const nn_run *r, size_t c) {
    const real *gamma = r->tensor[NN_WEIGHT], *beta = r->tensor[NN_BIAS];
    const real *mean = r->tensor[NN_RUNNING_MEAN], *variance = r->tensor[NN_RUNNING_VAR];
    double inverse = 1 / sqrt((double)variance[c] + r->layer->option[NORM_EPS]);
    return (nn_scale){mean[c], (real)(inverse * (double)gamma[c]), beta[c]};
}

static void save_moments(const nn_run *r, size_t c, size_t g, size_t at, size_t count) {
    double mean, variance;
    real *saved = r->saved;
    size_t slot = c * r->groups + g, block = r->layer->shape.c * r->groups;
    moments(&mean, &variance, r, at, count);
    saved[slot] = (real)mean;
    saved[block + slot] = (real)(1 / sqrt(variance + r->layer->option[NORM_EPS]));
    saved[2 * block + slot] = (real)variance;
}

static void norm_blocks(const nn_run *r, const nn_scale *s, size_t at, size_t count) {
    real room[3][BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = smaller(BLOCK, count - i);
        const real *x = read_block(room[0], r->in[0], r->in_as[0], at + i, n);
        const real *addend =
            r->in[1] == NULL ? NULL : read_block(room[1], r->in[1], r->in_as[1], at + i, n);
        real *y = block_for(room[2], r->out, r->out_as, at + i);
        NN(nn_norm_forward)(y, x, addend, s, r->relu, n);
        write_block(r->out, y, r->out_as, at + i, n);
    }
}

static void norm_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    (void)worker;
    size_t groups = r->train ? r->groups : 1;
    size_t plane = r->layer->shape.h * r->layer->shape.w, count = r->n / groups * plane;
    for (size_t g = 0; g < groups; g++) {
        size_t at = c * r->n * plane + g * count;
        if (r->train && !r->recompute) save_moments(r, c, g, at, count);
        nn_scale s = r->train ? saved_scale(r, c, g) : running_scale(r, c);
        norm_blocks(r, &s, at, count);
    }
}

/* The gradient behind the relu, of one block. Without a sum that is seen in the scaled x,
 * else in the output. */
static nn_open open_block(real *dy, real *y, const nn_run *r, const nn_scale *s, size_t at,
                          size_t n) {
    nn_open o = {.dy = read_block(dy, r->grad_out, r->out_as, at, n), .scale = *s};
    o.relu = r->relu;
    if (r->relu && r->out != NULL) o.y = read_block(y, r->out, r->out_as, at, n);
    return o;
}

/* 1 / deviation that the forward pass used: of the batch, in eval mode the running one. */
static double inverse_deviation(const nn_run *r, size_t c, size_t group) {
    const real *saved = r->saved, *variance = r->tensor[NN_RUNNING_VAR];
    if (r->train) return (double)saved[r->layer->shape.c * r->groups + c * r->groups + group];
    return 1 / sqrt((double)variance[c] + r->layer->option[NORM_EPS]);
}

/* One group of one channel. The sums come first, and with them the gradient of
 * the addend: grad_out may lie where either gradient lies. In eval mode mean and
 * deviation do not depend on the input, so that nothing goes back through them. */
static void norm_back_group(const nn_run *r, size_t c, size_t group, size_t at, size_t count) {
    const real *gamma = r->tensor[NN_WEIGHT];
    double sum[NN_SUM_LANES] = {0}, product[NN_SUM_LANES] = {0};
    nn_scale s = r->train ? saved_scale(r, c, group) : running_scale(r, c);
    double inverse = inverse_deviation(r, c, group);
    real room[4][BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = smaller(BLOCK, count - i);
        const real *x = read_block(room[0], r->in[0], r->in_as[0], at + i, n);
        nn_open o = open_block(room[1], room[2], r, &s, at + i, n);
        real *g = gradient_block(room[3], r, 1, at + i);
        NN(nn_norm_sums)(sum, product, r->add[1] ? room[3] : g, &o, x, inverse, n);
        if (r->add[1])
            give_gradient(r, 1, room[3], at + i, n);
        else if (g == room[3] && r->grad_in[1] != NULL)
            write_block(r->grad_in[1], g, r->in_as[1], at + i, n);
    }
    double total = nn_lane_total(sum), dot = nn_lane_total(product);
    ((real *)r->grad[NN_WEIGHT])[c] += (real)dot;
    ((real *)r->grad[NN_BIAS])[c] += (real)total;
    if (r->grad_in[0] == NULL) return;
    double shift = r->train ? total / (double)count : 0;
    double slope = r->train ? dot / (double)count * inverse : 0;
    double factor = (double)gamma[c] * inverse;
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t n = smaller(BLOCK, count - i);
        const real *x = read_block(room[0], r->in[0], r->in_as[0], at + i, n);
        nn_open o = open_block(room[1], room[2], r, &s, at + i, n);
        real *to = gradient_block(room[3], r, 0, at + i);
        NN(nn_norm_backward)(to, &o, x, factor, shift, slope, r->add[0] && to != room[3], n);
        if (to == room[3]) give_gradient(r, 0, to, at + i, n);
    }
}

static void norm_back_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    (void)worker;
    size_t plane = r->layer->shape.h * r->layer->shape.w, count = r->n / r->groups * plane;
    for (size_t g = 0; g < r->groups; g++)
        norm_back_group(r, c, g, c * r->n * plane + g * count, count);
}

void NN(nn_norm_pass)(const nn_run *r) {
    nn_run_items(r, norm_item, r->layer->shape.c);
}
void NN(nn_norm_back)(const nn_run *r) {
    nn_run_items(r, norm_back_item, r->layer->shape.c);
}

#ifndef NN_DOUBLE
static const nn_option norm_options[] = {
    {"eps", NN_NUMBER, 1e-5, 0, NULL}, {"momentum", NN_NUMBER, 0.1, 0, NULL}, NN_END};

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

const nn_kind nn_kind_batch_norm = {.name = "batch_norm",
                                    .inputs = 1,
                                    .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE |
                                             NN_NARROW | NN_IS_CHEAP | NN_TAKES_SUM | NN_TAKES_RELU,
                                    .options = norm_options,
                                    .build = build_norm,
                                    .saved = norm_saved,
                                    .forward = NN_IN_BOTH(nn_norm_pass),
                                    .backward = NN_IN_BOTH(nn_norm_back)};
#endif
