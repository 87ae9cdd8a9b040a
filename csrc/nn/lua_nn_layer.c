/* lua_nn_layer.c: a layer's description in Lua, read into a graph. */
#include <math.h>
#include <string.h>

#include "../support/lua_support.h"
#include "lua_nn.h"

static int layer_error(lua_State *L, lua_Integer at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = lua_pushvfstring(L, format, args);
    va_end(args);
    return bc_arg_error(L, 1, "layer %I: %s", at, text);
}

/* The number on top of the stack as the value of an option; pops it. */
static double option_number(lua_State *L, lua_Integer at, const nn_option *o) {
    int ok;
    double x = lua_tonumberx(L, -1, &ok);
    bool integer = o->type == NN_SIZE || o->type == NN_PAIR;
    if (!ok || lua_type(L, -1) != LUA_TNUMBER || !(x >= o->least) || isinf(x) ||
        (integer && (x != floor(x) || x > 1e9))) {
        const char *got = luaL_tolstring(L, -1, NULL);
        if (integer)
            layer_error(L, at, "option '%s' must be an integer of at least %I, got %s", o->name,
                        (lua_Integer)o->least, got);
        layer_error(L, at, "option '%s' must be a number of at least %f, got %s", o->name, o->least,
                    got);
    }
    lua_pop(L, 1);
    return x;
}

static double option_choice(lua_State *L, lua_Integer at, const nn_option *o) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    for (int i = 0; o->choices[i] != NULL; i++)
        if (strcmp(text, o->choices[i]) == 0) {
            lua_pop(L, 1);
            return i;
        }
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; o->choices[i] != NULL; i++) {
        if (i > 0) luaL_addstring(&b, ", ");
        luaL_addstring(&b, o->choices[i]);
    }
    luaL_pushresult(&b);
    return layer_error(L, at, "option '%s' must be one of %s", o->name, lua_tostring(L, -1));
}

/* Read option o of the layer's table at index 3 into slot; returns slots used. */
static int read_option(lua_State *L, lua_Integer at, const nn_option *o, double *slot) {
    int type = lua_getfield(L, 3, o->name), used = o->type == NN_PAIR ? 2 : 1;
    if (type == LUA_TNIL) {
        if (isnan(o->fallback)) layer_error(L, at, "option '%s' is missing", o->name);
        slot[0] = slot[used - 1] = o->fallback;
        lua_pop(L, 1);
    } else if (o->type == NN_PAIR && type == LUA_TTABLE) {
        for (int k = 0; k < 2; k++) {
            lua_geti(L, -1, k + 1);
            slot[k] = option_number(L, at, o);
        }
        lua_pop(L, 1);
    } else if (o->type == NN_SWITCH) {
        if (type != LUA_TBOOLEAN) layer_error(L, at, "option '%s' must be true or false", o->name);
        slot[0] = lua_toboolean(L, -1);
        lua_pop(L, 1);
    } else if (o->type == NN_CHOICE) {
        slot[0] = option_choice(L, at, o);
    } else {
        slot[0] = slot[used - 1] = option_number(L, at, o);
    }
    return used;
}

enum { MOST_NAMES = 64 };

static int unknown_kind(lua_State *L, lua_Integer at, const char *word) {
    const char *names[MOST_NAMES + 1] = {NULL};
    for (size_t i = 0; i < MOST_NAMES && nn_kind_at(i) != NULL; i++) names[i] = nn_kind_at(i)->name;
    return layer_error(L, at, "unknown kind '%s' (%s)", word, bc_push_known(L, word, names));
}

static int unknown_option(lua_State *L, lua_Integer at, const nn_kind *kind, const char *word) {
    const char *names[MOST_NAMES + 1] = {"from", "name"};
    for (size_t i = 0; i + 2 < MOST_NAMES && kind->options[i].name != NULL; i++)
        names[i + 2] = kind->options[i].name;
    return layer_error(L, at, "%s has no option '%s' (%s)", kind->name, word,
                       bc_push_known(L, word, names));
}

