#!/bin/sh
# install.sh BUILDDIR PREFIX: copy a built bclua to where it is used from.
#
#   PREFIX/bin/bclua          the host; it finds the rest beside itself
#   PREFIX/lib/bclua/         bclua.so, libduckdb.so, libonnxruntime.so.1 if it was fetched, help.lua (what
#                             :help shows)
#   PREFIX/share/bclua/       lua/, scripts/
#   PREFIX/share/             the man page, completion for bash and zsh
#
# Everything is copied, so that the checkout may go. PREFIX/lib/bclua/installed lists what was put there, a path a
# line below PREFIX; folders that were made end in /, PREFIX itself and those above it are whole paths.
# uninstall.sh reads it.

set -eu
umask 022 # what root installs is for everyone
[ $# = 2 ] && [ -n "$2" ] || { echo 'usage: install.sh BUILDDIR PREFIX' >&2; exit 1; }
build=$1 prefix=$2
root=$(cd "$(dirname "$0")/.." && pwd)

list=$prefix/lib/bclua/installed
new=$(mktemp)
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM

# Make a folder, with those above it, and list what was not there.
folder() { # PATH below the prefix
	[ ! -d "$prefix/$1" ] || return 0
	case $1 in */*) folder "${1%/*}" ;; esac
	mkdir "$prefix/$1"
	echo "$1/" >>"$new"
}

# A running program's file is replaced, never written into.
put() { # MODE FILE TARGET
	folder "${3%/*}"
	cp -L "$2" "$prefix/$3.new.$$"
	chmod "$1" "$prefix/$3.new.$$"
	mv -f "$prefix/$3.new.$$" "$prefix/$3"
	echo "$3" >>"$new"
}

for file in bclua bclua.so libduckdb.so help.lua bclua.bash _bclua; do
	[ -s "$build/$file" ] || { echo "install: $build/$file is not built: run make" >&2; exit 1; }
done
# What an earlier one made is ours, too.
[ ! -f "$list" ] || grep '/$' "$list" >>"$new" || :
levels=0 at=$prefix
while [ ! -d "$at" ]; do
	levels=$((levels + 1)) at=$(dirname "$at")
done
mkdir -p "$prefix"
at=$(cd "$prefix" && pwd)
while [ $levels -gt 0 ]; do
	echo "$at/" >>"$new"
	levels=$((levels - 1)) at=$(dirname "$at")
done
put 644 "$root/doc/bclua.1" share/man/man1/bclua.1
put 644 "$build/bclua.bash" share/bash-completion/completions/bclua
put 644 "$build/_bclua" share/zsh/site-functions/_bclua
put 755 "$build/bclua" bin/bclua
put 755 "$build/bclua.so" lib/bclua/bclua.so
put 755 "$build/libduckdb.so" lib/bclua/libduckdb.so
[ ! -e "$build/libonnxruntime.so.1" ] || put 755 "$build/libonnxruntime.so.1" lib/bclua/libonnxruntime.so.1
put 644 "$build/help.lua" lib/bclua/help.lua
folder share/bclua
for part in lua scripts; do
	[ -d "$root/$part" ] || continue
	rm -rf "$prefix/share/bclua/$part" # an older version's modules must not linger
	cp -R "$root/$part" "$prefix/share/bclua/$part"
	chmod -R u+w,go+rX "$prefix/share/bclua/$part"
	(cd "$prefix" && find "share/bclua/$part" -type d -exec printf '%s/\n' {} + -o -exec printf '%s\n' {} +) >>"$new"
done
sort -u -o "$new" "$new"
put 644 "$new" lib/bclua/installed
echo "installed: $prefix/bin/bclua"
