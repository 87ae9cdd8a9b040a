/* lua_support.c: options, statuses and argument errors for the bindings. */
#include "lua_support.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"

int bc_failure(lua_State *L, int status, const bc_error *e) {
    if (status != BC_FAIL && status != BC_BUSY) return luaL_error(L, "%s", bc_status_text(status, e));
    luaL_pushfail(L);
    lua_pushstring(L, bc_status_text(status, e));
    return 2;
}

static int push_string(lua_State *L) {
    lua_pushlstring(L, lua_touserdata(L, 1), (size_t)lua_tointeger(L, 2));
    return 1;
}

void bc_push_bytes(lua_State *L, void *bytes, size_t n) {
    lua_pushcfunction(L, push_string);
    lua_pushlightuserdata(L, bytes);
    lua_pushinteger(L, (lua_Integer)n);
    int rc = lua_pcall(L, 2, 1, 0);
    free(bytes);
    if (rc != LUA_OK) lua_error(L);
}

void *bc_push_closing(lua_State *L, size_t size, const char *name, lua_CFunction release) {
    const luaL_Reg meta[] = {{"__gc", release}, {"__close", release}, {NULL, NULL}};
    void *p = memset(lua_newuserdatauv(L, size, 0), 0, size);
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, meta,
                  0); /* also where it is there already: memory may have gone out in between */
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    return p;
}

int bc_arg_error(lua_State *L, int arg, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = lua_pushvfstring(L, format, args);
    va_end(args);
    return luaL_argerror(L, arg, text);
}

static bool is_known(const char *name, const char *const *names) {
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

static const char *push_list(lua_State *L, const char *const *names) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; names[i] != NULL; i++) {
        if (i > 0) luaL_addstring(&b, ", ");
        luaL_addstring(&b, names[i]);
    }
    luaL_pushresult(&b);
    return lua_tostring(L, -1);
}

const char *bc_push_known(lua_State *L, const char *word, const char *const *names) {
    bc_nearest near = bc_nearest_to(word);
    for (int i = 0; names[i] != NULL; i++) bc_nearest_try(&near, names[i]);
    const char *hint = near.best == NULL ? "" : lua_pushfstring(L, "did you mean '%s'? ", near.best);
    return lua_pushfstring(L, "%sknown: %s", hint, push_list(L, names));
}

void bc_check_options(lua_State *L, int arg, const char *const *names) {
    if (lua_isnoneornil(L, arg)) return;
    luaL_checktype(L, arg, LUA_TTABLE);
    if (luaL_getmetafield(L, arg, "__index") != LUA_TNIL)
        luaL_argerror(L, arg, "options with a metatable: a plain table expected");
    for (lua_pushnil(L); lua_next(L, arg) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            bc_arg_error(L, arg, "option names are strings, got a %s", luaL_typename(L, -2));
        const char *name = lua_tostring(L, -2);
        if (!is_known(name, names))
            bc_arg_error(L, arg, "unknown option '%s' (%s)", name, bc_push_known(L, name, names));
    }
}

int bc_push_option(lua_State *L, int arg, const char *name) {
    if (lua_istable(L, arg)) {
        arg = lua_absindex(L, arg);
        lua_pushstring(L, name);
        return lua_rawget(L, arg);
    }
    lua_pushnil(L);
    return LUA_TNIL;
}

bool bc_has_option(lua_State *L, int arg, const char *name) {
    bool has = bc_push_option(L, arg, name) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

static void wrong_type(lua_State *L, int arg, const char *name, const char *expected) {
    bc_arg_error(L, arg, "option '%s' must be %s, got %s", name, expected,
                 luaL_tolstring(L, -1, NULL));
}

lua_Number bc_opt_number(lua_State *L, int arg, const char *name, lua_Number fallback) {
    int type = bc_push_option(L, arg, name);
    if (type == LUA_TNUMBER)
        fallback = lua_tonumber(L, -1);
    else if (type != LUA_TNIL)
        wrong_type(L, arg, name, "a number");
    lua_pop(L, 1);
    return fallback;
}

lua_Integer bc_opt_integer(lua_State *L, int arg, const char *name, lua_Integer fallback) {
    int type = bc_push_option(L, arg, name), ok = 1;
    if (type == LUA_TNUMBER) fallback = lua_tointegerx(L, -1, &ok);
    if ((type != LUA_TNIL && type != LUA_TNUMBER) || !ok)
        wrong_type(L, arg, name, "an integer");
    lua_pop(L, 1);
    return fallback;
}

lua_Number bc_opt_number_in(lua_State *L, int arg, const char *name, lua_Number fallback,
                            lua_Number low, lua_Number high) {
    lua_Number x = bc_opt_number(L, arg, name, fallback);
    if (!(x >= low && x <= high) && bc_has_option(L, arg, name))
        bc_arg_error(L, arg, "option '%s' must be %f to %f, got %f", name, low, high, x);
    return x;
}

lua_Integer bc_opt_integer_in(lua_State *L, int arg, const char *name, lua_Integer fallback,
                              lua_Integer low, lua_Integer high) {
    lua_Integer n = bc_opt_integer(L, arg, name, fallback);
    if ((n < low || n > high) && bc_has_option(L, arg, name))
        bc_arg_error(L, arg, "option '%s' must be %I to %I, got %I", name, low, high, n);
    return n;
}

bool bc_opt_boolean(lua_State *L, int arg, const char *name, bool fallback) {
    int type = bc_push_option(L, arg, name);
    if (type == LUA_TBOOLEAN)
        fallback = lua_toboolean(L, -1);
    else if (type != LUA_TNIL)
        wrong_type(L, arg, name, "true or false");
    lua_pop(L, 1);
    return fallback;
}

int bc_opt_choice(lua_State *L, int arg, const char *name, int fallback,
                  const char *const *choices) {
    int type = bc_push_option(L, arg, name);
    if (type == LUA_TSTRING) {
        const char *text = lua_tostring(L, -1);
        for (fallback = 0; choices[fallback] != NULL; fallback++)
            if (strcmp(choices[fallback], text) == 0) break;
    }
    if ((type != LUA_TSTRING && type != LUA_TNIL) || choices[fallback] == NULL) {
        const char *got = luaL_tolstring(L, -1, NULL);
        bc_arg_error(L, arg, "option '%s' must be one of %s, got '%s'", name, push_list(L, choices),
                     got);
    }
    lua_pop(L, 1);
    return fallback;
}
