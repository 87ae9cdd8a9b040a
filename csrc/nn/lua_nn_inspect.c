/* lua_nn_inspect.c: what the passes of a network write, in Lua. */
/// @module bclua.nn.core
#include <stdlib.h>

#include "../support/lua_support.h"
#include "run/inspect.h"
#include "lua_nn.h"

static void set_size(lua_State *L, const char *name, size_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static void push_seen(lua_State *L, const nn_graph *g, const nn_seen *s) {
    static const char *const what[] = {"value", "gradient", "weights"};
    lua_createtable(L, 0, 8);
    lua_pushstring(L, g->layer[s->layer].name);
    lua_setfield(L, -2, "layer");
    lua_pushstring(L, g->layer[s->layer].kind->name);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, what[s->what]);
    lua_setfield(L, -2, "what");
    if (s->bad != NN_NONE) set_size(L, "bad", s->bad + 1);
    set_size(L, "first", s->first + 1);
    set_size(L, "count", s->count);
    set_size(L, "over", s->over);
    set_size(L, "under", s->under);
    lua_pushnumber(L, s->most);
    lua_setfield(L, -2, "most");
}

static int free_inspector(lua_State *L) {
    nn_inspector *i = lua_touserdata(L, 1);
    free(i->seen);
    i->seen = NULL;
    return 0;
}

/*** Call a function, and list what the network's passes write meanwhile, in their order:
`{layer=, kind=, what= "value", "gradient" (of the layer's value) or "weights" (gradients of),
bad= (first sample with a NaN or an infinity, from 1; nil: none), first= (sample of the pass,
1 but role by role), count=, over= (beyond f16's
range), under= (below it, not 0), most= (largest finite magnitude)}`.
@function network:inspect
@tparam function run
@treturn {table,...}
@raise what run raises; if it closes the network, or inspects it itself */
int nn_lua_inspect(lua_State *L, nn_network *net, bool *busy) {
    lua_settop(L, 2);
    nn_inspector *i =
        bc_push_closing(L, sizeof(nn_inspector), "bclua.nn.inspector", free_inspector);
    lua_pushvalue(L, 2);
    *busy = true;
    nn_network_inspect(net, i);
    int rc = lua_pcall(L, 0, 0, 0); /* what raises may not leave the network looking at us */
    nn_network_inspect(net, NULL);
    *busy = false;
    if (rc != LUA_OK) return lua_error(L);
    if (i->failed) return luaL_error(L, "not enough memory");
    lua_createtable(L, (int)i->count, 0);
    for (size_t k = 0; k < i->count; k++) {
        push_seen(L, nn_network_graph(net), &i->seen[k]);
        lua_seti(L, -2, (lua_Integer)k + 1);
    }
    return 1;
}
