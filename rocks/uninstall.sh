#!/bin/sh
# uninstall.sh PREFIX: remove what install.sh put there, as PREFIX/lib/bclua/installed lists it, and nothing else.
# A folder goes if it was made by install.sh and nothing else is in it.

set -eu
[ $# = 1 ] && [ -n "$1" ] || { echo 'usage: uninstall.sh PREFIX' >&2; exit 1; }
list=$1/lib/bclua/installed
[ -f "$list" ] || {
	echo "uninstall: $list: no such file: nothing is installed there, or by a version that kept no list (make install)" >&2
	exit 1
}
prefix=$(cd "$1" && pwd)
paths=$(cat "$list")

echo "$paths" | grep -v '/$' | while read -r path; do rm -f "$prefix/$path"; done
rm -f "$prefix/lib/bclua/installed"
# The deepest first, PREFIX and those above it last: not if all of it was moved elsewhere.
echo "$paths" | grep '/$' | LC_ALL=C sort -r | while read -r path; do
	case $path in
	/*) case $prefix/ in "$path"*) at=$path ;; *) continue ;; esac ;;
	*) at=$prefix/$path ;;
	esac
	[ ! -d "$at" ] || rmdir "$at" 2>/dev/null || echo "kept, there is something else in it: $at"
done
echo "removed: $prefix/bin/bclua"
