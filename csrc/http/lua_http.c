/* lua_http.c: the module bclua.http: serve pages to browsers on this machine. */
#include <ctype.h>
#include <string.h>

#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "server.h"

#define SERVER "bclua.http.server"

typedef struct lua_server {
    http_server *server;
    lua_State *L; /* that is in `step`, its server at index 1; else NULL */
    bool failed;  /* the handler raised: the error is the second user value */
} lua_server;

static lua_server *check(lua_State *L) {
    lua_server *s = luaL_checkudata(L, 1, SERVER);
    luaL_argcheck(L, s->server != NULL, 1, "the server is closed");
    return s;
}

/* ---- requests ---- */

/* Into the table on top, by the name in small letters; what comes twice has both values. */
static void add(void *context, const char *name, const char *value) {
    lua_State *L = context;
    size_t n = strlen(name);
    luaL_Buffer b;
    char *key = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++) key[i] = (char)tolower((unsigned char)name[i]);
    luaL_pushresultsize(&b, n);
    if (value == NULL) value = "";
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING)
        lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
    else
        lua_pushstring(L, value);
    lua_remove(L, -2);
    lua_rawset(L, -3);
}

static void set_text(lua_State *L, const char *name, const char *text, size_t n) {
    lua_pushlstring(L, text, n);
    lua_setfield(L, -2, name);
}

static void push_request(lua_State *L, const http_request *q) {
    lua_createtable(L, 0, 5);
    set_text(L, "method", q->method, strlen(q->method));
    set_text(L, "path", q->path, strlen(q->path));
    set_text(L, "body", q->body, q->body_size);
    lua_newtable(L);
    http_headers(q, add, L);
    lua_setfield(L, -2, "headers");
    lua_newtable(L);
    http_query(q, add, L);
    lua_setfield(L, -2, "query");
}

/* (handler, request) → status: call the handler and hand its answer on. */
static int respond(lua_State *L) {
    http_request *q = lua_touserdata(L, 2);
    lua_pushvalue(L, 1);
    push_request(L, q);
    lua_call(L, 1, 3);
    size_t size;
    lua_Integer status = luaL_checkinteger(L, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    const char *body = luaL_checklstring(L, 5, &size);
    if (status < 200 || status > 599) return luaL_error(L, "HTTP status %I", status);
    if (!http_reply(q, body, size)) return luaL_error(L, "not enough memory");
    for (lua_pushnil(L); lua_next(L, 4) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING ||
            !http_reply_header(q, lua_tostring(L, -2), lua_tostring(L, -1)))
            return luaL_error(L, "header '%s' is not text that can be sent",
                              luaL_tolstring(L, -2, NULL));
    }
    lua_pushinteger(L, status);
    return 1;
}

static int handle(void *context, http_request *q) {
    lua_server *s = context;
    lua_State *L = s->L;
    if (L == NULL || s->failed || !lua_checkstack(L, 8)) { /* closing, or about to raise */
        http_reply(q, "", 0);
        return 503;
    }
    lua_pushcfunction(L, respond);
    lua_getiuservalue(L, 1, 1);
    lua_pushlightuserdata(L, q);
    int status = 500;
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
        status = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    } else {
        s->failed = true;
        lua_setiuservalue(L, 1, 2);
        http_reply(q, "", 0);
    }
    return status;
}

/* ---- the server ---- */

/*** Listen on 127.0.0.1, which only programs on this machine reach. Nothing is answered but in
`step`. Of many clients at once none is cut off: 512 are served, the others wait; who asks nothing
for ten seconds, or no more for a minute, is sent away. The handler gets a request `{method=,
path=, query=, headers=, body=}` (names of headers in small letters; values of a name that comes
twice with a comma between; bodies up to 64 KiB) and returns status, table of headers, and body.
@function open
@tparam function handler
@tparam[opt] table options `port` (0: any that is free)
@treturn[1] server
@treturn[2] nil
@treturn[2] string message, beginning with the address */
static int l_open(lua_State *L) {
    static const char *const names[] = {"port", NULL};
    luaL_checktype(L, 1, LUA_TFUNCTION);
    bc_check_options(L, 2, names);
    lua_Integer port = bc_opt_integer(L, 2, "port", 0);
    if (port < 0 || port > 65535) return bc_arg_error(L, 2, "port %I outside 0..65535", port);
    lua_server *s = lua_newuserdatauv(L, sizeof *s, 2);
    *s = (lua_server){NULL, NULL, false};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, SERVER);
    bc_error e = {""};
    int rc = http_open(&s->server, (int)port, handle, s, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

/*** The port.
@function server:port
@treturn integer */
static int l_port(lua_State *L) {
    lua_pushinteger(L, http_port(check(L)->server));
    return 1;
}

/*** Wait for requests and answer them, one after the other. Errors of the handler, and Ctrl-C,
raise here.
@function server:step
@tparam[opt=0.5] number seconds to wait at most
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message */
static int l_step(lua_State *L) {
    lua_server *s = check(L);
    lua_Number seconds = luaL_optnumber(L, 2, 0.5);
    luaL_argcheck(L, seconds >= 0 && seconds <= 3600, 2, "outside 0..3600");
    luaL_argcheck(L, s->L == NULL, 1, "the server is in `step` already");
    bc_error e = {""};
    s->L = L;
    int rc = http_step(s->server, seconds, &e);
    s->L = NULL;
    if (s->failed) {
        s->failed = false;
        lua_getiuservalue(L, 1, 2);
        return lua_error(L);
    }
    if (bc_interrupted()) rc = BC_STOPPED;
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Give the port back.
@function server:close */
static int l_close(lua_State *L) {
    lua_server *s = luaL_checkudata(L, 1, SERVER);
    luaL_argcheck(L, s->L == NULL, 1, "the server is in `step`");
    http_close(s->server);
    s->server = NULL;
    return 0;
}

/*** Version of libmicrohttpd; nil where it is not installed.
@function version
@treturn string */
static int l_version(lua_State *L) {
    lua_pushstring(L, http_library());
    return 1;
}

BC_EXPORT int luaopen_bclua_http(lua_State *L);
BC_EXPORT int luaopen_bclua_http(lua_State *L) {
    static const luaL_Reg methods[] = {{"port", l_port},     {"step", l_step},  {"close", l_close},
                                       {"__close", l_close}, {"__gc", l_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", l_open}, {"version", l_version}, {NULL, NULL}};
    luaL_newmetatable(L, SERVER);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
