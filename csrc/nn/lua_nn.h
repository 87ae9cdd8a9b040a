/* lua_nn.h: shared by the binding's files. */
#ifndef NN_LUA_NN_H
#define NN_LUA_NN_H

#include <lua.h>

#include "run/network.h"

/* Append to g the layer whose table is at index 3, the at-th of the list that
 * is argument 1. Raises, naming layer and option, if it cannot be. */
void nn_lua_add_layer(lua_State *L, lua_Integer at, nn_graph *g);

/* Push a table of the layer's options as they are in force: name -> value. */
void nn_lua_push_options(lua_State *L, const nn_layer *l);

/* network:inspect(run), see there. *busy is true while run is called: then the
 * network may not be freed. */
int nn_lua_inspect(lua_State *L, nn_network *net, bool *busy);

/* A lua_CFunction: core.loss. */
int nn_lua_loss(lua_State *L);

#endif
