# Part of booted.sh: Postfix as config/postfix sets it up, over the socket in its queue directory.

shipped=/usr/share/sealpost/postfix
cat >/etc/postfix/main.cf <<'END'
compatibility_level = 3.6
myhostname = relay.sandbox.test
mydestination =
inet_interfaces = loopback-only
END
cat $shipped/lmtp.cf >>/etc/postfix/main.cf
cat >/etc/postfix/master.cf - $shipped/master.cf <<'END'
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
END
smtp-sink -u postfix -c 127.0.0.2:2599 100 >/dev/null 2>&1 &
command postfix set-permissions >/dev/null 2>&1
check 'postfix: its set-permissions leaves the socket as it is' is "$(stat -c '%U %a %F' $unix)" \
    'postfix 600 socket'
command postfix start >/tmp/postfix 2>&1
check 'postfix: does not complain' not grep -i 'sealpost' /tmp/postfix
check 'postfix: the socket outlives its start' test -S $unix
printf 'Subject: hello\n\nhello\n' | sendmail -f me@sandbox.test you@far.test
delivered() { journalctl --unit=sealpost --output=cat --no-pager | grep 'you@far.test' | grep -q delivered; }
check 'postfix: its mail is delivered over the socket' soon delivered
command postfix stop >/dev/null 2>&1
check 'postfix: the socket outlives its end' test -S $unix
