#!/bin/sh
# deb.sh BUILDDIR [FLAGS of dpkg-deb]: BUILDDIR/bclua_VERSION_ARCH.deb out of what is built.
#
# It depends on the packages that the libraries belong to which are linked here, on those that are opened when they are
# needed, and on the Lua modules and gnuplot: it is for the Debian that it was built on.
set -eu
umask 022
build=$1
shift
command -v dpkg-deb >/dev/null || { echo 'deb: dpkg-deb is missing (Debian package dpkg)' >&2; exit 1; }
command -v readelf >/dev/null || { echo 'deb: readelf is missing (Debian package binutils)' >&2; exit 1; }
root=$(cd "$(dirname "$0")/.." && pwd)
version=$(cat "$root/VERSION") arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

sh "$root/rocks/install.sh" "$build" "$work/usr" >/dev/null
rm "$work/usr/lib/bclua/installed" # dpkg keeps a list of its own
documents=$work/usr/share/doc/bclua
mkdir -p "$documents"
cp "$root/README.md" "$root/CHANGELOG.md" "$documents"
cp "$root/LICENSE" "$documents/copyright"
cp -R "$root/doc" "$documents/doc"
gzip -9n "$work/usr/share/man/man1/bclua.1"
chmod 755 "$work"
chmod -R u+w,go+rX "$work/usr"

# The package of a library, by the name that the loader looks for.
package_of() { # SONAME
	path=$(/sbin/ldconfig -p | awk -v name="$1" '$1 == name { print $NF; exit }')
	[ -n "$path" ] || { echo "deb: $1: not found" >&2; exit 1; }
	case $1 in libopenblas.so.*) echo libopenblas0; return ;; esac # any of its builds
	found=$(dpkg -S "$path" "/usr$path" "$(readlink -f "$path")" 2>/dev/null | head -n 1)
	[ -n "$found" ] || { echo "deb: $path: of no package" >&2; exit 1; }
	echo "${found%%:*}"
}
opened=$(/sbin/ldconfig -p | awk '$1 ~ /^libmicrohttpd\.so\.[0-9]+$/ { print $1; exit }')
names=$(readelf -d "$work/usr/bin/bclua" "$work"/usr/lib/bclua/*.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort -u)
packages=$(for name in $names $opened; do package_of "$name" || exit 1; done)
depends=$(echo "$packages" | sort -u | tr '\n' ',' | sed 's/,$//; s/,/, /g')

mkdir "$work/DEBIAN"
cat >"$work/DEBIAN/control" <<END
Package: bclua
Version: $version
Architecture: $arch
Section: science
Priority: optional
Maintainer: bclua
Installed-Size: $(du -sk "$work/usr" | cut -f1)
Depends: $depends, lua-cjson, lua-argparse, lua-filesystem, gnuplot-nox | gnuplot
Recommends: libsoundtouch1
Suggests: ffmpeg, openmpi-bin
Description: find repeated calls in recordings and learn an embedding of them
 A Lua 5.4 host for bioacoustics: CENS features, matrix profiles, training of a
 small network, a pipeline over folders of recordings, and a REPL.
END
file=$build/bclua_${version}_$arch.deb
dpkg-deb --root-owner-group "$@" --build "$work" "$file.new" >/dev/null
mv -f "$file.new" "$file"
echo "$file"
