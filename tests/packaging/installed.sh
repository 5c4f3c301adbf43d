# The package without systemd running: what dpkg does with its files. As booted.sh: "ok" and "FAILED" are checks.

config=/etc/sealpost/sealpost.toml
export DEBIAN_FRONTEND=noninteractive

check() {
    name=$1
    shift
    if said=$("$@" 2>&1); then echo "ok $name"; else echo "FAILED $name: $said"; fi
}
not() { ! "$@"; }
everything() { find /etc /usr /var /opt -xdev -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' \
    -not -path /var/lib/private | sort; }
quiet() { "$@" >/tmp/said 2>&1 || { cat /tmp/said; return 1; }; }

echo started
everything >/tmp/before
check 'installs' quiet dpkg -i /sandbox/first.deb
check 'files are what the package says' dpkg --verify sealpost
check 'the program runs' sealpost --version
for file in /usr/sbin/sealpost /usr/lib/systemd/system/sealpost.service /usr/lib/systemd/system/sealpost.socket \
    /usr/lib/systemd/system/sealpost-postfix.socket /usr/share/man/man1/sealpost.1.gz /usr/share/man/man5/sealpost.toml.5.gz \
    /usr/share/man/man1/sealpost-queue-list.1.gz /usr/share/bash-completion/completions/sealpost \
    /usr/share/zsh/vendor-completions/_sealpost /usr/share/fish/vendor_completions.d/sealpost.fish \
    /usr/share/doc/sealpost/copyright /usr/share/doc/sealpost/changelog.gz /usr/share/doc/sealpost/README.md /usr/share/doc/sealpost/docs/install.md \
    /usr/share/sealpost/postfix/master.cf; do
    check "has $file" test -s $file
done
check 'all is of root' [ -z "$(dpkg -L sealpost | xargs -d '\n' stat -c '%U:%G %n' | grep -v '^root:root')" ]
check 'nobody else may write' [ -z "$(dpkg -L sealpost | xargs -d '\n' -I{} find {} -maxdepth 0 -perm /022)" ]
check 'the unit is for every systemd' grep -qx 'Type=notify' /usr/lib/systemd/system/sealpost.service
check 'the completion is a script' bash -n /usr/share/bash-completion/completions/sealpost

# A version whose configuration file is another.
dpkg-deb -R /sandbox/second.deb /tmp/third
echo '# new' >>/tmp/third$config
dpkg-deb -Znone -b /tmp/third /tmp/third.deb >/dev/null
check 'an untouched configuration' quiet dpkg -i /tmp/third.deb
check 'an untouched configuration is replaced' grep -qx '# new' $config
check 'goes back' quiet dpkg -i /sandbox/first.deb
echo '# mine' >>$config
check 'a changed configuration' quiet dpkg --force-confdef -i /tmp/third.deb
check 'a changed configuration stays' grep -qx '# mine' $config
check 'the new one lies beside it' grep -qx '# new' $config.dpkg-dist

mkdir -p /var/lib/private/sealpost
ln -s private/sealpost /var/lib/sealpost
echo mail >/var/lib/private/sealpost/sealpost.db
check 'is removed' quiet dpkg -r sealpost
check 'removed: no program' not test -e /usr/sbin/sealpost
check 'removed: the configuration stays' grep -qx '# mine' $config
check 'removed: the queue stays' test -e /var/lib/sealpost/sealpost.db
check 'is installed again' quiet dpkg --force-confdef -i /sandbox/second.deb
check 'installed again: with the old configuration' grep -qx '# mine' $config
check 'is purged' quiet dpkg -P sealpost
everything >/tmp/after
check 'purged: nothing is left' diff /tmp/before /tmp/after
check 'purged: dpkg has forgotten it' not dpkg -s sealpost
echo done
