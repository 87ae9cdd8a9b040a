#!/bin/sh
# install.sh BUILDDIR PREFIX: copy a built bclua to where it is used from.
#
#   PREFIX/bin/bclua          the host; it finds the rest beside itself
#   PREFIX/lib/bclua/         bclua.so, libduckdb.so, help.lua (what :help shows)
#   PREFIX/share/bclua/       lua/, scripts/
#   PREFIX/share/             the man page, completion for bash and zsh
#
# Everything is copied, so that the checkout may go.

set -eu
umask 022 # what root installs is for everyone
[ $# = 2 ] && [ -n "$2" ] || { echo 'usage: install.sh BUILDDIR PREFIX' >&2; exit 1; }
build=$1 prefix=$2
root=$(cd "$(dirname "$0")/.." && pwd)

# A running program's file is replaced, never written into.
put() { # MODE FILE TARGET
	cp -L "$2" "$3.new.$$"
	chmod "$1" "$3.new.$$"
	mv -f "$3.new.$$" "$3"
}

for file in bclua bclua.so libduckdb.so help.lua bclua.bash _bclua; do
	[ -s "$build/$file" ] || { echo "install: $build/$file is not built: run make" >&2; exit 1; }
done
mkdir -p "$prefix/bin" "$prefix/lib/bclua" "$prefix/share/bclua"
share=$prefix/share
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions"
put 644 "$root/doc/bclua.1" "$share/man/man1/bclua.1"
put 644 "$build/bclua.bash" "$share/bash-completion/completions/bclua"
put 644 "$build/_bclua" "$share/zsh/site-functions/_bclua"
put 755 "$build/bclua" "$prefix/bin/bclua"
put 755 "$build/bclua.so" "$prefix/lib/bclua/bclua.so"
put 755 "$build/libduckdb.so" "$prefix/lib/bclua/libduckdb.so"
put 644 "$build/help.lua" "$prefix/lib/bclua/help.lua"
for folder in lua scripts; do
	[ -d "$root/$folder" ] || continue
	rm -rf "$prefix/share/bclua/$folder" # an older version's modules must not linger
	cp -R "$root/$folder" "$prefix/share/bclua/$folder"
	chmod -R u+w,go+rX "$prefix/share/bclua/$folder"
done
echo "installed: $prefix/bin/bclua"
