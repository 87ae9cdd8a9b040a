/* lua_stomp.c: the module bclua.stomp. */
/***
Matrix profiles: for every window of a series, its nearest other window.

A profile is a table: `distance` (f64) and `index` (i64, frames from 0; -1
where no neighbour is allowed, with an infinite distance), one element a
window, and `window`, `exclusion` (self-joins) and `kind` (`"self"` or
`"join"`). Equal distances go to the lowest index. A window with a NaN or an
infinity has no neighbour and is none.
@module bclua.stomp
*/
#include <math.h>

#include "../array/lua_array.h"
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "extremes.h"
#include "simple.h"
#include "znorm.h"

static const char *const codes[] = {"best", "plain", "avx2", "avx512", NULL};
static const char *const methods[] = {"auto", "filter", "sweep", "brute", NULL};
enum { BRUTE = 3 };

struct series {
    const double *x;
    size_t dims, frames;
};

/* A series at arg: (dims, frames), or (frames) for one dimension. */
static struct series check_series(lua_State *L, int arg) {
    const bc_array *a = bc_check_as(L, arg, BC_F64, 0);
    if (a->ndim > 2) bc_arg_error(L, arg, "expected (dims, frames), got %d axes", a->ndim);
    struct series s = {a->data, 1, (size_t)a->shape[0]};
    if (a->ndim == 2) s.dims = (size_t)a->shape[0], s.frames = (size_t)a->shape[1];
    if (s.dims == 0 || s.frames == 0)
        bc_arg_error(L, arg, "expected at least one dimension and one frame, got (%I, %I)",
                     (lua_Integer)s.dims, (lua_Integer)s.frames);
    return s;
}

static size_t check_window(lua_State *L, int arg, size_t frames) {
    lua_Integer w = luaL_checkinteger(L, arg);
    if (w < 1 || (lua_Unsigned)w > frames)
        bc_arg_error(L, arg, "window %I outside 1..%I", w, (lua_Integer)frames);
    return (size_t)w;
}

/* n / 2, halves to the even neighbour. */
static lua_Integer half_even(size_t n) {
    lua_Integer half = (lua_Integer)(n / 2);
    return half + (n % 2 == 1 && half % 2 == 1);
}

static lua_Integer opt_exclusion(lua_State *L, int arg, lua_Integer fallback) {
    lua_Integer zone = bc_opt_integer(L, arg, "exclusion", fallback);
    if (zone < 0) bc_arg_error(L, arg, "option 'exclusion' must be at least 0, got %I", zone);
    return zone;
}

/* Returns the method; 'instructions' that this machine lacks raise. */
static int opt_way(lua_State *L, int arg, bc_simple_options *options) {
    int method = bc_opt_choice(L, arg, "method", 0, methods);
    int code = bc_opt_choice(L, arg, "instructions", 0, codes);
    *options = (bc_simple_options){.tick = bc_tick_interrupt};
    options->code = (enum bc_simple_code)code;
    options->way = (enum bc_simple_way)method; /* same order, apart from brute */
    if (!bc_simple_has(options->code))
        bc_arg_error(L, arg, "option 'instructions': this processor has no %s", codes[code]);
    return method;
}

/* Push a table with arrays for n windows. */
static void push_profile(lua_State *L, size_t n, size_t window, const char *kind,
                         double **distance, int64_t **index) {
    lua_createtable(L, 0, 5);
    *distance = bc_push_vector(L, BC_F64, (int64_t)n)->data;
    lua_setfield(L, -2, "distance");
    *index = bc_push_vector(L, BC_I64, (int64_t)n)->data;
    lua_setfield(L, -2, "index");
    lua_pushinteger(L, (lua_Integer)window);
    lua_setfield(L, -2, "window");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
}

