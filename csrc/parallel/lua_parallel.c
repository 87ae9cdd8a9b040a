/* lua_parallel.c: map over worker Lua states, each on its own thread. */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/interrupt.h"
#include "../support/lua_support.h"
#include "../support/pool.h"
#include "lua_message.h"

#define MAP "bclua.parallel.map"
#define MOVED "bclua.moved" /* lets old names of modules be found */
#define MAXTHREADS BC_MOST_THREADS

/* One item on its way: fed by the caller's thread, done by a worker. */
typedef struct {
    bc_message message; /* the argument, then the results */
    bool done;
} slot;

typedef struct map map;

typedef struct {
    map *map;
    lua_State *L;
    pthread_t thread;
} worker;

struct map {
    pthread_mutex_t lock;
    pthread_cond_t fed, finished;
    slot *slots;                        /* a ring of `window` items */
    size_t total, window, fed_count, taken, yielded;
    bool quit;
    worker *workers;
    int nworkers;
    lua_State *here; /* works on the caller's thread, where no other could be started */
    char *path, *cpath, *module, *function;
    bool old_names; /* bclua.moved is loaded */
    bc_message options;
    char failure[256]; /* why a worker could not start */
    bool live;         /* lock and conditions exist */
};

static void stop_hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

/* --- on a worker's thread --------------------------------------------------- */

#define STOP_SIGNAL SIGURG /* ignored by default, used by nobody here */

static _Thread_local lua_State *volatile own; /* this worker's state while it works */

/* Only a thread itself may set a hook while it runs Lua: the signal brings the
 * wish to it, as Ctrl-C comes to lua.c. */
static void on_stop(int number) {
    (void)number;
    lua_State *L = own;
    if (L != NULL) lua_sethook(L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Load the module and leave its function and the options on the stack. */
static int prepare(lua_State *L) {
    const map *m = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, m->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, m->cpath);
    lua_setfield(L, -2, "cpath");
    if (m->old_names) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, MOVED);
        lua_call(L, 1, 0);
    }
    lua_getglobal(L, "require");
    lua_pushstring(L, m->module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, m->function);
    bc_message_unpack(&m->options, L);
    return 2;
}

static int with_traceback(lua_State *L) {
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

/* stack: function, options. Replace the slot's argument by result, error,
 * traceback. */
static int call_item(lua_State *L) {
    slot *s = lua_touserdata(L, 3);
    lua_settop(L, 2);
    lua_pushcfunction(L, with_traceback);
    lua_pushvalue(L, 1);
    bc_message_unpack(&s->message, L);
    bc_message_clear(&s->message);
    lua_pushvalue(L, 2);
    int status = lua_pcall(L, 2, 2, 3);
    if (status != LUA_OK) { /* nil, error; the text up to the traceback is the error */
        const char *text = lua_tostring(L, -1);
        const char *end = text != NULL ? strstr(text, "\nstack traceback:") : NULL;
        lua_settop(L, 4);
        lua_pushnil(L);
        if (end != NULL)
            lua_pushlstring(L, text, (size_t)(end - text));
        else
            lua_pushvalue(L, 4);
        lua_pushvalue(L, 4);
    }
    for (int i = status == LUA_OK ? 4 : 5; i <= lua_gettop(L); i++) {
        const char *error = bc_message_pack(&s->message, L, i);
        if (error == NULL) continue;
        bc_message_clear(&s->message);
        return luaL_error(L, "result: %s", error);
    }
    return 0;
}

static void work_item(lua_State *L, slot *s) {
    lua_pushcfunction(L, call_item);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) {
        bc_message_clear(&s->message);
        int top = lua_gettop(L);
        lua_pushnil(L);
        bc_message_pack(&s->message, L, top + 1);
        bc_message_pack(&s->message, L, top);
    }
    lua_settop(L, 2);
    lua_gc(L, LUA_GCSTEP, 0);
}

static void start_failed(map *m, const char *text) {
    pthread_mutex_lock(&m->lock);
    strncpy(m->failure, text != NULL ? text : "unknown error", sizeof m->failure - 1);
    m->quit = true;
    pthread_cond_broadcast(&m->finished);
    pthread_mutex_unlock(&m->lock);
}

static void *run_worker(void *argument) {
    worker *w = argument;
    map *m = w->map;
    lua_State *L = w->L;
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, STOP_SIGNAL);
    own = L;
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, m);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
        own = NULL;
        start_failed(m, lua_tostring(L, -1));
        return NULL;
    }
    pthread_mutex_lock(&m->lock);
    for (;;) {
        while (m->taken == m->fed_count && !m->quit) pthread_cond_wait(&m->fed, &m->lock);
        if (m->quit) break;
        slot *s = &m->slots[m->taken++ % m->window];
        pthread_mutex_unlock(&m->lock);
        work_item(L, s);
        pthread_mutex_lock(&m->lock);
        s->done = true;
        pthread_cond_signal(&m->finished);
    }
    pthread_mutex_unlock(&m->lock);
    own = NULL;
    return NULL;
}

