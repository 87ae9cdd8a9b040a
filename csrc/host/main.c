/* main.c: bclua, a Lua 5.4 host; the command line is that of lua. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/version.h"
#include "host.h"

static const char usage[] =
    "usage: bclua [options] [script | command [args]]\n"
    "  -e STAT       execute STAT\n"
    "  -i            enter the REPL after executing the script\n"
    "  -l MOD        require MOD into the global MOD (-l G=MOD: into G)\n"
    "  -v, --version show the version\n"
    "  --threads N   threads for everything (default: BCLUA_THREADS, else all cores)\n"
    "  -h, --help    show this\n"
    "  --            stop handling options\n"
    "  -             execute standard input as the script\n"
    "Without a script: the REPL on a terminal, else standard input is the script.\n"
    "A script's own options come after it: bclua pipeline --help\n"
    "\n"
    "examples:\n"
    "  bclua                                   the REPL; :help explains\n"
    "  bclua pipeline --data birds             from recordings to a report\n"
    "  bclua --threads 4 motif extract --input birds/train_audio --output motif\n"
    "  bclua -l sql=bclua.sql -e 'print(sql.query \"select 42 answer\")'\n"
    "Variables BCLUA_THREADS, BCLUA_HISTORY, BCLUA_GRAPHICS, BCLUA_PLAYER: man bclua.\n";

typedef struct {
    bool interactive, version, help, executed;
    int script; /* position in argv; 0: none */
    const char *bad;
} options;

/* Options with a value: -eSTAT or -e STAT. Returns the value, NULL if missing. */
static const char *value_of(char **argv, int *i) {
    if (argv[*i][2] != '\0') return argv[*i] + 2;
    return argv[*i + 1] != NULL ? argv[++*i] : NULL;
}

static bool is_threads(char **argv, int *i, const char **value) {
    if (strcmp(argv[*i], "--threads") == 0)
        *value = argv[*i + 1] != NULL ? argv[++*i] : "";
    else if (strncmp(argv[*i], "--threads=", 10) == 0)
        *value = argv[*i] + 10;
    else
        return false;
    return true;
}

static bool is_thread_count(const char *text) {
    char *end;
    long n = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && n >= 1 && n <= 1024;
}

static options parse(char **argv) {
    options o = {0};
    int i = 1;
    for (; argv[i] != NULL && argv[i][0] == '-' && argv[i][1] != '\0' && o.bad == NULL; i++) {
        const char *a = argv[i], *threads;
        if (strcmp(a, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(a, "-i") == 0) {
            o.interactive = o.version = true;
        } else if (strcmp(a, "-v") == 0 || strcmp(a, "--version") == 0) {
            o.version = true;
        } else if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
            o.help = true;
        } else if (is_threads(argv, &i, &threads)) {
            if (!is_thread_count(threads)) o.bad = a;
            setenv("BCLUA_THREADS", threads, 1);
        } else if (a[1] == 'e' || a[1] == 'l') {
            if (value_of(argv, &i) == NULL) o.bad = a;
            o.executed |= a[1] == 'e';
        } else {
            o.bad = a;
        }
    }
    if (argv[i] != NULL) o.script = i;
    return o;
}

static void set_arg(lua_State *L, char **argv, int script) {
    lua_newtable(L);
    for (int i = 0; argv[i] != NULL; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* A progress bar makes way: the message has the line to itself. */
static int clear_line(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "bclua.progress") != LUA_TTABLE) return 0;
    lua_getfield(L, -1, "clear");
    lua_call(L, 0, 0);
    return 0;
}

/* Report the error on top of the stack; returns the exit status. */
static int report(lua_State *L, int status, int interrupted) {
    if (status == LUA_OK) return EXIT_SUCCESS;
    lua_pushcfunction(L, clear_line);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "bclua: %s\n", message != NULL ? message : "(no message)");
    lua_pop(L, 1);
    return interrupted != 0 ? EXIT_SIGNAL + interrupted : EXIT_FAILURE;
}

static int call(lua_State *L, int nargs) {
    int interrupted = 0, status = host_call(L, nargs, 0, &interrupted);
    return report(L, status, interrupted);
}

static int execute(lua_State *L, const char *text) {
    int status = luaL_loadbuffer(L, text, strlen(text), "=(command line)");
    return status == LUA_OK ? call(L, 0) : report(L, status, 0);
}

