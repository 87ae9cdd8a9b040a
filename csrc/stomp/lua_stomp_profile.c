/* lua_stomp_profile.c: the module bclua.stomp: what is made of profiles, and
 * matches of a query. */
/// @module bclua.stomp
#include <math.h>
#include <string.h>

#include "../array/lua_array.h"
#include "extremes.h"
#include "lua_stomp.h"
#include "merge.h"
#include "znorm.h"

struct profile {
    const double *distance;
    const int64_t *index;
    size_t n;
    lua_Integer zone;
    bool join;
};

/* The profile at argument 1, with the zone of the options at argument 3. Its
 * arrays, converted if need be, stay on the stack. */
static struct profile check_profile(lua_State *L) {
    static const char *const names[] = {"exclusion", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bc_check_options(L, 3, names);
    lua_getfield(L, 1, "distance");
    lua_getfield(L, 1, "index");
    const bc_array *a = bc_test_array(L, 4), *b = bc_test_array(L, 5);
    if (a == NULL || b == NULL || a->ndim != 1 || b->ndim != 1)
        bc_arg_error(L, 1, "expected a profile with vectors 'distance' and 'index'");
    const bc_array *d = bc_check_as(L, 4, BC_F64, 1), *i = bc_check_as(L, 5, BC_I64, 1);
    if (d->shape[0] != i->shape[0])
        bc_arg_error(L, 1, "'distance' has %I elements, 'index' %I", (lua_Integer)d->shape[0],
                     (lua_Integer)i->shape[0]);
    struct profile p = {d->data, i->data, (size_t)d->shape[0], -1, false};
    p.zone = bc_opt_integer(L, 1, "exclusion", -1);
    if (p.zone < 0 && bc_has_option(L, 1, "window"))
        p.zone = bc_stomp_zone((size_t)bc_opt_integer(L, 1, "window", 0), false);
    if (p.zone >= 0 || bc_has_option(L, 3, "exclusion"))
        p.zone = bc_stomp_exclusion(L, 3, p.zone);
    else
        bc_arg_error(L, 3, "option 'exclusion' is missing, and the profile has no 'window'");
    lua_getfield(L, 1, "kind");
    p.join = lua_isstring(L, -1) && lua_tostring(L, -1)[0] == 'j';
    return p;
}

/* Up to k motifs or discords as a list of tables. */
static int push_extremes(lua_State *L, bool motifs) {
    lua_settop(L, 3);
    lua_Integer k = luaL_optinteger(L, 2, 1);
    if (k < 1) bc_arg_error(L, 2, "expected a count of at least 1, got %I", k);
    struct profile p = check_profile(L);
    if ((lua_Unsigned)k > p.n) k = (lua_Integer)p.n;
    int64_t *at = bc_push_vector(L, BC_I64, k)->data;
    int64_t *twin = bc_push_vector(L, BC_I64, k)->data;
    size_t found = 0;
    int status = motifs ? bc_motifs(at, twin, &found, p.distance, p.index, p.n, (size_t)k, p.zone,
                                    p.join)
                        : bc_discords(at, twin, &found, p.distance, p.index, p.n, (size_t)k,
                                      p.zone);
    if (status != BC_OK) return bc_failure(L, status, NULL);
    lua_createtable(L, (int)found, 0);
    for (size_t m = 0; m < found; m++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, at[m]);
        lua_setfield(L, -2, "at");
        lua_pushinteger(L, twin[m]);
        lua_setfield(L, -2, "twin");
        lua_pushnumber(L, p.distance[at[m]]);
        lua_setfield(L, -2, "distance");
        lua_rawseti(L, -2, (lua_Integer)m + 1);
    }
    return 1;
}

/***
The closest pairs of a profile that do not overlap.

The first is the window with the smallest distance (the first one on ties) and
its neighbour; further ones have both their windows more than `exclusion`
frames from all windows of earlier motifs (in a join: of the same series).
Windows without a neighbour are passed over.
@function motifs
@tparam table profile from a join; `distance` and `index` are enough if
`exclusion` is given
@tparam[opt=1] integer k how many at most
@tparam[opt] table options `exclusion`, default the profile's, in a join
window / 2
@treturn {table,...} `{at=, twin=, distance=}`, frames from 0, nearest first
@usage for _, m in ipairs(stomp.motifs(p, 3)) do print(m.at, m.twin, m.distance) end
*/
int bc_stomp_motifs(lua_State *L) { return push_extremes(L, true); }

