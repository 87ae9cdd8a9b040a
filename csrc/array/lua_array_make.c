/* lua_array_make.c: arrays out of numbers, lists, files and other arrays. */
#include <limits.h>

#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "lua_array.h"
#include "npy.h"

/*** A new array of zeros.
@function zeros
@tparam integer|{integer,...} shape one to four extents
@tparam[opt="f32"] string dtype f32, f64, i64, i32, i16 or u8
@treturn array */
static int l_zeros(lua_State *L) {
    int64_t shape[BC_MAXDIM];
    int ndim = bc_check_shape(L, 1, shape);
    bc_push_array(L, bc_opt_dtype(L, 2, BC_F32), ndim, shape);
    return 1;
}

/* Ctrl-C, in a loop over elements, of which there may be 10^9. */
static void stop_now_and_then(lua_State *L, int64_t i) {
    if ((i & 0xfffff) == 0 && bc_interrupted()) luaL_error(L, "interrupted!");
}

/*** A new array with one value everywhere.
@function full
@tparam integer|{integer,...} shape
@tparam number value
@tparam[opt="f32"] string dtype
@treturn array */
static int l_full(lua_State *L) {
    int64_t shape[BC_MAXDIM];
    int ndim = bc_check_shape(L, 1, shape);
    luaL_checknumber(L, 2);
    bc_array *a = bc_push_array(L, bc_opt_dtype(L, 3, BC_F32), ndim, shape);
    for (int64_t i = 0, n = bc_array_count(a); i < n; i++) {
        stop_now_and_then(L, i);
        bc_array_put_value(L, a, i, 2);
    }
    return 1;
}

/*** first, first+step, ... : n values.
@function arange
@tparam integer n
@tparam[opt="f32"] string dtype
@tparam[opt=0] number first
@tparam[opt=1] number step
@treturn array */
static int l_arange(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0, 1, "negative length");
    lua_Number first = luaL_optnumber(L, 3, 0), step = luaL_optnumber(L, 4, 1);
    bc_array *a = bc_push_vector(L, bc_opt_dtype(L, 2, BC_F32), n);
    for (int64_t i = 0; i < n; i++) {
        stop_now_and_then(L, i);
        bc_array_put(a, i, first + (double)i * step);
    }
    return 1;
}

/* The shape of nested lists, by their first elements; the value on top. */
static int nested_shape(lua_State *L, int64_t *shape) {
    int ndim = 0;
    lua_pushvalue(L, 1);
    while (lua_istable(L, -1)) {
        if (ndim == BC_MAXDIM) return luaL_argerror(L, 1, "lists nested deeper than 4");
        shape[ndim++] = (int64_t)lua_rawlen(L, -1);
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    }
    lua_pop(L, 1);
    return ndim;
}

static void fill_nested(lua_State *L, bc_array *a, int axis, int64_t *index) {
    if (!lua_istable(L, -1) || (int64_t)lua_rawlen(L, -1) != a->shape[axis])
        bc_arg_error(L, 1, "lists of unequal length (axis %d)", axis + 1);
    luaL_checkstack(L, 4, NULL);
    for (int64_t i = 1; i <= a->shape[axis]; i++) {
        lua_rawgeti(L, -1, i);
        if (axis + 1 < a->ndim && axis + 1 < BC_MAXDIM) {
            fill_nested(L, a, axis + 1, index);
        } else {
            if (lua_type(L, -1) != LUA_TNUMBER)
                bc_arg_error(L, 1, "element %I is a %s, number expected",
                             (lua_Integer)(*index + 1), luaL_typename(L, -1));
            bc_array_put_value(L, a, (*index)++, lua_gettop(L));
        }
        lua_pop(L, 1);
    }
}

/*** An array from (nested) lists of numbers.
@function from
@tparam {number,...} list up to four levels; all lists of a level are equally long
@tparam[opt="f32"] string dtype
@treturn array */
static int l_from(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int64_t shape[BC_MAXDIM], index = 0;
    int ndim = nested_shape(L, shape);
    bc_array *a = bc_push_array(L, bc_opt_dtype(L, 2, BC_F32), ndim, shape);
    lua_pushvalue(L, 1);
    fill_nested(L, a, 0, &index);
    lua_pop(L, 1);
    return 1;
}

/*** Read an npy file (C or Fortran order, either order of bytes, up to 4 axes).
What has no dtype here is read as one that holds it: f2 as f32, i1 as i16, u2 as i32, u4
and u8 (up to 2^63 - 1) as i64, booleans as u8 (0 and 1).
@function load
@tparam string path
@tparam[opt] table options `mmap=true`: map the file instead of reading it (unless its
elements have to be converted); read-only
@treturn[1] array
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_load(lua_State *L) {
    static const char *const names[] = {"mmap", NULL};
    const char *path = luaL_checkstring(L, 1);
    bc_check_options(L, 2, names);
    bool map = bc_opt_boolean(L, 2, "mmap", false);
    bc_error e = {""};
    bc_array *a = bc_push_empty(L);
    int rc = npy_load(a, path, map, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    if (!map) bc_array_account(L, bc_array_bytes(a));
    return 1;
}

/*** Write an npy file, whole or not at all.
@function save
@tparam string path
@tparam array a
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_save(lua_State *L) {
    bc_error e = {""};
    int rc = npy_save(luaL_checkstring(L, 1), bc_check_array(L, 2), &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Join a list of arrays along an axis; dtype of the first.
@function concat
@tparam {array,...} list
@tparam[opt=1] integer axis
@treturn array */
static int l_concat(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1), axis = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, n >= 1, 1, "list of at least one array expected");
    luaL_argcheck(L, axis >= 1 && axis <= BC_MAXDIM, 2, "no such axis");
    axis--;
    luaL_checkstack(L, 4, NULL);
    lua_createtable(L, n < INT_MAX ? (int)n : 0, 0); /* holds the list as it was judged */
    int held = lua_gettop(L);
    bc_array all = {0};
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        const bc_array *a = bc_test_array(L, -1);
        if (a == NULL) return bc_arg_error(L, 1, "element %I is not an array", i);
        if (i == 1) {
            luaL_argcheck(L, axis < a->ndim, 2, "no such axis");
            all = *a;
            all.shape[axis] = 0;
        }
        bool fits = a->ndim == all.ndim;
        for (int k = 0; fits && k < a->ndim; k++) fits = k == axis || a->shape[k] == all.shape[k];
        if (!fits) return bc_arg_error(L, 1, "element %I has another shape", i);
        if (__builtin_add_overflow(all.shape[axis], a->shape[axis], &all.shape[axis]))
            return luaL_argerror(L, 1, "more rows than can be counted");
        lua_rawseti(L, held, i);
    }
    bc_array *out = bc_push_array(L, all.dtype, all.ndim, all.shape);
    int64_t at = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        bc_array part;
        lua_rawgeti(L, held, i);
        const bc_array *a = lua_touserdata(L, -1);
        bc_array_slice(&part, out, (int)axis, at, at + a->shape[axis]);
        bc_array_copy(&part, a);
        bc_array_release(&part);
        at += a->shape[axis];
        lua_pop(L, 1);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"zeros", l_zeros}, {"full", l_full}, {"arange", l_arange}, {"from", l_from},
    {"load", l_load},   {"save", l_save}, {"concat", l_concat}, {NULL, NULL}};

const luaL_Reg *const bc_array_make_functions = functions;