/***
The nearest other window of every window (SiMPle: squared Euclidean distance,
summed over the dimensions, not normalised).

Identical windows have distance exactly 0; the relative error is below
(dims + 2 log2(window)) * 2.2e-16 at any length. Silva, Yeh, Batista, Keogh:
SiMPle (ISMIR 2016). Options: `exclusion` (frames; windows i and j with
|i - j| <= exclusion are never paired), default window / 2, halves rounded to
even; `instructions` (`"best"`, `"plain"`, `"avx2"`, `"avx512"`) and `method`
(`"auto"`, `"filter"`, `"sweep"`: all give the same bits; `"brute"`: the
definition, term by term, as a yardstick).
@function self_join
@tparam bclua.array x (dims, frames) or (frames); converted to f64
@tparam integer window length in frames, 1..frames
@tparam[opt] table options
@treturn table profile of frames - window + 1 windows
@usage local p = stomp.self_join(cens.cens(y, {sample_rate = 32000}), 50)
*/
static int l_self_join(lua_State *L) {
    static const char *const names[] = {"exclusion", "instructions", "method", NULL};
    lua_settop(L, 3);
    struct series s = check_series(L, 1);
    size_t w = check_window(L, 2, s.frames);
    bc_check_options(L, 3, names);
    lua_Integer zone = opt_exclusion(L, 3, half_even(w));
    bc_simple_options options;
    int method = opt_way(L, 3, &options);
    double *distance;
    int64_t *index;
    push_profile(L, s.frames - w + 1, w, "self", &distance, &index);
    lua_pushinteger(L, zone);
    lua_setfield(L, -2, "exclusion");
    if (zone > (lua_Integer)s.frames) zone = (lua_Integer)s.frames;
    int status = method == BRUTE
                     ? bc_simple_brute(distance, index, s.x, s.frames, s.x, s.frames, s.dims, w,
                                       (ptrdiff_t)zone, &options)
                     : bc_simple_self_join(distance, index, s.x, s.dims, s.frames, w,
                                           (size_t)zone, &options);
    return status == BC_OK ? 1 : bc_failure(L, status, NULL);
}

/***
For every window of one series the nearest window of another: distance and
options as in `self_join`, without an exclusion zone.
@function join
@tparam bclua.array a (dims, frames) or (frames)
@tparam bclua.array b as many dimensions; any number of frames
@tparam integer window length in frames, at most that of the shorter series
@tparam[opt] table options `instructions`, `method`
@treturn table profile of the windows of `a`; `index` counts frames of `b`
*/
static int l_join(lua_State *L) {
    static const char *const names[] = {"instructions", "method", NULL};
    lua_settop(L, 4);
    struct series a = check_series(L, 1), b = check_series(L, 2);
    if (a.dims != b.dims)
        bc_arg_error(L, 2, "expected %I dimensions as in argument 1, got %I",
                     (lua_Integer)a.dims, (lua_Integer)b.dims);
    size_t w = check_window(L, 3, a.frames < b.frames ? a.frames : b.frames);
    bc_check_options(L, 4, names);
    bc_simple_options options;
    int method = opt_way(L, 4, &options);
    double *distance;
    int64_t *index;
    push_profile(L, a.frames - w + 1, w, "join", &distance, &index);
    int status = method == BRUTE
                     ? bc_simple_brute(distance, index, a.x, a.frames, b.x, b.frames, a.dims, w,
                                       -1, &options)
                     : bc_simple_join(distance, index, a.x, a.frames, b.x, b.frames, a.dims, w,
                                      &options);
    return status == BC_OK ? 1 : bc_failure(L, status, NULL);
}

/* A series of one dimension at arg. */
static struct series check_row(lua_State *L, int arg) {
    struct series s = check_series(L, arg);
    if (s.dims != 1)
        bc_arg_error(L, arg, "expected one dimension, got %I", (lua_Integer)s.dims);
    return s;
}

