#!/bin/sh
# Extracts mail servers whose Debian packages shut each other out into a directory: peers.sh DIRECTORY
# Nothing is installed, and nothing of them is started: the test that needs them does that, in namespaces of its own.
# apt-get checks what it downloads against the signed lists. Never fails; says what will be skipped.
set -u

directory=$1
servers="exim4-daemon-light opensmtpd"

there() {
    [ -x "$directory/root/usr/sbin/exim4" ] && [ -x "$directory/root/usr/sbin/smtpd" ]
}

skip() {
    echo "make test: SKIPPED: tests against Exim and OpenSMTPD ($1)"
    rm -rf "$directory"
    exit 0
}

# Libraries that they need, directly or not, and that this machine lacks.
libraries() {
    # shellcheck disable=SC2086 # the list is meant to be split
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances $servers | grep '^lib[a-z0-9+.-]*$' | sort -u |
        while read -r library; do
            dpkg-query -W -f '${Status}\n' "$library" 2>/dev/null | grep -q '^install ok installed$' ||
                echo "$library"
        done
}

download() {
    # shellcheck disable=SC2046,SC2086 # the lists are meant to be split
    (cd "$directory" && apt-get download -q -o APT::Sandbox::User=root $servers $(libraries)) >/dev/null 2>&1
}

there && exit 0
for command in apt-get apt-cache dpkg dpkg-query; do
    command -v "$command" >/dev/null 2>&1 || skip "there is no $command"
done
echo "make test: extracting $servers into $directory"
mkdir -p "$directory"
# The lists may be missing or old.
download || { apt-get update -q >/dev/null 2>&1 && download; } || skip "they cannot be downloaded"
for package in "$directory"/*.deb; do
    dpkg -x "$package" "$directory/root" || skip "$package cannot be extracted"
    rm -f "$package"
done
there || skip "the packages do not hold them"
exit 0
