#!/bin/sh
# onnxruntime.sh BUILDDIR: put onnxruntime's library, which computes other people's networks
# (bclua.encoder), into BUILDDIR/libonnxruntime.so.1. Status 1, with the reason, if it cannot be had.
# It comes out of onnxruntime's own package in the npm registry; the checksums are of the library in it.

set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
name=libonnxruntime.so.1
cache=$root/build/$name # every build folder shares this one
release=1.23.2

say() { echo "onnxruntime: $*" >&2; }

case $(uname -m) in
x86_64 | amd64) arch=x64 sum=733854c3d7ce45256cc1c22cd4a30373247e1f7b7de8f40beab24211ef8e2a76 ;;
aarch64 | arm64) arch=arm64 sum=648ffa64fbe027ae27139109410900cf776a030dec2dbbac51053318cc44c286 ;;
*) say "no library is known for $(uname -m): set ORT_LIB=/path/libonnxruntime.so"; exit 1 ;;
esac

if [ ! -s "$cache" ]; then
	mkdir -p "$root/build" && work=$(mktemp -d "$root/build/onnxruntime.XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	say "fetching onnxruntime-node $release (97 MB)"
	inside=bin/napi-v6/linux/$arch/$name
	sh "$root/rocks/npm.sh" onnxruntime-node "$release" "$work" "$inside" || {
		say "that failed: mend what is said above, or set ORT_LIB=/path/libonnxruntime.so"
		exit 1
	}
	found=$(sha256sum "$work/package/$inside" | cut -d' ' -f1)
	[ "$found" = "$sum" ] || { say "checksum $found is not the pinned $sum"; exit 1; }
	mv -f "$work/package/$inside" "$cache" || exit 1
fi
target=${1:-build}
mkdir -p "$target" || exit 1
[ "$(cd "$target" && pwd -P)" = "$(cd "$root/build" && pwd -P)" ] || ln -sfn "$cache" "$target/$name"
