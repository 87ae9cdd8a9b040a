/* network.c: weights, and the executor of a plan. */
#include "network.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/interrupt.h"
#include "../support/random.h"
#include "passes.h"

#define CHUNK 65536 /* weights of one item of the optimiser */

struct nn_network {
    nn_graph *g;
    nn_network_options o;
    bc_pool *pool;
    bc_array memory[NN_MEMORIES]; /* of all trained tensors, flat */
    bc_array running, counters;
    nn_plan *plan; /* of the last pass */
    char *arena, *scratch;
    size_t arena_bytes, scratch_bytes;
    enum { NOTHING, WENT_FORWARD, WENT_BACK } state; /* of the arena */
    double *seconds;                                 /* (layers, 2) */
};

static size_t element_size(const nn_network *net) {
    return nn_real_size(net->o.precision);
}

static int new_memory(bc_array *a, const nn_network *net, enum nn_role role) {
    bc_dtype dtype = nn_is_double(net->o.precision) ? BC_F64 : BC_F32;
    int64_t n = (int64_t)net->g->elements[role];
    return bc_array_new(a, role == NN_COUNTER ? BC_I64 : dtype, 1, &n);
}

static void put(bc_array *a, size_t at, double x) {
    bc_array_put(a, (int64_t)at, x);
}

static void start_tensor(nn_network *net, size_t i) {
    const nn_tensor *t = &net->g->tensor[i];
    bc_array *a = t->role == NN_TRAINED   ? &net->memory[NN_VALUE]
                  : t->role == NN_RUNNING ? &net->running
                                          : &net->counters;
    bc_random r;
    bc_random_seed(&r, net->o.seed, i);
    for (size_t k = 0; k < t->count; k++)
        put(a, t->offset + k, t->bound > 0 ? t->bound * (2 * bc_random_uniform(&r) - 1) : t->value);
}

int nn_network_new(nn_network **out, nn_graph *g, const nn_network_options *o) {
    nn_network *net = calloc(1, sizeof *net);
    if (net == NULL) {
        nn_graph_free(g);
        return BC_NOMEM;
    }
    net->g = g;
    net->o = *o;
    net->seconds = calloc(2 * g->layers, sizeof *net->seconds);
    if (net->seconds == NULL || new_memory(&net->memory[NN_VALUE], net, NN_TRAINED) != BC_OK ||
        new_memory(&net->running, net, NN_RUNNING) != BC_OK ||
        new_memory(&net->counters, net, NN_COUNTER) != BC_OK ||
        bc_pool_new(&net->pool, o->threads > 0 ? o->threads : bc_threads()) != BC_OK) {
        nn_network_free(net);
        return BC_NOMEM;
    }
    for (size_t i = 0; i < g->tensors; i++) start_tensor(net, i);
    *out = net;
    return BC_OK;
}

void nn_network_free(nn_network *net) {
    if (net == NULL) return;
    bc_pool_free(net->pool);
    for (int m = 0; m < NN_MEMORIES; m++) bc_array_release(&net->memory[m]);
    bc_array_release(&net->running);
    bc_array_release(&net->counters);
    nn_plan_free(net->plan);
    nn_graph_free(net->g);
    free(net->arena);
    free(net->scratch);
    free(net->seconds);
    free(net);
}

const nn_graph *nn_network_graph(const nn_network *net) {
    return net->g;
}
const nn_network_options *nn_network_settings(const nn_network *net) {
    return &net->o;
}
int nn_network_threads(const nn_network *net) {
    return bc_pool_threads(net->pool);
}

/* --- tensors --------------------------------------------------------------------- */

static int need(nn_network *net, enum nn_memory m) {
    return net->memory[m].storage != NULL ? BC_OK : new_memory(&net->memory[m], net, NN_TRAINED);
}

int nn_network_need_gradients(nn_network *net) {
    return need(net, NN_GRADIENT);
}

int nn_network_need_moments(nn_network *net) {
    int rc = need(net, NN_MOMENT1);
    return rc == BC_OK ? need(net, NN_MOMENT2) : rc;
}

bool nn_network_tensor(const nn_network *net, bc_array *view, size_t i, enum nn_memory m) {
    const nn_tensor *t = &net->g->tensor[i];
    const bc_array *a = t->role == NN_TRAINED   ? &net->memory[m]
                        : m != NN_VALUE         ? NULL
                        : t->role == NN_RUNNING ? &net->running
                                                : &net->counters;
    if (a == NULL || a->storage == NULL) return false;
    bc_array part;
    bc_array_slice(&part, a, 0, (int64_t)t->offset, (int64_t)(t->offset + t->count));
    bc_array_reshape(view, &part, t->ndim, t->shape);
    bc_array_release(&part);
    return true;
}

