#!/bin/sh
# Installs what the tests need, or says what will be skipped. Never fails: a machine without network or
# without root still runs everything else.
set -u

CARGO=${CARGO:-cargo}
# Commands, each with the Debian package that brings it where that has another name.
PEERS=${PEERS:-postfix}

if ! "$CARGO" nextest --version >/dev/null 2>&1; then
    echo "make test: installing cargo-nextest"
    "$CARGO" install --locked cargo-nextest ||
        echo "make test: cargo-nextest cannot be installed; cargo test is used in its place"
fi

missing=
for peer in $PEERS; do
    # What is installed in another way than by dpkg counts too.
    PATH=$PATH:/usr/sbin:/sbin command -v "${peer%%:*}" >/dev/null 2>&1 || missing="$missing ${peer#*:}"
done

# Whether packages leave their services alone: Debian starts what it installs unless policy-rc.d forbids it
# (invoke-rc.d(8), deb-systemd-invoke(1p)). Where there is none, there is one until this script ends.
policy=/usr/sbin/policy-rc.d
services_stay_off() {
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
        return
    fi
    "$policy" unbound.service start >/dev/null 2>&1
    [ $? -eq 101 ]
}

# Nor does what was just installed start with the machine.
keep_off() {
    for package; do
        dpkg -L "$package" 2>/dev/null | sed -n 's|^/etc/init\.d/||p' |
            while read -r service; do update-rc.d "$service" disable; done
        dpkg -L "$package" 2>/dev/null | sed -n 's|^\(/usr\)\{0,1\}/lib/systemd/system/||p' |
            while read -r unit; do systemctl disable "$unit"; done
    done >/dev/null 2>&1
}

if [ "$(id -u)" -ne 0 ]; then
    echo "make test: SKIPPED: tests against Postfix (this is not root, and only root can start it)"
    [ -z "$missing" ] || echo "make test: not installed:$missing"
elif [ -z "$missing" ]; then
    :
elif ! command -v apt-get >/dev/null 2>&1; then
    echo "make test: SKIPPED: tests against$missing (not installed, and there is no apt-get)"
elif ! services_stay_off; then
    echo "make test: SKIPPED: tests against$missing (not installed, and $policy would let them start)"
else
    echo "make test: installing$missing"
    # Nothing is to be started on this machine: the tests run instances of their own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections 2>/dev/null
    # shellcheck disable=SC2086 # the list is meant to be split
    if apt-get update -q && apt-get install -q -y --no-install-recommends $missing; then
        keep_off $missing
    else
        echo "make test: SKIPPED: tests against$missing (cannot be installed)"
    fi
fi
# Mail servers that cannot be installed beside Postfix.
[ "$(id -u)" -ne 0 ] || sh "$(dirname "$0")/peers.sh" "${CARGO_TARGET_DIR:-target}/peers"
exit 0
