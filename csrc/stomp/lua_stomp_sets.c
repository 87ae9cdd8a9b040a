/* lua_stomp_sets.c: the module bclua.stomp: sets of windows that are alike. */
/// @module bclua.stomp
#include <math.h>
#include <stdlib.h>

#include "../array/lua_array.h"
#include "lua_stomp.h"
#include "motiflets.h"

enum { MOST = 1000 }; /* members of a motiflet */

/* The series, the window and the options at 1, 2 and 3. */
static bc_windows check_windows(lua_State *L, bool z) {
    const struct series s = z ? bc_stomp_row(L, 1) : bc_stomp_series(L, 1);
    const lua_Integer w = luaL_checkinteger(L, 2);
    if (w < 1 || (lua_Unsigned)w > s.frames)
        bc_arg_error(L, 2, "window %I outside 1..%I", w, (lua_Integer)s.frames);
    bc_windows r = {.x = s.x, .dims = s.dims, .frames = s.frames, .window = (size_t)w, .z = z};
    const lua_Integer zone = bc_stomp_exclusion(L, 3, bc_stomp_zone(r.window, z));
    r.zone = (lua_Unsigned)zone > s.frames ? s.frames : (size_t)zone;
    const lua_Integer n = (lua_Integer)(s.frames - r.window + 1);
    if (bc_push_option(L, 3, "among") != LUA_TNIL) { /* stays on the stack */
        const bc_array *among = bc_check_as(L, lua_gettop(L), BC_F64, 1);
        if (among->shape[0] != n)
            bc_arg_error(L, 3, "option 'among': %I windows expected, got %I", n,
                         (lua_Integer)among->shape[0]);
        r.among = among->data;
    }
    return r;
}

static bc_pool *new_pool(lua_State *L) {
    bc_pool *pool;
    const int rc = bc_pool_new(&pool, bc_threads());
    if (rc != BC_OK) bc_failure(L, rc, NULL);
    return pool;
}

