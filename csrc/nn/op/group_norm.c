/* group_norm.c: group norm (Wu & He, 2018): statistics of one sample over the channels of one
 * group. Values are (C, N, plane): an item is a channel. */
#include <math.h>

#include "blocks.h"
#include "norm.h"

enum { GROUP_GROUPS, GROUP_EPS };

NN_PASSES(group);

/* Of temporary: sums, then sums of squares, per channel and sample; then, where
 * nothing is saved, mean and inverse deviation per group and sample. */
static double *channel_sum(const nn_run *r, int square, size_t c, size_t i) {
    return (double *)r->temporary + ((size_t)square * r->layer->shape.c + c) * r->n + i;
}

static real *group_statistic(const nn_run *r, int inverse, size_t group, size_t i) {
    size_t groups = (size_t)r->layer->option[GROUP_GROUPS];
    real *to = r->saved;
    if (to == NULL) to = (real *)(void *)channel_sum(r, 2, 0, 0);
    return to + ((size_t)inverse * groups + group) * r->n + i;
}

static size_t group_width(const nn_run *r) {
    return r->layer->shape.c / (size_t)r->layer->option[GROUP_GROUPS];
}

static size_t plane_of(const nn_run *r) {
    return r->layer->shape.h * r->layer->shape.w;
}

static double group_total(const nn_run *r, int square, size_t group, size_t i) {
    size_t width = group_width(r);
    double sum = 0;
    for (size_t c = group * width; c < (group + 1) * width; c++)
        sum += *channel_sum(r, square, c, i);
    return sum;
}

static void group_sum_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    size_t plane = plane_of(r), n;
    real room[BLOCK];
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        double lane[NN_SUM_LANES] = {0};
        for (size_t k = 0; k < plane; k += n) {
            n = smaller(BLOCK, plane - k);
            NN(nn_sum)
            (lane, read_block(room, r->in[0], r->in_as[0], (c * r->n + i) * plane + k, n), n);
        }
        *channel_sum(r, 0, c, i) = nn_lane_total(lane);
    }
}

static void group_square_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    size_t plane = plane_of(r), width = group_width(r), n;
    real room[BLOCK];
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        double lane[NN_SUM_LANES] = {0};
        double mean = group_total(r, 0, c / width, i) / (double)(plane * width);
        for (size_t k = 0; k < plane; k += n) {
            n = smaller(BLOCK, plane - k);
            NN(nn_sum_deviations)
            (lane, read_block(room, r->in[0], r->in_as[0], (c * r->n + i) * plane + k, n), mean, n);
        }
        *channel_sum(r, 1, c, i) = nn_lane_total(lane);
    }
}

static void group_finish_item(void *context, size_t group, int worker) {
    const nn_run *r = context;
    double count = (double)(plane_of(r) * group_width(r));
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        double variance = group_total(r, 1, group, i) / count;
        *group_statistic(r, 0, group, i) = (real)(group_total(r, 0, group, i) / count);
        *group_statistic(r, 1, group, i) = (real)(1 / sqrt(variance + r->layer->option[GROUP_EPS]));
    }
}

static nn_scale group_scale(const nn_run *r, size_t c, size_t i) {
    const real *gamma = r->tensor[NN_WEIGHT], *beta = r->tensor[NN_BIAS];
    size_t group = c / group_width(r);
    double inverse = (double)*group_statistic(r, 1, group, i);
    return (nn_scale){*group_statistic(r, 0, group, i), (real)(inverse * (double)gamma[c]),
                      beta[c]};
}

static void group_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    size_t plane = plane_of(r), n;
    real room[2][BLOCK];
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        nn_scale s = group_scale(r, c, i);
        for (size_t k = 0; k < plane; k += n) {
            size_t at = (c * r->n + i) * plane + k;
            n = smaller(BLOCK, plane - k);
            real *y = block_for(room[1], r->out, r->out_as, at);
            NN(nn_norm_forward)
            (y, read_block(room[0], r->in[0], r->in_as[0], at, n), NULL, &s, r->relu, n);
            write_block(r->out, y, r->out_as, at, n);
        }
    }
}

void NN(nn_group_pass)(const nn_run *r) {
    size_t channels = r->layer->shape.c;
    if (!r->recompute) {
        nn_run_items(r, group_sum_item, channels);
        nn_run_items(r, group_square_item, channels);
        nn_run_items(r, group_finish_item, (size_t)r->layer->option[GROUP_GROUPS]);
    }
    nn_run_items(r, group_item, channels);
}