/***
The windows that are furthest from their nearest neighbour, more than
`exclusion` frames apart. Arguments and result as in `motifs`, furthest first;
windows without a neighbour are passed over.
@function discords
@tparam table profile
@tparam[opt=1] integer k
@tparam[opt] table options
@treturn {table,...}
*/
int bc_stomp_discords(lua_State *L) { return push_extremes(L, false); }

/***
A profile corrected by a weight of each window, its annotation vector (Dau and Keogh, KDD 2017): what
`motifs` and `discords` of it find is what weighs. A window of weight 1 keeps its distance; for
motifs the largest distance of the profile, times what is missing to 1, is added, for discords the
distance is multiplied by the weight.
@function correct
@tparam table profile from a join; `distance` and `index` are enough
@tparam bclua.array weights (windows), 0 to 1: how much a window looks like a call, say
@tparam[opt="motifs"] string which `"motifs"` or `"discords"`
@treturn table profile, with the same `index`, `window`, `exclusion` and `kind`
@usage local m = stomp.motifs(stomp.correct(p, weights))[1]
*/
int bc_stomp_correct(lua_State *L) {
    static const char *const which[] = {"motifs", "discords", NULL};
    static const char *const fields[] = {"index", "window", "exclusion", "kind", NULL};
    const bool discords = luaL_checkoption(L, 3, "motifs", which) == 1;
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "distance");
    if (bc_test_array(L, 3) == NULL) bc_arg_error(L, 1, "the profile has no array 'distance'");
    const bc_array *d = bc_check_as(L, 3, BC_F64, 1), *w = bc_check_as(L, 2, BC_F64, 1);
    if (w->shape[0] != d->shape[0])
        bc_arg_error(L, 2, "%I weights expected, one a window, got %I", (lua_Integer)d->shape[0],
                     (lua_Integer)w->shape[0]);
    const size_t n = (size_t)d->shape[0];
    for (size_t i = 0; i < n; i++) {
        const double x = ((const double *)w->data)[i];
        if (!(x >= 0 && x <= 1)) bc_arg_error(L, 2, "weight %I is %f, outside 0..1",
                                              (lua_Integer)i + 1, x);
    }
    bc_stomp_new_profile(L, 6);
    bc_array *out = bc_push_vector(L, BC_F64, (int64_t)n);
    bc_correct(out->data, d->data, w->data, n, discords);
    lua_setfield(L, -2, "distance");
    for (int f = 0; fields[f] != NULL; f++) {
        lua_getfield(L, 1, fields[f]);
        lua_setfield(L, -2, fields[f]);
    }
    return 1;
}

/* Methods */

/* The fields that argument 3 of `neighbor` names, and a column of theirs, from 1; 0: vectors. */
static lua_Integer check_which(lua_State *L, const char **index, const char **distance) {
    static const char *const sides[] = {"left", "right", NULL};
    *index = "index", *distance = "distance";
    if (lua_isnoneornil(L, 3)) return 0;
    if (lua_type(L, 3) == LUA_TNUMBER) {
        *index = "indices", *distance = "distances";
        return luaL_checkinteger(L, 3);
    }
    const bool left = luaL_checkoption(L, 3, NULL, sides) == 0;
    *index = left ? "left_index" : "right_index";
    *distance = left ? "left_distance" : "right_distance";
    return 0;
}

/***
The neighbour of a window, both as frames from 0, and their distance.
@function profile:neighbor
@tparam integer frame at which the window begins, 0..#distance - 1
@tparam[opt] integer|string which 1 for the nearest, 2 for the second nearest and so on, of a profile
made with `k`; or `"left"` or `"right"`, the nearest before or after it, of one made with `left_right`
@treturn ?integer the frame at which the neighbour begins, in a join of the other series; nil: it has none
@treturn number distance; infinite if it has none
@usage local frame, distance = stomp.self_join(x, 50):neighbor(120)
*/
static int p_neighbor(lua_State *L) {
    const char *index, *distance;
    luaL_checktype(L, 1, LUA_TTABLE);
    const lua_Integer frame = luaL_checkinteger(L, 2), which = check_which(L, &index, &distance);
    lua_settop(L, 3);
    lua_getfield(L, 1, index);
    lua_getfield(L, 1, distance);
    const bc_array *i = bc_test_array(L, 4), *d = bc_test_array(L, 5);
    const int axes = which == 0 && lua_type(L, 3) != LUA_TNUMBER ? 1 : 2;
    if (i == NULL || d == NULL || i->ndim != axes || d->ndim != axes)
        return bc_arg_error(L, 1, "the profile has no arrays '%s' and '%s'", index, distance);
    i = bc_check_as(L, 4, BC_I64, axes);
    d = bc_check_as(L, 5, BC_F64, axes);
    if (!bc_array_same_shape(i, d))
        return bc_arg_error(L, 1, "'%s' and '%s' have different shapes", index, distance);
    if (frame < 0 || frame >= i->shape[0])
        return bc_arg_error(L, 2, "frame %I outside 0..%I", frame, (lua_Integer)i->shape[0] - 1);
    if (axes == 2 && (which < 1 || which > i->shape[1]))
        return bc_arg_error(L, 3, "neighbour %I outside 1..%I", which, (lua_Integer)i->shape[1]);
    const int64_t at = axes == 1 ? frame : frame * i->shape[1] + which - 1;
    const int64_t found = ((const int64_t *)i->data)[at];
    if (found < 0)
        luaL_pushfail(L);
    else
        lua_pushinteger(L, found);
    lua_pushnumber(L, ((const double *)d->data)[at]);
    return 2;
}