/* -l MOD, -l G=MOD */
static int require(lua_State *L, const char *name) {
    const char *equals = strchr(name, '=');
    const char *module = equals != NULL ? equals + 1 : name;
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int interrupted = 0, status = host_call(L, 1, 1, &interrupted);
    if (status != LUA_OK) return report(L, status, interrupted);
    lua_pushlstring(L, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    lua_insert(L, -2);
    lua_pushglobaltable(L);
    lua_insert(L, -3);
    lua_settable(L, -3);
    lua_pop(L, 1);
    return EXIT_SUCCESS;
}

/* -e and -l, in the order given */
static int run_options(lua_State *L, char **argv, int end) {
    for (int i = 1; i < end; i++) {
        const char *threads;
        if (argv[i] == NULL || strcmp(argv[i], "--") == 0) break;
        if (argv[i][0] != '-' || is_threads(argv, &i, &threads)) continue;
        char kind = argv[i][1];
        if (kind != 'e' && kind != 'l') continue;
        const char *value = value_of(argv, &i);
        int rc = kind == 'e' ? execute(L, value) : require(L, value);
        if (rc != EXIT_SUCCESS) return rc;
    }
    return EXIT_SUCCESS;
}

/* Push what bclua.commands[function](argument) gives: a text; or nil and a message. */
static int ask_commands(lua_State *L, const char *function, const char *argument) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bclua.commands");
    int status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) return status;
    lua_getfield(L, -1, function);
    lua_pushstring(L, argument);
    return lua_pcall(L, 1, 2, 0);
}

/* Is there a file of that name? A folder may have the name of a command. */
static bool is_there(const char *name) {
    struct stat about;
    return stat(name, &about) == 0 && !S_ISDIR(about.st_mode);
}

static int run_script(lua_State *L, char **argv, int at) {
    const char *name = argv[at];
    if (strcmp(name, "-") == 0 && strcmp(argv[at - 1], "--") != 0) name = NULL;
    if (name != NULL && !is_there(name)) {
        int status = ask_commands(L, "find", name);
        if (status != LUA_OK || lua_isnil(L, -2)) return report(L, LUA_ERRRUN, 0);
        name = lua_tostring(L, -2);
    }
    int status = luaL_loadfile(L, name), n = 0;
    if (status != LUA_OK) return report(L, status, 0);
    luaL_checkstack(L, 64, "too many arguments");
    for (char **a = argv + at + 1; *a != NULL; a++, n++) {
        luaL_checkstack(L, 2, "too many arguments");
        lua_pushstring(L, *a);
    }
    return call(L, n);
}

static int run_repl(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bclua.repl");
    int interrupted = 0, status = host_call(L, 1, 1, &interrupted);
    if (status != LUA_OK) return report(L, status, interrupted);
    lua_getfield(L, -1, "run");
    /* Not host_call: at the prompt Ctrl-C is readline's. */
    int rc = report(L, lua_pcall(L, 0, 0, 0), 0);
    return host_terminated() ? EXIT_SIGNAL + host_terminated() : rc;
}

/* What --help says, and the commands that there are. */
static int show_help(lua_State *L) {
    int status = ask_commands(L, "text", NULL);
    if (status != LUA_OK) return report(L, status, 0);
    printf("%s\ncommands (bclua COMMAND --help):\n%s\n", usage, lua_tostring(L, -2));
    return EXIT_SUCCESS;
}

static int run(lua_State *L, char **argv, const options *o, int argc) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_bclua_host);
    lua_setfield(L, -2, "bclua.host");
    lua_pop(L, 1);
    host_set_paths(L);
    if (o->help) return show_help(L);
    set_arg(L, argv, o->script != 0 ? o->script : 0);
    int rc = run_options(L, argv, o->script != 0 ? o->script : argc);
    if (rc != EXIT_SUCCESS) return rc;
    if (o->script != 0) rc = run_script(L, argv, o->script);
    if (rc != EXIT_SUCCESS && !o->interactive) return rc;
    if (o->interactive) return run_repl(L);
    if (o->script != 0 || o->executed || o->version) return rc;
    if (isatty(STDIN_FILENO)) return run_repl(L);
    int status = luaL_loadfile(L, NULL);
    return status == LUA_OK ? call(L, 0) : report(L, status, 0);
}

typedef struct {
    char **argv;
    int argc;
    const options *o;
    int rc;
} program;

/* Also what comes before the first script may run out of memory. */
static int run_protected(lua_State *L) {
    program *p = lua_touserdata(L, 1);
    lua_settop(L, 0);
    p->rc = run(L, p->argv, p->o, p->argc);
    return 0;
}

int main(int argc, char **argv) {
    host_guard_output();
    /* Our threads share the cores, BLAS never uses its own (support/blas.h): each would take
     * 128 MB of addresses and, under ulimit -v, ask for them without end. */
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    options o = parse(argv);
    if (o.bad != NULL) {
        fprintf(stderr, "bclua: wrong option or missing value: '%s'\n%s", o.bad, usage);
        return EXIT_FAILURE;
    }
    const char *threads = getenv("BCLUA_THREADS");
    if (threads != NULL && *threads != '\0' && !is_thread_count(threads)) {
        fprintf(stderr, "bclua: BCLUA_THREADS: '%s' is not a number from 1 to 1024\n", threads);
        return EXIT_FAILURE;
    }
    if (o.version && !o.help) printf("bclua %s  %s\n", bc_version(), LUA_COPYRIGHT);
    fflush(stdout);
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        fputs("bclua: not enough memory\n", stderr);
        return EXIT_FAILURE;
    }
    host_catch_signals();
    program p = {argv, argc, &o, EXIT_FAILURE};
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &p);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) report(L, status, 0);
    lua_close(L);
    return p.rc;
}