static void *tensor_at(const nn_network *net, int i, enum nn_memory m) {
    if (i < 0) return NULL;
    const nn_tensor *t = &net->g->tensor[i];
    const bc_array *a = t->role == NN_RUNNING ? &net->running : &net->memory[m];
    if (t->role == NN_COUNTER || (t->role == NN_RUNNING && m != NN_VALUE) || a->storage == NULL)
        return NULL;
    return (char *)a->data + t->offset * element_size(net);
}

/* --- running a plan ------------------------------------------------------------------ */

static bool same_keep(const nn_plan *p, const bool *keep, size_t layers) {
    if (p->keep == NULL || keep == NULL) return p->keep == keep;
    return memcmp(p->keep, keep, layers * sizeof *keep) == 0;
}

static int fit(char **memory, size_t *have, size_t bytes) {
    if (bytes <= *have) return BC_OK;
    free(*memory);
    *have = 0;
    *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (*memory == NULL) return BC_NOMEM;
    *have = bytes;
    return BC_OK;
}

static int prepare(nn_network *net, const nn_plan_options *o, bc_error *e) {
    nn_plan *p = net->plan;
    net->state = NOTHING;
    if (p == NULL || p->o.n != o->n || p->o.groups != o->groups || p->o.train != o->train ||
        !same_keep(p, o->keep, net->g->layers)) {
        int rc = nn_plan_new(&p, net->g, o, e);
        if (rc != BC_OK) return rc;
        nn_plan_free(net->plan);
        net->plan = p;
    }
    int rc = fit(&net->arena, &net->arena_bytes, p->bytes);
    if (rc == BC_OK)
        rc = fit(&net->scratch, &net->scratch_bytes,
                 p->scratch * (size_t)bc_pool_threads(net->pool));
    if (rc == BC_OK && o->train) rc = nn_network_need_gradients(net);
    return rc;
}

static void *at(const nn_network *net, size_t offset) {
    return offset == NN_NONE ? NULL : net->arena + offset;
}

static nn_run run_of(const nn_network *net, size_t i) {
    const nn_plan *p = net->plan;
    const nn_layer *l = &net->g->layer[i];
    const nn_place *place = &p->place[i];
    nn_run r = {.layer = l,
                .n = p->o.n,
                .groups = p->o.groups,
                .train = p->o.train,
                .out = at(net, place->value),
                .saved = at(net, place->saved),
                .pool = net->pool,
                .temporary = at(net, place->temporary[0]),
                .scratch = net->scratch,
                .scratch_bytes = p->scratch};
    r.out_as = place->stored;
    for (int j = 0; j < l->kind->inputs; j++) {
        r.in[j] = at(net, p->place[l->input[j]].value);
        r.in_as[j] = p->place[l->input[j]].stored;
    }
    for (int k = 0; k < 5; k++) {
        r.tensor[k] = tensor_at(net, l->tensor[k], NN_VALUE);
        r.grad[k] = tensor_at(net, l->tensor[k], NN_GRADIENT);
    }
    return r;
}

