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
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "hdbscan.h"

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
    int metric = bc_opt_choice(L, 2, "metric", 0, metrics);
    int64_t n = x->shape[0];
    lua_settop(L, 2);
    bc_array *label = bc_push_vector(L, BC_I64, n), *probability = bc_push_vector(L, BC_F64, n);
    bc_array *stability = bc_push_vector(L, BC_F64, n / least + 1);
    hdbscan_rows rows = {x->data, (size_t)n, (size_t)x->shape[1], (size_t)least, metric == 1};
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

BC_EXPORT int luaopen_bclua_cluster(lua_State *L);
BC_EXPORT int luaopen_bclua_cluster(lua_State *L) {
    static const luaL_Reg functions[] = {{"hdbscan", l_hdbscan}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
