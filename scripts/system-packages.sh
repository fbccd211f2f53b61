#!/bin/sh
# Install what Python packages cannot bring: `system-packages.sh run` or `system-packages.sh test`.
set -eu
purpose=$1
missing=
needed=no

has_library() {
    ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
    "$ldconfig" -p 2>/dev/null | grep -q "$1"
}

if ! has_library libseccomp.so.2; then
    missing=libseccomp2
    needed=yes
fi
# The peer of the benchmarks, and of tests that compare walls. Everything else works without it.
if [ "$purpose" = test ] && ! command -v bwrap >/dev/null 2>&1; then
    missing="${missing:+$missing }bubblewrap"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # a list of words
    if apt-get update &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; then
        exit 0
    fi
fi

echo "Not installed: $missing. On Debian and Ubuntu, as root: apt-get install $missing" >&2
# Without libseccomp no sandbox can be built; without bubblewrap only comparisons are skipped.
[ "$needed" = no ]
