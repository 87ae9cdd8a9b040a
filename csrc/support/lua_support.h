/* lua_support.h: what every binding needs: options, statuses, registration. */
#ifndef BC_LUA_SUPPORT_H
#define BC_LUA_SUPPORT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "error.h"

#define BC_EXPORT __attribute__((visibility("default")))

/* A kernel's failure as Lua sees it: BC_FAIL and BC_BUSY push nil and the message
 * and return 2 (the world's fault); BC_NOMEM and BC_STOPPED raise. */
int bc_failure(lua_State *L, int status, const bc_error *e);

/* Options in a table at argument arg (nil or none: all defaults). names ends
 * with NULL; a key that is not among them raises and names the nearest ones. To read
 * them runs no Lua code, which could close what the caller has looked at already. */
void bc_check_options(lua_State *L, int arg, const char *const *names);
lua_Number bc_opt_number(lua_State *L, int arg, const char *name, lua_Number fallback);
lua_Integer bc_opt_integer(lua_State *L, int arg, const char *name, lua_Integer fallback);
/* The same; raises outside of low..high, which the fallback need not be in. */
lua_Number bc_opt_number_in(lua_State *L, int arg, const char *name, lua_Number fallback,
                            lua_Number low, lua_Number high);
lua_Integer bc_opt_integer_in(lua_State *L, int arg, const char *name, lua_Integer fallback,
                              lua_Integer low, lua_Integer high);
bool bc_opt_boolean(lua_State *L, int arg, const char *name, bool fallback);
/* A string out of a list that ends with NULL; returns its position from 0. */
int bc_opt_choice(lua_State *L, int arg, const char *name, int fallback,
                  const char *const *choices);
/* True if the option is there and not nil. */
bool bc_has_option(lua_State *L, int arg, const char *name);
/* Push the option's value (nil if absent); returns its type. */
int bc_push_option(lua_State *L, int arg, const char *name);

/* Push "did you mean 'conv2d'? known: add, conv2d" for a word that is none of the
 * names, which end with NULL; the question only where one is near. */
const char *bc_push_known(lua_State *L, const char *word, const char *const *names);

/* Push a string of n bytes and free them, also if that raises. */
void bc_push_bytes(lua_State *L, void *bytes, size_t n);

/* Push size bytes of zeros. release, a metamethod, frees what they hold when this call from Lua
 * returns, whatever happens, and is called again when they are collected. name: their type. */
void *bc_push_closing(lua_State *L, size_t size, const char *name, lua_CFunction release);

/* luaL_argerror with a formatted text (lua_pushfstring's formats). */
int bc_arg_error(lua_State *L, int arg, const char *format, ...);

#endif
