/* lua_learn.c: the module bclua.learn: classifiers for the evaluation of embeddings. */
#include "../array/lua_array.h"
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "logistic.h"

/* Labels 1..K at arg as 0..K-1 in a new array; *classes: K, the largest. */
static bc_array *push_labels(lua_State *L, int arg, int64_t n, size_t *classes) {
    const bc_array *a = bc_check_as(L, arg, BC_I64, 1);
    if (a->shape[0] != n)
        bc_arg_error(L, arg, "%I labels for %I rows", (lua_Integer)a->shape[0], (lua_Integer)n);
    bc_array *copy = bc_push_vector(L, BC_I64, n);
    const int64_t *from = a->data;
    int64_t *to = copy->data, most = 1;
    for (int64_t i = 0; i < n; i++) {
        if (from[i] < 1 || from[i] > 1000000)
            bc_arg_error(L, arg, "label %I outside 1..1000000", (lua_Integer)from[i]);
        if (from[i] > most) most = from[i];
        to[i] = from[i] - 1;
    }
    *classes = (size_t)most;
    return copy;
}

/*** Fit a multinomial logistic regression (objective as scikit-learn's:
c * sum of log losses + 1/2 |weights|^2, the bias without penalty; L-BFGS).
@function logistic_fit
@tparam array x (rows, columns), finite; scale the columns alike before
@tparam array labels i64 (rows), 1..K
@tparam[opt] table options `c` (1), `iterations` (200), `tolerance` (1e-5)
@treturn array f64 (K, columns + 1): weights, then bias, of every class
@treturn integer iterations taken */
static int l_fit(lua_State *L) {
    static const char *const names[] = {"c", "iterations", "tolerance", NULL};
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2);
    luaL_argcheck(L, x->shape[0] > 0 && x->shape[1] > 0, 1, "no rows or no columns");
    bc_check_options(L, 3, names);
    double c = bc_opt_number(L, 3, "c", 1), tolerance = bc_opt_number(L, 3, "tolerance", 1e-5);
    lua_Integer iterations = bc_opt_integer(L, 3, "iterations", 200);
    luaL_argcheck(L, c > 0, 3, "option 'c' must be above 0");
    luaL_argcheck(L, iterations >= 0, 3, "option 'iterations' must not be negative");
    const double *values = x->data;
    for (int64_t i = 0; i < x->shape[0] * x->shape[1]; i++)
        if (!(values[i] - values[i] == 0)) return luaL_argerror(L, 1, "a value is not finite");
    size_t classes, done;
    bc_array *labels = push_labels(L, 2, x->shape[0], &classes);
    bc_array *w = bc_push_matrix(L, BC_F64, (int64_t)classes, x->shape[1] + 1);
    int rc = logistic_fit(w->data, &done, x->data, labels->data, (size_t)x->shape[0],
                          (size_t)x->shape[1], classes, c, (size_t)iterations, tolerance,
                          bc_tick_interrupt, NULL);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_pushinteger(L, (lua_Integer)done);
    return 2;
}

/*** The most likely class of each row.
@function logistic_predict
@tparam array w from `logistic_fit`
@tparam array x (rows, columns)
@treturn array i64 (rows), 1..K */
static int l_predict(lua_State *L) {
    const bc_array *w = bc_check_as(L, 1, BC_F64, 2), *x = bc_check_as(L, 2, BC_F64, 2);
    if (w->shape[1] != x->shape[1] + 1)
        return bc_arg_error(L, 2, "%I columns, the model has %I", (lua_Integer)x->shape[1],
                            (lua_Integer)w->shape[1] - 1);
    bc_array *labels = bc_push_vector(L, BC_I64, x->shape[0]);
    logistic_predict(labels->data, w->data, x->data, (size_t)x->shape[0], (size_t)x->shape[1],
                     (size_t)w->shape[0]);
    for (int64_t i = 0; i < x->shape[0]; i++) ((int64_t *)labels->data)[i]++;
    return 1;
}

BC_EXPORT int luaopen_bclua_learn(lua_State *L);
BC_EXPORT int luaopen_bclua_learn(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"logistic_fit", l_fit}, {"logistic_predict", l_predict}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
