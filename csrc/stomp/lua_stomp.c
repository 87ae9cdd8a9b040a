/* lua_stomp.c: the module bclua.stomp: the joins. */
/***
Matrix profiles: for every window of a series, its nearest other window.

**Frames count from 0, arrays from 1.** The window that begins with frame f is
element f + 1 of a profile's arrays; `p:neighbor(f)` takes and gives frames, as
do `motifs`, `discords` and `matches`.

A profile is a table: `distance` (f64) and `index` (i64, a frame; -1
where no neighbour is allowed, with an infinite distance), one element a
window, and `window`, `exclusion` (self-joins) and `kind` (`"self"` or
`"join"`). Its method `neighbor` is no field of it. Series of any dtype and layout are taken; what is not f64 and in one
piece is first copied to f64: a profile of f32 numbers is that of the same numbers
in f64, to the bit. The copy takes 8 bytes a value, which `system.memory` and the
collector see, and goes with the call. Equal distances go to the lowest index. A window with a NaN
or an infinity has no neighbour and is none.

Options of all joins:

 - `k` (up to 10000): also the k nearest neighbours of each window, nearest first, as
   `distances` and `indices` (windows, k); infinity and -1 where there are
   fewer. None lies in the exclusion zone of the window itself, but they may
   overlap each other, as stumpy's top-k may. A self-join then costs twice.
 - `tile`: `{i, n}`: only the i-th of n parts of the pairs (the lags between
   windows, cut so that each part is about as much work): a long join in
   parts that can be kept and joined by `merge`, bit for bit the whole.
 - `progress`: a function (done, total) that is called a few times a second
   and at the end with done = total. It may begin again from 0 once, where the
   series turns out to need the steadier method. An error in it ends the join.
 - `instructions` (`"best"`, `"plain"`, `"avx2"`, `"avx512"`) and `method`
   (`"auto"`, `"filter"`, `"sweep"`: all give the same bits; `"brute"`: the
   definition, term by term, as a yardstick).
@module bclua.stomp
*/
#include "lua_stomp.h"

#include <math.h>
#include <time.h>

#include "../array/lua_array.h"
#include "../support/interrupt.h"
#include "znorm.h"

static const char *const methods[] = {"auto", "filter", "sweep", "brute", NULL};

struct series bc_stomp_series(lua_State *L, int arg) {
    const bc_array *a = bc_check_as(L, arg, BC_F64, 0);
    if (a->ndim > 2) bc_arg_error(L, arg, "expected (dims, frames), got %d axes", a->ndim);
    struct series s = {a->data, 1, (size_t)a->shape[0]};
    if (a->ndim == 2) s.dims = (size_t)a->shape[0], s.frames = (size_t)a->shape[1];
    if (s.dims == 0 || s.frames == 0)
        bc_arg_error(L, arg, "expected at least one dimension and one frame, got (%I, %I)",
                     (lua_Integer)s.dims, (lua_Integer)s.frames);
    return s;
}

struct series bc_stomp_row(lua_State *L, int arg) {
    struct series s = bc_stomp_series(L, arg);
    if (s.dims != 1) bc_arg_error(L, arg, "expected one dimension, got %I", (lua_Integer)s.dims);
    return s;
}

static size_t check_window(lua_State *L, int arg, size_t frames) {
    lua_Integer w = luaL_checkinteger(L, arg);
    if (w < 1 || (lua_Unsigned)w > frames)
        bc_arg_error(L, arg, "window %I outside 1..%I", w, (lua_Integer)frames);
    return (size_t)w;
}

lua_Integer bc_stomp_zone(size_t window, bool z) {
    if (z) return (lua_Integer)((window + 3) / 4);
    lua_Integer half = (lua_Integer)(window / 2);
    return half + (window % 2 == 1 && half % 2 == 1); /* halves to the even neighbour */
}

lua_Integer bc_stomp_exclusion(lua_State *L, int arg, lua_Integer fallback) {
    lua_Integer zone = bc_opt_integer(L, arg, "exclusion", fallback);
    if (zone < 0) bc_arg_error(L, arg, "option 'exclusion' must be at least 0, got %I", zone);
    return zone;
}

static int tell(struct progress *p, size_t done, size_t total) {
    lua_pushvalue(p->L, p->function);
    lua_pushinteger(p->L, (lua_Integer)done);
    lua_pushinteger(p->L, (lua_Integer)total);
    p->failed = lua_pcall(p->L, 2, 0, 0) != LUA_OK; /* the kernel must free its memory */
    return p->failed;
}

