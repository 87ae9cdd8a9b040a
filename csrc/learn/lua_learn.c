/* lua_learn.c: the module bclua.learn: what embeddings are evaluated and classified with. */
#include <math.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "binary.h"
#include "logistic.h"
#include "neighbors.h"
#include "pca.h"
#include "ranking.h"
#include "scan.h"

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

static void check_finite(lua_State *L, int arg, const bc_array *x) {
    const double *values = x->data;
    for (int64_t i = 0; i < x->shape[0] * x->shape[1]; i++)
        if (!(values[i] - values[i] == 0)) luaL_argerror(L, arg, "a value is not finite");
}

/* For what adds squares of differences. */
static void check_squares(lua_State *L, int arg, const double *values, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(values[i]) <= 1e150))
            bc_arg_error(L, arg, "a value of %f, whose square overflows (1e150 at most)", values[i]);
}

/* What a fit came to: the weights are on the stack. */
static int push_fitted(lua_State *L, int rc, size_t iterations) {
    if (rc == BC_FAIL)
        return luaL_error(L, "nothing can be fitted: the objective overflows (scale the columns, "
                             "or lower 'c')");
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_pushinteger(L, (lua_Integer)iterations);
    return 2;
}

/*** Fit a multinomial logistic regression (objective as scikit-learn's:
c * sum of log losses + 1/2 |weights|^2, the bias without penalty; L-BFGS).
@function logistic_fit
@tparam array x (rows, columns), finite; scale the columns alike before
@tparam array labels i64 (rows), 1..K
@tparam[opt] table options `c` (1), `iterations` (200), `tolerance` (1e-5)
@treturn array f64 (K, columns + 1): weights, then bias, of every class
@treturn integer iterations taken
@raise if no step lowers the objective, as its numbers overflow */
static int l_fit(lua_State *L) {
    static const char *const names[] = {"c", "iterations", "tolerance", NULL};
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2);
    luaL_argcheck(L, x->shape[0] > 0 && x->shape[1] > 0, 1, "no rows or no columns");
    bc_check_options(L, 3, names);
    double c = bc_opt_number(L, 3, "c", 1), tolerance = bc_opt_number(L, 3, "tolerance", 1e-5);
    lua_Integer iterations = bc_opt_integer(L, 3, "iterations", 200);
    luaL_argcheck(L, c > 0, 3, "option 'c' must be above 0");
    luaL_argcheck(L, iterations >= 0, 3, "option 'iterations' must not be negative");
    check_finite(L, 1, x);
    size_t classes, done;
    bc_array *labels = push_labels(L, 2, x->shape[0], &classes);
    bc_array *w = bc_push_matrix(L, BC_F64, (int64_t)classes, x->shape[1] + 1);
    int rc = logistic_fit(w->data, &done, x->data, labels->data, (size_t)x->shape[0],
                          (size_t)x->shape[1], classes, c, (size_t)iterations, tolerance,
                          bc_tick_interrupt, NULL);
    return push_fitted(L, rc, done);
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

static const char *const metrics[] = {"euclidean", "cosine", NULL};

/* x (rows, columns) and the groups of its rows, the first two arguments. */
static neighbors_rows check_rows(lua_State *L) {
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2), *group = bc_check_as(L, 2, BC_I64, 1);
    luaL_argcheck(L, x->shape[1] > 0, 1, "no columns");
    check_finite(L, 1, x);
    if (group->shape[0] != x->shape[0])
        bc_arg_error(L, 2, "%I groups for %I rows", (lua_Integer)group->shape[0],
                     (lua_Integer)x->shape[0]);
    return (neighbors_rows){.x = x->data, .group = group->data, .n = (size_t)x->shape[0],
                            .d = (size_t)x->shape[1]};
}

static void check_metric(lua_State *L, int arg, neighbors_rows *rows) {
    rows->metric = (neighbors_metric)bc_opt_choice(L, arg, "metric", 0, metrics);
    if (rows->metric == NEIGHBORS_EUCLIDEAN)
        check_squares(L, 1, rows->x, (int64_t)(rows->n * rows->d));
}

