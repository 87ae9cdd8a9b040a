/* lua_cluster.c: the module bclua.cluster. */
/***
What is alike among rows: clusters, and a map of them.
@module bclua.cluster
@usage
local found = cluster.hdbscan(x, {least = 10})
for k, n in ipairs(found.sizes) do print(k, n, found.stability[k]) end
*/
#include <math.h>

#include "../array/lua_array.h"
#include "../learn/neighbors.h"
#include "../learn/pca.h"
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "hdbscan.h"
#include "rows.h"
#include "tsne.h"

static const char *const metrics[] = {"euclidean", "cosine", NULL};

/* Rows, the first argument, whose squares of differences are finite. */
static const bc_array *check_rows(lua_State *L) {
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2);
    const double *values = x->data;
    luaL_argcheck(L, x->shape[1] > 0, 1, "no columns");
    for (int64_t i = 0; i < x->shape[0] * x->shape[1]; i++)
        if (!(fabs(values[i]) <= 1e150))
            bc_arg_error(L, 1, "row %I: a value of %f (finite, and at most 1e150)",
                         (lua_Integer)(i / x->shape[1] + 1), values[i]);
    return x;
}

/* By cosine the same rows with length 1; the arguments, 1 and 2, are all there is on the stack then,
 * and what is returned is argument 1. */
static const bc_array *in_metric(lua_State *L, const bc_array *x) {
    lua_settop(L, 2);
    if (bc_opt_choice(L, 2, "metric", 0, metrics) == 0) return x;
    bc_array *scaled = bc_push_matrix(L, BC_F64, x->shape[0], x->shape[1]);
    rows_to_length_one(scaled->data, x->data, (size_t)x->shape[0], (size_t)x->shape[1]);
    lua_replace(L, 1);
    return scaled;
}

/* {labels=, probability=, stability=, sizes=} of arrays at index, index + 1 and a list. */
static void push_found(lua_State *L, int index, const double *stability, size_t clusters) {
    const bc_array *label = bc_check_array(L, index);
    const int64_t *labels = label->data;
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, "labels");
    lua_pushvalue(L, index + 1);
    lua_setfield(L, -2, "probability");
    lua_createtable(L, (int)clusters, 0);
    for (size_t k = 0; k < clusters; k++) {
        lua_pushnumber(L, stability[k]);
        lua_rawseti(L, -2, (lua_Integer)k + 1);
    }
    lua_setfield(L, -2, "stability");
    bc_array *sizes = bc_push_vector(L, BC_I64, (int64_t)clusters);
    for (int64_t i = 0; i < label->shape[0]; i++)
        if (labels[i] > 0) ((int64_t *)sizes->data)[labels[i] - 1]++;
    lua_setfield(L, -2, "sizes");
}