static void push_frames(lua_State *L, const int64_t *at, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushinteger(L, at[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* The k behind which the extent rises most against how it rose before. */
static lua_Integer elbow(const double *extent, lua_Integer most) {
    lua_Integer best = most < 2 ? most : 2;
    double steepest = 1;
    const double small = 1e-5 * (extent[most] > 0 ? extent[most] : 1);
    for (lua_Integer k = 3; k < most; k++) {
        const double ratio =
            (extent[k + 1] - extent[k] + small) / (extent[k] - extent[k - 1] + small);
        if (ratio > steepest) steepest = ratio, best = k;
    }
    return best;
}

static int push_motiflets(lua_State *L, bool z) {
    static const char *const names[] = {"among", "exclusion", "k_max", NULL};
    lua_settop(L, 3);
    bc_check_options(L, 3, names);
    const bc_windows w = check_windows(L, z);
    const lua_Integer most = bc_opt_integer(L, 3, "k_max", 10);
    if (most < 2 || most > MOST)
        bc_arg_error(L, 3, "option 'k_max' must be 2..%d, got %I", MOST, most);
    double *extent = bc_push_vector(L, BC_F64, most + 1)->data;
    double *least = bc_push_vector(L, BC_F64, most + 1)->data;
    int64_t *at = bc_push_matrix(L, BC_I64, most + 1, most)->data;
    bc_pool *pool = new_pool(L);
    const int rc =
        bc_motiflets(extent, least, at, &w, (size_t)most, pool, bc_tick_interrupt, NULL);
    bc_pool_free(pool);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_Integer last = 1;
    lua_newtable(L);
    for (lua_Integer k = 2; k <= most && isfinite(extent[k]); last = k++) {
        lua_createtable(L, 0, 4);
        lua_pushinteger(L, k);
        lua_setfield(L, -2, "k");
        lua_pushnumber(L, extent[k]);
        lua_setfield(L, -2, "extent");
        lua_pushnumber(L, least[k]);
        lua_setfield(L, -2, "least");
        push_frames(L, at + k * most, (size_t)k);
        lua_setfield(L, -2, "at");
        lua_rawseti(L, -2, k - 1);
    }
    if (last < 2)
        luaL_pushfail(L);
    else
        lua_pushinteger(L, elbow(extent, last));
    return 2;
}

/***
The k windows that are nearest to each other, for each k: sets of repeated calls (k-Motiflets,
Schaefer and Leser, PVLDB 2022).

What is made small is the `extent` of a set, the largest distance between two of its members
(squared, as in `self_join`), which are more than `exclusion` frames apart. Around each window
the set within the least radius and that of the nearest windows are tried, so that no set of k
has an extent below `least`; the one found has at most four times as much (twice the Euclidean
distance), mostly far less. Windows with a NaN or an infinity take no part. dims * n^2 steps of n
windows, 4 vectors of n a thread; the same bits for any number of threads.
@function motiflets
@tparam bclua.array x (dims, frames) or (frames)
@tparam integer window length in frames
@tparam[opt] table options `k_max` (10, up to 1000); `exclusion` (window / 2, halves rounded to even);
`among`: (windows), those at 0 take no part
@treturn {table,...} for k = 2, 3, ... as far as there are as many windows `{k=, extent=, least=, at=}`; at: frames
from 0, in order
@treturn ?integer the elbow: the k behind which the extent rises most against how it rose before, a
guess at how often there is what is there; nil without any set
@usage local sets, k = stomp.motiflets(x, 50, {k_max = 20})
for _, frame in ipairs(sets[k - 1].at) do print(frame / 10) end
*/
int bc_stomp_motiflets(lua_State *L) { return push_motiflets(L, false); }

/***
As `motiflets`, z-normalised: distances as in `z_self_join`, not squared, so that an extent is at
most twice `least`; `exclusion` is by default window / 4 rounded up.
@function z_motiflets
@tparam bclua.array x (frames) or (1, frames)
@tparam integer window
@tparam[opt] table options
@treturn {table,...}
@treturn ?integer
*/
int bc_stomp_z_motiflets(lua_State *L) { return push_motiflets(L, true); }

/* The outputs of bc_motif_sets for n windows. */
struct found {
    size_t *size, *first, count;
    int64_t *at;
    double *distance;
};

static void push_sets(lua_State *L, const struct found *f) {
    lua_createtable(L, (int)f->count, 0);
    for (size_t s = 0; s < f->count; s++) {
        lua_createtable(L, 0, 2);
        push_frames(L, f->at + f->first[s], f->size[s]);
        lua_setfield(L, -2, "at");
        lua_createtable(L, (int)f->size[s], 0);
        for (size_t i = 0; i < f->size[s]; i++) {
            lua_pushnumber(L, f->distance[f->first[s] + i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_setfield(L, -2, "distance");
        lua_rawseti(L, -2, (lua_Integer)s + 1);
    }
}

static int push_motif_sets(lua_State *L, bool z) {
    static const char *const names[] = {"among", "exclusion", "fewest", "radius", "sets", NULL};
    lua_settop(L, 3);
    bc_check_options(L, 3, names);
    const bc_windows w = check_windows(L, z);
    const lua_Integer n = (lua_Integer)(w.frames - w.window + 1);
    const lua_Number radius = bc_opt_number(L, 3, "radius", -1);
    const lua_Integer fewest = bc_opt_integer(L, 3, "fewest", 2);
    lua_Integer sets = bc_opt_integer(L, 3, "sets", 100);
    if (!(radius >= 0 && isfinite(radius)))
        bc_arg_error(L, 3, "expected an option 'radius' of at least 0");
    if (fewest < 2) bc_arg_error(L, 3, "option 'fewest' must be at least 2, got %I", fewest);
    if (sets < 1) bc_arg_error(L, 3, "option 'sets' must be at least 1, got %I", sets);
    if (sets > n) sets = n;
    struct found f = {.at = bc_push_vector(L, BC_I64, n)->data,
                      .distance = bc_push_vector(L, BC_F64, n)->data};
    f.size = lua_newuserdatauv(L, (size_t)sets * sizeof *f.size, 0);
    f.first = lua_newuserdatauv(L, (size_t)sets * sizeof *f.first, 0);
    bc_pool *pool = new_pool(L);
    const int rc = bc_motif_sets(f.size, f.first, f.at, f.distance, &f.count, &w, radius,
                                 (size_t)fewest, (size_t)sets, pool, bc_tick_interrupt, NULL);
    bc_pool_free(pool);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_sets(L, &f);
    return 1;
}

/***
Disjoint sets of windows within a radius, the largest first (after Lin, Keogh, Lonardi and
Patel, 2002): the window around which most others are, more than `exclusion` frames apart (of
equal ones that to which they are nearer), with the nearest of these; then the same among what is
left. Distances as in `self_join` (squared), and so is the radius. dims * n^2 steps of n windows;
the same bits for any number of threads.
@function motif_sets
@tparam bclua.array x (dims, frames) or (frames)
@tparam integer window length in frames
@tparam table options `radius`; `fewest` (2) members of a set; `sets` (100) at most; `exclusion` and
`among` as for `motiflets`
@treturn {table,...} `{at=, distance=}`: frames from 0, and distances from the first, which is the centre,
nearest first
@usage for _, set in ipairs(stomp.motif_sets(x, 25, {radius = 10, fewest = 3})) do print(#set.at, set.at[1]) end
*/
int bc_stomp_motif_sets(lua_State *L) { return push_motif_sets(L, false); }

/***
As `motif_sets`, z-normalised: distances as in `z_self_join`, not squared; `exclusion` is by default
window / 4 rounded up.
@function z_motif_sets
@tparam bclua.array x (frames) or (1, frames)
@tparam integer window
@tparam table options
@treturn {table,...}
*/
int bc_stomp_z_motif_sets(lua_State *L) { return push_motif_sets(L, true); }
