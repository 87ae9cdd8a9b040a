/* signals.c: Ctrl-C, as lua.c does it, and for kernels as well. */
#include <lauxlib.h>
#include <signal.h>
#include <stddef.h>

#include "../support/interrupt.h"
#include "host.h"

static lua_State *volatile running; /* the state to stop; NULL at the prompt */
static volatile sig_atomic_t caught; /* the last signal */

static void stop(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void on_signal(int number) {
    bc_interrupt_raise();
    caught = number;
    lua_State *L = running;
    if (L == NULL) return;
    signal(number, SIG_DFL); /* a second one ends the process */
    if (!bc_interrupt_held())
        lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

bool host_terminated(void) { return caught == SIGTERM; }

void host_catch_signals(void) {
    /* No SA_RESTART: a read at the prompt must come back. */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
}

static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    return 1;
}

int host_call(lua_State *L, int nargs, int nresults, int *interrupted) {
    int base = lua_gettop(L) - nargs;
    lua_State *outer = running;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, base);
    running = L;
    int status = lua_pcall(L, nargs, nresults, base);
    running = outer;
    lua_sethook(L, NULL, 0, 0);
    lua_remove(L, base);
    if (interrupted != NULL) *interrupted = bc_interrupted() ? caught : 0;
    if (outer == NULL) {
        bc_interrupt_hold(false);
        bc_interrupt_clear();
        host_catch_signals();
    }
    return status;
}
