/* lua_sampling_triplets.c: bclua.sampling.triplets. */
#include <math.h>

#include "../array/lua_array.h"
#include "lua_sampling.h"
#include "triplets.h"

/* The column of that name, *n long (below 0: of any length, which *n becomes);
 * NULL if it is not there and need not be. */
static const void *column(lua_State *L, const char *name, bc_dtype dtype, bool needed, int64_t *n) {
    int type = lua_getfield(L, 1, name);
    if (type == LUA_TNIL && !needed) return NULL;
    const bc_array *a = bc_test_array(L, -1);
    if (a == NULL)
        bc_arg_error(L, 1, "column '%s' must be an array, got %s", name, luaL_typename(L, -1));
    if (a->ndim != 1 || (*n >= 0 && a->shape[0] != *n))
        bc_arg_error(L, 1, "column '%s' must have one axis of %I, got %I with %d axes", name,
                     (lua_Integer)(*n < 0 ? a->shape[0] : *n), (lua_Integer)a->shape[0], a->ndim);
    *n = a->shape[0];
    return bc_check_as(L, -1, dtype, 1)->data;
}

static void *result(lua_State *L, const char *name, bc_dtype dtype, int64_t n) {
    bc_array *a = bc_push_vector(L, dtype, n);
    lua_setfield(L, -2, name);
    return a->data;
}

static const double *or_else(const double *a, const double *b) { return a != NULL ? a : b; }

static void check_recordings(lua_State *L, bc_recordings *r) {
    int64_t n = -1;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, 18, NULL); /* each column, as it was converted, stays on the stack */
    r->group = column(L, "group", BC_I64, true, &n);
    r->species = column(L, "species", BC_I64, true, &n);
    r->anchor_s = column(L, "anchor_s", BC_F64, true, &n);
    r->self_s = column(L, "self_s", BC_F64, true, &n);
    r->neighbor_s = or_else(column(L, "neighbor_s", BC_F64, false, &n), r->anchor_s);
    r->distant_s = or_else(column(L, "distant_s", BC_F64, false, &n), r->anchor_s);
    r->avoid_0_s = or_else(column(L, "avoid_0_s", BC_F64, false, &n), r->anchor_s);
    r->avoid_1_s = or_else(column(L, "avoid_1_s", BC_F64, false, &n), r->self_s);
    r->duration_s = column(L, "duration_s", BC_F64, true, &n);
    if (n > INT32_MAX) bc_arg_error(L, 1, "more than 2^31 - 1 recordings");
    r->n = (size_t)n;
    for (int64_t i = 0; i < n; i++)
        if (!(r->duration_s[i] >= 0) || isinf(r->duration_s[i]))
            bc_arg_error(L, 1, "duration_s[%I] must be 0 s or more, got %f", (lua_Integer)i + 1,
                         r->duration_s[i]);
    lua_getfield(L, 1, "window_s");
    int ok;
    r->window_s = lua_tonumberx(L, -1, &ok);
    if (!ok || !(r->window_s > 0) || isinf(r->window_s))
        bc_arg_error(L, 1, "window_s must be more than 0 s, got %s", luaL_tolstring(L, -1, NULL));
}

/* Ends never fall, and the last is that of the list. */
static void check_places(lua_State *L, bc_recordings *r) {
    int64_t n = (int64_t)r->n, all = -1;
    r->places_s = column(L, "places_s", BC_F64, false, &all);
    if (r->places_s == NULL) return;
    r->places_end = column(L, "places_end", BC_I64, true, &n);
    for (int64_t i = 0, last = 0; i < n; last = r->places_end[i++])
        if (r->places_end[i] < last || r->places_end[i] > all)
            bc_arg_error(L, 1, "places_end[%I] must be %I to %I, got %I", (lua_Integer)i + 1,
                         (lua_Integer)last, (lua_Integer)all, (lua_Integer)r->places_end[i]);
}

