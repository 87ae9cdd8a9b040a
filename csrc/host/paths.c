/* paths.c: where the Lua modules and bclua.so are, and the names that modules had. */
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

/* The folder of the running program, without the last slash. */
static int program_folder(char *out, size_t size) {
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) return 0;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL) return 0;
    *slash = '\0';
    return 1;
}

static void prepend(lua_State *L, const char *field, const char *path) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, field);
    lua_pushfstring(L, "%s;%s", path, lua_tostring(L, -1));
    lua_setfield(L, -3, field);
    lua_pop(L, 2);
}

/* Prepend to package.<field> the first of the places that holds the file; is there one? */
static int add_first(lua_State *L, const char *field, const char *folder,
                     const char *const *places, size_t n, const char *file, const char *pattern) {
    char real[PATH_MAX];
    for (size_t i = 0; i < n; i++) {
        int top = lua_gettop(L);
        const char *place = lua_pushfstring(L, "%s/%s", folder, places[i]);
        int found = realpath(place, real) != NULL &&
                    access(lua_pushfstring(L, "%s/%s", real, file), R_OK) == 0;
        if (found) prepend(L, field, lua_pushfstring(L, "%s/%s", real, pattern));
        lua_settop(L, top);
        if (found) return 1;
    }
    return 0;
}

/* Beside the program: an installation, or a checkout (build/, build/asan/). */
static const char *const lua[] = {"../share/bclua/lua", "../lua", "../../lua"};

void host_set_paths(lua_State *L) {
    static const char *const so[] = {"../lib/bclua", "."};
    char folder[PATH_MAX];
    if (!program_folder(folder, sizeof folder)) return;
    int has_modules =
        add_first(L, "path", folder, lua, sizeof lua / sizeof *lua, "bclua/moved.lua", "?.lua");
    add_first(L, "cpath", folder, so, sizeof so / sizeof *so, "bclua.so", "?.so");
    if (!has_modules) return;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bclua.moved");
    lua_call(L, 1, 0);
}