void bc_stomp_new_profile(lua_State *L, int fields) {
    static const luaL_Reg methods[] = {{"neighbor", p_neighbor}, {NULL, NULL}};
    lua_createtable(L, 0, fields);
    if (luaL_newmetatable(L, "bclua.stomp.profile")) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
}

/* Merging */

/* The vector or matrix in field `name` of the table on top, as contiguous
 * memory of dtype; NULL if there is none. Its elements are pushed. */
static const bc_array *push_part(lua_State *L, int list, lua_Integer at, const char *name,
                                 bc_dtype dtype) {
    lua_geti(L, list, at);
    if (!lua_istable(L, -1))
        bc_arg_error(L, list, "expected a list of profiles, element %I is a %s", at,
                     luaL_typename(L, -1));
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return bc_test_array(L, -1) == NULL ? NULL : bc_check_as(L, lua_gettop(L), dtype, 0);
}

/* Merge the distances and indices of these names of all profiles in the list at
 * argument 1 into the table at `result`. Nothing if the first has none. */
static void merge_field(lua_State *L, int result, const char *distance, const char *index) {
    const lua_Integer count = luaL_len(L, 1);
    const int top = lua_gettop(L);
    const bc_array *d = push_part(L, 1, 1, distance, BC_F64);
    const bc_array *i = push_part(L, 1, 1, index, BC_I64);
    if (d == NULL && i == NULL) {
        lua_settop(L, top);
        return;
    }
    if (d == NULL || i == NULL || !bc_array_same_shape(d, i) || d->ndim > 2)
        bc_arg_error(L, 1, "profile 1: '%s' and '%s' must be arrays of one shape", distance, index);
    bc_array *to_d = bc_push_array(L, BC_F64, d->ndim, d->shape);
    bc_array *to_i = bc_push_array(L, BC_I64, d->ndim, d->shape);
    memcpy(to_d->data, d->data, bc_array_bytes(d));
    memcpy(to_i->data, i->data, bc_array_bytes(i));
    const size_t n = (size_t)d->shape[0], k = d->ndim == 2 ? (size_t)d->shape[1] : 1;
    for (lua_Integer p = 2; p <= count; p++) {
        const bc_array *from_d = push_part(L, 1, p, distance, BC_F64);
        const bc_array *from_i = push_part(L, 1, p, index, BC_I64);
        if (from_d == NULL || from_i == NULL || !bc_array_same_shape(from_d, to_d) ||
            !bc_array_same_shape(from_i, to_d))
            bc_arg_error(L, 1, "profile %I: '%s' and '%s' must have the shapes of profile 1's", p,
                         distance, index);
        bc_merge_nearest(to_d->data, to_i->data, from_d->data, from_i->data, n, k);
        lua_pop(L, 2);
    }
    lua_setfield(L, result, index);
    lua_setfield(L, result, distance);
    lua_settop(L, top);
}

/***
One profile out of several of the same series and window: those of the tiles
of a join. Of each window it has the nearest neighbour of all (the lower index
on ties), so that all tiles give the profile of the whole, bit for bit, and
some of them the profile so far. `left_right` and `k` results are merged too.
@function merge
@tparam {table,...} list profiles, e.g. of the option `tile`; `distance` and
`index` are enough
@treturn table profile, with methods; other fields as in the first one. `stomp.merge{p}` of one that came out of
a file or another thread, without its methods, has them
@usage local whole = stomp.merge{
   stomp.self_join(x, 50, {tile = {1, 2}}), stomp.self_join(x, 50, {tile = {2, 2}})}
*/
int bc_stomp_merge(lua_State *L) {
    static const char *const fields[] = {"window", "exclusion", "kind", NULL};
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_len(L, 1) < 1) bc_arg_error(L, 1, "expected at least one profile");
    bc_stomp_new_profile(L, 10);
    merge_field(L, 2, "distance", "index");
    if (lua_getfield(L, 2, "index") == LUA_TNIL)
        bc_arg_error(L, 1, "profile 1 has no arrays 'distance' and 'index'");
    merge_field(L, 2, "distances", "indices");
    merge_field(L, 2, "left_distance", "left_index");
    merge_field(L, 2, "right_distance", "right_index");
    lua_geti(L, 1, 1);
    for (int f = 0; fields[f] != NULL; f++) {
        lua_getfield(L, -1, fields[f]);
        lua_setfield(L, 2, fields[f]);
    }
    lua_settop(L, 2);
    return 1;
}

