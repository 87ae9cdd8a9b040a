/* lua_array_rows.c: npy files that are written row by row, as userdata. */
#include <string.h>

#include "../support/lua_support.h"
#include "lua_array.h"
#include "npy.h"

#define ROWS "bclua.array.rows"

typedef struct {
    npy_rows *rows; /* NULL: closed */
} writer;

static writer *check_open(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, ROWS);
    if (w->rows == NULL) luaL_error(L, "attempt to use a closed npy file");
    return w;
}

/* An npy file that grows, from `create`. `local w <close> = array.create(...)` leaves
 * nothing behind unless `commit` came first. */

/***
Write more rows.
@function rows:append
@tparam array rows of the file's dtype: one row, of the shape that `create` was told, or
several (n, shape...)
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message, beginning with the path; nothing more can be written */
static int r_append(lua_State *L) {
    writer *w = check_open(L);
    const bc_array *like = npy_rows_like(w->rows), *rows = bc_check_array(L, 2);
    if (rows->dtype != like->dtype)
        return bc_arg_error(L, 2, "%s expected, got %s", bc_dtype_name(like->dtype),
                            bc_dtype_name(rows->dtype));
    int several = rows->ndim == like->ndim; /* their axis comes first */
    bool fits = several || rows->ndim == like->ndim - 1;
    for (int i = 1; fits && i < like->ndim; i++)
        fits = rows->shape[several ? i : i - 1] == like->shape[i];
    if (!fits)
        return bc_arg_error(L, 2, "rows of %d axes, each as long as in 'create', expected",
                            like->ndim - 1);
    rows = bc_check_as(L, 2, rows->dtype, 0);
    bc_error e = {""};
    int rc = npy_rows_put(w->rows, rows->data, several ? rows->shape[0] : 1, &e);
    if (rc != BC_OK) {
        npy_rows_free(w->rows);
        w->rows = NULL;
        return bc_failure(L, rc, &e);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/***
Finish the file: header, fsync, rename.
@function rows:commit
@treturn[1] integer number of rows
@treturn[2] nil
@treturn[2] string message, beginning with the path; there is no file then */
static int r_commit(lua_State *L) {
    writer *w = check_open(L);
    bc_error e = {""};
    int64_t n = npy_rows_count(w->rows);
    npy_rows *rows = w->rows;
    w->rows = NULL;
    int rc = npy_rows_commit(rows, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushinteger(L, n);
    return 1;
}

/***
Forget the file, if it was not committed; a second time does nothing.
@function rows:close */
static int r_close(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, ROWS);
    npy_rows_free(w->rows);
    w->rows = NULL;
    return 0;
}

static int r_tostring(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, ROWS);
    if (w->rows == NULL)
        lua_pushliteral(L, ROWS " (closed)");
    else
        lua_pushfstring(L, ROWS " (%I rows)", (lua_Integer)npy_rows_count(w->rows));
    return 1;
}

static int r_len(lua_State *L) {
    lua_pushinteger(L, npy_rows_count(check_open(L)->rows));
    return 1;
}

void bc_array_push_rows(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"append", r_append}, {"commit", r_commit}, {"close", r_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", r_close},
                                    {"__close", r_close},
                                    {"__len", r_len},
                                    {"__tostring", r_tostring},
                                    {NULL, NULL}};
    if (luaL_newmetatable(L, ROWS) == 0) return;
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
}

/*** Begin an npy file that is written row by row, in the memory of a row: whole or
not at all.
@function create
@tparam string path
@tparam string dtype f32, f64, i64, i32, i16 or u8
@tparam[opt] integer|{integer,...} shape of a row, one to three extents: the file has
(rows, shape...); default: a row is one element, the file has (rows)
@treturn[1] rows
@treturn[2] nil
@treturn[2] string message, beginning with the path
@usage local w <close> = assert(array.create("tiles.npy", "i16", 224000))
assert(w:append(tile))
assert(w:commit()) */
int bc_array_create(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    bc_dtype dtype;
    if (!bc_dtype_parse(&dtype, name))
        return bc_arg_error(L, 2, "dtype '%s' is not one of f32, f64, i64, i32, i16, u8", name);
    int64_t shape[BC_MAXDIM] = {1};
    int axes = lua_isnoneornil(L, 3) ? 0 : bc_check_shape(L, 3, shape);
    if (axes > BC_MAXDIM - 1)
        return bc_arg_error(L, 3, "a row of 1 to 3 axes expected, got %d", axes);
    size_t bytes;
    luaL_argcheck(L, bc_shape_bytes(&bytes, dtype, axes > 0 ? axes : 1, shape), 3, "too large");
    writer *w = lua_newuserdatauv(L, sizeof *w, 0);
    w->rows = NULL; /* born closed: collectable from here */
    bc_array_push_rows(L);
    lua_setmetatable(L, -2);
    bc_error e = {""};
    int rc = npy_rows_open(&w->rows, path, dtype, axes + 1, shape, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}
