/* lua_array.h: arrays as userdata, for every part's binding. */
#ifndef BC_LUA_ARRAY_H
#define BC_LUA_ARRAY_H

#include <lauxlib.h>
#include <lua.h>

#include "array.h"

#define BC_ARRAY "bclua.array" /* the metatable's name */

/* The array at argument arg, whatever it is like; raises if it is none. */
bc_array *bc_check_array(lua_State *L, int arg);
bc_array *bc_test_array(lua_State *L, int arg); /* NULL if it is none */

/* The array at arg as contiguous, readable memory of a dtype: itself if it is
 * like that, else a converted copy that replaces the argument on the stack.
 * ndim 0: any. Raises on another number of axes. */
const bc_array *bc_check_as(lua_State *L, int arg, bc_dtype dtype, int ndim);

/* Push a new zeroed row-major array that Lua owns; raises if there is no
 * memory. Push results before the kernel runs, so that no error can leak. */
bc_array *bc_push_array(lua_State *L, bc_dtype dtype, int ndim, const int64_t *shape);
bc_array *bc_push_vector(lua_State *L, bc_dtype dtype, int64_t n);
bc_array *bc_push_matrix(lua_State *L, bc_dtype dtype, int64_t rows, int64_t columns);

/* Push another view of a's storage (a itself stays the caller's to release). */
bc_array *bc_push_view(lua_State *L, const bc_array *a);

/* An empty array userdata (no storage) for the kernel to fill in. */
bc_array *bc_push_empty(lua_State *L);

/* A shape: one integer, or a list of one to four. Returns the number of axes. */
int bc_check_shape(lua_State *L, int arg, int64_t *shape);

/* A dtype's name; raises on another one. */
bc_dtype bc_opt_dtype(lua_State *L, int arg, bc_dtype fallback);

/* So much memory was handed out that Lua's collector does not see: it collects now and then. */
void bc_array_account(lua_State *L, size_t bytes);

/* A 1-based axis number at arg, as 0-based; raises outside 1..ndim. */
int bc_check_axis(lua_State *L, int arg, const bc_array *a);

/* Push a[index], an integer or a float as the dtype is. */
void bc_push_element(lua_State *L, const bc_array *a, int64_t index);

/* a[index] = the number at stack position value, integers exactly. */
void bc_array_put_value(lua_State *L, bc_array *a, int64_t index, int value);

int bc_array_create(lua_State *L);     /* lua_array_rows.c */
void bc_array_push_rows(lua_State *L); /* the metatable of what it returns */

extern const luaL_Reg *const bc_array_make_functions; /* lua_array_make.c */

/* The part of the methods that is arithmetic (lua_array_ops.c). */
extern const luaL_Reg *const bc_array_op_methods, *const bc_array_op_metamethods,
    *const bc_array_op_functions;

#endif
