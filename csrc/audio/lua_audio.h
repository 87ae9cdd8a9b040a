/* lua_audio.h: what the two files of the binding share. */
#ifndef BC_LUA_AUDIO_H
#define BC_LUA_AUDIO_H

#include "../array/lua_array.h"
#include "audio.h"

int bc_audio_check_rate(lua_State *L, int arg);

/* Raise unless all samples of y, the argument arg, are finite. */
void bc_audio_check_finite(lua_State *L, int arg, const bc_array *y);

/* The options of an encoding at arg. format: of the path, -1: none there, then
 * option 'format' must be given. */
void bc_audio_check_encoding(lua_State *L, int arg, int format, bc_audio_encoding *how);

/* wav, flac or ogg by the extension of path; raises if it is another and there is
 * no option 'format' at `options`. */
int bc_audio_check_path(lua_State *L, int arg, int options);

int bc_audio_create(lua_State *L);       /* lua_audio_writer.c */
void bc_audio_push_writer(lua_State *L); /* the metatable of what it returns */

#endif
