/* execute.c: the executor of a plan. */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../support/blas.h"
#include "../../support/interrupt.h"
#include "../../support/memory.h"
#include "../graph/pass.h"
#include "own.h"

#define CHUNK 65536 /* values of one item of a conversion */

static size_t element_size(const nn_network *net) {
    return nn_real_size(net->o.precision);
}

/* --- the plan and its memory ------------------------------------------------------- */

static bool same_plan(const nn_plan *p, const nn_plan_options *o, size_t layers) {
    if (p->o.n != o->n || p->o.groups != o->groups || p->o.train != o->train ||
        p->o.backward != o->backward)
        return false;
    if (p->keep == NULL || o->keep == NULL) return p->keep == o->keep;
    return memcmp(p->keep, o->keep, layers * sizeof *o->keep) == 0;
}

static int find_plan(nn_network *net, const nn_plan_options *o, bc_error *e) {
    for (size_t i = 0; i < NN_PLANS; i++) {
        if (net->plans[i] == NULL || !same_plan(net->plans[i], o, net->g->layers)) continue;
        net->here->plan = net->plans[i];
        return BC_OK;
    }
    nn_plan *p;
    int rc = nn_plan_new(&p, net->g, o, e);
    if (rc != BC_OK) return rc;
    nn_plan **oldest = &net->plans[net->next++ % NN_PLANS];
    for (size_t i = 0; i < net->nplaces; i++)
        if (net->places[i].plan == *oldest) net->places[i].state = NOTHING;
    nn_plan_free(*oldest);
    net->here->plan = *oldest = p;
    return BC_OK;
}

int nn_network_go(nn_network *net, size_t place) {
    if (place >= net->nplaces) {
        size_t here = net->here == NULL ? 0 : (size_t)(net->here - net->places);
        nn_place *more = realloc(net->places, (place + 1) * sizeof *more);
        if (more == NULL) return BC_NOMEM;
        memset(more + net->nplaces, 0, (place + 1 - net->nplaces) * sizeof *more);
        net->places = more;
        net->nplaces = place + 1;
        net->here = &more[here];
    }
    net->here = &net->places[place];
    return BC_OK;
}

static int fit(char **memory, size_t *have, size_t bytes) {
    if (bytes <= *have) return BC_OK;
    free(*memory);
    *have = 0;
    *memory = bc_memory_take(bytes);
    if (*memory == NULL) return BC_NOMEM;
    *have = bytes;
    return BC_OK;
}

/* Said before it is taken: where memory is overcommitted, taking it succeeds,
 * and the process is killed when it is used. */
static int check_room(const nn_network *net, const nn_plan *p, bc_error *e) {
    if (p->bytes <= net->here->arena_bytes) return BC_OK;
    size_t room = bc_memory_free(""), held = net->here->arena_bytes;
    if (room == SIZE_MAX || p->bytes <= room + held) return BC_OK;
    return bc_fail(e, "a batch of %zu samples needs %.2f GB, and %.2f GB are free", p->o.n,
                   (double)p->bytes / 1e9, (double)(room + held) / 1e9);
}

static int prepare(nn_network *net, const nn_plan_options *o, bc_error *e) {
    net->here->state = NOTHING;
    int rc = find_plan(net, o, e);
    if (rc == BC_OK) rc = check_room(net, net->here->plan, e);
    if (rc == BC_OK) rc = fit(&net->here->arena, &net->here->arena_bytes, net->here->plan->bytes);
    if (rc == BC_OK)
        rc = fit(&net->scratch, &net->scratch_bytes,
                 net->here->plan->scratch * (size_t)bc_pool_threads(net->pool));
    if (rc == BC_OK && o->backward) rc = nn_network_need_gradients(net);
    return rc;
}

static void *at(const nn_network *net, size_t offset) {
    return offset == NN_NONE ? NULL : net->here->arena + offset;
}

/* --- one pass ----------------------------------------------------------------------- */

