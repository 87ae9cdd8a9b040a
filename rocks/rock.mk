# rock.mk: what luarocks builds and installs (see bclua-1.0.0-1.rockspec): the C
# modules in one bclua.so, DuckDB's library beside it, the Lua modules.
#
# Variables: B=build folder (what is built there already is used); of luarocks CC, CFLAGS, LUA_INCDIR and
# LIBFLAG to build, LIBDIR and LUADIR to install.

B ?= build

.PHONY: rock install-rock

rock:
	@$(MAKE) --no-print-directory -f Makefile B=$B $B/bclua.so $B/libduckdb.so

install-rock:
	@mkdir -p '$(LIBDIR)' '$(LUADIR)'
	@cp -L $B/bclua.so $B/libduckdb.so '$(LIBDIR)'
	@cp -R lua/bclua '$(LUADIR)'
