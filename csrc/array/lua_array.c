/* lua_array.c: arrays as userdata. */
/***
Dense arrays of numbers in row-major order, with one to four axes.

Elements are f32, f64, i64, i32, i16 or u8. `a[i]` is an element of a vector, a
view of row i of what has more axes; `#a` is the first extent. `+ - * / ^` work
element by element, between arrays of one shape or with a number. Views share
memory with what they are views of.
@module bclua.array
*/
#include "lua_array.h"

#include <string.h>

#include "../support/interrupt.h"
#include "../support/lua_support.h"

static void push_metatable(lua_State *L);

/* Lua's collector sees only the small userdata. When as much element memory has
 * been handed out as was left after the last look (at least 64 MB), collect. */
void bc_array_account(lua_State *L, size_t bytes) {
    static _Thread_local size_t since, left;
    since += bytes;
    if (since < left || since < (64u << 20)) return;
    lua_gc(L, LUA_GCCOLLECT);
    left = bc_array_live_bytes();
    since = 0;
}

bc_array *bc_push_empty(lua_State *L) {
    bc_array *a = lua_newuserdatauv(L, sizeof *a, 0);
    memset(a, 0, sizeof *a);
    push_metatable(L);
    lua_setmetatable(L, -2);
    return a;
}

bc_array *bc_push_array(lua_State *L, bc_dtype dtype, int ndim, const int64_t *shape) {
    bc_array *a = bc_push_empty(L);
    size_t bytes;
    if (!bc_shape_bytes(&bytes, dtype, ndim, shape))
        luaL_error(L, "not enough memory for an array of these extents");
    bc_array_account(L, bytes);
    if (bc_array_new(a, dtype, ndim, shape) != BC_OK) {
        lua_gc(L, LUA_GCCOLLECT);
        if (bc_array_new(a, dtype, ndim, shape) != BC_OK)
            luaL_error(L, "not enough memory for an array of %f MB", (double)bytes / 1e6);
    }
    return a;
}

bc_array *bc_push_vector(lua_State *L, bc_dtype dtype, int64_t n) {
    return bc_push_array(L, dtype, 1, &n);
}

bc_array *bc_push_matrix(lua_State *L, bc_dtype dtype, int64_t rows, int64_t columns) {
    return bc_push_array(L, dtype, 2, (int64_t[]){rows, columns});
}

bc_array *bc_push_view(lua_State *L, const bc_array *a) {
    bc_array *view = bc_push_empty(L);
    bc_array_share(view, a);
    return view;
}

bc_array *bc_test_array(lua_State *L, int arg) {
    bc_array *a = luaL_testudata(L, arg, BC_ARRAY);
    return a != NULL && a->storage != NULL ? a : NULL;
}

bc_array *bc_check_array(lua_State *L, int arg) {
    bc_array *a = luaL_checkudata(L, arg, BC_ARRAY);
    luaL_argcheck(L, a->storage != NULL, arg, "array was released");
    return a;
}

const bc_array *bc_check_as(lua_State *L, int arg, bc_dtype dtype, int ndim) {
    arg = lua_absindex(L, arg);
    const bc_array *a = bc_check_array(L, arg);
    if (ndim != 0 && a->ndim != ndim)
        bc_arg_error(L, arg, "array with %d axes expected, got %d", ndim, a->ndim);
    if (a->dtype == dtype && bc_array_contiguous(a)) return a;
    bc_array *copy = bc_push_array(L, dtype, a->ndim, a->shape);
    bc_array_copy(copy, a);
    lua_replace(L, arg);
    return copy;
}

static bc_array *check_writable(lua_State *L, int arg) {
    bc_array *a = bc_check_array(L, arg);
    luaL_argcheck(L, !a->readonly, arg, "array is read-only (a mapped file)");
    return a;
}

bc_dtype bc_opt_dtype(lua_State *L, int arg, bc_dtype fallback) {
    if (lua_isnoneornil(L, arg)) return fallback;
    const char *name = luaL_checkstring(L, arg);
    if (!bc_dtype_parse(&fallback, name))
        bc_arg_error(L, arg, "dtype '%s' is not one of f32, f64, i64, i32, i16, u8", name);
    return fallback;
}

