/* lua_message.h: Lua values on their way from one Lua state to another. */
#ifndef BC_LUA_MESSAGE_H
#define BC_LUA_MESSAGE_H

#include <lua.h>

#include "../array/array.h"

/* nil, booleans, numbers, strings, tables of these (no cycles, no metatables,
 * 64 levels), and arrays, whose elements are shared, not copied. */
typedef struct bc_message {
    char *bytes;
    size_t used, room;
    bc_array *arrays;
    size_t narrays, arrays_room;
} bc_message;

/* Append the value at index. NULL, or what is wrong with it (static text). */
const char *bc_message_pack(bc_message *m, lua_State *L, int index);

/* Push the values in order; returns how many. May raise: for lack of memory, or if the
 * message was not packed to its end. */
int bc_message_unpack(const bc_message *m, lua_State *L);

void bc_message_clear(bc_message *m); /* releases the arrays; safe twice */

#endif