/* Matches */

static int push_matches(lua_State *L, bool z) {
    static const char *const names[] = {"exclusion", "k", "progress", "radius", NULL};
    lua_settop(L, 3);
    struct series q = z ? bc_stomp_row(L, 1) : bc_stomp_series(L, 1);
    struct series x = z ? bc_stomp_row(L, 2) : bc_stomp_series(L, 2);
    if (q.dims != x.dims)
        bc_arg_error(L, 2, "expected %I dimensions as in argument 1, got %I",
                     (lua_Integer)q.dims, (lua_Integer)x.dims);
    if (q.frames > x.frames)
        bc_arg_error(L, 1, "a query of %I frames is longer than the series, which has %I",
                     (lua_Integer)q.frames, (lua_Integer)x.frames);
    bc_check_options(L, 3, names);
    if (!bc_has_option(L, 3, "k") && !bc_has_option(L, 3, "radius"))
        bc_arg_error(L, 3, "expected an option 'radius' or 'k'");
    const size_t n = x.frames - q.frames + 1;
    lua_Integer zone = bc_stomp_exclusion(L, 3, bc_stomp_zone(q.frames, z));
    lua_Integer k = bc_opt_integer(L, 3, "k", (lua_Integer)n);
    lua_Number radius = bc_opt_number(L, 3, "radius", INFINITY);
    if (k < 1) bc_arg_error(L, 3, "option 'k' must be at least 1, got %I", k);
    if (!(radius >= 0)) bc_arg_error(L, 3, "option 'radius' must be at least 0, got %f", radius);
    if ((lua_Unsigned)k > n) k = (lua_Integer)n;
    struct progress progress;
    bc_simple_options options;
    bc_stomp_options(L, 3, &options, &progress);
    double *distance = bc_push_vector(L, BC_F64, (int64_t)n)->data;
    int64_t *at = bc_push_vector(L, BC_I64, k)->data;
    size_t found = 0;
    int status = z ? bc_znorm_query(distance, q.x, x.x, x.frames, q.frames, &options)
                   : bc_simple_query(distance, q.x, x.x, x.frames, x.dims, q.frames, &options);
    if (status == BC_OK)
        status = bc_matches(at, &found, distance, n, (size_t)k, radius, zone);
    bc_stomp_result(L, status, &progress);
    lua_createtable(L, (int)found, 0);
    for (size_t m = 0; m < found; m++) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, at[m]);
        lua_setfield(L, -2, "at");
        lua_pushnumber(L, distance[at[m]]);
        lua_setfield(L, -2, "distance");
        lua_rawseti(L, -2, (lua_Integer)m + 1);
    }
    return 1;
}

/***
Where a series is like a query: the nearest window, the next one more than
`exclusion` frames from it, and so on.

Distances as in `join` (squared), and so is the radius. Windows with a NaN or
an infinity match nothing. Options: `radius` (the largest distance), `k` (how
many at most), one of which must be there; `exclusion`, default half the query
as in `self_join`, 0: all windows; `progress` as in the joins.
@function matches
@tparam bclua.array query (dims, window) or (window)
@tparam bclua.array x (dims, frames) or (frames), no shorter
@tparam table options
@treturn {table,...} `{at=, distance=}`, frames from 0, nearest first (the first
one on ties)
@usage for _, m in ipairs(stomp.matches(call, x, {k = 10})) do print(m.at, m.distance) end
*/
int bc_stomp_matches(lua_State *L) { return push_matches(L, false); }

/***
As `matches`, z-normalised: distances as in `z_join`; `exclusion` is by default
a quarter of the query.
@function z_matches
@tparam bclua.array query (window) or (1, window)
@tparam bclua.array x (frames) or (1, frames)
@tparam table options
@treturn {table,...}
*/
int bc_stomp_z_matches(lua_State *L) { return push_matches(L, true); }