static nn_run back_of(const nn_network *net, size_t i) {
    const nn_plan *p = net->plan;
    const nn_layer *l = &net->g->layer[i];
    const nn_place *place = &p->place[i];
    nn_run r = run_of(net, i);
    r.grad_out = at(net, place->grad);
    r.temporary = at(net, place->temporary[1]);
    for (int j = 0; j < l->kind->inputs; j++) {
        if (place->wanted[j]) r.grad_in[j] = at(net, p->place[l->input[j]].grad);
        r.add[j] = place->add[j];
    }
    return r;
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct conversion {
    float *wide;
    void *narrow;
    enum nn_storage s;
    size_t n;
};

static void widen_item(void *context, size_t i, int worker) {
    const struct conversion *k = context;
    size_t first = i * CHUNK, n = k->n - first < CHUNK ? k->n - first : CHUNK;
    (void)worker;
    nn_widen(k->wide + first, (const char *)k->narrow + first * nn_storage_size(k->s), k->s, n);
}

static void narrow_item(void *context, size_t i, int worker) {
    const struct conversion *k = context;
    size_t first = i * CHUNK, n = k->n - first < CHUNK ? k->n - first : CHUNK;
    (void)worker;
    nn_narrow((char *)k->narrow + first * nn_storage_size(k->s), k->wide + first, k->s, n);
}

/* A pass that knows floats only, on copies of what it reads and writes. */
static void run_widened(nn_network *net, size_t layer, nn_pass *pass, const nn_run *given,
                        bool backward) {
    const nn_layer *l = &net->g->layer[layer];
    nn_run r = *given;
    char *room = at(net, net->plan->place[layer].wide[backward]);
    struct conversion out[3]; /* to be narrowed again */
    int outs = 0;
    for (int j = -1; j < l->kind->inputs; j++) {
        nn_shape s = j < 0 ? l->shape : net->g->layer[l->input[j]].shape;
        void *value = j < 0 ? given->out : (void *)(uintptr_t)given->in[j];
        void *grad = j < 0 ? (void *)(uintptr_t)given->grad_out : given->grad_in[j];
        struct conversion k = {.s = j < 0 ? given->out_as : given->in_as[j],
                               .n = given->n * nn_volume(s)};
        for (int g = 0; g <= backward; g++) {
            void *there = g ? grad : value;
            bool writes = g ? j >= 0 : j < 0 && !backward, reads = !writes || (g && r.add[j]);
            if (there == NULL) continue;
            k.wide = (float *)(void *)room, k.narrow = there;
            room += (k.n * sizeof(float) + 63) / 64 * 64;
            if (reads) bc_pool_run(net->pool, widen_item, &k, (k.n + CHUNK - 1) / CHUNK);
            if (writes) out[outs++] = k;
            if (g && j >= 0) r.grad_in[j] = k.wide;
            if (g && j < 0) r.grad_out = k.wide;
            if (!g && j >= 0) r.in[j] = k.wide;
            if (!g && j < 0) r.out = k.wide;
        }
        if (j >= 0) r.in_as[j] = NN_AS_F32;
    }
    r.out_as = NN_AS_F32;
    pass(&r);
    for (int i = 0; i < outs; i++)
        bc_pool_run(net->pool, narrow_item, &out[i], (out[i].n + CHUNK - 1) / CHUNK);
}

/* One pass of one layer, timed; BC_STOPPED before it on Ctrl-C. */
static int run_layer(nn_network *net, size_t i, bool backward) {
    if (bc_interrupted()) return BC_STOPPED;
    nn_run r = backward ? back_of(net, i) : run_of(net, i);
    nn_pass *const *pass = backward ? r.layer->kind->backward : r.layer->kind->forward;
    double start = clock_s();
    if (nn_plan_widens(net->plan, net->g, i))
        run_widened(net, i, pass[0], &r, backward);
    else
        pass[nn_is_double(net->o.precision)](&r);
    net->seconds[2 * i + backward] += clock_s() - start;
    return BC_OK;
}

/* The network's own threads share the cores: BLAS gets none beside them. */
static int quiet_blas(void) {
    int threads = openblas_get_num_threads();
    if (threads != 1) openblas_set_num_threads(1);
    return threads;
}

static void restore_blas(int threads) {
    if (threads != 1) openblas_set_num_threads(threads);
}

/* The outside knows (N, C, H, W), the arena (C, N, H, W). */
static void take_out(const nn_network *net, void *out, size_t offset, size_t layer) {
    nn_shape s = net->g->layer[layer].shape;
    enum nn_storage stored = net->plan->place[layer].stored;
    size_t n = net->plan->o.n, plane = s.h * s.w, size = nn_storage_size(stored);
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
        char *to = (char *)at(net, offset) + (c * net->plan->o.n + first) * plane;
        for (size_t i = 0; i < n; i++, to += plane)
            memcpy(to, (const char *)in + (i * s.c + c) * plane, plane);
    }
}

int nn_network_forward(nn_network *net, void *out, const nn_batch *batch,
                       const nn_forward_options *o, bc_error *e) {
    nn_plan_options want = {.n = batch->n,
                            .groups = o->groups,
                            .train = o->train,
                            .input_gradient = net->o.input_gradient,
                            .precision = net->o.precision,
                            .keep = o->keep};
    if (o->groups == 0 || batch->n % o->groups != 0)
        return bc_fail(e, "%zu samples are not %zu equal groups", batch->n, o->groups);
    int rc = prepare(net, &want, e), threads = quiet_blas();
    size_t n = batch->n / batch->parts, last = net->g->layers - 1;
    for (size_t k = 0; rc == BC_OK && k < batch->parts; k++)
        put_in(net, net->plan->place[0].value, batch->part[k], net->g->layer[0].shape, n, k * n);
    for (size_t i = 1; rc == BC_OK && i <= last; i++) rc = run_layer(net, i, false);
    restore_blas(threads);
    if (rc != BC_OK) return rc;
    net->state = WENT_FORWARD;
    take_out(net, out, net->plan->place[last].value, last);
    return BC_OK;
}