static nn_run run_of(const nn_network *net, const nn_step *step) {
    const nn_plan *p = net->here->plan;
    const nn_node *node = &p->node[step->value];
    const nn_layer *l = &net->g->layer[node->layer];
    nn_run r = {.layer = l,
                .n = p->o.n,
                .groups = p->o.groups,
                .train = p->o.train,
                .recompute = step->pass == NN_RECOMPUTE,
                .relu = node->relu,
                .seed = net->here->seed,
                .first = net->here->first,
                .out = at(net, step->out),
                .out_as = p->stored[step->value],
                .grad_out = at(net, step->grad_out),
                .saved = at(net, step->saved),
                .pool = net->pool,
                .temporary = at(net, step->temporary),
                .scratch = net->scratch,
                .scratch_bytes = p->scratch};
    for (int j = 0; j < node->inputs; j++) {
        r.in[j] = at(net, step->in[j]);
        r.in_as[j] = p->stored[node->input[j]];
        r.grad_in[j] = at(net, step->grad_in[j]);
        r.add[j] = step->add[j];
    }
    if (p->input == NN_NONE && node->input[0] == 0)
        r.part = net->batch->part, r.in_part = r.n / net->batch->parts;
    for (int k = 0; k < 5; k++) {
        r.tensor[k] = nn_network_memory(net, l->tensor[k], NN_VALUE);
        r.grad[k] = nn_network_memory(net, l->tensor[k], NN_GRADIENT);
    }
    return r;
}

struct conversion {
    float *wide;
    void *narrow;
    enum nn_storage s;
    size_t n;
};

static void widen_item(void *context, size_t i, int worker) {
    const struct conversion *k = context;
    size_t first = i * CHUNK, n = smaller(CHUNK, k->n - first);
    (void)worker;
    nn_widen(k->wide + first, (const char *)k->narrow + first * nn_storage_size(k->s), k->s, n);
}

static void narrow_item(void *context, size_t i, int worker) {
    const struct conversion *k = context;
    size_t first = i * CHUNK, n = smaller(CHUNK, k->n - first);
    (void)worker;
    nn_narrow((char *)k->narrow + first * nn_storage_size(k->s), k->wide + first, k->s, n);
}

/* The next n floats of *room, holding the values of `there` if the pass reads them. */
static struct conversion widen(nn_network *net, char **room, void *there, enum nn_storage s,
                               size_t n, bool reads) {
    struct conversion k = {(float *)(void *)*room, there, s, n};
    *room += (n * sizeof(float) + 63) / 64 * 64;
    if (reads) bc_pool_run(net->pool, widen_item, &k, parts(n, CHUNK));
    return k;
}

