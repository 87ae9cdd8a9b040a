/* lua_sampling.h: what the files of the module bclua.sampling share. */
#ifndef BC_LUA_SAMPLING_H
#define BC_LUA_SAMPLING_H

#include "../support/lua_support.h"

/* lua_sampling_calls.c */
int bc_sampling_call_background(lua_State *L);
int bc_sampling_call_measures(lua_State *L);
int bc_sampling_call_features(lua_State *L);

/* lua_sampling_measure.c */
int bc_sampling_measure(lua_State *L);

/* lua_sampling_triplets.c */
int bc_sampling_triplets(lua_State *L);

#endif