static int check_trained(const nn_network *net, bc_error *e) {
    if (net->state == NOTHING || !net->plan->o.train)
        return bc_fail(e, "no forward pass in train mode to go back from");
    return BC_OK;
}

int nn_network_backward(nn_network *net, const void *dout, bc_error *e) {
    int rc = check_trained(net, e);
    if (rc != BC_OK) return rc;
    if (net->state == WENT_BACK) return bc_fail(e, "this forward pass was gone back already");
    size_t last = net->g->layers - 1;
    int threads = quiet_blas();
    net->state = WENT_BACK;
    if (net->plan->place[last].grad != NN_NONE)
        put_in(net, net->plan->place[last].grad, dout, net->g->layer[last].shape, net->plan->o.n,
               0);
    for (size_t i = last; rc == BC_OK && i > 0; i--)
        if (net->plan->place[i].backward) rc = run_layer(net, i, true);
    if (rc != BC_OK) net->state = NOTHING;
    restore_blas(threads);
    return rc;
}

/* running <- (1 - momentum) running + momentum * batch */
static void fold(bc_array *running, size_t at, double momentum, double batch) {
    double old = bc_array_get(running, (int64_t)at);
    put(running, at, (1 - momentum) * old + momentum * batch);
}

static double saved_at(const nn_network *net, const nn_place *place, size_t i) {
    const void *saved = at(net, place->saved);
    return nn_is_double(net->o.precision) ? ((const double *)saved)[i]
                                          : (double)((const float *)saved)[i];
}

static void commit_layer(nn_network *net, size_t i) {
    const nn_layer *l = &net->g->layer[i];
    const nn_place *place = &net->plan->place[i];
    size_t c = l->shape.c, groups = net->plan->o.groups, block = c * groups;
    double count = (double)(net->plan->o.n / groups * l->shape.h * l->shape.w);
    double unbiased = count / (count - 1), momentum = l->option[NORM_MOMENTUM];
    size_t mean = net->g->tensor[l->tensor[NN_RUNNING_MEAN]].offset;
    size_t variance = net->g->tensor[l->tensor[NN_RUNNING_VAR]].offset;
    for (size_t k = 0; k < c; k++)
        for (size_t g = 0; g < groups; g++) {
            fold(&net->running, mean + k, momentum, saved_at(net, place, k * groups + g));
            fold(&net->running, variance + k, momentum,
                 unbiased * saved_at(net, place, 2 * block + k * groups + g));
        }
    int64_t counter = (int64_t)net->g->tensor[l->tensor[NN_TRACKED]].offset;
    bc_array_put_integer(&net->counters, counter,
                         bc_array_get_integer(&net->counters, counter) + (int64_t)groups);
}

int nn_network_commit(nn_network *net, bc_error *e) {
    int rc = check_trained(net, e);
    if (rc != BC_OK) return rc;
    for (size_t i = 0; i < net->g->layers; i++)
        if (net->g->layer[i].tensor[NN_TRACKED] >= 0) commit_layer(net, i);
    return BC_OK;
}

/* --- optimiser ------------------------------------------------------------------------ */

struct adamw_work {
    nn_network *net;
    const nn_adamw *o;
    size_t n;
};

static void adamw_item(void *context, size_t i, int worker) {
    const struct adamw_work *k = context;
    (void)worker;
    size_t first = i * CHUNK, n = k->n - first < CHUNK ? k->n - first : CHUNK;
    const bc_array *m = k->net->memory;
    if (!nn_is_double(k->net->o.precision))
        nn_adamw_step_f32((float *)m[NN_VALUE].data + first, (float *)m[NN_MOMENT1].data + first,
                          (float *)m[NN_MOMENT2].data + first,
                          (const float *)m[NN_GRADIENT].data + first, k->o, n);
    else
        nn_adamw_step_f64((double *)m[NN_VALUE].data + first, (double *)m[NN_MOMENT1].data + first,
                          (double *)m[NN_MOMENT2].data + first,
                          (const double *)m[NN_GRADIENT].data + first, k->o, n);
}

