# The package under systemd: installed, started in its sandbox, used, reloaded, restarted, upgraded, purged.
# Each line that begins with "ok" or "FAILED" is a check; what else is said explains.

config=/etc/sealpost/sealpost.toml
smtp=127.0.0.1:2525
lmtp=127.0.0.1:2424
unix=/var/spool/postfix/private/sealpost
drop_ins=/etc/systemd/system/sealpost.service.d

check() {
    name=$1
    shift
    if said=$("$@" 2>&1); then echo "ok $name"; else echo "FAILED $name: $said"; fi
}
not() { ! "$@"; }
# Until it is so: 20 seconds at most.
soon() {
    tries=400
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { "$@"; return 1; }
        sleep 0.05
    done
}
shows() { systemctl show --property="$1" --value "$2"; }
is() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }
client() { perl /sandbox/client.pl "$@"; }
hears() { heard=$(client say "$1" "$2"); printf '%s\n' "$heard" | grep -q "$3" || { echo "$heard"; return 1; }; }
active() { systemctl is-active --quiet sealpost.service; }
journal() { journalctl --unit=sealpost --output=cat --no-pager | grep -q -- "$1"; }
pid() { shows MainPID sealpost.service; }

echo started

# --- installed, not configured
dpkg -i /sandbox/first.deb >/tmp/dpkg 2>&1 || cat /tmp/dpkg
check 'not configured: says what to mend' grep -q 'hostname: is not set' /tmp/dpkg
check 'not configured: does not run' not active
check 'enabled' systemctl is-enabled --quiet sealpost.service sealpost.socket

# --- configured: no DNS here; one destination, by a rule
sed -i -e 's|^#hostname = .*|hostname = "relay.sandbox.test"|' -e 's|^dnssec = "auto"|dnssec = "off"|' \
    -e 's|^custody = "auto"|custody = "queue"|' \
    -e 's|^#tls = .*|tls = { cert = "/etc/sealpost/cert.pem", key = "/run/credentials/sealpost.service/key.pem" }|' \
    $config
cat >>$config <<'END'
[[rule]]
domains = ["far.test"]
require = "none"
next_hop = "[127.0.0.2]:2599"
END
cp /sandbox/cert.pem /sandbox/key.pem /etc/sealpost/
chmod 600 /etc/sealpost/key.pem
mkdir -p $drop_ins
printf '[Service]\nLoadCredential=key.pem:/etc/sealpost/key.pem\n' >$drop_ins/key.conf
systemctl daemon-reload
check 'starts' systemctl start sealpost.socket sealpost.service
active || { journalctl --no-pager --output=cat --unit='sealpost*'; echo done; exit; }
check 'is active' active
check 'has READY' is "$(shows StatusText sealpost.service)$(shows SubState sealpost.service)" running
check 'nothing unused' not journal 'waits in vain'
check 'SMTP answers, with the key out of a credential' hears $smtp 'EHLO c.test' '^250.STARTTLS'
check 'LMTP answers' hears $lmtp 'LHLO c.test' '^250'
queued() {
    client say $smtp 'EHLO c.test' 'MAIL FROM:<me@sandbox.test>' 'RCPT TO:<you@late.test>' DATA \
        "$(printf 'Subject: hello\r\n\r\nhello\r\n.')" | grep '^250 2.0.0 queued as'
}
check 'a message is kept' queued
check 'root sees the queue' sh -c 'sealpost queue list | grep you@late.test'
check 'others do not' not setpriv --reuid=nobody --clear-groups sealpost queue list
check 'the log is in the journal' soon journal ready
check 'what the sandbox forbids does not hurt' not journal 'ermission denied\|not permitted\|cannot be'

# --- Postfix's directory
if [ -d /var/spool/postfix/private ]; then
    postfix() { setpriv --reuid=postfix --clear-groups perl /sandbox/client.pl say $unix 'LHLO c.test'; }
    check 'postfix: owns the socket' is "$(stat -c '%U %a %F' $unix)" 'postfix 600 socket'
    check 'postfix: is answered' postfix
    check 'postfix: others are not' not setpriv --reuid=nobody --clear-groups perl /sandbox/client.pl say $unix
    . /sandbox/postfix.sh
