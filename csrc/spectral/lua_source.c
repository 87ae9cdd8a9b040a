/* lua_source.c: blocks out of Lua functions and readers. */
#include "lua_source.h"

#include <math.h>

#include "../array/lua_array.h"
#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "frames.h"

enum { BLOCK = 1 << 16 };

static bool has_method(lua_State *L, int arg, const char *name) {
    if (luaL_getmetafield(L, arg, "__index") != LUA_TNIL)
        lua_pop(L, 1);
    else if (!lua_istable(L, arg))
        return false;
    bool found = lua_getfield(L, arg, name) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return found;
}

bool bc_is_source(lua_State *L, int arg) {
    if (lua_isfunction(L, arg)) return true;
    if (luaL_testudata(L, arg, BC_ARRAY)) return false;
    if (has_method(L, arg, "read")) return true;
    return luaL_typeerror(L, arg, "function, reader or array");
}

/* A reader that knows its sample rate must have the one that is asked for. */
static void check_rate(lua_State *L, int arg, double sample_rate) {
    if (!has_method(L, arg, "info")) return;
    lua_getfield(L, arg, "info");
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1) && lua_getfield(L, -1, "read_rate") == LUA_TNUMBER &&
        lua_tonumber(L, -1) != sample_rate)
        bc_arg_error(L, arg, "reader of %f Hz expected, got %f", sample_rate, lua_tonumber(L, -1));
}

bc_source bc_check_source(lua_State *L, int arg, int options, double sample_rate, bool once) {
    bc_source s = {.arg = arg, .options = options, .is_function = lua_isfunction(L, arg)};
    int top = lua_gettop(L);
    bool can_rewind = bc_push_option(L, options, "rewind") == LUA_TFUNCTION;
    if (!can_rewind && !lua_isnil(L, -1))
        bc_arg_error(L, options, "option 'rewind' must be a function, got %s",
                     luaL_typename(L, -1));
    if (!s.is_function && can_rewind)
        bc_arg_error(L, options, "option 'rewind' is for samples from a function");
    if (s.is_function && !can_rewind && !once)
        bc_arg_error(L, options, "option 'rewind' expected, a function that lets the samples start "
                                 "again: estimating the tuning takes a pass of its own");
    if (!s.is_function && sample_rate > 0) check_rate(L, arg, sample_rate);
    lua_settop(L, top);
    return s;
}

/* Call the function below its n arguments. BC_OK with the first result pushed,
 * or BC_FAIL if that is nil and the second is a message. */
static int call(lua_State *L, int n, bc_error *e) {
    lua_call(L, n, 2);
    int rc = BC_OK;
    if (lua_isnil(L, -2) && lua_isstring(L, -1)) rc = bc_fail(e, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return rc;
}

static int rewind_source(lua_State *L, const bc_source *s, bc_error *e) {
    if (s->is_function) {
        bc_push_option(L, s->options, "rewind");
        return call(L, 0, e);
    }
    lua_getfield(L, s->arg, "seek_s");
    if (!lua_isfunction(L, -1)) luaL_argerror(L, s->arg, "reader has no method 'seek_s'");
    lua_pushvalue(L, s->arg);
    lua_pushinteger(L, 0);
    return call(L, 2, e);
}

static int push_block(lua_State *L, const bc_source *s, bc_error *e) {
    if (s->is_function) {
        lua_pushvalue(L, s->arg);
        return call(L, 0, e);
    }
    lua_getfield(L, s->arg, "read");
    lua_pushvalue(L, s->arg);
    lua_pushinteger(L, BLOCK);
    return call(L, 2, e);
}

/* The block on top, one that follows `before` samples. */
static const bc_array *check_block(lua_State *L, size_t before, bool finite) {
    const bc_array *a = bc_test_array(L, -1);
    if (a == NULL) {
        luaL_error(L, "source: array or nil expected, got %s", luaL_typename(L, -1));
    } else if (a->ndim != 1) {
        luaL_error(L, "source: array with 1 axis expected, got %d", a->ndim);
    }
    a = bc_check_as(L, lua_gettop(L), BC_F32, 1);
    const float *x = a->data;
    size_t n = (size_t)a->shape[0], bad = finite ? frames_first_bad(x, n) : n;
    if (bad < n)
        luaL_error(L, "source: sample %I is %s", (lua_Integer)(before + bad) + 1,
                   isnan(x[bad]) ? "NaN" : "infinite");
    return a;
}

int bc_source_read(lua_State *L, bc_source *s, bool finite, bc_take *take, void *context,
                   bc_error *e) {
    int top = lua_gettop(L), rc = BC_OK;
    size_t seen = 0;
    if (s->passes++ > 0 || !s->is_function) rc = rewind_source(L, s, e);
    while (rc == BC_OK) {
        lua_settop(L, top);
        if (bc_interrupted()) return BC_STOPPED;
        rc = push_block(L, s, e);
        if (rc != BC_OK || lua_isnil(L, -1)) break;
        const bc_array *block = check_block(L, seen, finite);
        rc = take(context, block->data, (size_t)block->shape[0]);
        seen += (size_t)block->shape[0];
    }
    lua_settop(L, top);
    return rc;
}
