#!/bin/sh
# deps.sh MODE BUILDDIR: what bclua needs from the system.
#
#   check    name what is missing and the command that installs it; status 1
#            if bclua cannot be built or run without it. Changes nothing.
#   install  install what is missing (as root only if something is), then the
#            DuckDB library; ffmpeg (some 200 packages) is optional, and only named
#   run      the same without what only tests and checks need
#   cluster  the same as install, and Slurm, for `make cluster-test`
#   duckdb   only the DuckDB library: BUILDDIR/libduckdb.so
#
# DUCKDB_LIB=/path/libduckdb.so: use that library instead of the pinned one.

set -u
mode=${1:-check} build=${2:-build}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1

say() { echo "deps: $*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# ---- The pinned DuckDB library ------------------------------------------
# It comes out of DuckDB's own package in the npm registry. The checksums are
# of the file package/libduckdb.so in it, computed from the package itself. For
# arm64 the registry that we could reach had nothing newer than 1.5.5; the C
# functions that we use are the same.
case $(uname -m) in
x86_64 | amd64)
	arch=x64 release=1.5.6-r.1 megabytes=24
	sum=3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633
	;;
aarch64 | arm64)
	arch=arm64 release=1.5.5-r.5 megabytes=22
	sum=d00d007f3f7ca1f2896a5e4b89c2ce141bf0508506a9d6d56f9598b8e59d074e
	;;
*) arch='' release='' megabytes='' sum='' ;;
esac
package=@duckdb/node-bindings-linux-$arch
cache=$root/build/libduckdb.so # every build folder shares this one
stamp=$cache.pin               # the pin that it was checked against

sha256() {
	if has sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# Is the shared library there, and the pinned one? A link is the user's choice.
have_cache() {
	[ -s "$cache" ] || return 1
	[ -L "$cache" ] && return 0
	[ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && return 0
	[ "$(sha256 "$cache")" = "$sum" ] || return 1
	echo "$sum" >"$stamp"
}

have_library() {
	if [ -n "${DUCKDB_LIB:-}" ]; then [ -r "$DUCKDB_LIB" ]; else have_cache; fi
}

fill_cache() {
	have_cache && return 0
	[ -n "$arch" ] || die "no DuckDB library is known for $(uname -m): give DUCKDB_LIB=/path/libduckdb.so"
	mkdir -p "$root/build" || exit 1
	work=$(mktemp -d "$root/build/duckdb.XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	say "fetching $package $release ($megabytes MB)"
	sh "$root/rocks/npm.sh" "$package" "$release" "$work" || {
		say 'DuckDB could not be had. Mend what is said above, or fetch libduckdb.so out of that package'
		die '  by hand, and give make DUCKDB_LIB=/path/libduckdb.so'
	}
	library=$work/package/libduckdb.so
	found=$(sha256 "$library")
	[ "$found" = "$sum" ] || die "$package $release: the checksum $found is not the pinned $sum"
	chmod 755 "$library" && touch "$library"
	mv -f "$library" "$cache" || die "$cache: could not be written"
	echo "$sum" >"$stamp"
}

put_library() {
	mkdir -p "$build" || exit 1
	target=$build/libduckdb.so
	if [ -n "${DUCKDB_LIB:-}" ]; then
		[ -r "$DUCKDB_LIB" ] || die "DUCKDB_LIB=$DUCKDB_LIB: no such file"
		own=$(cd "$(dirname "$DUCKDB_LIB")" && pwd)/$(basename "$DUCKDB_LIB")
		[ "$own" = "$(cd "$build" && pwd)/libduckdb.so" ] || ln -sfn "$own" "$target"
		return 0
	fi
	fill_cache
	[ "$(cd "$build" && pwd -P)" = "$(cd "$root/build" && pwd -P)" ] && return 0
	if [ -L "$cache" ]; then
		ln -sfn "$cache" "$target"
	else
		ln -f "$cache" "$target" 2>/dev/null || ln -sfn "$cache" "$target"
	fi || die "$target: could not be written"
}

# ---- What comes from the system -----------------------------------------
# Looked for by what is used (a command, a header, a Lua module), not by
# package: it may have come another way.
needed='' wanted='' # without `needed` bclua does not run; `wanted` is for tests and checks
wished=''           # without it something small is left out
hinted=''           # large, and not for everybody: only named
wish() { wished="$wished $*"; }
hint() { hinted="$hinted $*"; }
need() { needed="$needed $*"; }
want() { wanted="$wanted $*"; }

look() {
	compiler=${CC:-cc} # may be two words, as in "ccache cc"
	if has "${compiler%% *}"; then
		echo '#include <stdio.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1 || need libc6-dev
	else
		need gcc libc6-dev
	fi
	has make || need make
	if ! has pkg-config; then
		need pkg-config
		need liblua5.4-dev libsndfile1-dev libvorbis-dev libmpg123-dev libsoxr-dev libfftw3-dev libopenblas-dev libmicrohttpd-dev
	elif ! pkg-config --exists lua5.4 sndfile vorbisfile libmpg123 soxr fftw3 fftw3f openblas libmicrohttpd; then
		pkg-config --exists lua5.4 || need liblua5.4-dev
		pkg-config --exists sndfile || need libsndfile1-dev
		pkg-config --exists vorbisfile || need libvorbis-dev
		pkg-config --exists libmpg123 || need libmpg123-dev
		pkg-config --exists soxr || need libsoxr-dev
		pkg-config --exists fftw3 fftw3f || need libfftw3-dev
		pkg-config --exists openblas || need libopenblas-dev
		pkg-config --exists libmicrohttpd || need libmicrohttpd-dev # opened when it is needed
	fi
	# The loader's pitch shift opens it when it is needed.
	ls /lib/libSoundTouchDll.so* /lib/*/libSoundTouchDll.so* /usr/lib/libSoundTouchDll.so* \
		/usr/lib/*/libSoundTouchDll.so* /usr/local/lib/libSoundTouchDll.so* 2>/dev/null | grep -q . || wish libsoundtouch1
	if ! { has pkg-config && pkg-config --exists readline; }; then
		printf '#include <stdio.h>\n#include <readline/readline.h>\n' |
			${CC:-cc} -E -x c - >/dev/null 2>&1 || need libreadline-dev
	fi
	if has lua5.4; then
		modules=$(lua5.4 -e '
			for name in ("cjson argparse lfs busted.runner"):gmatch "%S+" do
			   if not package.searchpath(name, package.path)
			      and not package.searchpath(name, package.cpath) then print(name) end
			end')
	else
		need lua5.4
		modules='cjson argparse lfs busted.runner'
	fi
	for name in $modules; do
		case $name in
		cjson) need lua-cjson ;;
		argparse) need lua-argparse ;;
		lfs) need lua-filesystem ;;
		busted.runner) want lua-busted ;;
		esac
	done
	has gnuplot || need gnuplot-nox
	has ffmpeg || hint ffmpeg
	has luacheck || want lua-check
	has luarocks || want luarocks
	has mpirun || want openmpi-bin # ranks in specs; it is opened where a launcher starts bclua
	if [ "$mode" = cluster ]; then
		path=$PATH:/usr/sbin:/sbin
		for pair in munged:munge slurmctld:slurmctld slurmd:slurmd srun:slurm-client unshare:util-linux ip:iproute2; do
			PATH=$path has "${pair%%:*}" || want "${pair#*:}"
		done
		# Slurm opens it by the name without a number.
		ls /usr/lib/*/libpmix.so /usr/lib/*/pmix2/lib/libpmix.so 2>/dev/null | grep -q . || want libpmix-dev
	fi
	# DuckDB needs a way to come, as long as it is not there.
	if ! have_library && ! has npm; then
		has curl || has wget || need curl ca-certificates
	fi
}