/* A pass that knows floats only, on copies of what it reads and writes. */
static void run_widened(nn_network *net, const nn_step *step, nn_pass *pass, const nn_run *given) {
    nn_run r = *given;
    const nn_node *node = &net->here->plan->node[step->value];
    bool back = step->pass == NN_BACKWARD_PASS;
    char *room = at(net, step->wide);
    struct conversion write[3], k;
    int writes = 0;
    size_t n = r.n * nn_volume(net->g->layer[step->value].shape);
    if (r.out != NULL) {
        k = widen(net, &room, r.out, r.out_as, n, back);
        r.out = k.wide;
        if (!back) write[writes++] = k;
    }
    if (r.grad_out != NULL)
        r.grad_out = widen(net, &room, at(net, step->grad_out), r.out_as, n, true).wide;
    for (int j = 0; j < node->inputs; j++) {
        n = r.n * nn_volume(net->g->layer[node->input[j]].shape);
        if (r.in[j] != NULL)
            r.in[j] = widen(net, &room, at(net, step->in[j]), r.in_as[j], n, true).wide;
        if (r.grad_in[j] != NULL) {
            k = write[writes++] = widen(net, &room, r.grad_in[j], r.in_as[j], n, r.add[j]);
            r.grad_in[j] = k.wide;
        }
        r.in_as[j] = NN_AS_F32;
    }
    r.out_as = NN_AS_F32;
    pass(&r);
    for (int i = 0; i < writes; i++)
        bc_pool_run(net->pool, narrow_item, &write[i], parts(write[i].n, CHUNK));
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One pass of one layer, timed; BC_STOPPED before it on Ctrl-C. */
static int run_step(nn_network *net, const nn_step *step) {
    if (bc_interrupted()) return BC_STOPPED;
    if (step->pass == NN_LOSS) return BC_OK;
    nn_run r = run_of(net, step);
    nn_pass *const *pass =
        step->pass == NN_BACKWARD_PASS ? r.layer->kind->backward : r.layer->kind->forward;
    double start = clock_s();
    if (nn_plan_widens(net->here->plan, net->g, step->value))
        run_widened(net, step, pass[0], &r);
    else
        pass[nn_is_double(net->o.precision)](&r);
    net->seconds[2 * net->here->plan->node[step->value].layer + (step->pass != NN_FORWARD_PASS)] +=
        clock_s() - start;
    return BC_OK;
}

/* Steps from k on add to the gradients before this element only. */
static size_t end_of_gradients(const nn_network *net, size_t k) {
    const nn_plan *p = net->here->plan;
    size_t end = 0;
    for (; k < p->steps; k++) {
        if (p->step[k].pass != NN_BACKWARD_PASS) continue;
        const nn_layer *l = &net->g->layer[p->node[p->step[k].value].layer];
        for (int i = 0; i < 5; i++) {
            const nn_tensor *t = l->tensor[i] < 0 ? NULL : &net->g->tensor[l->tensor[i]];
            if (t != NULL && t->role == NN_TRAINED) end = larger(end, t->offset + t->count);
        }
    }
    return end;
}

/* The network's own threads share the cores: BLAS gets none beside them. */
static int run_steps(nn_network *net, size_t first, size_t end, nn_ready *ready, void *context) {
    int rc = BC_OK;
    bc_blas_alone();
    for (size_t k = first; rc == BC_OK && k < end; k++) {
        rc = run_step(net, &net->here->plan->step[k]);
        if (rc == BC_OK && net->watch != NULL) net->watch(net->watcher, net, k);
        if (rc == BC_OK && ready != NULL) rc = ready(context, end_of_gradients(net, k + 1));
    }
    bc_blas_release();
    return rc;
}

/* --- in and out ---------------------------------------------------------------------- */

/* The outside knows (N, C, H, W), the arena (C, N, H, W). */
static void take_out(const nn_network *net, void *out, size_t offset, size_t layer) {
    nn_shape s = net->g->layer[layer].shape;
    enum nn_storage stored = net->here->plan->stored[layer];
    size_t n = net->here->plan->o.n, plane = s.h * s.w, size = nn_storage_size(stored);
    const char *from = at(net, offset);
    for (size_t c = 0; c < s.c; c++)
        for (size_t i = 0; i < n; i++, from += plane * size) {
            void *to = (char *)out + (i * s.c + c) * plane * element_size(net);
            if (stored == NN_AS_F64)
                memcpy(to, from, plane * size);
            else
                nn_widen(to, from, stored, plane);
        }
}

/* Samples [first, first + n). */
static void put_in(const nn_network *net, size_t offset, const void *in, nn_shape s, size_t n,
                   size_t first) {
    size_t plane = s.h * s.w * element_size(net);
    for (size_t c = 0; c < s.c; c++) {
        char *to = (char *)at(net, offset) + (c * net->here->plan->o.n + first) * plane;
        for (size_t i = 0; i < n; i++, to += plane)
            memcpy(to, (const char *)in + (i * s.c + c) * plane, plane);
    }
}

/* Note the mean and the unbiased variance that each norm saw, by group. */
static int collect(nn_network *net, size_t first_group) {
    const nn_plan *p = net->here->plan;
    size_t all = first_group + p->o.groups, size = net->g->elements[NN_RUNNING];
    if (all > net->statistics_room) {
        double *bigger = realloc(net->statistics, all * size * sizeof *bigger);
        if (bigger == NULL && size > 0) return BC_NOMEM;
        net->statistics = bigger;
        net->statistics_room = all;
    }
    net->collected = all;
    for (size_t i = 0; i < net->g->layers; i++) {
        const nn_layer *l = &net->g->layer[i];
        if (l->tensor[NN_TRACKED] < 0 || p->saved[i] == NN_NONE) continue;
        size_t c = l->shape.c, block = c * p->o.groups;
        double count = (double)(p->o.n / p->o.groups * l->shape.h * l->shape.w);
        const float *single = at(net, p->saved[i]);
        const double *wide = at(net, p->saved[i]);
        for (size_t k = 0; k < c; k++)
            for (size_t g = 0; g < p->o.groups; g++) {
                double *to = net->statistics + (first_group + g) * size + k;
                size_t mean = k * p->o.groups + g, variance = 2 * block + mean;
                bool is_double = nn_is_double(net->o.precision);
                to[net->g->tensor[l->tensor[NN_RUNNING_MEAN]].offset] =
                    is_double ? wide[mean] : (double)single[mean];
                to[net->g->tensor[l->tensor[NN_RUNNING_VAR]].offset] =
                    (is_double ? wide[variance] : (double)single[variance]) * count / (count - 1);
            }
    }
    return BC_OK;
}

int nn_network_forward(nn_network *net, void *out, const nn_batch *batch,
                       const nn_forward_options *o, bc_error *e) {
    nn_plan_options want = {.n = batch->n,
                            .groups = o->groups,
                            .train = o->train,
                            .backward = o->backward,
                            .input_gradient = o->backward && net->o.input_gradient,
                            .precision = net->o.precision,
                            .recompute = net->o.recompute,
                            .keep = o->keep};
    if (o->groups == 0 || batch->n % o->groups != 0)
        return bc_fail(e, "%zu samples are not %zu equal groups", batch->n, o->groups);
    if (o->train && o->first_group > net->collected)
        return bc_fail(e, "the first group is number %zu, and %zu were seen before", o->first_group,
                       net->collected);
    int rc = prepare(net, &want, e);
    if (rc != BC_OK) return rc;
    size_t n = batch->n / batch->parts, last = net->g->layers - 1, input = net->here->plan->input;
    net->here->seed = o->seed;
    net->here->first = o->first_group * (batch->n / o->groups);
    for (size_t k = 0; k < batch->parts && input != NN_NONE; k++)
        put_in(net, input, batch->part[k], net->g->layer[0].shape, n, k * n);
    net->batch = batch;
    rc = run_steps(net, 0, net->here->plan->loss, NULL, NULL);
    if (rc == BC_OK && o->train) rc = collect(net, o->first_group);
    if (rc != BC_OK) return rc;
    net->here->state = WENT_FORWARD;
    take_out(net, out, net->here->plan->output, last);
    return BC_OK;
}

int nn_network_backward(nn_network *net, const void *dout, nn_ready *ready, void *context,
                        bc_error *e) {
    if (net->here->state == NOTHING || !net->here->plan->o.backward)
        return bc_fail(e, "no forward pass in train mode to go back from");
    if (net->here->state == WENT_BACK) return bc_fail(e, "this forward pass was gone back already");
    const nn_plan *p = net->here->plan;
    net->here->state = WENT_BACK;
    if (p->output_gradient != NN_NONE)
        put_in(net, p->output_gradient, dout, net->g->layer[net->g->layers - 1].shape, p->o.n, 0);
    int rc = run_steps(net, p->loss, p->steps, ready, context);
    if (rc != BC_OK) net->here->state = NOTHING;
    return rc;
}

/* --- looking inside -------------------------------------------------------------------- */

size_t nn_network_batch(const nn_network *net) {
    return net->here->state == NOTHING ? 0 : net->here->plan->o.n;
}

int nn_network_value(const nn_network *net, void *out, size_t layer, bc_error *e) {
    if (net->here->state == NOTHING || net->here->plan->kept_value[layer] == NN_NONE)
        return bc_fail(e, "the last pass did not keep the output of '%s'",
                       net->g->layer[layer].name);
    take_out(net, out, net->here->plan->kept_value[layer], layer);
    return BC_OK;
}

int nn_network_input_gradient(const nn_network *net, void *out, bc_error *e) {
    if (net->here->state != WENT_BACK || net->here->plan->input_gradient == NN_NONE)
        return bc_fail(e, "the last pass gave no gradient of the input");
    take_out(net, out, net->here->plan->input_gradient, 0);
    return BC_OK;
}

int nn_network_memory_estimate(const nn_network *net, nn_memory_estimate *f,
                               const nn_plan_options *o, bc_error *e) {
    nn_plan *p;
    if (o->groups == 0 || o->n % o->groups != 0)
        return bc_fail(e, "%zu samples are not %zu equal groups", o->n, o->groups);
    int rc = nn_plan_new(&p, net->g, o, e);
    if (rc != BC_OK) return rc;
    size_t size = element_size(net), weights = net->g->elements[NN_TRAINED] * size;
    *f = (nn_memory_estimate){.weights = weights + net->g->elements[NN_RUNNING] * size,
                              .gradients = o->backward ? weights : 0,
                              .moments = o->backward ? 2 * weights : 0,
                              .kept = p->kept,
                              .arena = p->bytes,
                              .scratch = p->scratch * (size_t)bc_pool_threads(net->pool)};
    for (size_t k = 0; k < p->steps; k++) f->recompute += p->step[k].pass == NN_RECOMPUTE;
    nn_plan_free(p);
    return BC_OK;
}

size_t nn_network_held(const nn_network *net) {
    size_t bytes = net->scratch_bytes;
    for (size_t i = 0; i < net->nplaces; i++) bytes += net->places[i].arena_bytes;
    for (int m = 0; m < NN_MEMORIES; m++)
        if (net->memory[m].storage != NULL) bytes += bc_array_bytes(&net->memory[m]);
    return bytes;
}

double nn_network_seconds(const nn_network *net, size_t layer, bool backward) {
    return net->seconds[2 * layer + backward];
}

void nn_network_reset_seconds(nn_network *net) {
    memset(net->seconds, 0, 2 * net->g->layers * sizeof *net->seconds);
}

const char *nn_library(void) {
    return openblas_get_config();
}