int nn_network_adamw(nn_network *net, const nn_adamw *o) {
    int rc = nn_network_need_gradients(net);
    if (rc == BC_OK) rc = nn_network_need_moments(net);
    if (rc != BC_OK) return rc;
    struct adamw_work k = {.net = net, .o = o, .n = net->g->elements[NN_TRAINED]};
    bc_pool_run(net->pool, adamw_item, &k, (k.n + CHUNK - 1) / CHUNK);
    return BC_OK;
}

void nn_network_zero_gradients(nn_network *net) {
    const bc_array *a = &net->memory[NN_GRADIENT];
    if (a->storage != NULL) memset(a->data, 0, bc_array_bytes(a));
}

struct norm_work {
    const nn_network *net;
    double *square; /* per chunk */
    size_t n;
};

static void norm_item(void *context, size_t i, int worker) {
    const struct norm_work *k = context;
    size_t first = i * CHUNK, n = k->n - first < CHUNK ? k->n - first : CHUNK;
    const void *g = k->net->memory[NN_GRADIENT].data;
    (void)worker;
    k->square[i] = nn_is_double(k->net->o.precision)
                       ? nn_sum_squares_f64((const double *)g + first, n)
                       : nn_sum_squares_f32((const float *)g + first, n);
}

int nn_network_gradient_norm(nn_network *net, double *norm) {
    struct norm_work k = {.net = net, .n = net->g->elements[NN_TRAINED]};
    size_t chunks = (k.n + CHUNK - 1) / CHUNK;
    double sum = 0;
    *norm = 0;
    if (net->memory[NN_GRADIENT].storage == NULL || chunks == 0) return BC_OK;
    k.square = malloc(chunks * sizeof *k.square);
    if (k.square == NULL) return BC_NOMEM;
    bc_pool_run(net->pool, norm_item, &k, chunks);
    for (size_t i = 0; i < chunks; i++) sum += k.square[i];
    free(k.square);
    *norm = sqrt(sum);
    return BC_OK;
}

/* --- looking inside -------------------------------------------------------------------- */

size_t nn_network_batch(const nn_network *net) {
    return net->state == NOTHING ? 0 : net->plan->o.n;
}

int nn_network_value(const nn_network *net, void *out, size_t layer, bc_error *e) {
    const nn_layer *l = &net->g->layer[layer];
    bool kept = net->plan != NULL && net->plan->keep != NULL && net->plan->keep[layer];
    if (net->state == NOTHING || !kept)
        return bc_fail(e, "the last pass did not keep the output of '%s'", l->name);
    take_out(net, out, net->plan->place[layer].value, layer);
    return BC_OK;
}

int nn_network_input_gradient(const nn_network *net, void *out, bc_error *e) {
    if (net->state != WENT_BACK || net->plan->place[0].grad == NN_NONE)
        return bc_fail(e, "the last pass gave no gradient of the input");
    take_out(net, out, net->plan->place[0].grad, 0);
    return BC_OK;
}

int nn_network_footprint(const nn_network *net, nn_footprint *f, size_t n, size_t groups,
                         bool train, bc_error *e) {
    nn_plan_options want = {.n = n,
                            .groups = groups,
                            .train = train,
                            .precision = net->o.precision,
                            .input_gradient = net->o.input_gradient};
    nn_plan *p;
    if (groups == 0 || n % groups != 0)
        return bc_fail(e, "%zu samples are not %zu equal groups", n, groups);
    int rc = nn_plan_new(&p, net->g, &want, e);
    if (rc != BC_OK) return rc;
    size_t size = element_size(net), weights = net->g->elements[NN_TRAINED] * size;
    *f = (nn_footprint){.weights = weights + net->g->elements[NN_RUNNING] * size,
                        .gradients = train ? weights : 0,
                        .moments = train ? 2 * weights : 0,
                        .kept = p->kept,
                        .arena = p->bytes,
                        .scratch = p->scratch * (size_t)bc_pool_threads(net->pool)};
    nn_plan_free(p);
    return BC_OK;
}

double nn_network_seconds(const nn_network *net, size_t layer, bool backward) {
    return net->seconds[2 * layer + backward];
}

void nn_network_reset_seconds(nn_network *net) {
    memset(net->seconds, 0, 2 * net->g->layers * sizeof *net->seconds);
}

const char *nn_library(void) { return openblas_get_config(); }
