/* lua_system.c: the module bclua.system: threads, clocks, memory, whole files. */
#include "lua_support.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "file.h"
#include "interrupt.h"
#include "memory.h"
#include "nearest.h"
#include "pool.h"
#include "version.h"

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/*** Wall-clock seconds from an arbitrary start; never goes back.
@function clock */
static int l_clock(lua_State *L) {
    lua_pushnumber(L, seconds(CLOCK_MONOTONIC));
    return 1;
}

/*** Processor seconds of this process, all threads together.
@function cpu_clock */
static int l_cpu_clock(lua_State *L) {
    lua_pushnumber(L, seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 1;
}

/*** The number of threads in force; `threads(n)` sets it, `threads(0)` returns to
the default: BCLUA_THREADS, else the processors that this process may use.
@function threads
@tparam[opt] integer n
@treturn integer */
static int l_threads(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) {
        lua_Integer n = luaL_checkinteger(L, 1);
        if (n < 0 || n > 1024) return bc_arg_error(L, 1, "%I threads outside 0..1024", n);
        bc_set_threads((int)n);
    }
    lua_pushinteger(L, bc_threads());
    return 1;
}

/*** The instructions that kernels use; `instructions(name)` sets them for all
threads. It holds for all kernels; the libraries choose when the program starts.
Results are the same with all of them, but for the rounding of the network's
convolutions: this is there to show it, and to measure.
At first the best, or what the environment variable BCLUA_INSTRUCTIONS says.
@function instructions
@tparam[opt] string name "plain", "avx2", "avx512", "avx512_bf16" and "amx" (products of bf16 and
matrix registers, too, for networks in bf16), or "best"
@treturn string */
static int l_instructions(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) {
        enum bc_cpu level = (enum bc_cpu)luaL_checkoption(L, 1, NULL, bc_cpu_names);
        if (!bc_cpu_has(level))
            return bc_arg_error(L, 1, "this processor has no %s", bc_cpu_names[level]);
        bc_cpu_set(level);
    }
    lua_pushstring(L, bc_cpu_names[bc_cpu_now()]);
    return 1;
}

/*** The processors that this process may use.
@function processors
@treturn integer */
static int l_processors(lua_State *L) {
    lua_pushinteger(L, bc_processors());
    return 1;
}

/*** Has the user asked to stop (Ctrl-C, SIGTERM, SIGHUP)?
@function interrupted
@treturn boolean
@treturn integer the number of the signal; 0: none */
static int l_interrupted(lua_State *L) {
    lua_pushboolean(L, bc_interrupted() != 0);
    lua_pushinteger(L, bc_interrupted());
    return 2;
}

/*** Hold Ctrl-C, SIGTERM and SIGHUP off: while held they stop kernels, which raise, but no
other Lua code, so that what belongs together is done together. Who holds asks
`interrupted` often, and lets go; then what came meanwhile raises.
@function hold_interrupts
@tparam boolean on */
static int l_hold_interrupts(lua_State *L) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    bool on = lua_toboolean(L, 1);
    bc_interrupt_hold(on);
    if (!on && bc_interrupted()) return luaL_error(L, "interrupted!");
    return 0;
}

/*** Call a function that Ctrl-C, SIGTERM and SIGHUP do not stop, nor do those that came before:
what is short, and keeps what was done. What comes meanwhile raises afterwards; a second signal,
a second later, still ends the program at once.
@function uninterrupted
@tparam function f
@param ... its arguments
@return what it returns
@raise what it raises */
static int l_uninterrupted(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    int before = bc_interrupt_raised();
    bool outer = bc_interrupt_put_off(true);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    bc_interrupt_put_off(outer);
    if (status != LUA_OK) return lua_error(L);
    if (!before && bc_interrupted()) return luaL_error(L, "interrupted!");
    return lua_gettop(L);
}

/*** The version of this build.
@function version */
static int l_version(lua_State *L) {
    lua_pushstring(L, bc_version());
    return 1;
}

/*** Write a file whole or not at all: under a temporary name in the same folder, fsync,
rename. This is how all functions that write files do it: a symbolic link stays one, and
the file that it leads to is written; permissions stay as they are; devices, pipes and
`/dev/stdout` are written straight; what a process that was killed left in the folder under
such a name (`NAME.tmpPID-N`) goes.
@function write_file
@tparam string path
@tparam string text
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_write_file(lua_State *L) {
    size_t n;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
    bc_error e = {""};
    int rc = bc_file_write(path, text, n, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Resident memory of this process in bytes: now, and at most so far.
@function memory
@treturn integer now
@treturn integer peak */
static int l_memory(lua_State *L) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
        fclose(f);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    lua_pushinteger(L, pages * sysconf(_SC_PAGESIZE));
    lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
    return 2;
}

/*** Bytes of memory that this process may still take: the least of what the machine has
available and what its limits leave: those of its control group and of all above it (set by
Slurm, systemd or a container), and `ulimit -v`; nil where that is unknown.
@function memory_free
@tparam[opt=""] string root the folder in which `/proc` and `/sys` are looked for
@treturn integer */
static int l_memory_free(lua_State *L) {
    size_t bytes = bc_memory_free(luaL_optstring(L, 1, ""));
    if (bytes == SIZE_MAX)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

/*** Is this file descriptor (0, 1, 2) a terminal?
@function is_terminal
@tparam integer fd
@treturn boolean */
static int l_is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/*** Columns of the terminal at a file descriptor, at this moment.
@function columns
@tparam integer fd 0, 1 or 2
@treturn ?integer nil where it is no terminal, 0 where the terminal does not say */
static int l_columns(lua_State *L) {
    struct winsize w;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &w) != 0) return 0;
    lua_pushinteger(L, w.ws_col);
    return 1;
}

