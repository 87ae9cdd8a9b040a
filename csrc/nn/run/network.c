/* network.c: weights, statistics and the optimiser. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../support/random.h"
#include "../graph/pass.h"
#include "../op/norm.h"
#include "own.h"

#define CHUNK 65536 /* weights of one item of the optimiser */

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

static int start_tensor(nn_network *net, size_t i) {
    const nn_tensor *t = &net->g->tensor[i];
    const nn_layer *l = &net->g->layer[t->layer];
    bc_array *a = t->role == NN_TRAINED   ? &net->memory[NN_VALUE]
                  : t->role == NN_RUNNING ? &net->running
                                          : &net->counters;
    bc_random r;
    bc_random_seed(&r, net->o.seed, i);
    if (l->kind->start == NULL) {
        for (size_t k = 0; k < t->count; k++)
            put(a, t->offset + k,
                t->bound > 0 ? t->bound * (2 * bc_random_uniform(&r) - 1) : t->value);
        return BC_OK;
    }
    double *values = malloc(t->count * sizeof *values);
    if (values == NULL) return BC_NOMEM;
    l->kind->start(l, t->slot, values);
    for (size_t k = 0; k < t->count; k++) put(a, t->offset + k, values[k]);
    free(values);
    return BC_OK;
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
    if (net->seconds == NULL || nn_network_go(net, 0) != BC_OK ||
        new_memory(&net->memory[NN_VALUE], net, NN_TRAINED) != BC_OK ||
        new_memory(&net->running, net, NN_RUNNING) != BC_OK ||
        new_memory(&net->counters, net, NN_COUNTER) != BC_OK ||
        bc_pool_new(&net->pool, o->threads > 0 ? o->threads : bc_threads()) != BC_OK) {
        nn_network_free(net);
        return BC_NOMEM;
    }
    int rc = BC_OK;
    for (size_t i = 0; rc == BC_OK && i < g->tensors; i++) rc = start_tensor(net, i);
    if (rc == BC_OK)
        *out = net;
    else
        nn_network_free(net);
    return rc;
}

void nn_network_free(nn_network *net) {
    if (net == NULL) return;
    bc_pool_free(net->pool);
    for (int m = 0; m < NN_MEMORIES; m++) bc_array_release(&net->memory[m]);
    bc_array_release(&net->running);
    bc_array_release(&net->counters);
    for (int i = 0; i < NN_PLANS; i++) nn_plan_free(net->plans[i]);
    free(net->statistics);
    nn_graph_free(net->g);
    for (size_t i = 0; i < net->nplaces; i++) free(net->places[i].arena);
    free(net->places);
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

void *nn_network_memory(const nn_network *net, int i, enum nn_memory m) {
    if (i < 0) return NULL;
    const nn_tensor *t = &net->g->tensor[i];
    const bc_array *a = t->role == NN_RUNNING ? &net->running : &net->memory[m];
    if (t->role == NN_COUNTER || (t->role == NN_RUNNING && m != NN_VALUE) || a->storage == NULL)
        return NULL;
    return (char *)a->data + t->offset * element_size(net);
}

const bc_array *nn_network_gradients(const nn_network *net) {
    return &net->memory[NN_GRADIENT];
}

/* --- statistics of batches ------------------------------------------------------------ */

/* running <- (1 - momentum) running + momentum * batch */
static void fold(bc_array *running, size_t at, double momentum, double batch) {
    double old = bc_array_get(running, (int64_t)at);
    put(running, at, (1 - momentum) * old + momentum * batch);
}

static void commit_layer(nn_network *net, const nn_layer *l) {
    double momentum = l->option[NORM_MOMENTUM];
    for (int k = NN_RUNNING_MEAN; k <= NN_RUNNING_VAR; k++) {
        const nn_tensor *t = &net->g->tensor[l->tensor[k]];
        for (size_t g = 0; g < net->collected; g++) {
            const double *batch = net->statistics + g * net->g->elements[NN_RUNNING];
            for (size_t i = t->offset; i < t->offset + t->count; i++)
                fold(&net->running, i, momentum, batch[i]);
        }
    }
    int64_t counter = (int64_t)net->g->tensor[l->tensor[NN_TRACKED]].offset;
    bc_array_put_integer(&net->counters, counter,
                         bc_array_get_integer(&net->counters, counter) + (int64_t)net->collected);
}

size_t nn_network_statistics(const nn_network *net, double **to) {
    *to = net->statistics;
    return net->collected * net->g->elements[NN_RUNNING];
}

int nn_network_commit(nn_network *net, bc_error *e) {
    if (net->collected == 0) return bc_fail(e, "no forward pass in train mode to commit");
    for (size_t i = 0; i < net->g->layers; i++)
        if (net->g->layer[i].tensor[NN_TRACKED] >= 0) commit_layer(net, &net->g->layer[i]);
    net->collected = 0;
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

static void zero_item(void *context, size_t i, int worker) {
    const nn_network *net = context;
    size_t bytes = bc_array_bytes(&net->memory[NN_GRADIENT]), first = i * CHUNK;
    (void)worker;
    memset((char *)net->memory[NN_GRADIENT].data + first, 0, smaller(CHUNK, bytes - first));
}

void nn_network_zero_gradients(nn_network *net) {
    const bc_array *a = &net->memory[NN_GRADIENT];
    if (a->storage != NULL) bc_pool_run(net->pool, zero_item, net, parts(bc_array_bytes(a), CHUNK));
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