/*** The rows of a matrix that are nearest to each of its rows; rows of one group
(windows of one recording) are never compared.
@function nearest
@tparam array x (rows, columns), finite; for "euclidean" up to 1e150
@tparam array groups i64 (rows), any numbers
@tparam[opt] table options `k` (1), `metric` ("euclidean", or "cosine": 1 - cos, 1 for a row of zeros)
@treturn array i64 (rows, k): numbers of rows from 1, nearest first, of equals the earlier first; 0 where the other groups
  have fewer rows
@treturn array f64 (rows, k): their distances, there infinite */
static int l_nearest(lua_State *L) {
    static const char *const names[] = {"k", "metric", NULL};
    neighbors_rows rows = check_rows(L);
    bc_check_options(L, 3, names);
    lua_Integer k = bc_opt_integer(L, 3, "k", 1);
    check_metric(L, 3, &rows);
    if (k < 1 || k > 10000) return bc_arg_error(L, 3, "option 'k': %I outside 1..10000", k);
    bc_array *index = bc_push_matrix(L, BC_I64, (int64_t)rows.n, k);
    bc_array *distance = bc_push_matrix(L, BC_F64, (int64_t)rows.n, k);
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = neighbors_nearest(&rows, index->data, distance->data, (size_t)k, pool,
                               bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    for (int64_t i = 0; i < (int64_t)rows.n * k; i++) ((int64_t *)index->data)[i]++;
    return 2;
}

/*** Of every row the sum of its distances to the rows of each class; rows of one group are
never compared.
@function class_distances
@tparam array x (rows, columns), finite; for "euclidean" up to 1e150
@tparam array groups i64 (rows)
@tparam array labels i64 (rows), 1..K
@tparam[opt] table options `metric` as for `nearest`
@treturn array f64 (rows, K) */
static int l_class_distances(lua_State *L) {
    static const char *const names[] = {"metric", NULL};
    neighbors_rows rows = check_rows(L);
    bc_check_options(L, 4, names);
    check_metric(L, 4, &rows);
    size_t classes;
    bc_array *labels = push_labels(L, 3, (int64_t)rows.n, &classes);
    bc_array *sum = bc_push_matrix(L, BC_F64, (int64_t)rows.n, (int64_t)classes);
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = neighbors_class_sums(&rows, sum->data, labels->data, classes, pool,
                                  bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/*** Principal components: the directions in which rows differ most. The largest entry of each
is positive, so that the same rows always give the same picture.
@function pca
@tparam array x (rows, columns), finite, up to 1e150
@tparam[opt] table options `components` (2): at most as many as the lesser of rows and columns
@treturn table `scores` f64 (rows, k): the rows along them, from the mean; `components` f64 (k, columns), each of
  length 1, zeros where nothing varies any more; `variance` f64 (k), divided by rows - 1, and `total`, that of all
  directions; `mean` f64 (columns) */
static int l_pca(lua_State *L) {
    static const char *const names[] = {"components", NULL};
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2);
    int64_t n = x->shape[0], d = x->shape[1];
    luaL_argcheck(L, n > 0 && d > 0, 1, "no rows or no columns");
    bc_check_options(L, 2, names);
    lua_Integer least = n < d ? n : d, k = bc_opt_integer(L, 2, "components", least < 2 ? least : 2);
    if (k < 1 || k > least)
        return bc_arg_error(L, 2, "option 'components': %I outside 1..%I", k, least);
    check_finite(L, 1, x);
    check_squares(L, 1, x->data, n * d);
    lua_createtable(L, 0, 5);
    bc_array *component = bc_push_matrix(L, BC_F64, k, d);
    lua_setfield(L, -2, "components");
    bc_array *variance = bc_push_vector(L, BC_F64, k);
    lua_setfield(L, -2, "variance");
    bc_array *mean = bc_push_vector(L, BC_F64, d);
    lua_setfield(L, -2, "mean");
    bc_array *score = bc_push_matrix(L, BC_F64, n, k);
    lua_setfield(L, -2, "scores");
    double total;
    int rc = pca(component->data, variance->data, mean->data, score->data, &total, x->data,
                 (size_t)n, (size_t)d, (size_t)k);
    if (rc == BC_FAIL) return luaL_error(L, "no principal components found");
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_pushnumber(L, total);
    lua_setfield(L, -2, "total");
    return 1;
}

/* A matrix of one row a class at arg, of numbers from 0 to `most`. */
static const double *check_by_class(lua_State *L, int arg, int64_t classes, int64_t n, double most) {
    const bc_array *a = bc_check_as(L, arg, BC_F64, 2);
    const double *values = a->data;
    if (a->shape[0] != classes || a->shape[1] != n)
        bc_arg_error(L, arg, "%I by %I values, expected %I classes by %I rows",
                     (lua_Integer)a->shape[0], (lua_Integer)a->shape[1], (lua_Integer)classes,
                     (lua_Integer)n);
    for (int64_t i = 0; i < classes * n; i++)
        if (!(values[i] >= 0 && values[i] <= most))
            bc_arg_error(L, arg, "a value of %f outside 0..%f", values[i], most);
    return values;
}

/*** Fit logistic regressions of classes that need not exclude each other, each by itself
(c * sum of weight * log loss + 1/2 |weights|^2, the bias without penalty; L-BFGS).
@function binary_fit
@tparam array x (rows, columns), finite; scale the columns alike before
@tparam array targets (classes, rows), 0 to 1: is the row of the class?
@tparam array weights (classes, rows), 0 or more: how much that counts
@tparam[opt] table options `c` (1), `iterations` (200), `tolerance` (1e-4), `from`: what an earlier fit gave, to begin
  with
@treturn array f64 (classes, columns + 1): weights, then bias, of every class
@treturn integer iterations taken, most of all classes
@raise if no step lowers the objective, as its numbers overflow */
static int l_binary_fit(lua_State *L) {
    static const char *const names[] = {"c", "iterations", "tolerance", "from", NULL};
    const bc_array *x = bc_check_as(L, 1, BC_F64, 2), *targets = bc_check_as(L, 2, BC_F64, 2);
    luaL_argcheck(L, x->shape[0] > 0 && x->shape[1] > 0, 1, "no rows or no columns");
    luaL_argcheck(L, targets->shape[0] > 0, 2, "no classes");
    check_finite(L, 1, x);
    binary_rows rows = {.x = x->data, .n = (size_t)x->shape[0], .d = (size_t)x->shape[1],
                        .k = (size_t)targets->shape[0]};
    rows.target = check_by_class(L, 2, targets->shape[0], x->shape[0], 1);
    rows.weight = check_by_class(L, 3, targets->shape[0], x->shape[0], 1e30);
    bc_check_options(L, 4, names);
    double c = bc_opt_number_in(L, 4, "c", 1, 1e-30, 1e30);
    double tolerance = bc_opt_number_in(L, 4, "tolerance", 1e-4, 0, 1);
    lua_Integer iterations = bc_opt_integer_in(L, 4, "iterations", 200, 0, 1000000);
    bc_array *w = bc_push_matrix(L, BC_F64, targets->shape[0], x->shape[1] + 1);
    if (bc_push_option(L, 4, "from") != LUA_TNIL) {
        const bc_array *from = bc_check_as(L, lua_gettop(L), BC_F64, 2);
        if (from->shape[0] != w->shape[0] || from->shape[1] != w->shape[1])
            return bc_arg_error(L, 4, "option 'from' is of another shape");
        memcpy(w->data, from->data, rows.k * (rows.d + 1) * sizeof(double));
    }
    lua_pop(L, 1);
    size_t done = 0;
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = binary_fit(w->data, &done, &rows, c, (size_t)iterations, tolerance, pool,
                        bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    return push_fitted(L, rc, done);
}

/*** Logarithms of the odds that rows are of classes.
@function binary_scores
@tparam array w from `binary_fit`
@tparam array x (rows, columns)
@treturn array f64 (rows, classes) */
static int l_binary_scores(lua_State *L) {
    const bc_array *w = bc_check_as(L, 1, BC_F64, 2), *x = bc_check_as(L, 2, BC_F64, 2);
    if (w->shape[1] != x->shape[1] + 1)
        return bc_arg_error(L, 2, "%I columns, the model has %I", (lua_Integer)x->shape[1],
                            (lua_Integer)w->shape[1] - 1);
    bc_array *score = bc_push_matrix(L, BC_F64, x->shape[0], w->shape[0]);
    if (x->shape[0] > 0)
        binary_scores(score->data, w->data, x->data, (size_t)x->shape[0], (size_t)x->shape[1],
                      (size_t)w->shape[0]);
    return 1;
}

/* Scores and truth, the first two arguments; returns how many there are. */
static int64_t check_ranked(lua_State *L) {
    const bc_array *score = bc_check_as(L, 1, BC_F64, 1), *truth = bc_check_as(L, 2, BC_I64, 1);
    const double *values = score->data;
    if (truth->shape[0] != score->shape[0])
        bc_arg_error(L, 2, "%I values for %I scores", (lua_Integer)truth->shape[0],
                     (lua_Integer)score->shape[0]);
    for (int64_t i = 0; i < score->shape[0]; i++)
        if (!(values[i] - values[i] == 0)) luaL_argerror(L, 1, "a score is not finite");
    return score->shape[0];
}

/*** How well scores put the rows of a class in front of the others.
@function ranking
@tparam array scores (rows), finite
@tparam array truth i64 (rows): 1 of the class, 0 not
@tparam[opt] table options `threshold` (0)
@treturn table `precision` and `recall` of the rows that score the threshold or more, `average_precision` (the sum of
  precision times the recall gained, over all thresholds), `roc_auc` (the share of pairs in the right order); NaN where
  there is nothing to divide by */
static int l_ranking(lua_State *L) {
    static const char *const names[] = {"threshold", NULL};
    int64_t n = check_ranked(L);
    bc_check_options(L, 3, names);
    double threshold = bc_opt_number(L, 3, "threshold", 0);
    const bc_array *score = bc_check_array(L, 1), *truth = bc_check_array(L, 2);
    bc_array *order = bc_push_vector(L, BC_I64, n);
    ranking r;
    int rc = ranking_order(order->data, score->data, (size_t)n);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    ranking_measure(&r, order->data, score->data, truth->data, NULL, (size_t)n, threshold);
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, r.precision);
    lua_setfield(L, -2, "precision");
    lua_pushnumber(L, r.recall);
    lua_setfield(L, -2, "recall");
    lua_pushnumber(L, r.average_precision);
    lua_setfield(L, -2, "average_precision");
    lua_pushnumber(L, r.roc_auc);
    lua_setfield(L, -2, "roc_auc");
    return 1;
}

/*** The same of samples of the recordings, drawn with replacement: how much is chance (Efron, 1979).
@function ranking_bootstrap
@tparam array scores (rows), finite
@tparam array truth i64 (rows): 1 of the class, 0 not
@tparam array groups i64 (rows), 1..G: recordings
@tparam[opt] table options `times` (1000), `seed` (1), `threshold` (0)
@treturn array f64 (times, 4): precision, recall, average precision, area under the ROC curve */
static int l_ranking_bootstrap(lua_State *L) {
    static const char *const names[] = {"times", "seed", "threshold", NULL};
    int64_t n = check_ranked(L);
    size_t groups;
    bc_check_options(L, 4, names);
    lua_Integer times = bc_opt_integer_in(L, 4, "times", 1000, 1, 1000000);
    lua_Integer seed = bc_opt_integer(L, 4, "seed", 1);
    double threshold = bc_opt_number(L, 4, "threshold", 0);
    const bc_array *score = bc_check_array(L, 1), *truth = bc_check_array(L, 2);
    bc_array *group = push_labels(L, 3, n, &groups);
    bc_array *out = bc_push_matrix(L, BC_F64, times, 4);
    bc_pool *pool;
    int rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK) {
        rc = ranking_bootstrap(out->data, (size_t)times, score->data, truth->data, group->data,
                               groups, (size_t)n, threshold, (uint64_t)seed, pool,
                               bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/*** The rows of a large table that are nearest to any of some queries: every row is looked at, once.
@function scan
@tparam array x f32 (rows, columns), row after row in one piece, mapped from an npy file say; rows with a NaN or an
  infinity are near to nothing
@tparam array queries (queries, columns), finite, up to 1e150
@tparam[opt] table options `k` (10), `metric` ("cosine": 1 - cos, 1 for a row of zeros, or "euclidean")
@treturn array i64 (up to k): numbers of rows from 1, nearest first, of equals the earlier first
@treturn array f64: their distances
@treturn array i64: which of the queries each is nearest to
@usage local rows, distances = learn.scan(array.load("windows.npy", {mmap = true}), query, {k = 50}) */
static int l_scan(lua_State *L) {
    static const char *const names[] = {"k", "metric", NULL};
    const bc_array *x = bc_check_array(L, 1), *query = bc_check_as(L, 2, BC_F64, 2);
    if (x->dtype != BC_F32 || x->ndim != 2 || !bc_array_contiguous(x))
        return luaL_argerror(L, 1, "f32 (rows, columns) in one piece expected");
    if (query->shape[1] != x->shape[1])
        return bc_arg_error(L, 2, "%I columns, the table has %I", (lua_Integer)query->shape[1],
                            (lua_Integer)x->shape[1]);
    check_squares(L, 2, query->data, query->shape[0] * query->shape[1]);
    bc_check_options(L, 3, names);
    lua_Integer k = bc_opt_integer_in(L, 3, "k", 10, 1, 1000000);
    scan_table table = {x->data, (size_t)x->shape[0], (size_t)x->shape[1], query->data,
                        (size_t)query->shape[0], NEIGHBORS_COSINE};
    if (bc_opt_choice(L, 3, "metric", 1, metrics) == 0) table.metric = NEIGHBORS_EUCLIDEAN;
    if (k > x->shape[0]) k = x->shape[0];
    size_t found = 0;
    scan_hit *hit = lua_newuserdatauv(L, ((size_t)k + 1) * sizeof *hit, 0);
    bc_pool *pool;
    int rc = k == 0 ? BC_OK : bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK && k > 0) {
        rc = scan_nearest(hit, &found, (size_t)k, &table, pool, bc_tick_interrupt, NULL);
        bc_pool_free(pool);
    }
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    int64_t *row = bc_push_vector(L, BC_I64, (int64_t)found)->data;
    double *distance = bc_push_vector(L, BC_F64, (int64_t)found)->data;
    int64_t *which = bc_push_vector(L, BC_I64, (int64_t)found)->data;
    for (size_t i = 0; i < found; i++)
        row[i] = hit[i].row + 1, distance[i] = hit[i].distance, which[i] = hit[i].query + 1;
    return 3;
}

BC_EXPORT int luaopen_bclua_learn(lua_State *L);
BC_EXPORT int luaopen_bclua_learn(lua_State *L) {
    static const luaL_Reg functions[] = {{"logistic_fit", l_fit},
                                         {"logistic_predict", l_predict},
                                         {"nearest", l_nearest},
                                         {"class_distances", l_class_distances},
                                         {"pca", l_pca},
                                         {"scan", l_scan},
                                         {"binary_fit", l_binary_fit},
                                         {"binary_scores", l_binary_scores},
                                         {"ranking", l_ranking},
                                         {"ranking_bootstrap", l_ranking_bootstrap},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
