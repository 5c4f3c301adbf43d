#!/bin/sh
# Whether systemd accepts the units, in both forms, and how much the sandbox leaves open (1.5 at most).
set -eu

if ! command -v systemd-analyze >/dev/null 2>&1; then
    echo "make check: SKIPPED: systemd units (there is no systemd-analyze)"
    exit 0
fi
mine=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${mine:-0}" -lt 250 ]; then
    echo "make check: SKIPPED: systemd units (systemd-analyze cannot judge units that are not loaded)"
    exit 0
fi
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() {
    echo "+ systemd-analyze verify, security ($1)"
    mkdir "$work/$1"
    cp "$here"/*.socket "$work/$1"
    # A program that is there: whether it can be run is looked at too.
    sh "$here/adapt.sh" "$1" /bin/true <"$here/sealpost.service" >"$work/$1/sealpost.service"
    # It prints what it does not like, and succeeds all the same; of other units on this machine too.
    said=$(systemd-analyze verify --man=no "$work/$1"/* 2>&1) || { echo "$said"; exit 1; }
    if printf '%s\n' "$said" | grep sealpost; then exit 1; fi
    systemd-analyze security --offline=true --threshold=15 "$work/$1/sealpost.service" >"$work/security" ||
        { cat "$work/security"; exit 1; }
    sed -n 's/^→ //p' "$work/security"
}

check unknown
[ "$mine" -lt 253 ] || check "$mine"