/* Which entries are of one recording; the places of each must be in order then. */
static void check_sources(lua_State *L, bc_recordings *r) {
    int64_t n = (int64_t)r->n;
    r->source = column(L, "source", BC_I64, false, &n);
    if (r->source == NULL || r->places_s == NULL) return;
    for (int64_t i = 0, k = 0; i < n; i++)
        for (int64_t from = k; k < r->places_end[i]; k++)
            if (!(r->places_s[k] >= (k > from ? r->places_s[k - 1] : -INFINITY)))
                bc_arg_error(L, 1, "places_s[%I] must be in order, got %f", (lua_Integer)k + 1,
                             r->places_s[k]);
}

/* Pairs of seconds in order, each recording's own. */
static void check_silences(lua_State *L, bc_recordings *r) {
    int64_t n = (int64_t)r->n, all = -1;
    r->silent_s = column(L, "silent_s", BC_F64, false, &all);
    if (r->silent_s == NULL) return;
    r->silent_end = column(L, "silent_end", BC_I64, true, &n);
    for (int64_t i = 0, last = 0; i < n; last = r->silent_end[i++]) {
        int64_t end = r->silent_end[i];
        if (end < last || end > all || (end - last) % 2 != 0)
            bc_arg_error(L, 1, "silent_end[%I] must be pairs behind %I, at most %I, got %I",
                         (lua_Integer)i + 1, (lua_Integer)last, (lua_Integer)all, (lua_Integer)end);
        for (int64_t k = last; k < end; k++)
            if (!(r->silent_s[k] >= (k > last ? r->silent_s[k - 1] : 0)) || isinf(r->silent_s[k]))
                bc_arg_error(L, 1, "silent_s[%I] must be in order, got %f", (lua_Integer)k + 1,
                             r->silent_s[k]);
    }
}