else
    echo 'skipped postfix: it is not installed'
fi

# --- a unix socket of its own, for a group; a port below 1024
mkdir -p /etc/systemd/system/sealpost.socket.d
printf '[Socket]\nListenStream=\nListenStream=0.0.0.0:25\n' >/etc/systemd/system/sealpost.socket.d/port.conf
printf '[Service]\nSupplementaryGroups=mail\n' >$drop_ins/group.conf
cp $config /tmp/good
cat >>$config <<'END'
[[listen]]
address = "0.0.0.0:25"
tls = { cert = "/etc/sealpost/cert.pem", key = "/run/credentials/sealpost.service/key.pem" }
[[listen]]
address = "unix:/run/sealpost/lmtp.sock"
protocol = "lmtp"
mode = "0660"
group = "mail"
END
systemctl daemon-reload
systemctl stop sealpost.socket sealpost.service
check 'port 25: starts' systemctl start sealpost.socket sealpost.service
check 'port 25: answers' hears 127.0.0.1:25 'EHLO c.test' '^250.STARTTLS'
check 'group: has the socket' is "$(stat -c '%G %a' /run/sealpost/lmtp.sock)" 'mail 660'
check 'group: is answered' setpriv --reuid=nobody --regid=mail --clear-groups perl /sandbox/client.pl say \
    /run/sealpost/lmtp.sock 'LHLO c.test'
check 'group: others are not' not setpriv --reuid=nobody --regid=nogroup --clear-groups perl /sandbox/client.pl \
    say /run/sealpost/lmtp.sock 'LHLO c.test'
cp /tmp/good $config
rm -r /etc/systemd/system/sealpost.socket.d $drop_ins/group.conf
systemctl daemon-reload
systemctl stop sealpost.socket sealpost.service
systemctl start sealpost.socket sealpost.service

# --- reload
size() { hears $smtp 'EHLO c.test' "SIZE $1\$" || hears $smtp 'EHLO c.test' "SIZE $1.\$"; }
check 'reload: before' size 52428800
sed -i 's|^max_message_size = "50MiB"|max_message_size = "20MiB"|' $config
check 'reload: succeeds' systemctl reload sealpost
check 'reload: takes effect' size 20971520
cp $config /tmp/good
sed -i 's|^max_message_size = "20MiB"|max_mesage_size = "10MiB"|' $config
check 'reload: fails for a broken file' not systemctl reload sealpost
check 'reload: the journal says why' soon journal 'sealpost.toml:[0-9]*:[0-9]*: client.max_mesage_size'
check 'reload: the old configuration stays' size 20971520
check 'reload: still active' active
cp /tmp/good $config
check 'reload: mended' systemctl reload sealpost

# --- restarts and an upgrade while clients come
counted() { sed -n "s/^$2=//p" "/tmp/hammer.$1" | grep . || echo 0; }
# Nobody was refused or cut off, and all were greeted. (Who is accepted at the very moment of the end hears 421:
# there are four ends.)
served() {
    [ "$(counted "$1" connected)" -gt 100 ] && ! grep '^refused\|^cut\|^connect_' "/tmp/hammer.$1" &&
        [ "$(counted "$1" said_421)" -le 4 ] &&
        is $(($(counted "$1" said_220) + $(counted "$1" said_421))) "$(counted "$1" connected)" ||
        { cat "/tmp/hammer.$1"; return 1; }
}
rm -f /tmp/stop
client hammer $smtp /tmp/stop >/tmp/hammer.smtp 2>&1 & one=$!
other=
if [ -S $unix ]; then client hammer $unix /tmp/stop >/tmp/hammer.unix 2>&1 & other=$!; fi
for _ in 1 2 3; do
    before=$(pid)
    check 'restart: succeeds' systemctl restart sealpost
    check 'restart: another process' not is "$(pid)" "$before"
