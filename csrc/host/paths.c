/* paths.c: where the Lua modules and bclua.so are. */
#include <lauxlib.h>
#include <limits.h>
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

void host_set_paths(lua_State *L) {
    /* beside the program: a checkout (build/, build/asan/) or an installation */
    static const char *const lua[] = {"../share/bclua/lua", "../lua", "../../lua"};
    static const char *const so[] = {"../lib/bclua", "."};
    char folder[PATH_MAX];
    if (!program_folder(folder, sizeof folder)) return;
    for (size_t i = 0; i < sizeof lua / sizeof *lua; i++) {
        const char *file = lua_pushfstring(L, "%s/%s/bclua/repl.lua", folder, lua[i]);
        int found = access(file, R_OK) == 0;
        lua_pop(L, 1);
        if (!found) continue;
        const char *path = lua_pushfstring(L, "%s/%s/?.lua", folder, lua[i]);
        prepend(L, "path", path);
        lua_pop(L, 1);
        break;
    }
    for (size_t i = 0; i < sizeof so / sizeof *so; i++) {
        const char *file = lua_pushfstring(L, "%s/%s/bclua.so", folder, so[i]);
        int found = access(file, R_OK) == 0;
        lua_pop(L, 1);
        if (!found) continue;
        const char *path = lua_pushfstring(L, "%s/%s/?.so", folder, so[i]);
        prepend(L, "cpath", path);
        lua_pop(L, 1);
        break;
    }
}
