#!/bin/sh
# version.sh: the version: the number in VERSION and, of a checkout that is not tagged v<number>, +g<commit> and .dirty.
set -u
cd "$(dirname "$0")/.." || exit 1
number=$(cat VERSION) || exit 1
ask() { [ -e .git ] && git -c safe.directory='*' "$@" 2>/dev/null; }
commit=$(ask describe --always --dirty=.dirty --exclude='*') || commit=''
tag=$(ask describe --tags --exact-match --match "v$number") || tag=''
case $commit in
'') echo "$number" ;;
*.dirty) echo "$number+g$commit" ;;
*) [ -n "$tag" ] && echo "$number" || echo "$number+g$commit" ;;
esac
