#!/bin/sh
# sandbox.sh MODE SHARED: this machine's files with a layer over them that is gone afterwards, and in it
#
#   try      nothing: whether that can be had here
#   chroot   sh /sandbox/installed.sh
#   boot     systemd, which runs /sandbox/booted.sh and ends
#
# SHARED is seen as /sandbox; what the script says is in SHARED/said. To be called in a mount namespace of its
# own (unshare --mount), as root.
set -eu

mode=$1
shared=$2
work=$shared/layer
mkdir -p "$work"
mount --make-rprivate /
mount -t tmpfs -o mode=755 sandbox "$work"
mkdir "$work/upper" "$work/lower" "$work/root"
mount -t overlay sandbox -o "lowerdir=/,upperdir=$work/upper,workdir=$work/lower" "$work/root"
root=$work/root
# What this machine itself has installed is not what is tested.
rm -rf "$root/etc/sealpost" "$root/var/lib/sealpost" "$root/var/lib/private/sealpost" \
    "$root/etc/systemd/system/sealpost"* "$root/usr/sbin/policy-rc.d"
# Nor is the index of this machine's manual pages written anew.
rm -f "$root/var/lib/man-db/auto-update"
mkdir -p "$root/sandbox"

case $mode in
try) ;;
chroot)
    mount --bind "$shared" "$root/sandbox"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --bind /dev "$root/dev"
    chroot "$root" sh /sandbox/installed.sh >"$shared/said" 2>&1
    ;;
boot)
    # Only what the test needs: this machine's own services stay out.
    cat >"$root/etc/systemd/system/sandbox.target" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
Wants=sandbox.service
AllowIsolate=yes
UNIT
    cat >"$root/etc/systemd/system/sandbox.service" <<'UNIT'
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /sandbox/booted.sh
StandardOutput=append:/sandbox/said
StandardError=inherit
TimeoutStartSec=150
UNIT
    rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/network "$root/var/log/journal"
    : >"$root/etc/machine-id"
    echo sandbox >"$root/etc/hostname"
    # Nothing of it is left in /run either.
    mount -t tmpfs run /run
    exec systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" \
        --bind="$shared:/sandbox" --machine=sandbox --hostname=sandbox --console=pipe \
        --boot systemd.unit=sandbox.target </dev/null
    ;;
esac
