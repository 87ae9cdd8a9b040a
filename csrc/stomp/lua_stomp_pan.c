/* lua_stomp_pan.c: the module bclua.stomp: profiles of many window lengths. */
/// @module bclua.stomp
#include "../array/lua_array.h"
#include "extremes.h"
#include "lua_stomp.h"
#include "znorm.h"

enum { MOST = 4096 }; /* window lengths in a call */

/* Push an i64 vector of the window lengths at argument 2: a list, or a table
 * with first, last and step. */
static const int64_t *push_lengths(lua_State *L, size_t frames, size_t *count) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "first");
    const bool range = !lua_isnil(L, -1);
    lua_pop(L, 1);
    lua_Integer first = 0, step = 1, n = luaL_len(L, 2);
    if (range) {
        static const char *const names[] = {"first", "last", "step", NULL};
        bc_check_options(L, 2, names);
        first = bc_opt_integer(L, 2, "first", 0);
        const lua_Integer last = bc_opt_integer(L, 2, "last", first);
        step = bc_opt_integer(L, 2, "step", 1);
        if (first < 1 || last < first || step < 1)
            bc_arg_error(L, 2, "expected 1 <= first <= last and step >= 1, got %I, %I and %I",
                         first, last, step);
        n = (last - first) / step + 1;
    }
    if (n < 1 || n > MOST) bc_arg_error(L, 2, "expected 1 to %d windows, got %I", MOST, n);
    int64_t *lengths = bc_push_vector(L, BC_I64, n)->data;
    for (lua_Integer k = 0; k < n; k++) {
        int integer = 1;
        lengths[k] = first + k * step;
        if (!range) {
            lua_geti(L, 2, k + 1);
            lengths[k] = lua_tointegerx(L, -1, &integer);
            if (!integer)
                bc_arg_error(L, 2, "window %I is no integer but a %s", k + 1, luaL_typename(L, -1));
            lua_pop(L, 1);
        }
        if (lengths[k] < 1 || (uint64_t)lengths[k] > frames)
            bc_arg_error(L, 2, "window %I outside 1..%I", (lua_Integer)lengths[k],
                         (lua_Integer)frames);
    }
    *count = (size_t)n;
    return lengths;
}

/* Append a profile to the list on top of the stack; its arrays go to *length. */
static void push_length(lua_State *L, bc_simple_length *length, size_t frames, size_t window,
                        lua_Integer zone, size_t position) {
    const int64_t n = (int64_t)(frames - window + 1);
    *length = (bc_simple_length){.window = window, .zone = (size_t)zone};
    if (length->zone > frames) length->zone = frames;
    bc_stomp_new_profile(L, 6);
    length->distance = bc_push_vector(L, BC_F64, n)->data;
    lua_setfield(L, -2, "distance");
    length->index = bc_push_vector(L, BC_I64, n)->data;
    lua_setfield(L, -2, "index");
    lua_pushinteger(L, (lua_Integer)window);
    lua_setfield(L, -2, "window");
    lua_pushinteger(L, zone);
    lua_setfield(L, -2, "exclusion");
    lua_pushliteral(L, "self");
    lua_setfield(L, -2, "kind");
    lua_rawseti(L, -2, (lua_Integer)position);
}

static int z_pan(const bc_simple_length *lengths, size_t count, const struct series *s,
                 const bc_simple_options *options) {
    int status = BC_OK;
    for (size_t k = 0; status == BC_OK && k < count; k++)
        status = bc_znorm_self_join(lengths[k].distance, lengths[k].index, NULL, s->x, s->frames,
                                    lengths[k].window, lengths[k].zone, options);
    return status;
}

