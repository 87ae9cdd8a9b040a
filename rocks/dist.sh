#!/bin/sh
# dist.sh BUILDDIR: BUILDDIR/bclua-VERSION.tar.gz, the files of the last commit, and its checksum beside it.
# Needs git; what is unpacked builds without it. DuckDB's checksum is in rocks/deps.sh.
set -eu
build=$1
cd "$(dirname "$0")/.."
name=bclua-$(cat VERSION)
[ -e .git ] || { echo 'dist: not a checkout: the archive is made of a commit' >&2; exit 1; }
ask() { git -c safe.directory='*' "$@"; }
[ -z "$(ask status --porcelain --untracked-files=no)" ] || echo 'dist: what is not committed is left out' >&2
mkdir -p "$build"
ask archive --prefix="$name/" -o "$build/$name.tar.gz" HEAD
(cd "$build" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$build/$name.tar.gz"
