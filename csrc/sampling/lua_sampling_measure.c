/* lua_sampling_measure.c: bclua.sampling.measure. */
#include "../array/lua_array.h"
#include "lua_sampling.h"
#include "measure.h"

/***
Peak, energy, clipping and a fingerprint of a tile. A sample that is not finite
counts as 0.
@function measure
@tparam bclua.array tile f32 (samples)
@tparam[opt=0.99] number limit from which a sample counts as clipped
@treturn number peak: the largest |sample|, 0 of none
@treturn number sum of squares
@treturn integer clipped samples
@treturn integer hash of the samples rounded to 16 bits: tiles of the same sound
  have the same one
*/
int bc_sampling_measure(lua_State *L) {
    const bc_array *tile = bc_check_as(L, 1, BC_F32, 1);
    double limit = luaL_optnumber(L, 2, 0.99);
    if (!(limit > 0)) bc_arg_error(L, 2, "limit must be more than 0, got %f", limit);
    bc_tile_measures m = bc_tile_measure(tile->data, tile->shape[0], (float)limit);
    lua_pushnumber(L, m.peak);
    lua_pushnumber(L, m.sum_squares);
    lua_pushinteger(L, (lua_Integer)m.clipped);
    lua_pushinteger(L, (lua_Integer)m.hash);
    return 4;
}
