/* safetensors.c: libFuzzer target for the safetensors reader. Its frame is read in
 * C and its header in Lua, so the target is Lua: any bytes must end in nil and a
 * message that begins with the path, or in arrays that fill the file. */
#include <lauxlib.h>
#include <lualib.h>

#include "fuzz.h"

int luaopen_bclua_array(lua_State *L);
int luaopen_bclua_format_safetensors_core(lua_State *L);

static const char check[] =
    "local safetensors, path, size = require 'bclua.format.safetensors', ...\n"
    "local tensors, found = safetensors.load(path)\n"
    "if not tensors then return found:sub(1, #path + 2) == path .. ': ' end\n"
    "local bytes = 0\n"
    "for name, a in pairs(tensors) do\n"
    "   bytes = bytes + a:bytes()\n"
    "   if type(name) ~= 'string' or a:size() > 0 and a:sum() == nil then return false end\n"
    "end\n"
    "for key, value in pairs(found) do\n"
    "   if type(key) ~= 'string' or type(value) ~= 'string' then return false end\n"
    "end\n"
    "return bytes <= size - 8\n";

static lua_State *start(void) {
    lua_State *L = luaL_newstate();
    PROMISE(L != NULL);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_bclua_array);
    lua_setfield(L, -2, "bclua.array");
    lua_pushcfunction(L, luaopen_bclua_format_safetensors_core);
    lua_setfield(L, -2, "bclua.format.safetensors.core");
    lua_pop(L, 1);
    PROMISE(luaL_loadstring(L, check) == LUA_OK);
    return L;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size) {
    static lua_State *L = NULL;
    if (L == NULL) L = start();
    lua_pushvalue(L, 1);
    lua_pushstring(L, fuzz_file(bytes, size));
    lua_pushinteger(L, (lua_Integer)size);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    PROMISE(lua_toboolean(L, -1));
    lua_settop(L, 1);
    return 0;
}