/***
The nearest other window of every window of a one-dimensional series, after
each window is given mean 0 and deviation 1 (STOMP).

Euclidean distances (not squared), as stumpy's `stump` gives. Special windows
have stumpy's meaning: one with a NaN or an infinity is infinitely far from
all (index -1); two constant windows have distance 0, a constant and another
one sqrt(window). Zhu et al.: Matrix profile II (ICDM 2016). Options:
`exclusion`, default window / 4 rounded up, as stumpy's; `instructions` and
`method` as in `self_join`.
@function z_self_join
@tparam bclua.array x (frames) or (1, frames); converted to f64
@tparam integer window length in frames, 1..frames
@tparam[opt] table options
@treturn table profile of frames - window + 1 windows
*/
static int l_z_self_join(lua_State *L) {
    static const char *const names[] = {"exclusion", "instructions", "method", NULL};
    lua_settop(L, 3);
    struct series s = check_row(L, 1);
    size_t w = check_window(L, 2, s.frames);
    bc_check_options(L, 3, names);
    lua_Integer zone = opt_exclusion(L, 3, (lua_Integer)((w + 3) / 4));
    bc_simple_options options;
    int method = opt_way(L, 3, &options);
    double *distance;
    int64_t *index;
    push_profile(L, s.frames - w + 1, w, "self", &distance, &index);
    lua_pushinteger(L, zone);
    lua_setfield(L, -2, "exclusion");
    if (zone > (lua_Integer)s.frames) zone = (lua_Integer)s.frames;
    int status = method == BRUTE
                     ? bc_znorm_brute(distance, index, s.x, s.frames, s.x, s.frames, w,
                                      (ptrdiff_t)zone, &options)
                     : bc_znorm_self_join(distance, index, s.x, s.frames, w, (size_t)zone,
                                          &options);
    return status == BC_OK ? 1 : bc_failure(L, status, NULL);
}

/***
For every window of one series the nearest window of another, both
z-normalised: distance and options as in `z_self_join`, without an exclusion
zone.
@function z_join
@tparam bclua.array a (frames) or (1, frames)
@tparam bclua.array b any number of frames
@tparam integer window length in frames, at most that of the shorter series
@tparam[opt] table options `instructions`, `method`
@treturn table profile of the windows of `a`; `index` counts frames of `b`
*/
static int l_z_join(lua_State *L) {
    static const char *const names[] = {"instructions", "method", NULL};
    lua_settop(L, 4);
    struct series a = check_row(L, 1), b = check_row(L, 2);
    size_t w = check_window(L, 3, a.frames < b.frames ? a.frames : b.frames);
    bc_check_options(L, 4, names);
    bc_simple_options options;
    int method = opt_way(L, 4, &options);
    double *distance;
    int64_t *index;
    push_profile(L, a.frames - w + 1, w, "join", &distance, &index);
    int status = method == BRUTE
                     ? bc_znorm_brute(distance, index, a.x, a.frames, b.x, b.frames, w, -1,
                                      &options)
                     : bc_znorm_join(distance, index, a.x, a.frames, b.x, b.frames, w, &options);
    return status == BC_OK ? 1 : bc_failure(L, status, NULL);
}

/***
The values of the option `instructions` that this machine can run.
@function instructions
@treturn {string,...} `"plain"` and what else there is
*/
static int l_instructions(lua_State *L) {
    lua_newtable(L);
    for (int code = 1, n = 0; codes[code] != NULL; code++)
        if (bc_simple_has((enum bc_simple_code)code)) {
            lua_pushstring(L, codes[code]);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

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
        p.zone = half_even((size_t)bc_opt_integer(L, 1, "window", 0));
    if (p.zone >= 0 || bc_has_option(L, 3, "exclusion"))
        p.zone = opt_exclusion(L, 3, p.zone);
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
static int l_motifs(lua_State *L) { return push_extremes(L, true); }

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
static int l_discords(lua_State *L) { return push_extremes(L, false); }

static const luaL_Reg functions[] = {
    {"self_join", l_self_join}, {"join", l_join},         {"z_self_join", l_z_self_join},
    {"z_join", l_z_join},       {"motifs", l_motifs},     {"discords", l_discords},
    {"instructions", l_instructions}, {NULL, NULL},
};

BC_EXPORT int luaopen_bclua_stomp(lua_State *L);
int luaopen_bclua_stomp(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
