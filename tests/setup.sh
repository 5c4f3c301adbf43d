#!/bin/sh
# Installs what the tests need, or says what will be skipped. Never fails: a machine without network or
# without root still runs everything else.
set -u

CARGO=${CARGO:-cargo}
PEERS=${PEERS:-postfix}

if ! "$CARGO" nextest --version >/dev/null 2>&1; then
    echo "make test: installing cargo-nextest"
    "$CARGO" install --locked cargo-nextest ||
        echo "make test: cargo-nextest cannot be installed; cargo test is used in its place"
fi

missing=
for package in $PEERS; do
    # What is installed in another way than by dpkg counts too.
    PATH=$PATH:/usr/sbin:/sbin command -v "$package" >/dev/null 2>&1 || missing="$missing $package"
done

if [ "$(id -u)" -ne 0 ]; then
    echo "make test: SKIPPED: tests against Postfix (this is not root, and only root can start it)"
    [ -z "$missing" ] || echo "make test: not installed:$missing"
elif [ -z "$missing" ]; then
    :
elif ! command -v apt-get >/dev/null 2>&1; then
    echo "make test: SKIPPED: tests against$missing (not installed, and there is no apt-get)"
else
    echo "make test: installing$missing"
    # Nothing is to be started on this machine: the tests run instances of their own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections 2>/dev/null
    # shellcheck disable=SC2086 # the list is meant to be split
    { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } ||
        echo "make test: SKIPPED: tests against$missing (cannot be installed)"
fi
exit 0