static void check_mixture(lua_State *L, bc_triplet_options *o) {
    double sum = 0;
    for (int k = 0; k < 4; k++) o->mixture[k] = 0.25;
    if (bc_push_option(L, 2, "mixture") != LUA_TNIL) {
        if (!lua_istable(L, -1) || lua_rawlen(L, -1) != 4)
            bc_arg_error(L, 2, "option 'mixture' must be a list of four numbers");
        for (int k = 0; k < 4; k++) {
            int ok;
            lua_rawgeti(L, -1, k + 1);
            o->mixture[k] = lua_tonumberx(L, -1, &ok);
            if (!ok || !(o->mixture[k] >= 0) || o->mixture[k] > 1e9)
                bc_arg_error(L, 2, "option 'mixture': element %d must be 0 or more, got %s",
                             k + 1, luaL_tolstring(L, -1, NULL));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    for (int k = o->exclude_own ? 2 : 0; k < 4; k++) sum += o->mixture[k];
    if (!(sum > 0))
        bc_arg_error(L, 2, "option 'mixture' leaves no partition%s",
                     o->exclude_own ? " with 'exclude_own'" : "");
}

static double check_distance(lua_State *L, const char *name) {
    double x = bc_opt_number(L, 2, name, 0);
    if (!(x >= 0 && x <= 1e9))
        bc_arg_error(L, 2, "option '%s' must be 0 s or more, got %f", name, x);
    return x;
}

static lua_Integer check_least(lua_State *L, const char *name, lua_Integer fallback) {
    lua_Integer x = bc_opt_integer(L, 2, name, fallback);
    if (x < 0 || x > (lua_Integer)1 << 40)
        bc_arg_error(L, 2, "option '%s' must be 0 or more", name);
    return x;
}

/***
Draw triplets: anchor, neighbour and distant window.

The anchor is a window of a recording: a group by the shares, in it a species by
the shares, in that a recording evenly. Shares are those of the classes in the
draws: `equal`, `natural` (as many as the class has recordings) or `sqrt` (the
root of that). The neighbour is of the same recording (`self`) or of another
recording of the group (`group`: species by the shares, then recordings evenly,
the anchor's left out); in a group of one recording it is always `self`. The
distant one is from a recording of another group, by the same shares: its
window (`motif`), or one drawn evenly from where a whole one fits (`clip`).
A neighbour is the anchor's own window only where its recording has no other and is alone
in its group.
Where there is no window, or no room for a clip, the location is -1: the whole
recording, centred in silence.

Triplet i depends on the recordings, the options and i alone, so that a small
table is the beginning of a large one.
@function triplets
@tparam table recordings columns of equal length: `group` and `species` (any
  integers); centres of windows in seconds (NaN or negative: none): `anchor_s`,
  `self_s` (the neighbour of the own anchor), `neighbor_s` (that of another recording's; as
  `anchor_s`), `distant_s` (as `anchor_s`), `avoid_0_s` and `avoid_1_s` (what clips keep
  away from; as `anchor_s` and `self_s`); `duration_s`; and the number `window_s`. Where
  recordings are silent: `silent_s` (f64: start and end of each silence, in order) and
  `silent_end` (i64: how many of these numbers there are up to the end of each recording);
  clips are not centred in a silence longer than half a window, and where a recording has no
  other place its window is taken. Several windows of a recording in place of its one: `places_s`
  (f64) and `places_end` (i64), likewise. A recording that has several entries, as it has labels
  of several kinds, has the same number in `source` (i64) in all of them, and their places are in
  order: then groups of a single place have no anchors, and distant windows avoid the places of the
  anchor's group in their recording
@tparam table options `samples`; `seed` (0); `first` (0: triplets before the
  first one to draw); `shares` ("equal"); `mixture` (weights of the partitions self and motif,
  self and clip, group and motif, group and clip: `{1, 1, 1, 1}`); `exclude_own` (false: a
  neighbour is never of the anchor's recording, and groups of one recording have no
  anchors); `self_distance_s` (0: a self neighbour whose centre is nearer, or that is no window, is
  drawn from the group instead, if it has another recording); `clip_distance_s` (0: clips
  keep their centres so far from the recording's avoided windows, where it has room for that);
  `clips` (0: no limit; how many different clips a recording has)
@treturn table columns of `samples`: `a`, `b`, `c` (i32, positions in the
  columns from 1), `a_loc`, `b_loc`, `c_loc` (f64, seconds), `neighbor`,
  `distant` (u8, positions in `neighbor_names` and `distant_names`)
@return[2] nil
@treturn[2] string message: fewer than two groups, or no anchors
@usage local t = sampling.triplets(recordings, {samples = 500000, seed = 1})
print(t.a[1], t.a_loc[1], sampling.neighbor_names[t.neighbor[1]])
*/
int bc_sampling_triplets(lua_State *L) {
    static const char *const names[] = {"samples",         "seed",            "first",
                                        "shares",          "mixture",         "exclude_own",
                                        "self_distance_s", "clip_distance_s", "clips",
                                        NULL};
    static const char *const shares[] = {"equal", "natural", "sqrt", NULL};
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    lua_Integer n = bc_opt_integer(L, 2, "samples", -1);
    if (n < 0) bc_arg_error(L, 2, "option 'samples' must be 0 or more");
    lua_Integer first = check_least(L, "first", 0);
    bc_triplet_options o = {0};
    o.seed = (uint64_t)bc_opt_integer(L, 2, "seed", 0);
    o.shares = (bc_shares)bc_opt_choice(L, 2, "shares", BC_SHARES_EQUAL, shares);
    o.exclude_own = bc_opt_boolean(L, 2, "exclude_own", false);
    check_mixture(L, &o);
    o.self_distance_s = check_distance(L, "self_distance_s");
    o.clip_distance_s = check_distance(L, "clip_distance_s");
    o.clips = check_least(L, "clips", 0);
    bc_recordings r = {0};
    check_recordings(L, &r);
    check_places(L, &r);
    check_sources(L, &r);
    check_silences(L, &r);

    lua_createtable(L, 0, 8);
    bc_triplets t;
    t.a = result(L, "a", BC_I32, n);
    t.b = result(L, "b", BC_I32, n);
    t.c = result(L, "c", BC_I32, n);
    t.a_loc = result(L, "a_loc", BC_F64, n);
    t.b_loc = result(L, "b_loc", BC_F64, n);
    t.c_loc = result(L, "c_loc", BC_F64, n);
    t.neighbor = result(L, "neighbor", BC_U8, n);
    t.distant = result(L, "distant", BC_U8, n);
    bc_error e = {""};
    int rc = bc_triplets_draw(&t, &r, &o, (size_t)first, (size_t)n, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}