done
before=$(pid)
echo '# mine' >>$config
dpkg --force-confold -i /sandbox/second.deb >/tmp/dpkg 2>&1 || cat /tmp/dpkg
check 'upgrade: the new version runs' not is "$(pid)" "$before"
check 'upgrade: active' active
check 'upgrade: a changed configuration stays' grep -qx '# mine' $config
: >/tmp/stop
wait $one $other
check 'restart: every SMTP client was served' served smtp
[ -z "$other" ] || check 'restart: every LMTP client was served' served unix

# --- a broken file at a restart, while clients wait
cp $config /tmp/good
echo 'unknown = 1' >>$config
rm /tmp/stop
client hammer $smtp /tmp/stop >/dev/null 2>&1 & one=$!
check 'broken: does not start' not systemctl restart sealpost
gave_up() { is "$(shows ActiveState sealpost.socket)" failed; }
check 'broken: systemd gives up' soon gave_up
: >/tmp/stop
wait $one
cp /tmp/good $config
systemctl reset-failed 'sealpost*'
check 'broken: mended, it starts' systemctl start sealpost.service
check 'broken: mended, the sockets are open again' systemctl is-active sealpost.socket sealpost-lmtp.socket
[ ! -d "${unix%/*}" ] || check 'broken: mended, Postfix finds its socket' test -S $unix
check 'broken: mended, it answers' hears $smtp 'EHLO c.test' '^250'

# --- watchdog
# Long enough for a machine that is busy with other tests.
printf '[Service]\nWatchdogSec=4\nRestartSec=100ms\n' >$drop_ins/watchdog.conf
systemctl daemon-reload
systemctl restart sealpost
before=$(pid)
sleep 5 # longer than the watchdog's patience
check 'watchdog: content' is "$(pid)" "$before"
kill -STOP "$before"
restarted() { active && [ "$(pid)" != "$before" ] && [ "$(shows NRestarts sealpost.service)" -ge 1 ]; }
check 'watchdog: what hangs is replaced' soon restarted
check 'watchdog: and serves' hears $smtp 'EHLO c.test' '^250'
journalctl --no-pager --output=cat _PID=1 | grep -q 'sealpost.service: Watchdog timeout'
check 'watchdog: it was the watchdog' is $? 0

# --- the end
begun=$(date +%s)
check 'stop: succeeds' systemctl stop sealpost.socket sealpost.service
check 'stop: in time' [ $(($(date +%s) - begun)) -lt 10 ]
check 'stop: cleanly' is "$(shows Result sealpost.service)" success
check 'stop: no socket is left' not ls $unix
dpkg -i /sandbox/second.deb >/dev/null 2>&1 # what is stopped stays stopped
check 'upgrade: what was stopped stays so' not active
if [ -d /var/spool/postfix ]; then mv /var/spool/postfix /tmp/postfix.away; fi
check 'no Postfix: starts' systemctl start sealpost.socket sealpost.service
check 'no Postfix: answers' hears $smtp 'EHLO c.test' '^250'
check 'no Postfix: its directory is not made' not ls -d /var/spool/postfix
dpkg -r sealpost >/tmp/dpkg 2>&1 || cat /tmp/dpkg
check 'removed: does not run' not active
check 'removed: no socket listens' not client say $smtp
check 'removed: the configuration stays' test -e $config
check 'removed: the queue stays' test -e /var/lib/private/sealpost/sealpost.db
dpkg -i /sandbox/second.deb >/tmp/dpkg 2>&1 || cat /tmp/dpkg
check 'installed again: runs' soon active
dpkg -P sealpost >/tmp/dpkg 2>&1 || cat /tmp/dpkg
rm -rf $drop_ins
check 'purged: nothing is left' is "$(find /etc /var/lib /run /usr $unix -name '*sealpost*' \
    -not -path '/run/systemd/*' -not -path '/run/log/*' 2>/dev/null)" ''
check 'purged: nothing failed' is "$(systemctl list-units --failed --no-legend --plain 'sealpost*')" ''
echo done
