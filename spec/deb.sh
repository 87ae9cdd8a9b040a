#!/bin/sh
# deb.sh BUILDDIR: the package of `make deb` on a Debian of essentials only, made in a folder: it is installed with
# what it depends on, runs, and is removed. Status 77: skipped, nothing was tested.
set -eu

skip() {
	echo "deb-test: skipped, nothing was tested: $*" >&2
	exit 77
}
fail() {
	echo "deb-test: $*" >&2
	exit 1
}

own='unshare --pid --fork --kill-child' # what still runs at the end, or is mounted, ends with it
command -v debootstrap >/dev/null || skip 'debootstrap is missing (Debian package debootstrap)'
[ "$(id -u)" = 0 ] || skip 'debootstrap needs root'
why=$($own --mount-proc true 2>&1) || skip "no processes of our own here: $why"

deb=$(sh rocks/deb.sh "$1" -Znone)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
root=$work/root log=$work/log
mkdir "$root"
chmod 755 "$work"
. /etc/os-release
mirror=$(apt-get indextargets --format "\$(CODENAME) \$(REPO_URI)" 'Identifier: Packages' |
	awk -v suite="$VERSION_CODENAME" '$1 == suite { print $2; exit }')
echo "deb-test: debootstrap of $VERSION_CODENAME"
$own --mount debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >"$log" 2>&1 ||
	skip "debootstrap: $(tail -n 1 "$log")"

within() {
	$own --mount-proc="$root/proc" chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		DEBIAN_FRONTEND=noninteractive "$@"
}
cp "$deb" "$root/it.deb"
echo "deb-test: apt-get install ./$(basename "$deb")"
within apt-get -q -y --no-install-recommends install /it.deb >"$log" 2>&1 || fail "$(cat "$log")"
[ "$(within bclua -v)" = "$("$1/bclua" -v)" ] || fail "bclua -v says $(within bclua -v)"
within bclua --help | grep -q '^  pipeline ' || fail 'bclua --help has no pipeline'
# A module for each library: those linked, and those opened when they are needed.
for module in array audio cens cli data.dataset http json learn loading nn plot sampling spectral sql stomp; do
	within bclua -e "require 'bclua.$module'" || fail "require 'bclua.$module'"
done
within bclua -e '
	assert(require("bclua.sql").query("select 42 n")[1].n == 42)
	require("bclua.http").open(print):close()
	require("bclua.plot").line({{x = {1, 2}, y = {1, 2}}}, "/line.png")' || fail 'no SQL, no server, or no picture'
[ -s "$root/line.png" ] || fail 'gnuplot drew nothing'
within sh -euc 'cd /tmp && bclua make_dataset --output d --families 1 --species 1 --recordings 1 --short 0 --most 14 &&
	bclua motif extract --input d --output m && bclua motif consolidate --input m --output m.parquet' >"$log" 2>&1 ||
	fail "$(cat "$log")"

echo 'deb-test: apt-get purge bclua'
within apt-get -q -y purge bclua >"$log" 2>&1 || fail "$(cat "$log")"
left=$(find "$root" -name '*bclua*')
[ -z "$left" ] || fail "removal leaves $left"
echo 'deb-test: ok'
