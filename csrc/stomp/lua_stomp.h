/* lua_stomp.h: what the files of the module bclua.stomp share. */
#ifndef BC_LUA_STOMP_H
#define BC_LUA_STOMP_H

#include <stddef.h>

#include "../support/lua_support.h"
#include "simple.h"

enum { BRUTE = 3 }; /* a method that is no bc_simple_strategy */

struct series {
    const double *x;
    size_t dims, frames;
};

/* A series at arg: (dims, frames), or (frames) for one dimension. */
struct series bc_stomp_series(lua_State *L, int arg);
struct series bc_stomp_row(lua_State *L, int arg); /* of one dimension */

/* The default exclusion zone; z: of z-normalised joins. */
lua_Integer bc_stomp_zone(size_t window, bool z);
lua_Integer bc_stomp_exclusion(lua_State *L, int arg, lua_Integer fallback);

/* The context of a kernel's tick: a function of Lua that hears of its progress. */
struct progress {
    lua_State *L;
    int function; /* where it is on the stack, 0: there is none */
    double last_s;
    bool failed; /* its error is on top of the stack */
};

/* Options `instructions`, `method`, `tile` and `progress` at arg, which pushes
 * the function. Returns the method; *progress must live as long as *options. */
int bc_stomp_options(lua_State *L, int arg, bc_simple_options *options, struct progress *progress);

/* After the kernel, with the result on top of the stack: 1, or raise. */
int bc_stomp_result(lua_State *L, int status, struct progress *progress);

/* lua_stomp_alike.c */
int bc_stomp_unit_windows(lua_State *L);
int bc_stomp_sketch(lua_State *L);
int bc_stomp_alike(lua_State *L);

/* lua_stomp_pan.c */
int bc_stomp_pan(lua_State *L);
int bc_stomp_z_pan(lua_State *L);

/* lua_stomp_sets.c */
int bc_stomp_motiflets(lua_State *L);
int bc_stomp_z_motiflets(lua_State *L);
int bc_stomp_motif_sets(lua_State *L);
int bc_stomp_z_motif_sets(lua_State *L);

/* lua_stomp_stream.c */
void bc_stomp_new_stream(lua_State *L); /* push one that is closed */
int bc_stomp_incremental(lua_State *L);

/* lua_stomp_profile.c */
void bc_stomp_new_profile(lua_State *L, int fields); /* push a table with the methods of profiles */
int bc_stomp_motifs(lua_State *L);
int bc_stomp_discords(lua_State *L);
int bc_stomp_correct(lua_State *L);
int bc_stomp_merge(lua_State *L);
int bc_stomp_matches(lua_State *L);
int bc_stomp_z_matches(lua_State *L);

#endif
