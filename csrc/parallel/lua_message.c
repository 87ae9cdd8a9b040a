/* lua_message.c: values are written as a tag and their bytes. */
#include "lua_message.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "../array/lua_array.h"

#define DEEPEST 64

static const char no_memory[] = "not enough memory";

static const char *append(bc_message *m, const void *data, size_t n) {
    if (m->room - m->used < n) {
        size_t room = (m->room + n) * 2 + 64;
        char *bytes = realloc(m->bytes, room);
        if (bytes == NULL) return no_memory;
        m->bytes = bytes;
        m->room = room;
    }
    memcpy(m->bytes + m->used, data, n);
    m->used += n;
    return NULL;
}

static const char *append_tagged(bc_message *m, char tag, const void *data, size_t n) {
    const char *error = append(m, &tag, 1);
    return error != NULL ? error : append(m, data, n);
}

static const char *pack_array(bc_message *m, const bc_array *a) {
    if (m->narrays == m->arrays_room) {
        size_t room = m->arrays_room * 2 + 4;
        bc_array *arrays = realloc(m->arrays, room * sizeof *arrays);
        if (arrays == NULL) return no_memory;
        m->arrays = arrays;
        m->arrays_room = room;
    }
    const char *error = append_tagged(m, 'a', &m->narrays, sizeof m->narrays);
    if (error == NULL) bc_array_share(&m->arrays[m->narrays++], a);
    return error;
}

static const char *pack(bc_message *m, lua_State *L, int index, int depth);

static const char *pack_table(bc_message *m, lua_State *L, int index, int depth) {
    if (depth == DEEPEST) return "tables nested too deeply, or in a cycle";
    if (!lua_checkstack(L, 4)) return no_memory;
    const char *error = append(m, "t", 1);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (error == NULL) error = pack(m, L, lua_gettop(L) - 1, depth + 1);
        if (error == NULL) error = pack(m, L, lua_gettop(L), depth + 1);
        if (error != NULL) {
            lua_pop(L, 2);
            return error;
        }
    }
    return error != NULL ? error : append(m, "e", 1);
}

static const char *pack(bc_message *m, lua_State *L, int index, int depth) {
    switch (lua_type(L, index)) {
    case LUA_TNIL: return append(m, "n", 1);
    case LUA_TBOOLEAN: return append(m, lua_toboolean(L, index) ? "T" : "F", 1);
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            lua_Integer i = lua_tointeger(L, index);
            return append_tagged(m, 'i', &i, sizeof i);
        } else {
            lua_Number x = lua_tonumber(L, index);
            return append_tagged(m, 'd', &x, sizeof x);
        }
    case LUA_TSTRING: {
        size_t n;
        const char *s = lua_tolstring(L, index, &n), *error = append_tagged(m, 's', &n, sizeof n);
        return error != NULL ? error : append(m, s, n);
    }
    case LUA_TTABLE: return pack_table(m, L, index, depth);
    case LUA_TUSERDATA: {
        const bc_array *a = bc_test_array(L, index);
        return a != NULL ? pack_array(m, a) : "userdata other than arrays cannot cross threads";
    }
    case LUA_TFUNCTION: return "functions cannot cross threads";
    default: return "threads and light userdata cannot cross threads";
    }
}

const char *bc_message_pack(bc_message *m, lua_State *L, int index) {
    return pack(m, L, lua_absindex(L, index), 0);
}

/* The next n bytes. */
static const char *bytes(const bc_message *m, size_t *at, lua_State *L, size_t n) {
    if (m->used - *at < n) luaL_error(L, "message: incomplete");
    const char *from = m->bytes + *at;
    *at += n;
    return from;
}

static void take(const bc_message *m, size_t *at, lua_State *L, void *to, size_t n) {
    memcpy(to, bytes(m, at, L, n), n);
}

/* Push the value at *at; false at the end of a table. */
static bool unpack(const bc_message *m, size_t *at, lua_State *L) {
    lua_Integer i;
    lua_Number x;
    size_t n;
    luaL_checkstack(L, 4, NULL);
    switch (*bytes(m, at, L, 1)) {
    case 'n': lua_pushnil(L); break;
    case 'T': lua_pushboolean(L, 1); break;
    case 'F': lua_pushboolean(L, 0); break;
    case 'i': take(m, at, L, &i, sizeof i), lua_pushinteger(L, i); break;
    case 'd': take(m, at, L, &x, sizeof x), lua_pushnumber(L, x); break;
    case 'a': take(m, at, L, &n, sizeof n), bc_push_view(L, &m->arrays[n]); break;
    case 's': take(m, at, L, &n, sizeof n), lua_pushlstring(L, bytes(m, at, L, n), n); break;
    case 't':
        lua_newtable(L);
        while (unpack(m, at, L)) {
            unpack(m, at, L);
            lua_rawset(L, -3);
        }
        break;
    default: return false;
    }
    return true;
}

int bc_message_unpack(const bc_message *m, lua_State *L) {
    int count = 0;
    for (size_t at = 0; at < m->used; count++) unpack(m, &at, L);
    return count;
}

void bc_message_clear(bc_message *m) {
    for (size_t i = 0; i < m->narrays; i++) bc_array_release(&m->arrays[i]);
    free(m->arrays);
    free(m->bytes);
    memset(m, 0, sizeof *m);
}