static nn_open open_block(real *room, const nn_run *r, const nn_scale *s, size_t at, size_t n) {
    return (nn_open){
        .dy = read_block(room, r->grad_out, r->out_as, at, n), .scale = *s, .relu = r->relu};
}

/* Per sample the sums of dy, and of dy times the normalised x, of a channel. */
static void group_back_sums(void *context, size_t c, int worker) {
    const nn_run *r = context;
    size_t plane = plane_of(r), group = c / group_width(r), n;
    real room[2][BLOCK];
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        double sum[NN_SUM_LANES] = {0}, product[NN_SUM_LANES] = {0};
        nn_scale s = group_scale(r, c, i);
        for (size_t k = 0; k < plane; k += n) {
            size_t at = (c * r->n + i) * plane + k;
            n = smaller(BLOCK, plane - k);
            const real *x = read_block(room[0], r->in[0], r->in_as[0], at, n);
            nn_open o = open_block(room[1], r, &s, at, n);
            NN(nn_norm_sums)
            (sum, product, room[1], &o, x, (double)*group_statistic(r, 1, group, i), n);
        }
        *channel_sum(r, 0, c, i) = nn_lane_total(sum);
        *channel_sum(r, 1, c, i) = nn_lane_total(product);
        ((real *)r->grad[NN_BIAS])[c] += (real)nn_lane_total(sum);
        ((real *)r->grad[NN_WEIGHT])[c] += (real)nn_lane_total(product);
    }
}

static double weighed_total(const nn_run *r, int square, size_t group, size_t i) {
    const real *gamma = r->tensor[NN_WEIGHT];
    size_t width = group_width(r);
    double sum = 0;
    for (size_t c = group * width; c < (group + 1) * width; c++)
        sum += (double)gamma[c] * *channel_sum(r, square, c, i);
    return sum / (double)(plane_of(r) * width);
}

static void group_back_item(void *context, size_t c, int worker) {
    const nn_run *r = context;
    const real *gamma = r->tensor[NN_WEIGHT];
    size_t plane = plane_of(r), group = c / group_width(r), n;
    real room[3][BLOCK];
    (void)worker;
    for (size_t i = 0; i < r->n; i++) {
        nn_scale s = group_scale(r, c, i);
        double inverse = (double)*group_statistic(r, 1, group, i);
        double factor = inverse * (double)gamma[c];
        /* dx = inverse (gamma dy - mean(gamma dy) - xhat mean(gamma dy xhat)) */
        double shift = weighed_total(r, 0, group, i) * inverse;
        double slope = weighed_total(r, 1, group, i) * inverse * inverse;
        for (size_t k = 0; k < plane; k += n) {
            size_t at = (c * r->n + i) * plane + k;
            n = smaller(BLOCK, plane - k);
            const real *x = read_block(room[0], r->in[0], r->in_as[0], at, n);
            nn_open o = open_block(room[1], r, &s, at, n);
            const real *g = o.relu ? room[1] : o.dy;
            if (o.relu) NN(nn_norm_mask)(room[1], &o, x, n);
            for (size_t j = 0; j < n; j++)
                room[2][j] =
                    (real)(factor * (double)g[j] - shift - ((double)x[j] - (double)s.mean) * slope);
            give_gradient(r, 0, room[2], at, n);
        }
    }
}

void NN(nn_group_back)(const nn_run *r) {
    nn_run_items(r, group_back_sums, r->layer->shape.c);
    if (r->grad_in[0] != NULL) nn_run_items(r, group_back_item, r->layer->shape.c);
}

#ifndef NN_DOUBLE
static const nn_option group_options[] = {
    {"groups", NN_SIZE, NAN, 1, NULL}, {"eps", NN_NUMBER, 1e-5, 0, NULL}, NN_END};

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

const nn_kind nn_kind_group_norm = {.name = "group_norm",
                                    .inputs = 1,
                                    .flags = NN_KEEPS_INPUT | NN_IN_PLACE | NN_GRAD_IN_PLACE |
                                             NN_NARROW | NN_IS_CHEAP | NN_TAKES_RELU,
                                    .options = group_options,
                                    .build = build_group,
                                    .saved = group_saved,
                                    .temporary = group_temporary,
                                    .forward = NN_IN_BOTH(nn_group_pass),
                                    .backward = NN_IN_BOTH(nn_group_back)};
#endif