check() {
	look
	[ -z "${DUCKDB_LIB:-}" ] || [ -r "$DUCKDB_LIB" ] || die "DUCKDB_LIB=$DUCKDB_LIB: no such file"
	[ -z "$wanted" ] || say "for 'make test' and 'make check' these Debian packages are missing:$wanted"
	[ -z "$needed" ] || say "these Debian packages are missing:$needed"
	[ -z "$wished" ] || say "without these Debian packages there is no pitch shift:$wished"
	have_library || say "the DuckDB library is missing: build/libduckdb.so (${megabytes:-?} MB from the npm registry)"
	[ -z "$needed" ] && have_library && return 0
	say "install with:  make deps"
	[ -z "$needed" ] ||
		say "or by hand:    apt-get install --no-install-recommends$needed$wanted"
	return 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif has sudo; then
		sudo "$@"
	elif has su; then
		su root -c "$*" # the words are package names and options: no blanks in them
	else
		die "root is needed for: $*"
	fi
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

# What will be fetched, before it is: a line of apt-get for each archive, the third word its size.
apt_install_now() {
	uris=$(apt --print-uris -q install --no-install-recommends "$@" | grep "^'") &&
		say "$(echo "$uris" | awk '{ b += $3 } END { printf "to be fetched: %d packages, %.1f MB", NR, b / 1e6 }')"
	apt install --no-install-recommends "$@"
}

# As root. The package lists are fetched only if they do not do.
apt_install() {
	if apt-cache show "$@" >/dev/null 2>&1 && apt_install_now "$@"; then return 0; fi
	apt update && apt_install_now "$@"
}

# The packages that are missing; with `run`, without those that only tests need.
missing() {
	needed='' wanted='' wished='' hinted=''
	look
	[ "$mode" = run ] && wanted=''
	packages=$needed$wanted
}

# Before anything is installed: all that will be.
announce() {
	[ -z "$packages$also" ] || say "going to install, with what they need:$packages$also"
	have_library || [ -z "$arch" ] || say "going to fetch: DuckDB's library, $megabytes MB from the npm registry"
	[ -z "$packages" ] || has apt-get || die "no apt-get here: install them by hand"
}

install() {
	missing
	also='' # nobody is asked for root's password because of what is only wished for
	[ "$(id -u)" = 0 ] && has apt-get && also=$wished
	announce
	if [ -n "$packages" ]; then
		# shellcheck disable=SC2086 # a list of words
		(cd "$root" && as_root sh rocks/deps.sh apt $packages >&2) || {
			say 'that failed. As root, run:'
			die "  apt-get update && apt-get install --no-install-recommends$packages"
		}
		missing
		[ -z "$packages" ] || die "still missing after apt-get:$packages"
	fi
	if [ -n "$also" ]; then
		# shellcheck disable=SC2086 # a list of words
		(cd "$root" && sh rocks/deps.sh apt $also >&2) || say "no pitch shift:$also could not be had"
	fi
	put_library
	[ "$mode" = run ] || [ -z "$hinted" ] ||
		say "optional, for m4a, wma, 3gp and others: apt-get install --no-install-recommends$hinted"
}

case $mode in
check) check ;;
install | run | cluster) install ;;
duckdb) put_library ;;
apt) shift; apt_install "$@" ;;
*) die "unknown mode '$mode' (check, install, run, cluster, duckdb)" ;;
esac
