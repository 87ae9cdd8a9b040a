/* lua_stomp_stream.c: the module bclua.stomp: profiles of series that grow. */
/// @module bclua.stomp
#include "../array/lua_array.h"
#include "incremental.h"
#include "lua_stomp.h"

#define STREAM "bclua.stomp.stream"

struct stream {
    bc_incremental *s; /* NULL: closed */
    double enough;
};

/***
Let go of its memory; it is closed for good.
@function stream:close
*/
static int s_close(lua_State *L) {
    struct stream *t = luaL_checkudata(L, 1, STREAM);
    bc_incremental_free(t->s);
    t->s = NULL;
    return 0;
}

static struct stream *check_open(lua_State *L) {
    struct stream *t = luaL_checkudata(L, 1, STREAM);
    if (t->s == NULL) bc_arg_error(L, 1, "the stream is closed");
    return t;
}

/***
Append frames. After Ctrl-C nothing was appended.
@function stream:append
@tparam bclua.array x (dims, frames) or, of one dimension, (frames)
@treturn bclua.array f64 (windows that are now complete): squared distance to the nearest window before
each, infinite if there is none
@treturn bclua.array i64, the frame at which that window begins, or -1
@treturn integer the frame at which the first of the completed windows begins
*/
static int s_append(lua_State *L) {
    struct stream *t = check_open(L);
    const struct series x = bc_stomp_series(L, 2);
    if (x.dims != bc_incremental_dims(t->s))
        bc_arg_error(L, 2, "expected %I dimensions, got %I",
                     (lua_Integer)bc_incremental_dims(t->s), (lua_Integer)x.dims);
    int64_t first;
    const int64_t due = (int64_t)bc_incremental_due(&first, t->s, x.frames);
    bc_array *distance = bc_push_vector(L, BC_F64, due), *index = bc_push_vector(L, BC_I64, due);
    const int rc = bc_incremental_append(distance->data, index->data, t->s, x.x, x.frames,
                                         t->enough, bc_tick_interrupt, NULL);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_pushinteger(L, first);
    return 3;
}

/***
How many frames were appended.
@function stream:frames
@treturn integer
*/
static int s_frames(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)bc_incremental_frames(check_open(L)->s));
    return 1;
}

void bc_stomp_new_stream(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"append", s_append}, {"frames", s_frames}, {"close", s_close}, {NULL, NULL}};
    struct stream *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct stream){.s = NULL}; /* born closed */
    if (luaL_newmetatable(L, STREAM)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, s_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, s_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
}

/***
The left profile of a series that grows: of each window the nearest one before it, which says how
new it is. Exact, to the bit `left_distance` and `left_index` of a `self_join` of all frames with
`left_right`, however they were appended (after STAMPI; Yeh et al., ICDM 2016). Each window costs
dims * window steps for each window before it.

With `enough` a search goes backwards and ends at the first distance below it, which it then gives:
windows that are at least so far from all before are exact, and the others, most of them, cost little
(the backward search of DAMP; Lu et al., KDD 2022).
@function incremental
@tparam integer dims
@tparam integer window frames
@tparam[opt] table options `exclusion` as for `self_join`; `keep`: compare with the last so many frames
only, and forget the others; `enough` (0)
@treturn stream with `append`, `frames` and `close`
@usage local s <close> = stomp.incremental(12, 50)
local distance = s:append(features)
*/
int bc_stomp_incremental(lua_State *L) {
    static const char *const names[] = {"enough", "exclusion", "keep", NULL};
    enum { MOST = 1 << 24 };
    lua_settop(L, 3);
    const lua_Integer dims = luaL_checkinteger(L, 1), window = luaL_checkinteger(L, 2);
    if (dims < 1 || dims > MOST) bc_arg_error(L, 1, "%I dimensions, outside 1..%d", dims, MOST);
    if (window < 1 || window > MOST) bc_arg_error(L, 2, "window %I outside 1..%d", window, MOST);
    bc_check_options(L, 3, names);
    const lua_Integer zone = bc_stomp_exclusion(L, 3, bc_stomp_zone((size_t)window, false));
    const lua_Integer keep = bc_opt_integer(L, 3, "keep", 0);
    const lua_Number enough = bc_opt_number(L, 3, "enough", 0);
    if (bc_has_option(L, 3, "keep") && keep < 2 * window)
        bc_arg_error(L, 3, "option 'keep' must be at least two windows, %I, got %I", 2 * window, keep);
    if (!(enough >= 0)) bc_arg_error(L, 3, "option 'enough' must be at least 0, got %f", enough);
    bc_stomp_new_stream(L);
    struct stream *t = lua_touserdata(L, -1);
    t->enough = enough;
    const int rc =
        bc_incremental_new(&t->s, (size_t)dims, (size_t)window, (size_t)zone, (size_t)keep);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}
