/* signals.c: Ctrl-C, as lua.c does it, and for kernels as well; SIGTERM and SIGHUP alike. */
#include <lauxlib.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/interrupt.h"
#include "host.h"

#define INTERRUPTED "interrupted!"
#define PATIENCE_S 1 /* with a first signal that is being obeyed */
#define WARNING "what runs cannot be stopped; Ctrl-C once more ends the session\n"

static lua_State *volatile running; /* the state to stop; NULL at the prompt */
static volatile sig_atomic_t caught; /* the last signal */
static volatile time_t since;        /* when the first came that is not yet obeyed, or the warning */
static volatile sig_atomic_t warns;  /* a second Ctrl-C says what a third one will do */

/* Raise; once more a while later, if a pcall took that for an error like others. What cleans up on
 * the way out takes fewer instructions. */
static void stop(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, stop, LUA_MASKCOUNT, 1000000);
    if (!bc_interrupt_held()) luaL_error(L, INTERRUPTED);
}

/* A second signal ends the process (a session at the prompt a third), but not one that comes with
 * the first: `timeout` sends two of each, and a terminal that is closed a SIGHUP beside that of its
 * shell. */
static void on_signal(int number) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_State *L = running;
    if (L != NULL && bc_interrupt_raised() && now.tv_sec - since > PATIENCE_S) {
        if (warns && number == SIGINT) {
            warns = 0;
            since = now.tv_sec; /* a key that is held down is no answer */
            const ssize_t said = write(STDERR_FILENO, WARNING, sizeof WARNING - 1);
            (void)said; /* there is nobody else to tell */
            return;
        }
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    bool first = !bc_interrupt_raised();
    if (first) since = now.tv_sec;
    bc_interrupt_raise(number);
    caught = number;
    if (L != NULL && first && !bc_interrupt_held()) /* a second must not stop what cleans up */
        lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void host_warn_first(void) { warns = 1; }

int host_terminated(void) { return caught == SIGTERM || caught == SIGHUP ? caught : 0; }

void host_catch_signals(void) {
    /* No SA_RESTART: a read at the prompt must come back. */
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGHUP);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) != 0 || before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write */
}

static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message != NULL && bc_interrupted()) { /* where it was is not what the user asks */
        if (strstr(message, INTERRUPTED) != NULL) lua_pushliteral(L, INTERRUPTED);
        return 1;
    }
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
    if (interrupted != NULL) *interrupted = bc_interrupted();
    if (outer == NULL) {
        bc_interrupt_hold(false);
        bc_interrupt_clear();
        host_catch_signals();
    }
    return status;
}