/* A bc_tick. */
static int tick(void *context, size_t done, size_t total) {
    struct progress *p = context;
    struct timespec now;
    if (bc_interrupted()) return 1;
    if (p->function == 0 || done >= total) return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double now_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (now_s < p->last_s + 0.2) return 0;
    p->last_s = now_s;
    return tell(p, done, total);
}

static void opt_tile(lua_State *L, int arg, bc_simple_options *options) {
    int type = bc_push_option(L, arg, "tile");
    if (type != LUA_TNIL) {
        if (type != LUA_TTABLE) bc_arg_error(L, arg, "option 'tile' must be a table {i, n}");
        lua_geti(L, -1, 1);
        lua_geti(L, -2, 2);
        lua_Integer i = lua_tointeger(L, -2), n = lua_tointeger(L, -1);
        if (i < 1 || n < i) bc_arg_error(L, arg, "option 'tile' must be {i, n} with 1 <= i <= n");
        options->tile = (size_t)i - 1, options->tiles = (size_t)n;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

int bc_stomp_options(lua_State *L, int arg, bc_simple_options *options, struct progress *progress) {
    int method = bc_opt_choice(L, arg, "method", 0, methods);
    int level = bc_opt_choice(L, arg, "instructions", 0, bc_cpu_names);
    *options = (bc_simple_options){.tick = tick, .context = progress};
    options->level = (enum bc_cpu)level;
    options->strategy = (enum bc_simple_strategy)method; /* same order, apart from brute */
    if (!bc_cpu_has(options->level))
        bc_arg_error(L, arg, "option 'instructions': this processor has no %s",
                     bc_cpu_names[level]);
    opt_tile(L, arg, options);
    *progress = (struct progress){.L = L, .last_s = -1};
    int type = bc_push_option(L, arg, "progress");
    if (type == LUA_TFUNCTION)
        progress->function = lua_gettop(L);
    else if (type != LUA_TNIL)
        bc_arg_error(L, arg, "option 'progress' must be a function, got %s", luaL_typename(L, -1));
    return method;
}

int bc_stomp_result(lua_State *L, int status, struct progress *progress) {
    if (status == BC_OK && progress->function != 0) tell(progress, 1, 1);
    if (progress->failed) return lua_error(L);
    return status == BC_OK ? 1 : bc_failure(L, status, NULL);
}

static double *field_f64(lua_State *L, const char *name, size_t n, size_t k) {
    bc_array *a = k == 0 ? bc_push_vector(L, BC_F64, (int64_t)n)
                         : bc_push_matrix(L, BC_F64, (int64_t)n, (int64_t)k);
    lua_setfield(L, -2, name);
    return a->data;
}

static int64_t *field_i64(lua_State *L, const char *name, size_t n, size_t k) {
    bc_array *a = k == 0 ? bc_push_vector(L, BC_I64, (int64_t)n)
                         : bc_push_matrix(L, BC_I64, (int64_t)n, (int64_t)k);
    lua_setfield(L, -2, name);
    return a->data;
}

/* A join: what it is given and where it writes. */
struct task {
    bool z, self;
    struct series a, b;
    size_t window, k; /* k 0: only the nearest */
    lua_Integer zone; /* -1: none */
    int method;
    bool left_right;
    bc_simple_options options;
    double *distance, *distances;
    int64_t *index, *indices;
    bc_sides sides;
};

/* Push a table with arrays for the windows of a. */
static void push_profile(lua_State *L, struct task *t) {
    const size_t n = t->a.frames - t->window + 1;
    bc_stomp_new_profile(L, 10);
    t->distance = field_f64(L, "distance", n, 0);
    t->index = field_i64(L, "index", n, 0);
    if (t->k > 0) {
        t->distances = field_f64(L, "distances", n, t->k);
        t->indices = field_i64(L, "indices", n, t->k);
    }
    if (t->left_right) {
        t->sides.left_distance = field_f64(L, "left_distance", n, 0);
        t->sides.left_index = field_i64(L, "left_index", n, 0);
        t->sides.right_distance = field_f64(L, "right_distance", n, 0);
        t->sides.right_index = field_i64(L, "right_index", n, 0);
    }
    lua_pushinteger(L, (lua_Integer)t->window);
    lua_setfield(L, -2, "window");
    lua_pushstring(L, t->self ? "self" : "join");
    lua_setfield(L, -2, "kind");
    if (!t->self) return;
    lua_pushinteger(L, t->zone);
    lua_setfield(L, -2, "exclusion");
}

static int run_nearest(struct task *t, ptrdiff_t zone) {
    const struct series *a = &t->a, *b = &t->b;
    const size_t n = a->frames - t->window + 1;
    int status = t->z ? bc_znorm_nearest(t->distances, t->indices, t->k, a->x, a->frames, b->x,
                                         b->frames, t->window, zone, &t->options)
                      : bc_simple_nearest(t->distances, t->indices, t->k, a->x, a->frames, b->x,
                                          b->frames, a->dims, t->window, zone, &t->options);
    for (size_t i = 0; status == BC_OK && i < n; i++)
        t->distance[i] = t->distances[i * t->k], t->index[i] = t->indices[i * t->k];
    return status;
}

static int run(struct task *t) {
    const struct series *a = &t->a, *b = &t->b;
    const lua_Integer all = (lua_Integer)a->frames;
    const ptrdiff_t zone = (ptrdiff_t)(t->zone > all ? all : t->zone);
    const bc_sides *sides = t->left_right ? &t->sides : NULL;
    const size_t w = t->window;
    if (t->k > 0) return run_nearest(t, zone);
    if (t->method == BRUTE && t->z)
        return bc_znorm_brute(t->distance, t->index, a->x, a->frames, b->x, b->frames, w, zone,
                              &t->options);
    if (t->method == BRUTE)
        return bc_simple_brute(t->distance, t->index, a->x, a->frames, b->x, b->frames, a->dims, w,
                               zone, &t->options);
    if (t->z && t->self)
        return bc_znorm_self_join(t->distance, t->index, sides, a->x, a->frames, w, (size_t)zone,
                                  &t->options);
    if (t->z)
        return bc_znorm_join(t->distance, t->index, a->x, a->frames, b->x, b->frames, w,
                             &t->options);
    if (t->self)
        return bc_simple_self_join(t->distance, t->index, sides, a->x, a->dims, a->frames, w,
                                   (size_t)zone, &t->options);
    return bc_simple_join(t->distance, t->index, a->x, a->frames, b->x, b->frames, a->dims, w,
                          &t->options);
}

/* All four joins: the window is at argument `at`, options are behind it. */
static int do_join(lua_State *L, struct task *t, int at) {
    static const char *const joins[] = {"instructions", "k", "method", "progress", "tile", NULL};
    static const char *const selfs[] = {"exclusion", "instructions", "k",    "left_right",
                                        "method",    "progress",     "tile", NULL};
    const int arg = at + 1;
    struct progress progress;
    t->window = check_window(L, at, t->a.frames < t->b.frames ? t->a.frames : t->b.frames);
    bc_check_options(L, arg, t->self ? selfs : joins);
    t->zone = t->self ? bc_stomp_exclusion(L, arg, bc_stomp_zone(t->window, t->z)) : -1;
    t->left_right = bc_opt_boolean(L, arg, "left_right", false);
    lua_Integer k = bc_opt_integer(L, arg, "k", 1);
    if (k < 1) bc_arg_error(L, arg, "option 'k' must be at least 1, got %I", k);
    if (k > 10000) bc_arg_error(L, arg, "option 'k' must be at most 10000, got %I", k);
    t->k = bc_has_option(L, arg, "k") ? (size_t)k : 0;
    t->method = bc_stomp_options(L, arg, &t->options, &progress);
    if (t->left_right && t->k > 0)
        bc_arg_error(L, arg, "options 'k' and 'left_right' exclude each other");
    if (t->method == BRUTE && (t->left_right || t->k > 0 || t->options.tiles > 0))
        bc_arg_error(L, arg, "method 'brute' has no options 'k', 'left_right' and 'tile'");
    push_profile(L, t);
    int status = run(t);
    return bc_stomp_result(L, status, &progress);
}

/***
The nearest other window of every window (SiMPle: squared Euclidean distance,
summed over the dimensions, not normalised).

Identical windows have distance exactly 0; the relative error is below
(dims + 2 log2(window)) * 2.2e-16 at any length. Silva, Yeh, Batista, Keogh:
SiMPle (ISMIR 2016). Options besides those above: `exclusion` (frames; windows
i and j with |i - j| <= exclusion are never paired), default window / 2, halves
rounded to even; `left_right`: also the nearest window before and the nearest
after each one, as `left_distance`, `left_index`, `right_distance` and
`right_index`.
@function self_join
@tparam bclua.array x (dims, frames) or (frames); converted to f64
@tparam integer window length in frames, 1..frames
@tparam[opt] table options
@treturn table profile of frames - window + 1 windows
@usage local p = stomp.self_join(cens.cens(y, {sample_rate = 32000}), 50)
print(p:neighbor(0)) -- where the window most like the first one is, and how far away that is
*/
static int l_self_join(lua_State *L) {
    lua_settop(L, 3);
    struct task t = {.self = true, .a = bc_stomp_series(L, 1)};
    t.b = t.a;
    return do_join(L, &t, 2);
}

/***
For every window of one series the nearest window of another: distance and
options as in `self_join`, without `exclusion` and `left_right`.
@function join
@tparam bclua.array a (dims, frames) or (frames)
@tparam bclua.array b as many dimensions; any number of frames
@tparam integer window length in frames, at most that of the shorter series
@tparam[opt] table options
@treturn table profile of the windows of `a`; `index` counts frames of `b`
*/
static int l_join(lua_State *L) {
    lua_settop(L, 4);
    struct task t = {.a = bc_stomp_series(L, 1), .b = bc_stomp_series(L, 2)};
    if (t.a.dims != t.b.dims)
        bc_arg_error(L, 2, "expected %I dimensions as in argument 1, got %I", (lua_Integer)t.a.dims,
                     (lua_Integer)t.b.dims);
    return do_join(L, &t, 3);
}

/***
The nearest other window of every window of a one-dimensional series, after
each window is given mean 0 and deviation 1 (STOMP).

Euclidean distances (not squared), as stumpy's `stump` gives. Special windows
have stumpy's meaning: one with a NaN or an infinity is infinitely far from
all (index -1); two constant windows have distance 0, a constant and another
one sqrt(window). Zhu et al.: Matrix profile II (ICDM 2016). Options as in
`self_join`; `exclusion` is by default window / 4 rounded up, as stumpy's.
Pairs with a constant window are in every tile.
@function z_self_join
@tparam bclua.array x (frames) or (1, frames); converted to f64
@tparam integer window length in frames, 1..frames
@tparam[opt] table options
@treturn table profile of frames - window + 1 windows
*/
static int l_z_self_join(lua_State *L) {
    lua_settop(L, 3);
    struct task t = {.z = true, .self = true, .a = bc_stomp_row(L, 1)};
    t.b = t.a;
    return do_join(L, &t, 2);
}

/***
For every window of one series the nearest window of another, both
z-normalised: distance and options as in `z_self_join`, without `exclusion`
and `left_right`.
@function z_join
@tparam bclua.array a (frames) or (1, frames)
@tparam bclua.array b any number of frames
@tparam integer window length in frames, at most that of the shorter series
@tparam[opt] table options
@treturn table profile of the windows of `a`; `index` counts frames of `b`
*/
static int l_z_join(lua_State *L) {
    lua_settop(L, 4);
    struct task t = {.z = true, .a = bc_stomp_row(L, 1), .b = bc_stomp_row(L, 2)};
    return do_join(L, &t, 3);
}

/***
The values of the option `instructions` that this machine can run, and that differ here: matrix
registers are for networks.
@function instructions
@treturn {string,...} `"plain"` and what else there is
*/
static int l_instructions(lua_State *L) {
    lua_newtable(L);
    for (int level = BC_CPU_PLAIN, n = 0; level <= BC_CPU_AVX512; level++)
        if (bc_cpu_has((enum bc_cpu)level)) {
            lua_pushstring(L, bc_cpu_names[level]);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

static const luaL_Reg functions[] = {
    {"self_join", l_self_join},
    {"join", l_join},
    {"z_self_join", l_z_self_join},
    {"z_join", l_z_join},
    {"motifs", bc_stomp_motifs},
    {"discords", bc_stomp_discords},
    {"correct", bc_stomp_correct},
    {"merge", bc_stomp_merge},
    {"matches", bc_stomp_matches},
    {"z_matches", bc_stomp_z_matches},
    {"motiflets", bc_stomp_motiflets},
    {"z_motiflets", bc_stomp_z_motiflets},
    {"motif_sets", bc_stomp_motif_sets},
    {"z_motif_sets", bc_stomp_z_motif_sets},
    {"unit_windows", bc_stomp_unit_windows},
    {"sketch", bc_stomp_sketch},
    {"alike", bc_stomp_alike},
    {"incremental", bc_stomp_incremental},
    {"pan", bc_stomp_pan},
    {"z_pan", bc_stomp_z_pan},
    {"instructions", l_instructions},
    {NULL, NULL},
};

BC_EXPORT int luaopen_bclua_stomp(lua_State *L);
int luaopen_bclua_stomp(lua_State *L) {
    bc_stomp_new_profile(L, 0); /* so that :help knows its methods */
    bc_stomp_new_stream(L);
    luaL_newlib(L, functions);
    return 1;
}
