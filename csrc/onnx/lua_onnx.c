/* lua_onnx.c: the module bclua.onnxruntime. */
/***
Networks in ONNX files, computed by onnxruntime.

The library is opened with the first network: the one that `ORT_LIB` names, libonnxruntime.so.1
beside bclua's own module (`make onnxruntime` puts it there), or the system's. What a network takes
and gives, and how sound becomes that, `bclua.encoder` knows.

    local net = assert(onnx.open("model.onnx"))
    local y, shape = assert(net:run("audio", x, "embedding"))
@module bclua.onnxruntime
*/
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "../support/pool.h"
#include "onnx.h"

#define SESSION "bclua.onnxruntime.session"

typedef struct lua_session {
    onnx_session *session; /* NULL: closed */
} lua_session;

static onnx_session *check(lua_State *L) {
    lua_session *s = luaL_checkudata(L, 1, SESSION);
    luaL_argcheck(L, s->session != NULL, 1, "the network is closed");
    return s->session;
}

/*** Open a network.
@function open
@tparam string path
@tparam[opt] table options `threads` (as `system.threads`)
@treturn[1] session
@treturn[2] nil
@treturn[2] string message: there is no library, or the file is none that it can run */
static int l_open(lua_State *L) {
    static const char *const names[] = {"threads", NULL};
    const char *path = luaL_checkstring(L, 1);
    bc_check_options(L, 2, names);
    int threads = (int)bc_opt_integer_in(L, 2, "threads", bc_threads(), 1, BC_MOST_THREADS);
    lua_session *s = lua_newuserdatauv(L, sizeof *s, 0);
    s->session = NULL; /* born closed: collectable from here */
    luaL_setmetatable(L, SESSION);
    bc_error e = {""};
    int rc = onnx_open(&s->session, path, threads, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

static void push_shape(lua_State *L, int axes, const int64_t *extent) {
    lua_createtable(L, axes, 0);
    for (int i = 0; i < axes; i++) {
        lua_pushinteger(L, extent[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static int push_values(lua_State *L, size_t n, const onnx_value *list) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, list[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, list[i].type);
        lua_setfield(L, -2, "type");
        push_shape(L, list[i].axes, list[i].extent);
        lua_setfield(L, -2, "shape");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/*** What it takes.
@function session:inputs
@treturn {table,...} of each `name`, `type` ("f32", ...) and `shape`, a list of extents, -1 where
they are free */
static int l_inputs(lua_State *L) {
    const onnx_value *list;
    size_t n = onnx_inputs(check(L), &list);
    return push_values(L, n, list);
}

/*** What it gives.
@function session:outputs
@treturn {table,...} as `inputs` */
static int l_outputs(lua_State *L) {
    const onnx_value *list;
    size_t n = onnx_outputs(check(L), &list);
    return push_values(L, n, list);
}

/*** Compute an output of one input.
@function session:run
@tparam string input its name
@tparam array x f32 (converted), of the shape that the network takes
@tparam string output its name
@treturn[1] array f32, all values in one row
@treturn[1] {integer,...} their shape
@treturn[2] nil
@treturn[2] string message, beginning with the path: it does not take that, or gives no f32 */
static int l_run(lua_State *L) {
    onnx_session *s = check(L);
    const char *input = luaL_checkstring(L, 2), *output = luaL_checkstring(L, 4);
    const bc_array *x = bc_check_as(L, 3, BC_F32, 0);
    onnx_result r;
    bc_error e = {""};
    int rc = onnx_run(s, input, x->data, x->ndim, x->shape, output, &r, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    bc_array *out = bc_push_vector(L, BC_F32, (int64_t)r.count);
    if (r.count > 0) memcpy(out->data, r.data, r.count * sizeof *r.data);
    push_shape(L, r.axes, r.extent);
    onnx_forget(s); /* after an error the next run does, or close */
    return 2;
}

/*** Free it; a second time nothing happens.
@function session:close */
static int l_close(lua_State *L) {
    lua_session *s = luaL_checkudata(L, 1, SESSION);
    onnx_close(s->session);
    s->session = NULL;
    return 0;
}

/*** The library's version.
@function version
@treturn[1] string as in "1.23.2"
@treturn[2] nil
@treturn[2] string message: there is none, and how to get it */
static int l_version(lua_State *L) {
    bc_error e = {""};
    const char *version = onnx_version(&e);
    if (version == NULL) return bc_failure(L, BC_FAIL, &e);
    lua_pushstring(L, version);
    return 1;
}

static const luaL_Reg functions[] = {{"open", l_open}, {"version", l_version}, {NULL, NULL}};
static const luaL_Reg methods[] = {
    {"inputs", l_inputs}, {"outputs", l_outputs}, {"run", l_run}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

BC_EXPORT int luaopen_bclua_onnxruntime(lua_State *L);
BC_EXPORT int luaopen_bclua_onnxruntime(lua_State *L) {
    luaL_newmetatable(L, SESSION);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
