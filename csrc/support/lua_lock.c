/* lua_lock.c: the module bclua.lock_core, under lua/bclua/lock.lua: files that stand for a lock. */
#include "lock.h"
#include "lua_support.h"

#define LOCK "bclua.lock"

/* take(path, note): a lock; nil and a message; nil where another process holds it. */
static int l_take(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *note = luaL_checkstring(L, 2);
    bc_lock *l = lua_newuserdatauv(L, sizeof *l, 0);
    l->fd = -1; /* born dropped */
    luaL_setmetatable(L, LOCK);
    bc_error e = {""};
    int rc = bc_lock_take(l, path, note, &e);
    if (rc == BC_OK) return 1;
    if (rc != BC_FAIL || e.text[0] != '\0') return bc_failure(L, rc, &e);
    lua_pushnil(L);
    return 1;
}

static int l_drop(lua_State *L) {
    bc_lock_drop(luaL_checkudata(L, 1, LOCK));
    return 0;
}

BC_EXPORT int luaopen_bclua_lock_core(lua_State *L);
BC_EXPORT int luaopen_bclua_lock_core(lua_State *L) {
    static const luaL_Reg functions[] = {{"take", l_take}, {"drop", l_drop}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", l_drop}, {"__close", l_drop}, {NULL, NULL}};
    if (luaL_newmetatable(L, LOCK)) luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, functions);
    return 1;
}
