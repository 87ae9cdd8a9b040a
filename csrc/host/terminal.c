/* terminal.c: the module bclua.host: a line from the terminal, with editing,
 * history and completion (readline), and protected calls for the REPL. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "../support/interrupt.h"
#include "host.h"

static lua_State *completer_state; /* the state whose registry holds the completer */
static const char completer_key = 0;

/* readline asks for candidates one by one; the Lua function has returned them
 * all as a list at stack top. */
static char *next_candidate(const char *text, int state) {
    static lua_Integer at;
    lua_State *L = completer_state;
    (void)text;
    if (state == 0) at = 0;
    lua_geti(L, -1, ++at);
    const char *word = lua_tostring(L, -1);
    char *copy = word != NULL ? strdup(word) : NULL;
    lua_pop(L, 1);
    return copy;
}

static char **complete(const char *text, int start, int end) {
    lua_State *L = completer_state;
    char **matches = NULL;
    rl_attempted_completion_over = 1;
    if (L == NULL) return NULL;
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &completer_key);
    lua_pushlstring(L, rl_line_buffer, (size_t)end);
    lua_pushinteger(L, start + 1);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK && lua_istable(L, -1))
        matches = rl_completion_matches(text, next_candidate);
    lua_settop(L, top);
    rl_completion_append_character = '\0';
    return matches;
}

static char *finished_line;
static bool finished;

static void on_line(char *line) {
    rl_callback_handler_remove();
    finished_line = line;
    finished = true;
}

static bool stopped(void) { return bc_interrupted() || host_terminated(); }

/* Is there a key? Waits for one, but not for ever: the signal may come just before, or to another
 * thread. */
static bool has_key(void) {
    fd_set input;
    FD_ZERO(&input);
    FD_SET(fileno(stdin), &input);
    struct timeval soon = {.tv_usec = 50000};
    return select(fileno(stdin) + 1, &input, NULL, NULL, &soon) > 0;
}

static int keys = -1; /* the terminal, read without waiting; stdin where that cannot be */

/* Ctrl-C takes the keys before it from the terminal: what select has seen may be gone, and a read
 * that waits would sleep over the signal until the next key. */
static int next_key(FILE *input) {
    (void)input;
    for (;;) {
        unsigned char key;
        ssize_t got = read(keys, &key, 1);
        if (got == 1) return key;
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) return EOF;
        if (stopped()) return 0; /* any key: the line is thrown away */
        has_key();
    }
}

/* A description of its own: that of stdin is the shell's, too, whose reads must wait. */
static void open_keys(void) {
    if (keys >= 0) return;
    keys = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (keys < 0) keys = fileno(stdin);
    rl_getc_function = next_key;
}

/* Feed readline until the line is there; false after Ctrl-C. readline() itself
 * would come back from Ctrl-C only with the next key. */
static bool read_line(const char *prompt) {
    finished = false;
    open_keys();
    rl_callback_handler_install(prompt, on_line);
    while (!finished) {
        bool ready = has_key();
        if (stopped()) {
            puts(host_terminated() ? "" : "^C");
            rl_callback_sigcleanup();
            rl_free_line_state();
            rl_callback_handler_remove();
            return false;
        }
        if (ready) rl_callback_read_char();
    }
    return true;
}

/* host.readline(prompt): a line without its newline; nil at the end of input
 * (Ctrl-D) and after SIGTERM or SIGHUP; false after Ctrl-C. */
static int l_readline(lua_State *L) {
    const char *prompt = luaL_checkstring(L, 1);
    rl_catch_signals = 0;
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = " \t\n\"\\'><=;:+-*/%^~#{}()[]&|,";
    completer_state = L;
    bc_interrupt_clear();
    bool got = read_line(prompt);
    completer_state = NULL;
    if (!got) {
        bc_interrupt_clear();
        if (host_terminated())
            lua_pushnil(L);
        else
            lua_pushboolean(L, 0);
    } else if (finished_line == NULL) {
        puts("");
        lua_pushnil(L);
    } else {
        lua_pushstring(L, finished_line);
        free(finished_line);
    }
    return 1;
}

/* host.set_completer(f): f(line, start) returns the list of words that may
 * stand in line from byte start (1-based) on. */
static int l_set_completer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &completer_key);
    return 0;
}

enum { HISTORY_LINES = 10000 };

/* host.add_history(entry, path): remember it, and at the end of the file (may be
 * nil) at once: sessions beside this one do the same. */
static int l_add_history(lua_State *L) {
    const char *entry = luaL_checkstring(L, 1), *path = luaL_optstring(L, 2, NULL);
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    bool again = last != NULL && strcmp(last->line, entry) == 0;
    if (again) return 0;
    add_history(entry);
    if (path == NULL) return 0;
    if (access(path, F_OK) != 0) {
        lua_pushboolean(L, write_history(path) == 0);
        return 1;
    }
    lua_pushboolean(L, append_history(1, path) == 0);
    return 1;
}

/* host.read_history(path): the entries of earlier sessions; too old ones leave the
 * file. Each has its time before it, so that one may have several lines. */
static int l_read_history(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    history_comment_char = '#';
    history_write_timestamps = 1;
    int rc = read_history(path);
    if (rc == 0 && history_length > HISTORY_LINES) {
        stifle_history(HISTORY_LINES);
        rc = write_history(path);
    }
    lua_pushboolean(L, rc == 0);
    return 1;
}

/* host.call(f, ...): as pcall, with a traceback; Ctrl-C stops f. Where that cannot be, as in a long
 * match of a pattern, a second one warns, and a third ends the session. */
static int l_call(lua_State *L) {
    luaL_checkany(L, 1);
    host_warn_first();
    int status = host_call(L, lua_gettop(L) - 1, LUA_MULTRET, NULL);
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, 1);
    return lua_gettop(L);
}

int luaopen_bclua_host(lua_State *L) {
    static const luaL_Reg functions[] = {{"readline", l_readline},
                                         {"set_completer", l_set_completer},
                                         {"add_history", l_add_history},
                                         {"read_history", l_read_history},
                                         {"window", host_l_window},
                                         {"ask", host_l_ask},
                                         {"call", l_call},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