static void check_known(lua_State *L, lua_Integer at, const nn_kind *kind) {
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1)) {
        if (lua_isinteger(L, -2) && lua_tointeger(L, -2) == 1) continue;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        bool known = name != NULL && (strcmp(name, "name") == 0 || strcmp(name, "from") == 0);
        for (const nn_option *o = kind->options; name != NULL && o->name != NULL; o++)
            known |= strcmp(name, o->name) == 0;
        if (known) continue;
        unknown_option(L, at, kind, luaL_tolstring(L, -2, NULL));
    }
}

static int find_input(lua_State *L, lua_Integer at, const nn_graph *g) {
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int found = name == NULL ? -1 : nn_graph_find(g, name);
    if (found < 0) {
        luaL_tolstring(L, -1, NULL);
        layer_error(L, at, "there is no layer '%s' before it", lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    return found;
}

/* from = "name", {"one", "two"}, or nothing: the layer before. Where a kind
 * takes two and one is named, the layer before is the first. */
static void read_inputs(lua_State *L, lua_Integer at, const nn_graph *g, const nn_kind *kind,
                        int *input) {
    int type = lua_getfield(L, 3, "from"), before = (int)g->layers - 1;
    input[0] = input[1] = before;
    if (type == LUA_TTABLE) {
        if ((int)luaL_len(L, -1) != kind->inputs)
            layer_error(L, at, "%s takes %d inputs", kind->name, kind->inputs);
        for (int k = 0; k < kind->inputs; k++) {
            lua_geti(L, -1, k + 1);
            input[k] = find_input(L, at, g);
        }
        lua_pop(L, 1);
    } else if (type != LUA_TNIL) {
        input[kind->inputs - 1] = find_input(L, at, g);
    } else {
        if (kind->inputs != 1) layer_error(L, at, "%s needs from = \"layer\"", kind->name);
        lua_pop(L, 1);
    }
}

void nn_lua_add_layer(lua_State *L, lua_Integer at, nn_graph *g) {
    if (!lua_istable(L, 3)) layer_error(L, at, "a table expected, got %s", luaL_typename(L, 3));
    const char *word = lua_geti(L, 3, 1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    const nn_kind *kind = nn_kind_find(word);
    if (kind == NULL) unknown_kind(L, at, word);
    check_known(L, at, kind);
    double option[NN_MAXOPTION] = {0};
    int slot = 0, input[2];
    for (const nn_option *o = kind->options; o->name != NULL; o++)
        slot += read_option(L, at, o, option + slot);
    read_inputs(L, at, g, kind, input);
    int named = lua_getfield(L, 3, "name");
    if (named != LUA_TSTRING && named != LUA_TNIL) layer_error(L, at, "its name must be a string");
    const char *name =
        named == LUA_TSTRING ? lua_tostring(L, -1) : lua_pushfstring(L, "%s_%I", kind->name, at);
    bc_error e = {""};
    int rc = nn_graph_add(g, kind, name, option, input, &e);
    if (rc == BC_FAIL) layer_error(L, at, "%s", e.text);
    if (rc != BC_OK) luaL_error(L, "%s", bc_status_text(rc, &e));
    lua_settop(L, 3);
}

static void push_value(lua_State *L, const nn_option *o, double x) {
    if (o->type == NN_SWITCH)
        lua_pushboolean(L, x != 0);
    else if (o->type == NN_CHOICE)
        lua_pushstring(L, o->choices[(int)x]);
    else if (o->type == NN_NUMBER)
        lua_pushnumber(L, x);
    else
        lua_pushinteger(L, (lua_Integer)x);
}

void nn_lua_push_options(lua_State *L, const nn_layer *l) {
    lua_newtable(L);
    int slot = 0;
    for (const nn_option *o = l->kind->options; o->name != NULL; o++) {
        if (o->type == NN_PAIR) {
            lua_createtable(L, 2, 0);
            for (int k = 0; k < 2; k++) {
                push_value(L, o, l->option[slot++]);
                lua_seti(L, -2, k + 1);
            }
        } else {
            push_value(L, o, l->option[slot++]);
        }
        lua_setfield(L, -2, o->name);
    }
}