/*** Clusters of rows by density: HDBSCAN with excess of mass (Campello, Moulavi & Sander, 2013; McInnes & Healy, 2017).
Exact, O(n^2) time, memory of a few copies of x; the clusters do not depend on the order of the rows, nor any bit on
the number of threads. What comes apart at the same distance comes apart at once. All rows together are never a cluster.
@function hdbscan
@tparam array x (rows, columns), finite, up to 1e150
@tparam[opt] table options `least`: the fewest rows of a cluster, from 2 (10), which is the one setting: distances are
  also mutual reachability to the least-th nearest row, itself counted; `metric`: "euclidean" or "cosine", the Euclidean
  distance of rows brought to length 1 ("euclidean")
@treturn table `labels` i64 (rows): 1.. by falling size, 0 noise; `probability` f64 (rows): density at which a row leaves its
  cluster, by that of the last one, 0 of noise; `stability`, a list: the excess of mass of each cluster, in 1 / distance;
  `sizes` i64 (clusters)
@raise where a value is NaN, infinite or too large: the message names the row */
static int l_hdbscan(lua_State *L) {
    static const char *const names[] = {"least", "metric", NULL};
    const bc_array *x = check_rows(L);
    bc_check_options(L, 2, names);
    lua_Integer least = bc_opt_integer_in(L, 2, "least", 10, 2, 1000000);
    int64_t n = x->shape[0];
    x = in_metric(L, x);
    bc_array *label = bc_push_vector(L, BC_I64, n), *probability = bc_push_vector(L, BC_F64, n);
    bc_array *stability = bc_push_vector(L, BC_F64, n / least + 1);
    hdbscan_rows rows = {x->data, (size_t)n, (size_t)x->shape[1], (size_t)least};
    size_t clusters;
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = hdbscan(label->data, probability->data, stability->data, &clusters, &rows, pool,
                     bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_found(L, 3, stability->data, clusters);
    return 1;
}

/* The k nearest other rows of each, from 0, and their distances: the two arrays pushed last. */
static int push_neighbors(lua_State *L, const bc_array *x, int64_t k, bc_pool *pool) {
    int64_t n = x->shape[0];
    bc_array *index = bc_push_matrix(L, BC_I64, n, k), *distance = bc_push_matrix(L, BC_F64, n, k);
    bc_array *own = bc_push_vector(L, BC_I64, n); /* each row a group of its own */
    for (int64_t i = 0; i < n; i++) ((int64_t *)own->data)[i] = i;
    neighbors_rows rows = {x->data, own->data, (size_t)n, (size_t)x->shape[1], NEIGHBORS_EUCLIDEAN};
    int rc = neighbors_nearest(&rows, index->data, distance->data, (size_t)k, pool,
                               bc_tick_interrupt, NULL);
    lua_pop(L, 1);
    return rc;
}

/* Into place (n, 2): along the first principal components, of which there may be one. */
static int start_places(lua_State *L, bc_array *place, const bc_array *x) {
    size_t n = (size_t)x->shape[0], d = (size_t)x->shape[1], k = n < 2 || d < 2 ? 1 : 2;
    double variance[2], total, *to = place->data;
    bc_array *component = bc_push_matrix(L, BC_F64, (int64_t)k, x->shape[1]);
    bc_array *mean = bc_push_vector(L, BC_F64, x->shape[1]);
    bc_array *score = bc_push_matrix(L, BC_F64, x->shape[0], (int64_t)k);
    int rc = pca(component->data, variance, mean->data, score->data, &total, x->data, n, d, k);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 2; c++)
            to[2 * i + c] = c < k ? ((const double *)score->data)[i * k + c] : 0;
    lua_pop(L, 3);
    return rc;
}

/* Places (n, 2), at index 3, by t-SNE. */
static int fill_places(lua_State *L, bc_array *place, const bc_array *x, double perplexity,
                       bc_pool *pool) {
    int64_t n = x->shape[0], k = (int64_t)(3 * perplexity) < n - 1 ? (int64_t)(3 * perplexity) : n - 1;
    int rc = start_places(L, place, x);
    if (rc != BC_OK || k < 1) return rc;
    rc = push_neighbors(L, x, k, pool);
    if (rc != BC_OK) return rc;
    const bc_array *index = bc_check_array(L, 4), *distance = bc_check_array(L, 5);
    tsne_neighbors near = {index->data, distance->data, (size_t)n, (size_t)k};
    return tsne(place->data, &near, fmin(perplexity, (double)k / 3), pool, bc_tick_interrupt, NULL);
}

/*** Rows as points of a plane, near ones near: t-SNE (van der Maaten & Hinton, 2008), with affinities to the nearest
rows only (van der Maaten, 2014) and exact repulsion, begun at the principal components (Kobak & Berens, 2019) with a
step that grows with the rows (Belkina et al., 2019). Nothing is drawn at random: the same rows give the same bits, on any
number of threads. Which points are neighbours means something; how far apart clouds lie does not. O(n^2) time: thousands of
rows.
@function tsne
@tparam array x (rows, columns), finite, up to 1e150
@tparam[opt] table options `perplexity`: about how many neighbours a row has, 1 to 1000 (30; at most a third of the other
  rows), `metric`: as of `hdbscan`
@treturn array f64 (rows, 2)
@raise where a value is NaN, infinite or too large: the message names the row */
static int l_tsne(lua_State *L) {
    static const char *const names[] = {"perplexity", "metric", NULL};
    const bc_array *x = check_rows(L);
    bc_check_options(L, 2, names);
    double perplexity = bc_opt_number_in(L, 2, "perplexity", 30, 1, 1000);
    x = in_metric(L, x);
    bc_array *place = bc_push_matrix(L, BC_F64, x->shape[0], 2);
    if (x->shape[0] == 0) return 1;
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = fill_places(L, place, x, perplexity, pool);
        bc_pool_free(pool);
    }
    if (rc == BC_FAIL) return luaL_error(L, "no principal components found");
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_settop(L, 3);
    return 1;
}

BC_EXPORT int luaopen_bclua_cluster(lua_State *L);
BC_EXPORT int luaopen_bclua_cluster(lua_State *L) {
    static const luaL_Reg functions[] = {{"hdbscan", l_hdbscan}, {"tsne", l_tsne}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
