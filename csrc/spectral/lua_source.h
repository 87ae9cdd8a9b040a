/* lua_source.h: samples that a binding reads block by block. */
#ifndef BC_LUA_SOURCE_H
#define BC_LUA_SOURCE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "../support/error.h"

/* Takes the next n samples; returns a status. May raise. */
typedef int bc_take(void *context, const float *samples, size_t n);

/* A function that returns the next block or nil, or a reader: an object with
 * methods read(self, n) and seek_s(self, 0), as audio.open gives it. */
typedef struct bc_source {
    int arg, options; /* stack indices; the options have `rewind` */
    bool is_function;
    int passes; /* already begun */
} bc_source;

/* Is there a source at arg? Raises if there is neither a source nor an array. */
bool bc_is_source(lua_State *L, int arg);

/* The source at arg. Raises if the options do not suit it: a function that is
 * read more than once needs `rewind`, and a reader has to give sample_rate (0:
 * any). */
bc_source bc_check_source(lua_State *L, int arg, int options, double sample_rate, bool once);

/* Read it from its beginning to its end. Blocks may be of any dtype and length.
 * `finite`: raise on a sample that is NaN or infinite. BC_OK, what take
 * returned, or BC_FAIL if the source gave nil and a message. */
int bc_source_read(lua_State *L, bc_source *s, bool finite, bc_take *take, void *context,
                   bc_error *e);

#endif