/* --- on the caller's thread ------------------------------------------------ */

/* What a worker would have done. */
static void work_here(map *m, slot *s) {
    lua_State *L = m->here;
    if (lua_gettop(L) == 0) {
        lua_pushcfunction(L, prepare);
        lua_pushlightuserdata(L, m);
        if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
            start_failed(m, lua_tostring(L, -1));
            return;
        }
    }
    m->taken++;
    work_item(L, s);
    s->done = true;
}

static void stop_workers(map *m) {
    pthread_mutex_lock(&m->lock);
    m->quit = true;
    pthread_cond_broadcast(&m->fed);
    pthread_mutex_unlock(&m->lock);
    /* Lua code ends at its next instruction, a kernel when it looks at
     * bc_interrupted, or when it is done. */
    for (int i = 0; i < m->nworkers; i++) pthread_kill(m->workers[i].thread, STOP_SIGNAL);
    for (int i = 0; i < m->nworkers; i++) {
        pthread_join(m->workers[i].thread, NULL);
        lua_sethook(m->workers[i].L, NULL, 0, 0);
        lua_close(m->workers[i].L);
    }
    m->nworkers = 0;
    if (m->here != NULL) lua_close(m->here);
    m->here = NULL;
}

static int l_close(lua_State *L) {
    map *m = luaL_checkudata(L, 1, MAP);
    if (m->live) {
        stop_workers(m);
        pthread_cond_destroy(&m->finished);
        pthread_cond_destroy(&m->fed);
        pthread_mutex_destroy(&m->lock);
    }
    for (size_t i = 0; i < m->window; i++) bc_message_clear(&m->slots[i].message);
    bc_message_clear(&m->options);
    free(m->slots);
    free(m->workers);
    free(m->path), free(m->cpath), free(m->module), free(m->function);
    memset(m, 0, sizeof *m);
    return 0;
}

/* Feed items until the window is full. The list is the map's user value. */
static void feed(lua_State *L, map *m) {
    lua_getiuservalue(L, 1, 1);
    while (m->fed_count < m->total && m->fed_count < m->yielded + m->window) {
        size_t at = m->fed_count;
        lua_geti(L, -1, (lua_Integer)at + 1); /* may call Lua, which may close or go on */
        if (!m->live || m->fed_count != at) luaL_error(L, "map: used by its own list of items");
        slot *s = &m->slots[m->fed_count % m->window];
        bc_message_clear(&s->message);
        s->done = false;
        const char *error = bc_message_pack(&s->message, L, -1);
        if (error != NULL)
            luaL_error(L, "item %d: %s", (int)m->fed_count + 1, error);
        lua_pop(L, 1);
        pthread_mutex_lock(&m->lock);
        m->fed_count++;
        pthread_cond_signal(&m->fed);
        pthread_mutex_unlock(&m->lock);
    }
    lua_pop(L, 1);
}

/* Wait for the next item in order; false if the user pressed Ctrl-C or no
 * worker could start. */
static bool wait_for(map *m, const slot *s) {
    pthread_mutex_lock(&m->lock);
    while (!s->done && !m->quit && !bc_interrupted()) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 50000000; /* how long Ctrl-C may go unnoticed */
        if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
        pthread_cond_timedwait(&m->finished, &m->lock, &until);
    }
    bool done = s->done && !bc_interrupted();
    pthread_mutex_unlock(&m->lock);
    return done;
}

static int l_next(lua_State *L) {
    map *m = luaL_checkudata(L, 1, MAP);
    if (!m->live) return 0;
    lua_settop(L, 1);
    if (m->yielded == m->total) {
        l_close(L);
        return 0;
    }
    feed(L, m);
    slot *s = &m->slots[m->yielded % m->window];
    if (m->here != NULL) work_here(m, s);
    if (!wait_for(m, s)) {
        lua_pushstring(L, m->failure[0] != '\0' ? m->failure : "interrupted!");
        lua_insert(L, 1);
        lua_pushcfunction(L, l_close);
        lua_insert(L, 2);
        lua_call(L, 1, 0);
        return lua_error(L);
    }
    lua_pushinteger(L, (lua_Integer)++m->yielded);
    int n = bc_message_unpack(&s->message, L);
    bc_message_clear(&s->message);
    return n + 1;
}

