/* lua_stomp_alike.c: the module bclua.stomp: windows that correlate. */
/// @module bclua.stomp
#include "../array/lua_array.h"
#include "../support/pool.h"
#include "alike.h"
#include "lua_stomp.h"

static void *scratch(lua_State *L, int64_t rows, size_t columns) {
    return bc_push_matrix(L, BC_F32, rows, (int64_t)columns)->data;
}

/***
All windows of a series as rows of mean 0 and length 1, dimension by dimension, so that two of them
correlate by the product of their rows. A window that is constant, or not finite, is a row of zeros.
@function unit_windows
@tparam bclua.array x (dims, frames) or (frames)
@tparam integer window length in frames
@treturn bclua.array f32 (windows, dims * window)
*/
int bc_stomp_unit_windows(lua_State *L) {
    const bc_array *x = bc_check_as(L, 1, BC_F32, 0);
    if (x->ndim > 2) bc_arg_error(L, 1, "expected (dims, frames), got %d axes", x->ndim);
    const int64_t dims = x->ndim == 2 ? x->shape[0] : 1, frames = x->shape[x->ndim - 1];
    const lua_Integer w = luaL_checkinteger(L, 2);
    if (dims < 1) bc_arg_error(L, 1, "expected at least one dimension");
    if (w < 1 || w > frames) bc_arg_error(L, 2, "window %I outside 1..%I", w, (lua_Integer)frames);
    float *out = scratch(L, frames - w + 1, (size_t)(dims * w));
    bc_unit_windows(out, x->data, (size_t)dims, (size_t)frames, (size_t)w);
    return 1;
}

static const bc_array *check_basis(lua_State *L, int arg, int64_t d) {
    const bc_array *basis = bc_check_as(L, arg, BC_F64, 2);
    if (basis->shape[0] < 1 || d < 1) bc_arg_error(L, arg, "at least one direction expected");
    if (basis->shape[1] != d)
        bc_arg_error(L, arg, "directions of %I values expected, got %I", (lua_Integer)d,
                     (lua_Integer)basis->shape[1]);
    return basis;
}