/*** Make a folder and its parents; it may exist.
@function mkdir
@tparam string path
@treturn[1] boolean true
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_mkdir(lua_State *L) {
    size_t n;
    const char *path = luaL_checklstring(L, 1, &n);
    char *text = lua_newuserdatauv(L, n + 1, 0);
    memcpy(text, path, n + 1);
    for (char *p = text + 1; n > 0; p++) {
        if (*p != '/' && *p != '\0') continue;
        char c = *p;
        *p = '\0';
        struct stat st;
        int failed = mkdir(text, 0777) != 0 && !(errno == EEXIST && stat(text, &st) == 0 &&
                                                 (S_ISDIR(st.st_mode) || (errno = ENOTDIR, 0)));
        if (failed) {
            bc_error e;
            return bc_failure(L, bc_fail(&e, "%s: %s", path, strerror(errno)), &e);
        }
        *p = c;
        if (c == '\0') break;
    }
    lua_pushboolean(L, 1);
    return 1;
}

#define FOLDER "bclua.folder"

static int l_close_folder(lua_State *L) {
    DIR **d = luaL_checkudata(L, 1, FOLDER);
    if (*d != NULL) closedir(*d);
    *d = NULL;
    return 0;
}

/*** The names in a folder, but for `.` and `..`, in no order. Unlike that of lfs it tells an error
from the end.
@function list
@tparam string path
@treturn[1] {string,...}
@treturn[1] ?string message, beginning with the path: there may be more, but reading failed there
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_list(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    bc_error e;
    DIR **d = lua_newuserdatauv(L, sizeof *d, 0);
    *d = NULL; /* born closed */
    luaL_setmetatable(L, FOLDER);
    *d = opendir(path);
    if (*d == NULL) return bc_failure(L, bc_fail(&e, "%s: %s", path, strerror(errno)), &e);
    lua_newtable(L);
    lua_Integer n = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(*d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++n);
    }
    int code = errno;
    closedir(*d);
    *d = NULL;
    if (code == 0) return 1;
    lua_pushfstring(L, "%s: %s", path, strerror(code));
    return 2;
}

/*** Bytes that a user may still write to the file system of a folder.
@function disk_free
@tparam string path
@treturn[1] integer
@treturn[2] nil
@treturn[2] string message, beginning with the path */
static int l_disk_free(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct statvfs s;
    if (statvfs(path, &s) != 0) {
        bc_error e;
        return bc_failure(L, bc_fail(&e, "%s: %s", path, strerror(errno)), &e);
    }
    lua_pushinteger(L, (lua_Integer)s.f_bavail * (lua_Integer)s.f_frsize);
    return 1;
}

/*** Of a table's keys the one that was probably meant by a misspelt word: at most one
letter in three is inserted, removed, replaced or swapped with its neighbour.
@function nearest
@tparam string word
@tparam table names its keys that are text, but for the word itself
@treturn ?string */
static int l_nearest(lua_State *L) {
    bc_nearest near = bc_nearest_to(luaL_checkstring(L, 1));
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) bc_nearest_try(&near, lua_tostring(L, -2));
    lua_pushstring(L, near.best); /* nil for NULL */
    return 1;
}

/*** Wait; a signal ends it early, and one that is not yet obeyed at once.
@function sleep
@tparam number seconds 0 to 1e9 */
static int l_sleep(lua_State *L) {
    double s = luaL_checknumber(L, 1);
    luaL_argcheck(L, s >= 0 && s <= 1e9, 1, "outside 0..1e9 s");
    struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
    if (!bc_interrupted()) nanosleep(&t, NULL); /* a signal ends it early, as the user wants */
    return 0;
}

BC_EXPORT int luaopen_bclua_system(lua_State *L);
BC_EXPORT int luaopen_bclua_system(lua_State *L) {
    static const luaL_Reg functions[] = {{"clock", l_clock},
                                         {"cpu_clock", l_cpu_clock},
                                         {"threads", l_threads},
                                         {"instructions", l_instructions},
                                         {"processors", l_processors},
                                         {"interrupted", l_interrupted},
                                         {"hold_interrupts", l_hold_interrupts},
                                         {"uninterrupted", l_uninterrupted},
                                         {"version", l_version},
                                         {"write_file", l_write_file},
                                         {"memory", l_memory},
                                         {"memory_free", l_memory_free},
                                         {"is_terminal", l_is_terminal},
                                         {"columns", l_columns},
                                         {"mkdir", l_mkdir},
                                         {"list", l_list},
                                         {"disk_free", l_disk_free},
                                         {"nearest", l_nearest},
                                         {"sleep", l_sleep},
                                         {NULL, NULL}};
    static const luaL_Reg folder[] = {{"__gc", l_close_folder}, {NULL, NULL}};
    if (luaL_newmetatable(L, FOLDER)) luaL_setfuncs(L, folder, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