static bool start(map *m, int threads, size_t ahead) {
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t clock; /* one that nobody sets */
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&m->fed, NULL);
    pthread_cond_init(&m->finished, &clock);
    pthread_condattr_destroy(&clock);
    m->live = true;
    m->window = ahead;
    m->slots = calloc(m->window, sizeof *m->slots);
    m->workers = calloc((size_t)threads, sizeof *m->workers);
    if (m->slots == NULL || m->workers == NULL) {
        m->window = 0;
        return false;
    }
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(STOP_SIGNAL, &action, NULL);
    sigset_t all, old; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (m->nworkers < threads) {
        worker *w = &m->workers[m->nworkers];
        w->map = m;
        w->L = luaL_newstate();
        if (w->L == NULL) break;
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            if (m->nworkers == 0)
                m->here = w->L; /* a limit on processes: fewer threads give the same */
            else
                lua_close(w->L);
            break;
        }
        m->nworkers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return m->nworkers > 0 || m->here != NULL;
}

static char *package_field(lua_State *L, const char *name) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, name);
    char *copy = strdup(luaL_checkstring(L, -1));
    lua_pop(L, 2);
    return copy;
}

static bool is_loaded(lua_State *L, const char *module) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    bool loaded = lua_getfield(L, -1, module) != LUA_TNIL;
    lua_pop(L, 2);
    return loaded;
}

/* Fail here, with a traceback, rather than in every worker. */
static void check_function(lua_State *L, const char *module, const char *function) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, function) != LUA_TFUNCTION)
        luaL_error(L, "bad argument #3 to 'map' (module '%s' has no function '%s')", module, function);
    lua_pop(L, 2);
}

/*** Call a function of a module for every item of a list, on several threads.
Every worker is a Lua state of its own that requires the module; items, options
and results cross as copies (nil, booleans, numbers, strings, tables of these),
arrays without a copy. Results come in the order of the list. An error of one
item does not end the run: its result is nil and the error follows.
Ctrl-C ends the loop with an error; `break` ends it, too, after the items that
are in work.

    for i, result, err, traceback in parallel.map(paths, "my.module", "one", options) do

@function map
@tparam {any,...} items
@tparam string module name for `require`
@tparam string name of a function of that module: `result[, err] = f(item, options)`
@param[opt] options second argument of every call
@tparam[opt] table settings `threads`: default `system.threads()`; `ahead`: items in work or
  waiting to be taken, for large results (default 16 + 8 threads)
@treturn function iterator: index, result, error, traceback */
static int l_map(lua_State *L) {
    static const char *const names[] = {"threads", "ahead", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *module = luaL_checkstring(L, 2), *function = luaL_checkstring(L, 3);
    bc_check_options(L, 5, names);
    lua_Integer threads = bc_opt_integer(L, 5, "threads", bc_threads());
    if (threads < 1 || threads > MAXTHREADS)
        return bc_arg_error(L, 5, "option 'threads' outside 1..%d: %I", MAXTHREADS, threads);
    lua_Integer ahead = bc_opt_integer(L, 5, "ahead", 16 + 8 * threads);
    if (ahead < 1 || ahead > 16 + 8 * MAXTHREADS)
        return bc_arg_error(L, 5, "option 'ahead' outside 1..%d: %I", 16 + 8 * MAXTHREADS, ahead);
    lua_settop(L, 5);
    check_function(L, module, function);
    lua_pushcfunction(L, l_next);
    map *m = lua_newuserdatauv(L, sizeof *m, 1);
    memset(m, 0, sizeof *m);
    luaL_setmetatable(L, MAP);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    m->path = package_field(L, "path");
    m->cpath = package_field(L, "cpath");
    m->old_names = is_loaded(L, MOVED);
    m->module = strdup(module);
    m->function = strdup(function);
    lua_Integer items = luaL_len(L, 1); /* once: what it says later counts no more */
    luaL_argcheck(L, items >= 0, 1, "negative length");
    m->total = (size_t)items;
    if (items < threads) threads = items > 0 ? items : 1;
    const char *error = bc_message_pack(&m->options, L, 4);
    if (error != NULL) return bc_arg_error(L, 4, "options: %s", error);
    if (!m->path || !m->cpath || !m->module || !m->function || !start(m, (int)threads, (size_t)ahead))
        return luaL_error(L, "map: cannot start a worker thread (not enough memory)");
    lua_pushnil(L);
    lua_pushvalue(L, -2);
    return 4; /* l_next, the map, no control value, the map to be closed */
}

BC_EXPORT int luaopen_bclua_parallel(lua_State *L);
BC_EXPORT int luaopen_bclua_parallel(lua_State *L) {
    static const luaL_Reg functions[] = {{"map", l_map}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
    if (luaL_newmetatable(L, MAP)) luaL_setfuncs(L, metamethods, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