/* Fields `score` and `best` of the list on top of the stack. */
static int set_scores(lua_State *L, const bc_simple_length *lengths, size_t count, size_t frames,
                      bool z) {
    double highest = -1;
    for (size_t k = 0; k < count; k++) {
        double score;
        int status = bc_contrast(&score, lengths[k].distance, frames - lengths[k].window + 1, !z);
        if (status != BC_OK) return status;
        lua_rawgeti(L, -1, (lua_Integer)k + 1);
        lua_pushnumber(L, score);
        lua_setfield(L, -2, "score");
        lua_getfield(L, -2, "best");
        const bool longer = lua_isnil(L, -1) || lengths[k].window >
            (size_t)bc_opt_integer(L, lua_gettop(L), "window", 0);
        lua_pop(L, 1);
        if (score > highest || (score == highest && longer)) {
            highest = score;
            lua_setfield(L, -2, "best");
        } else {
            lua_pop(L, 1);
        }
    }
    return BC_OK;
}

static int push_pan(lua_State *L, bool z) {
    static const char *const names[] = {"exclusion", "instructions", "method", "progress", NULL};
    lua_settop(L, 3);
    struct series s = z ? bc_stomp_row(L, 1) : bc_stomp_series(L, 1);
    size_t count;
    bc_check_options(L, 3, names);
    const bool own = !bc_has_option(L, 3, "exclusion");
    const lua_Integer zone = bc_stomp_exclusion(L, 3, 0);
    const int64_t *windows = push_lengths(L, s.frames, &count);
    struct progress progress;
    bc_simple_options options;
    if (bc_stomp_options(L, 3, &options, &progress) == BRUTE)
        bc_arg_error(L, 3, "option 'method' must be one of auto, filter, sweep");
    bc_simple_length *lengths = lua_newuserdatauv(L, count * sizeof *lengths, 0);
    lua_createtable(L, (int)count, 1);
    for (size_t k = 0; k < count; k++)
        push_length(L, &lengths[k], s.frames, (size_t)windows[k],
                    own ? bc_stomp_zone((size_t)windows[k], z) : zone, k + 1);
    int status = z ? z_pan(lengths, count, &s, &options)
                   : bc_simple_pan(lengths, count, s.x, s.dims, s.frames, &options);
    if (status == BC_OK) status = set_scores(L, lengths, count, s.frames, z);
    return bc_stomp_result(L, status, &progress);
}

/***
The profiles of a series for many window lengths in one call: what `self_join`
gives for each, bit for bit, but the distances of single frames, which are
most of the work, are computed once for all.

Each profile has a `score`, how far its nearest pair stands out:

    score = 1 - r_min / r_median,  r = sqrt(distance / (dims * window))

with the smallest and the median finite distance (0 if there is none or the
median is 0). r is the root mean square difference of two windows a frame and
dimension: dividing by the root of the length makes lengths comparable, as in
Linardi et al.: Matrix Profile X: VALMOD (SIGMOD 2018), and the profiles of all
lengths are Madrid et al.: Matrix Profile XX (ICBK 2019). The contrast itself is
ours: a repeated sound of L frames keeps r_min low up to L while r_median
grows with the window, and beyond L r_min grows too. On equal scores the longest
window is the best. Options: `exclusion` (one for all, default half of each
window), `instructions`, `method` and `progress` as in `self_join`.
@function pan
@tparam bclua.array x (dims, frames) or (frames)
@tparam table windows a list of lengths, or `{first=, last=, step=}` (step 1)
@tparam[opt] table options
@treturn table list of profiles with `score`, in the order of the windows; its
field `best` is the profile with the highest score
@usage local best = stomp.pan(c, {first = 20, last = 100, step = 10}).best
print(best.window, stomp.motifs(best)[1].at)
*/
int bc_stomp_pan(lua_State *L) { return push_pan(L, false); }

/***
As `pan`, z-normalised: what `z_self_join` gives for each window length, one
after the other; r = distance / sqrt(window) in the score.

Nothing is shared here: in `pan` the distances of single frames are most of the
work and the same for all lengths, but with means and deviations that differ by
window, six of ten operations a cell are the window's own. Sharing the products
would save three in ten at most, and cost the exact sums their fine grid.
@function z_pan
@tparam bclua.array x (frames) or (1, frames)
@tparam table windows
@tparam[opt] table options
@treturn table
*/
int bc_stomp_z_pan(lua_State *L) { return push_pan(L, true); }