/***
Of each row where it lies along some directions, and how much of it does not: the sketch by which
`alike` rules pairs out.
@function sketch
@tparam bclua.array rows f32 (n, d)
@tparam bclua.array basis f64 (k, d): directions of length 1 at right angles to each other, such as
the components of `learn.pca`
@treturn bclua.array f32 (n, k + 1)
*/
int bc_stomp_sketch(lua_State *L) {
    const bc_array *u = bc_check_as(L, 1, BC_F32, 2);
    const bc_array *basis = check_basis(L, 2, u->shape[1]);
    const size_t d = (size_t)u->shape[1], k = (size_t)basis->shape[0];
    float *out = scratch(L, u->shape[0], k + 1);
    const int rc = bc_sketch(out, u->data, basis->data, (size_t)u->shape[0], d, k);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/* Where each group of n rows begins, and their end, as a userdata; option `counts` of arg, or each
 * row is a group. */
static size_t *push_groups(lua_State *L, int arg, size_t n, size_t *groups) {
    const int type = bc_push_option(L, arg, "counts"), counts = lua_gettop(L);
    if (type != LUA_TNIL && type != LUA_TTABLE)
        bc_arg_error(L, arg, "option 'counts' must be a list of numbers of rows");
    *groups = type == LUA_TNIL ? n : (size_t)lua_rawlen(L, counts);
    size_t *first = lua_newuserdatauv(L, (*groups + 1) * sizeof *first, 0);
    first[0] = 0;
    for (size_t g = 0; g < *groups; g++) {
        lua_Integer count = 1;
        if (type == LUA_TTABLE) {
            lua_rawgeti(L, counts, (lua_Integer)g + 1);
            count = lua_tointeger(L, -1);
            lua_pop(L, 1);
        }
        if (count < 1 || (size_t)count > n - first[g])
            bc_arg_error(L, arg, "option 'counts': together they must be %I rows, each at least 1",
                         (lua_Integer)n);
        first[g + 1] = first[g] + (size_t)count;
    }
    if (first[*groups] != n)
        bc_arg_error(L, arg, "option 'counts': together they must be %I rows, got %I",
                     (lua_Integer)n, (lua_Integer)first[*groups]);
    return first;
}

static void push_found(lua_State *L, const float *best, size_t groups, size_t n) {
    lua_createtable(L, (int)groups, 0);
    for (size_t g = 0; g < groups; g++) {
        lua_newtable(L);
        for (size_t j = 0; j < n; j++) {
            if (best[g * n + j] == 0) continue;
            lua_pushnumber(L, (lua_Number)best[g * n + j]);
            lua_rawseti(L, -2, (lua_Integer)j + 1);
        }
        lua_rawseti(L, -2, (lua_Integer)g + 1);
    }
}

/***
Which rows of a large table some others correlate with, exactly: products of sketches, k + 1 values
in place of d, rule out most pairs, and the rest are worked out in full. All threads; the same bits
for any number of them.
@function alike
@tparam bclua.array rows f32 (n, d) of length 1, as from `unit_windows`
@tparam bclua.array table f32 (m, d), likewise
@tparam table options `basis` f64 (k, d), see `sketch`; `sketches` (of the table; otherwise they are made); `least` (0.8)
correlation, above 0; `counts`: groups of rows, how many each has; their sum is n
@treturn {table,...} of each group, or row, `{[row of the table] = correlation}`, from 1, the largest one of the group
@usage
local rows = stomp.unit_windows(x, 20)
local basis = learn.pca(rows:copy "f64", {components = 32}).components
for j, r in pairs(stomp.alike(rows, rows, {basis = basis})[1]) do print(j, r) end
*/
int bc_stomp_alike(lua_State *L) {
    static const char *const names[] = {"basis", "counts", "least", "sketches", NULL};
    lua_settop(L, 3);
    bc_check_options(L, 3, names);
    const bc_array *u = bc_check_as(L, 1, BC_F32, 2), *v = bc_check_as(L, 2, BC_F32, 2);
    if (v->shape[1] != u->shape[1])
        bc_arg_error(L, 2, "rows of %I values expected, got %I", (lua_Integer)u->shape[1],
                     (lua_Integer)v->shape[1]);
    const lua_Number least = bc_opt_number_in(L, 3, "least", 0.8, 1e-3, 1);
    if (bc_push_option(L, 3, "basis") == LUA_TNIL)
        bc_arg_error(L, 3, "expected an option 'basis'");
    const bc_array *basis = check_basis(L, lua_gettop(L), u->shape[1]);
    bc_alike_rows s = {.u = u->data, .n = (size_t)u->shape[0], .d = (size_t)u->shape[1],
                       .k = (size_t)basis->shape[0]};
    bc_alike_rows t = {.u = v->data, .n = (size_t)v->shape[0], .d = s.d, .k = s.k};
    int rc = BC_OK;
    if (bc_push_option(L, 3, "sketches") != LUA_TNIL) {
        const bc_array *given = bc_check_as(L, lua_gettop(L), BC_F32, 2);
        if (given->shape[0] != v->shape[0] || given->shape[1] != basis->shape[0] + 1)
            bc_arg_error(L, 3, "option 'sketches' must be (%I, %I)", (lua_Integer)t.n,
                         (lua_Integer)t.k + 1);
        t.sketch = given->data;
    } else {
        float *made = scratch(L, v->shape[0], t.k + 1);
        rc = bc_sketch(made, t.u, basis->data, t.n, t.d, t.k);
        t.sketch = made;
    }
    float *made = scratch(L, u->shape[0], s.k + 1);
    if (rc == BC_OK) rc = bc_sketch(made, s.u, basis->data, s.n, s.d, s.k);
    s.sketch = made;
    size_t groups;
    const size_t *first = push_groups(L, 3, s.n, &groups);
    float *best = scratch(L, (int64_t)groups, t.n);
    bc_pool *pool = NULL;
    if (rc == BC_OK) rc = bc_pool_new(&pool, bc_threads());
    if (rc == BC_OK)
        rc = bc_alike(best, &s, first, groups, &t, (float)least, pool, bc_tick_interrupt, NULL);
    bc_pool_free(pool);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_found(L, best, groups, t.n);
    return 1;
}
