/* lua_process.c: the module bclua.process: other programs, started and watched. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/lua_support.h"
#include "process.h"

#define PROCESS "bclua.process"

extern char **environ;

typedef struct {
    pid_t pid; /* 0: closed, or its end has been seen */
    lua_Integer number;
} process;

/* The list of strings at index, ended by NULL, in memory that Lua owns. */
static char **check_words(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    if (n < 1) bc_arg_error(L, index, "a program and its arguments expected, got an empty list");
    char **words = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *words, 1);
    lua_newtable(L); /* keeps the copies alive */
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, index, i) != LUA_TSTRING)
            bc_arg_error(L, index, "word %I: string expected, got %s", i, luaL_typename(L, -1));
        size_t length = strlen(lua_tostring(L, -1)) + 1;
        words[i - 1] = memcpy(lua_newuserdatauv(L, length, 0), lua_tostring(L, -1), length);
        lua_rawseti(L, -3, i);
        lua_pop(L, 1);
    }
    words[n] = NULL;
    lua_setiuservalue(L, -2, 1);
    return words;
}

/* Is the variable of this entry, NAME=VALUE, in the table on top? */
static bool is_replaced(lua_State *L, const char *entry) {
    lua_pushlstring(L, entry, strcspn(entry, "="));
    bool found = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
    return found;
}

/* This process's environment with the changes of options.env; leaves values on the stack. */
static char **make_environment(lua_State *L, int options) {
    if (bc_push_option(L, options, "env") == LUA_TNIL) return environ;
    luaL_checktype(L, -1, LUA_TTABLE);
    int changes = lua_gettop(L);
    size_t n = 0, most = 1;
    for (char **e = environ; *e != NULL; e++) most++;
    for (lua_pushnil(L); lua_next(L, changes) != 0; lua_pop(L, 1)) most++;
    char **list = lua_newuserdatauv(L, most * sizeof *list, 0);
    lua_newtable(L);
    int texts = lua_gettop(L);
    lua_pushvalue(L, changes);
    for (char **e = environ; *e != NULL; e++)
        if (!is_replaced(L, *e)) list[n++] = *e;
    lua_pop(L, 1);
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, changes) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_error(L, "option 'env': texts by name expected");
        const char *text = lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        size_t length = strlen(text) + 1;
        list[n++] = memcpy(lua_newuserdatauv(L, length, 0), text, length);
        lua_rawseti(L, texts, ++count);
        lua_pop(L, 1);
    }
    list[n] = NULL;
    return list;
}

/***
Start a program. It has a group of its own, so that Ctrl-C does not reach it; its
standard input is empty. When the result is collected or closed, it is killed with its group.
@function start
@tparam {string,...} words the program and its arguments
@tparam table options `log`: path of a file for what it writes, made anew; `env`: changes to
the environment, texts by name
@treturn[1] process
@treturn[2] nil
@treturn[2] string message
*/
static int l_start(lua_State *L) {
    static const char *const names[] = {"log", "env", NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    bc_check_options(L, 2, names);
    lua_settop(L, 2);
    if (bc_push_option(L, 2, "log") != LUA_TSTRING)
        return bc_arg_error(L, 2, "option 'log': path expected, got %s", luaL_typename(L, -1));
    const char *log = lua_tostring(L, -1);
    char **words = check_words(L, 1);
    char **env = make_environment(L, 2);
    process *p = lua_newuserdatauv(L, sizeof *p, 0);
    p->pid = 0; /* born closed */
    luaL_setmetatable(L, PROCESS);
    bc_error e = {""};
    int rc = bc_process_start(&p->pid, words, env, log, &e);
    p->number = p->pid;
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

/***
Kill this process when the one that started it ends.
@function follow
@tparam integer parent its number
@treturn boolean false: it has ended already
*/
static int l_follow(lua_State *L) {
    lua_pushboolean(L, bc_process_follow((pid_t)luaL_checkinteger(L, 1)));
    return 1;
}

/***
The number of this process.
@function number
@treturn integer
*/
static int l_number(lua_State *L) {
    lua_pushinteger(L, getpid());
    return 1;
}

static process *check(lua_State *L) {
    return luaL_checkudata(L, 1, PROCESS);
}

/* A program, from `start`. */

/***
Its number.
@function process:pid
@treturn integer
*/
static int p_pid(lua_State *L) {
    lua_pushinteger(L, check(L)->number);
    return 1;
}

/***
Has it ended? Does not wait. The answer is given once.
@function process:ended
@treturn[1] nil it runs
@treturn[2] string "exit" or "signal"
@treturn[2] integer the exit status, or the number of the signal
@raise it was closed, or its end was told before
*/
static int p_ended(lua_State *L) {
    process *p = check(L);
    if (p->pid == 0) return luaL_error(L, "this process has ended");
    bool by_signal;
    int code;
    if (!bc_process_ended(p->pid, &by_signal, &code)) {
        lua_pushnil(L);
        return 1;
    }
    p->pid = 0;
    lua_pushstring(L, by_signal ? "signal" : "exit");
    lua_pushinteger(L, code);
    return 2;
}

/***
Ask it and its group to end (SIGTERM).
@function process:stop
*/
static int p_stop(lua_State *L) {
    process *p = check(L);
    if (p->pid != 0) bc_process_signal(p->pid, SIGTERM);
    return 0;
}

/***
Kill it and its group, and wait until it is gone. Nothing if it has ended.
@function process:close
*/
static int p_close(lua_State *L) {
    process *p = check(L);
    if (p->pid != 0) bc_process_kill(p->pid);
    p->pid = 0;
    return 0;
}

static int p_tostring(lua_State *L) {
    process *p = check(L);
    lua_pushfstring(L, "process %I%s", p->number, p->pid != 0 ? "" : " (ended)");
    return 1;
}

BC_EXPORT int luaopen_bclua_process(lua_State *L);
BC_EXPORT int luaopen_bclua_process(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"start", l_start}, {"follow", l_follow}, {"number", l_number}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"pid", p_pid}, {"ended", p_ended}, {"stop", p_stop}, {"close", p_close}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__gc", p_close}, {"__close", p_close}, {"__tostring", p_tostring}, {NULL, NULL}};
    luaL_newmetatable(L, PROCESS);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
