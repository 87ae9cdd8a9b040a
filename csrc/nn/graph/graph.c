/* graph.c: a network as a list of layers. */
#include "graph.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t nn_volume(nn_shape s) {
    return s.c * s.h * s.w;
}

/* Room for one more element of an array that grows by doubling. */
static int grow(void **array, size_t *room, size_t used, size_t size) {
    if (used < *room) return BC_OK;
    size_t more = *room == 0 ? 16 : 2 * *room;
    void *bigger = realloc(*array, more * size);
    if (bigger == NULL) return BC_NOMEM;
    *array = bigger;
    *room = more;
    return BC_OK;
}

static void start_layer(nn_layer *l, const nn_kind *kind, const char *name) {
    memset(l, 0, sizeof *l);
    l->kind = kind;
    snprintf(l->name, sizeof l->name, "%s", name);
    for (int i = 0; i < 5; i++) l->tensor[i] = -1;
}

nn_conv nn_layer_conv(const nn_layer *l, size_t n) {
    nn_conv s = l->window;
    s.n = n;
    return s;
}

int nn_graph_new(nn_graph **out, nn_shape input, bc_error *e) {
    if (input.c == 0 || input.h == 0 || input.w == 0) return bc_fail(e, "input without elements");
    if (input.c > INT_MAX || input.h > INT_MAX || input.w > INT_MAX)
        return bc_fail(e, "input too large");
    nn_graph *g = calloc(1, sizeof *g);
    if (g == NULL) return BC_NOMEM;
    if (grow((void **)&g->layer, &g->room, 0, sizeof *g->layer) != BC_OK) {
        nn_graph_free(g);
        return BC_NOMEM;
    }
    start_layer(&g->layer[0], &nn_kind_input, "input");
    g->layer[0].shape = g->layer[0].in = input;
    g->layers = 1;
    *out = g;
    return BC_OK;
}

void nn_graph_free(nn_graph *g) {
    if (g == NULL) return;
    for (size_t i = 0; i < g->layers; i++)
        if (g->layer[i].kind->release != NULL) g->layer[i].kind->release(&g->layer[i]);
    free(g->layer);
    free(g->tensor);
    free(g);
}

int nn_graph_find(const nn_graph *g, const char *name) {
    for (size_t i = 0; i < g->layers; i++)
        if (strcmp(g->layer[i].name, name) == 0) return (int)i;
    return -1;
}

/* Sizes reach BLAS as int: one sample of any layer must stay below 2^31. */
static int check_volume(const nn_layer *l, bc_error *e) {
    size_t v;
    if (__builtin_mul_overflow(l->shape.c, l->shape.h, &v) ||
        __builtin_mul_overflow(v, l->shape.w, &v) || v > INT_MAX)
        return bc_fail(e, "layer '%s': output of %zu x %zu x %zu is too large", l->name, l->shape.c,
                       l->shape.h, l->shape.w);
    return BC_OK;
}

int nn_graph_add(nn_graph *g, const nn_kind *kind, const char *name, const double *option,
                 const int *input, bc_error *e) {
    if (strlen(name) >= NN_NAME) return bc_fail(e, "layer name '%.80s' is too long", name);
    if (nn_graph_find(g, name) >= 0) return bc_fail(e, "two layers are called '%s'", name);
    if (grow((void **)&g->layer, &g->room, g->layers, sizeof *g->layer) != BC_OK) return BC_NOMEM;
    nn_layer *l = &g->layer[g->layers];
    start_layer(l, kind, name);
    memcpy(l->option, option, sizeof l->option);
    for (int i = 0; i < kind->inputs; i++) {
        l->input[i] = input[i];
        l->trained |= g->layer[input[i]].trained;
    }
    l->in = g->layer[input[0]].shape;
    int rc = kind->build(g, l, e);
    if (rc == BC_OK) rc = check_volume(l, e);
    if (rc != BC_OK) {
        if (kind->release != NULL) kind->release(l);
        return rc;
    }
    g->layers++;
    return BC_OK;
}

int nn_graph_tensor(nn_graph *g, nn_layer *l, int slot, const char *suffix, enum nn_role role,
                    int ndim, const int64_t *shape, double bound, double value, bc_error *e) {
    if (grow((void **)&g->tensor, &g->tensor_room, g->tensors, sizeof *g->tensor) != BC_OK)
        return BC_NOMEM;
    nn_tensor *t = &g->tensor[g->tensors];
    *t = (nn_tensor){.role = role, .ndim = ndim, .count = 1, .bound = bound, .value = value};
    t->layer = (int)g->layers, t->slot = slot; /* l is not counted yet */
    snprintf(t->name, sizeof t->name, "%s.%s", l->name, suffix);
    for (int i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        if (__builtin_mul_overflow(t->count, (size_t)shape[i], &t->count) || t->count > INT_MAX)
            return bc_fail(e, "layer '%s': its %s would be too large", l->name, suffix);
    }
    t->offset = g->elements[role];
    g->elements[role] += (t->count + 15) / 16 * 16; /* 64 bytes also in f32 */
    l->tensor[slot] = (int)g->tensors++;
    if (role == NN_TRAINED) l->trained = true;
    return BC_OK;
}
