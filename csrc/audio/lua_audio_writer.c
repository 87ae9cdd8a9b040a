/* lua_audio_writer.c: sound files that are written block by block, as userdata. */
#include "../support/lua_support.h"
#include "lua_audio.h"

#define WRITER "bclua.audio.writer"

typedef struct {
    bc_audio_writer *audio; /* NULL: closed */
    int channels;
} writer;

static writer *check_open(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, WRITER);
    if (w->audio == NULL) luaL_error(L, "attempt to use a closed recording");
    return w;
}

/* A sound file that is written block by block, from `create`. `local w <close> =
 * audio.create(...)` leaves nothing behind unless `commit` came first. */

/* A file that failed takes nothing more. */
static int finish(lua_State *L, writer *w, int rc, const bc_error *e) {
    if (rc != BC_OK) {
        bc_audio_writer_free(w->audio);
        w->audio = NULL;
        return bc_failure(L, rc, e);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/***
Write more samples.
@function writer:write
@tparam bclua.array y (samples), or (channels, samples) for several; finite. A file of
one channel in pcm16 takes i16 (samples) as they are.
@treturn boolean true
@return[2] nil
@treturn[2] string message
*/
static int w_write(lua_State *L) {
    writer *w = check_open(L);
    const bc_array *y = bc_check_array(L, 2);
    bc_error e = {""};
    if (y->dtype == BC_I16 && bc_audio_writer_takes_i16(w->audio)) {
        y = bc_check_as(L, 2, BC_I16, 1);
        return finish(L, w, bc_audio_writer_put_i16(w->audio, y->data, y->shape[0], &e), &e);
    }
    y = bc_check_as(L, 2, BC_F32, 0);
    int64_t channels = y->ndim == 1 ? 1 : y->ndim == 2 ? y->shape[0] : 0;
    if (channels != w->channels)
        return bc_arg_error(
            L, 2,
            w->channels == 1 ? "expected (samples)" : "expected (channels, samples) of %d channels",
            w->channels);
    bc_audio_check_finite(L, 2, y);
    int64_t n = y->shape[y->ndim - 1];
    return finish(L, w, bc_audio_writer_put(w->audio, y->data, n, n, &e), &e);
}

/***
Number of samples written so far, of each channel.
@function writer:tell
@treturn integer
*/
static int w_tell(lua_State *L) {
    lua_pushinteger(L, bc_audio_writer_samples(check_open(L)->audio));
    return 1;
}

/***
Finish the file: fsync, rename.
@function writer:commit
@treturn boolean true
@return[2] nil: there is no file then
@treturn[2] string message
*/
static int w_commit(lua_State *L) {
    writer *w = check_open(L);
    bc_audio_writer *audio = w->audio;
    bc_error e = {""};
    w->audio = NULL;
    int rc = bc_audio_writer_commit(audio, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Forget the file, if it was not committed; a second time does nothing.
@function writer:close
*/
static int w_close(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, WRITER);
    bc_audio_writer_free(w->audio);
    w->audio = NULL;
    return 0;
}

static int w_tostring(lua_State *L) {
    writer *w = luaL_checkudata(L, 1, WRITER);
    if (w->audio == NULL)
        lua_pushliteral(L, WRITER " (closed)");
    else
        lua_pushfstring(L, WRITER " (%I samples)", (lua_Integer)bc_audio_writer_samples(w->audio));
    return 1;
}

void bc_audio_push_writer(lua_State *L) {
    static const luaL_Reg methods[] = {{"write", w_write},
                                       {"tell", w_tell},
                                       {"commit", w_commit},
                                       {"close", w_close},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", w_close}, {"__close", w_close}, {"__tostring", w_tostring}, {NULL, NULL}};
    if (luaL_newmetatable(L, WRITER) == 0) return;
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
}

/***
Begin a sound file that is written block by block in little memory, whole or not
at all. The same samples give the same bytes, whatever the blocks.
@function create
@string path
@tparam integer sample_rate
@tparam[opt] table options `format`, `subtype`, `quality` as for `save`; `channels` (1)
@treturn writer
@return[2] nil
@treturn[2] string message
*/
int bc_audio_create(lua_State *L) {
    static const char *const names[] = {"format", "subtype", "quality", "channels", NULL};
    const char *path = luaL_checkstring(L, 1);
    int rate = bc_audio_check_rate(L, 2);
    bc_check_options(L, 3, names);
    bc_audio_encoding how;
    bc_audio_check_encoding(L, 3, bc_audio_check_path(L, 1, 3), &how);
    lua_Integer channels = bc_opt_integer(L, 3, "channels", 1);
    if (channels < 1 || channels > 1024)
        return bc_arg_error(L, 3, "option 'channels' must be 1 to 1024, got %I", channels);
    writer *w = lua_newuserdatauv(L, sizeof *w, 0);
    w->audio = NULL; /* born closed: collectable from here */
    w->channels = (int)channels;
    bc_audio_push_writer(L);
    lua_setmetatable(L, -2);
    bc_error e = {""};
    int rc = bc_audio_writer_open(&w->audio, path, (int)channels, rate, &how, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}
