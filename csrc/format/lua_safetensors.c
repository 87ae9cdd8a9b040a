/* lua_safetensors.c: the frame of safetensors files in Lua, as
 * `bclua.format.safetensors.core`; lua/bclua/format/safetensors.lua is the face. */
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "safetensors.h"

/*** Read a file: the header's text, and what follows it as a u8 array.
@function read
@tparam string path
@treturn[1] string header
@treturn[1] array data
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    bc_array *data = bc_push_empty(L);
    char *header;
    size_t length;
    bc_error e = {""};
    int rc = safetensors_read(&header, &length, data, path, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    bc_push_bytes(L, header, length);
    lua_insert(L, -2);
    return 2;
}

/* The format's dtype that the argument names. */
static bc_element check_type(lua_State *L, int arg) {
    const char *wanted = luaL_checkstring(L, arg), *name;
    bc_element type;
    for (size_t i = 0; safetensors_dtype(&name, &type, i); i++)
        if (strcmp(name, wanted) == 0) return type;
    bc_arg_error(L, arg, "unknown dtype '%s'", wanted);
    return type;
}

/*** A copy of part of the data as an array of its own: F16 and BF16 as f32, I8 as i16,
U16 as i32, U32 and U64 as i64, BOOL as u8.
@function take
@tparam array data
@tparam integer offset in bytes
@tparam string dtype the file's name for it, as in `dtypes`
@tparam {integer,...} shape
@treturn[1] array
@treturn[2] nil
@treturn[2] string message */
static int l_take(lua_State *L) {
    const bc_array *data = bc_check_as(L, 1, BC_U8, 1);
    lua_Integer offset = luaL_checkinteger(L, 2);
    const bc_element type = check_type(L, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_Integer ndim = luaL_len(L, 4);
    luaL_argcheck(L, ndim >= 1 && ndim <= BC_MAXDIM, 4, "1 to 4 extents expected");
    int64_t shape[BC_MAXDIM];
    size_t bytes = type.size;
    for (int i = 0; i < (int)ndim; i++) {
        lua_geti(L, 4, i + 1);
        shape[i] = luaL_checkinteger(L, -1);
        if (shape[i] < 0 || __builtin_mul_overflow(bytes, (size_t)shape[i], &bytes))
            return luaL_argerror(L, 4, "extents out of range");
        lua_pop(L, 1);
    }
    size_t have = bc_array_bytes(data);
    luaL_argcheck(L, offset >= 0 && (size_t)offset <= have && bytes <= have - (size_t)offset, 2,
                  "outside the data");
    bc_array *a = bc_push_empty(L);
    bc_error e = {""};
    int rc = safetensors_take(a, data, (size_t)offset, &type, (int)ndim, shape, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

/*** Write a file, whole or not at all.
@function write
@tparam string path
@tparam string header
@tparam {array,...} arrays in the header's order
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_write(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    size_t length;
    const char *header = luaL_checklstring(L, 2, &length);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 3);
    const bc_array **array = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *array, 0);
    lua_newtable(L); /* holds the contiguous copies */
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, 3, i + 1);
        array[i] = bc_check_as(L, -1, bc_check_array(L, -1)->dtype, 0);
        lua_seti(L, 5, i + 1);
    }
    bc_error e = {""};
    int rc = safetensors_write(path, header, length, array, (size_t)n, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"read", l_read}, {"take", l_take}, {"write", l_write}, {NULL, NULL}};

BC_EXPORT int luaopen_bclua_format_safetensors_core(lua_State *L);
BC_EXPORT int luaopen_bclua_format_safetensors_core(lua_State *L) {
    luaL_newlib(L, functions);
    lua_newtable(L); /* dtypes: name -> bytes of an element */
    const char *name;
    bc_element type;
    for (size_t i = 0; safetensors_dtype(&name, &type, i); i++) {
        lua_pushinteger(L, (lua_Integer)type.size);
        lua_setfield(L, -2, name);
    }
    lua_setfield(L, -2, "dtypes");
    return 1;
}
