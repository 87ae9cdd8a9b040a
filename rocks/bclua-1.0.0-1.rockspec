-- luarocks --lua-version 5.4 make --deps-mode none rocks/bclua-1.0.0-1.rockspec
-- builds the modules of bclua for a stock lua5.4. The libraries come from the
-- system: `sh rocks/deps.sh check` names what is missing.
rockspec_format = "3.0"
package = "bclua"
version = "1.0.0-1" -- VERSION has the number, too
source = {url = "."}
description = {
   summary = "Find repeated calls in recordings and learn an embedding of them",
   detailed = [[
      Arrays, audio, spectra, CENS, matrix profiles, triplet sampling, a small neural
      network and SQL, as C modules for Lua 5.4, with the Lua modules over them.]],
   license = "MIT",
}
supported_platforms = {"linux"}
dependencies = {"lua ~> 5.4", "luafilesystem", "lua-cjson", "argparse"}
build = {
   type = "make",
   makefile = "rocks/rock.mk",
   build_target = "rock",
   install_target = "install-rock",
   -- -O3 comes last: luarocks' own default is -O2
   build_variables = {CC = "$(CC)", CFLAGS = "$(CFLAGS) -O3 -g", LIBFLAG = "$(LIBFLAG)",
      LUA_INCDIR = "$(LUA_INCDIR)"},
   install_variables = {LIBDIR = "$(LIBDIR)", LUADIR = "$(LUADIR)"},
}
