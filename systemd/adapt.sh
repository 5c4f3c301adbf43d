#!/bin/sh
# adapt.sh VERSION PROGRAM <sealpost.service: the unit for a systemd of this version ("" or anything but a
# number: unknown), with the program in its place.
#
# Type=notify-reload is known since 253. Before, and where the version is unknown, the signal is sent by an
# ExecReload=, in front of the check: that is right with every version.
set -eu

version=${1%%[!0-9]*}
program=$2

# The check tells what became of the signal, whichever comes first.
older='s|^Type=notify-reload$|Type=notify|
/^# systemd 253 and newer send/,/^# Type=notify with an ExecReload/d
s| (systemd sends its signal .*||
0,/^ExecReload=/s|^ExecReload=|ExecReload=/bin/kill -HUP $MAINPID\
&|'
[ "${version:-0}" -lt 253 ] || older=

sed -e "$older" -e "s|/usr/sbin/sealpost|$program|"