int bc_check_shape(lua_State *L, int arg, int64_t *shape) {
    if (lua_isinteger(L, arg)) {
        shape[0] = lua_tointeger(L, arg);
        luaL_argcheck(L, shape[0] >= 0, arg, "negative extent");
        return 1;
    }
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer n = luaL_len(L, arg);
    if (n < 1 || n > BC_MAXDIM) bc_arg_error(L, arg, "shape of 1 to 4 extents expected, got %I", n);
    for (int i = 0; i < (int)n; i++) {
        int ok;
        lua_geti(L, arg, i + 1);
        shape[i] = lua_tointegerx(L, -1, &ok);
        if (!ok || shape[i] < 0)
            bc_arg_error(L, arg, "extent %d must be an integer >= 0, got %s", i + 1,
                         luaL_tolstring(L, -1, NULL));
        lua_pop(L, 1);
    }
    return (int)n;
}

void bc_array_put_value(lua_State *L, bc_array *a, int64_t index, int value) {
    if (lua_isinteger(L, value))
        bc_array_put_integer(a, index, lua_tointeger(L, value));
    else
        bc_array_put(a, index, luaL_checknumber(L, value));
}

/* --- methods ------------------------------------------------------------ */

int bc_check_axis(lua_State *L, int arg, const bc_array *a) {
    lua_Integer axis = luaL_checkinteger(L, arg);
    if (axis < 1 || axis > a->ndim)
        bc_arg_error(L, arg, "axis %I outside 1..%d", axis, a->ndim);
    return (int)axis - 1;
}

