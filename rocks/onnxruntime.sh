#!/bin/sh
# onnxruntime.sh BUILDDIR: put onnxruntime, which the specs hold exported models
# against, into BUILDDIR/onnxruntime. Not needed by bclua itself. Status 1, with
# the reason, if it cannot be had. It is WebAssembly for node: one for every machine.

set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cache=$root/build/onnxruntime
release=1.23.2
sum=45eaee27761ad883742a8d4b8fce1538d60ce43b51adf1726fafccc59b8c1a15 # of the .wasm

say() { echo "onnxruntime: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

has node || { say 'node is missing (apt-get install nodejs)'; exit 1; }
if [ ! -s "$cache/$release" ]; then
	mkdir -p "$root/build" && work=$(mktemp -d "$root/build/onnxruntime.XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	say "fetching $release"
	for package in web common; do
		mkdir "$work/$package" && sh "$root/rocks/npm.sh" "onnxruntime-$package" "$release" "$work/$package" || exit 1
	done
	found=$(sha256sum "$work/web/package/dist/ort-wasm-simd-threaded.wasm" | cut -d' ' -f1)
	[ "$found" = "$sum" ] || { say "checksum $found is not the pinned $sum"; exit 1; }
	new=$work/new
	mkdir -p "$new/node_modules/onnxruntime-common/dist" &&
		mv "$work/web/package/dist/ort.node.min.js" "$work/web/package/dist"/ort-wasm-simd-threaded.mjs \
			"$work/web/package/dist"/ort-wasm-simd-threaded.wasm "$new" &&
		mv "$work/common/package/package.json" "$new/node_modules/onnxruntime-common" &&
		mv "$work/common/package/dist/cjs" "$new/node_modules/onnxruntime-common/dist" &&
		echo "$sum" >"$new/$release" && rm -rf "$cache" && mv "$new" "$cache" || exit 1
fi
target=${1:-build}
mkdir -p "$target" || exit 1
[ "$(cd "$target" && pwd -P)" = "$(cd "$root/build" && pwd -P)" ] || ln -sfn "$cache" "$target/onnxruntime"
