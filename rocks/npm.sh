#!/bin/sh
# npm.sh PACKAGE VERSION FOLDER [FILE]: unpack a package of the npm registry, or one file of it, into
# FOLDER/package.
# npm fetches it where there is one, for it knows passwords and proxies; else curl or wget
# do: npm would bring 550 Debian packages along. Whether it is the right one, the caller
# checks. Without npm the registry is $npm_config_registry, which npm heeds too, or npm's own.

set -u
package=$1 version=$2 folder=$3 file=${4:+package/$4}
has() { command -v "$1" >/dev/null 2>&1; }

fetch() { # URL FILE
	if has curl; then
		curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 -o "$2" "$1"
	elif has wget; then
		wget --quiet --tries=2 --timeout=20 -O "$2" "$1"
	else
		echo 'neither npm nor curl nor wget is here' >&2
		return 1
	fi
}

cd "$folder" || exit 1
if has npm; then
	npm pack --silent "$package@$version" >npm.log 2>&1 && mv ./*.tgz package.tgz || { tail -n 3 npm.log >&2; exit 1; }
else
	registry=${npm_config_registry:-${NPM_CONFIG_REGISTRY:-https://registry.npmjs.org}}
	fetch "${registry%/}/$package/-/${package##*/}-$version.tgz" package.tgz ||
		{ echo "$registry: $package $version could not be had" >&2; exit 1; }
fi
# shellcheck disable=SC2086 # none, or one
tar -xzf package.tgz $file && rm package.tgz