/*** The extents as a list, or one of them.
@function array:shape
@tparam[opt] integer axis
@treturn {integer,...}|integer */
static int l_shape(lua_State *L) {
    bc_array *a = bc_check_array(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        lua_pushinteger(L, a->shape[bc_check_axis(L, 2, a)]);
        return 1;
    }
    lua_createtable(L, a->ndim, 0);
    for (int i = 0; i < a->ndim; i++) {
        lua_pushinteger(L, a->shape[i]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/*** The dtype: f32, f64, i64, i32, i16 or u8.
@function array:dtype
@treturn string */
static int l_dtype(lua_State *L) {
    lua_pushstring(L, bc_dtype_name(bc_check_array(L, 1)->dtype));
    return 1;
}

/*** The number of axes.
@function array:ndim
@treturn integer */
static int l_ndim(lua_State *L) {
    lua_pushinteger(L, bc_check_array(L, 1)->ndim);
    return 1;
}

/*** The number of elements.
@function array:size
@treturn integer */
static int l_size(lua_State *L) {
    lua_pushinteger(L, bc_array_count(bc_check_array(L, 1)));
    return 1;
}

/*** The bytes that the elements take.
@function array:bytes
@treturn integer */
static int l_bytes(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)bc_array_bytes(bc_check_array(L, 1)));
    return 1;
}

/*** Do the elements lie in memory in row-major order, without gaps?
@function array:is_contiguous
@treturn boolean */
static int l_contiguous(lua_State *L) {
    lua_pushboolean(L, bc_array_contiguous(bc_check_array(L, 1)));
    return 1;
}

static int l_len(lua_State *L) {
    lua_pushinteger(L, bc_check_array(L, 1)->shape[0]);
    return 1;
}

/* Row-major position of the 1-based indices at first..first+ndim-1. */
static int64_t check_index(lua_State *L, const bc_array *a, int first) {
    int64_t index = 0;
    for (int i = 0; i < a->ndim; i++) {
        lua_Integer at = luaL_checkinteger(L, first + i);
        if (at < 1 || at > a->shape[i])
            bc_arg_error(L, first + i, "index %I outside 1..%I", at, (lua_Integer)a->shape[i]);
        index = index * a->shape[i] + at - 1;
    }
    return index;
}

void bc_push_element(lua_State *L, const bc_array *a, int64_t index) {
    if (bc_dtype_is_float(a->dtype))
        lua_pushnumber(L, bc_array_get(a, index));
    else
        lua_pushinteger(L, bc_array_get_integer(a, index));
}

/*** One element.
@function array:at
@tparam integer ... as many 1-based indices as there are axes
@treturn number */
static int l_at(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    bc_push_element(L, a, check_index(L, a, 2));
    return 1;
}

/*** Set one element: `a:set(i, j, value)`.
@function array:set
@tparam number ... as many 1-based indices as there are axes, then the value */
static int l_set(lua_State *L) {
    bc_array *a = check_writable(L, 1);
    luaL_checknumber(L, 2 + a->ndim);
    bc_array_put_value(L, a, check_index(L, a, 2), 2 + a->ndim);
    return 0;
}

/* a[i]: the element of a vector, else a view of the i-th sub-array; nil
 * outside, so that `for i, x in ipairs(a)` ends. a.name: a method. */
static int l_index(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    bc_array *a = bc_check_array(L, 1);
    lua_Integer i = luaL_checkinteger(L, 2);
    if (i < 1 || i > a->shape[0])
        lua_pushnil(L);
    else if (a->ndim == 1)
        bc_push_element(L, a, i - 1);
    else
        bc_array_select(bc_push_empty(L), a, 0, i - 1);
    return 1;
}

static int l_newindex(lua_State *L) {
    bc_array *a = check_writable(L, 1);
    if (a->ndim != 1) return luaL_error(L, "a[i] = x is for vectors; use a:set(i, j, x)");
    luaL_checknumber(L, 3);
    bc_array_put_value(L, a, check_index(L, a, 2), 3);
    return 0;
}

/*** A view of part of one axis, both ends included.
@function array:slice
@tparam integer axis 1-based
@tparam integer first
@tparam[opt] integer last default the end; first-1 gives an empty view
@treturn array */
static int l_slice(lua_State *L) {
    bc_array *a = bc_check_array(L, 1);
    int axis = bc_check_axis(L, 2, a);
    lua_Integer n = a->shape[axis], first = luaL_checkinteger(L, 3), last = luaL_optinteger(L, 4, n);
    if (first < 1 || first > n + 1) bc_arg_error(L, 3, "first %I outside 1..%I", first, n + 1);
    if (last < first - 1 || last > n) bc_arg_error(L, 4, "last %I outside %I..%I", last, first - 1, n);
    bc_array_slice(bc_push_empty(L), a, axis, first - 1, last);
    return 1;
}

/*** A view with the axes in reverse order.
@function array:T */
static int l_transpose(lua_State *L) {
    bc_array *a = bc_check_array(L, 1);
    bc_array_transpose(bc_push_empty(L), a);
    return 1;
}

/*** The same elements, in row-major order, under another shape: a view if the
array is contiguous, else a copy.
@function array:reshape
@tparam integer|{integer,...} shape
@treturn array */
static int l_reshape(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    int64_t shape[BC_MAXDIM];
    size_t bytes;
    int ndim = bc_check_shape(L, 2, shape);
    if (!bc_shape_bytes(&bytes, a->dtype, ndim, shape) || bytes != bc_array_bytes(a))
        bc_arg_error(L, 2, "shape does not hold the array's %I elements",
                     (lua_Integer)bc_array_count(a));
    a = bc_check_as(L, 1, a->dtype, 0);
    bc_array_reshape(bc_push_empty(L), a, ndim, shape);
    return 1;
}

/*** A contiguous copy, converted if a dtype is given. Floats stored in integers
are truncated and saturated; NaN gives 0.
@function array:copy
@tparam[opt] string dtype
@treturn array */
static int l_copy(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    bc_array *copy = bc_push_array(L, bc_opt_dtype(L, 2, a->dtype), a->ndim, a->shape);
    bc_array_copy(copy, a);
    return 1;
}

/*** Overwrite all elements with a number or with the elements of an array of the
same shape, which may share memory with it. Returns the array itself.
@function array:fill
@tparam number|array value */
static int l_fill(lua_State *L) {
    bc_array *a = check_writable(L, 1);
    const bc_array *from = bc_test_array(L, 2);
    if (from != NULL) {
        luaL_argcheck(L, bc_array_same_shape(a, from), 2, "array of the same shape expected");
        if (from->storage == a->storage) { /* maybe the same elements in another order */
            bc_array *copy = bc_push_array(L, from->dtype, from->ndim, from->shape);
            bc_array_copy(copy, from);
            from = copy;
        }
        bc_array_copy(a, from);
    } else {
        luaL_checknumber(L, 2);
        for (int64_t i = 0, n = bc_array_count(a); i < n; i++) bc_array_put_value(L, a, i, 2);
    }
    lua_settop(L, 1);
    return 1;
}

static void push_table(lua_State *L, const bc_array *a, int axis, int64_t *index) {
    luaL_checkstack(L, 3, NULL);
    lua_createtable(L, a->shape[axis] < INT_MAX ? (int)a->shape[axis] : 0, 0);
    for (int64_t i = 1; i <= a->shape[axis]; i++) {
        if (bc_interrupted()) luaL_error(L, "interrupted!"); /* rows of nothing may be many */
        if (axis + 1 < a->ndim && axis + 1 < BC_MAXDIM)
            push_table(L, a, axis + 1, index);
        else
            bc_push_element(L, a, (*index)++);
        lua_seti(L, -2, i);
    }
}

/*** The elements as nested Lua lists.
@function array:table */
static int l_table(lua_State *L) {
    int64_t index = 0;
    push_table(L, bc_check_array(L, 1), 0, &index);
    return 1;
}

/*** The elements as raw little-endian bytes in row-major order.
@function array:string */
static int l_string(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    a = bc_check_as(L, 1, a->dtype, 0);
    lua_pushlstring(L, a->data, bc_array_bytes(a));
    return 1;
}

static int l_gc(lua_State *L) {
    bc_array_release(luaL_checkudata(L, 1, BC_ARRAY));
    return 0;
}

static const luaL_Reg methods[] = {
    {"shape", l_shape},     {"dtype", l_dtype},   {"ndim", l_ndim},
    {"size", l_size},       {"bytes", l_bytes},   {"is_contiguous", l_contiguous},
    {"at", l_at},           {"set", l_set},       {"slice", l_slice},
    {"T", l_transpose},     {"copy", l_copy},     {"fill", l_fill},
    {"reshape", l_reshape}, {"table", l_table},   {"string", l_string},
    {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__gc", l_gc}, {"__len", l_len}, {"__newindex", l_newindex}, {NULL, NULL}};

/*** Is a value an array?
@function is_array
@param value
@treturn boolean */
static int l_is_array(lua_State *L) {
    lua_pushboolean(L, luaL_testudata(L, 1, BC_ARRAY) != NULL);
    return 1;
}

static const luaL_Reg functions[] = {{"is_array", l_is_array}, {NULL, NULL}};

/* Any part's binding may be the first to make an array. */
static void push_metatable(lua_State *L) {
    if (luaL_newmetatable(L, BC_ARRAY) == 0) return;
    luaL_setfuncs(L, metamethods, 0);
    luaL_setfuncs(L, bc_array_op_metamethods, 0);
    lua_pushliteral(L, BC_ARRAY); /* nobody calls __gc while a kernel reads the elements */
    lua_setfield(L, -2, "__metatable");
    luaL_newlib(L, methods);
    luaL_setfuncs(L, bc_array_op_methods, 0);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
}

BC_EXPORT int luaopen_bclua_array(lua_State *L);
BC_EXPORT int luaopen_bclua_array(lua_State *L) {
    push_metatable(L);
    bc_array_push_rows(L);
    luaL_newlib(L, functions);
    luaL_setfuncs(L, bc_array_op_functions, 0);
    luaL_setfuncs(L, bc_array_make_functions, 0);
    lua_pushcfunction(L, bc_array_create);
    lua_setfield(L, -2, "create");
    return 1;
}
