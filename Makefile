# make demo    what Sealpost does, on loopback, without root or Internet (ONCE=1: ends by itself)
# make test    all tests; installs what they need when root
# make check   format, lints, documentation, systemd units
# make docs    the reference of the configuration, from the code
# make soak    mail while Sealpost is killed again and again, for 10 minutes (SECONDS=3600 ROUNDS=100 SEED=1)
# make deb     a package for Debian and its relatives, in target/debian
# make install as root, after make build (PREFIX=/usr/local DESTDIR=); make uninstall
# make bench   Sealpost against Postfix and openssl, as root (ARGS="--quick": a few minutes; ARGS=--help)

CARGO ?= cargo
# make soak: how long, how often it dies before the queue is let run empty, what is drawn.
SECONDS ?= 600
ROUNDS ?= 200
SEED ?=
SURVIVES = what_was_answered_with_250_survives_every_kill
# make install, make deb: what is installed, where, and for which systemd (unknown: in a form that all know).
RELEASE = target/release/sealpost
BINARY ?= $(RELEASE)
PREFIX ?= /usr/local
DESTDIR ?=
SBINDIR ?= $(PREFIX)/sbin
UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
DATADIR ?= $(PREFIX)/share/sealpost
DOCDIR ?= $(PREFIX)/share/doc/sealpost
SYSTEMD_VERSION ?= $(if $(DESTDIR),,$(shell systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p'))
VERSION ?=
COMPRESSION ?= xz
OUT ?= target/debian
# The real servers and clients that some tests talk to: a command, and its Debian package if that has another name.
PEERS = postfix swaks unbound unbound-host dnssec-signzone:bind9-utils openssl ip:iproute2 promtool:prometheus \
        systemd-analyze:systemd systemd-nspawn:systemd-container chromium chromedriver:chromium-driver

.PHONY: build check test test-setup demo docs soak bench install uninstall deb clean

build:
	$(CARGO) build --release --locked

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@sh systemd/check.sh

test: test-setup
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    echo "+ cargo nextest run"; \
	    $(CARGO) nextest run --locked --workspace && $(CARGO) test --locked --workspace --doc; \
	else \
	    echo "make test: cargo-nextest is missing; cargo test runs in its place"; \
	    $(CARGO) test --locked --workspace -- --test-threads=4; \
	fi

test-setup:
	@CARGO="$(CARGO)" PEERS="$(PEERS)" sh tests/setup.sh

demo: build
	@$(CARGO) run --quiet --locked --release --example demo -- $(if $(ONCE),--once)

# What in docs is made from the code; make test says when it is out of date.
docs:
	$(CARGO) run --quiet --locked -- config reference >target/configuration.md
	mv target/configuration.md docs/configuration.md

soak: build
	SEALPOST_BINARY=$(CURDIR)/target/release/sealpost SEALPOST_CRASH_SECONDS=$(SECONDS) \
	SEALPOST_CRASH_ROUNDS=$(ROUNDS) SEALPOST_CRASH_SEED=$(SEED) \
	    $(CARGO) test --locked --test queue_crash -- --nocapture --exact $(SURVIVES)

bench:
	$(CARGO) bench --locked --bench decision
	$(CARGO) bench --locked --bench policies
	$(CARGO) bench --locked --bench page
	$(CARGO) bench --locked --bench maillog
	SEALPOST_SCAN_DOMAINS=10000 $(CARGO) test --locked --release --test scan_world -- --nocapture --exact \
	    a_known_world_gives_exactly_the_known_statistics
	$(CARGO) bench --locked --bench relay -- $(ARGS)
	$(CARGO) bench --locked --bench queue -- $(ARGS)
	$(CARGO) bench --locked --bench scan -- $(ARGS)

# Nothing is started. The configuration of an earlier installation is kept.
install:
	@test -x $(BINARY) || { echo "make install: run make build first, as yourself"; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(SBINDIR)/sealpost
	install -d -m 0755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) \
	    $(DESTDIR)$(FISHDIR) $(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(DATADIR)
	sh systemd/adapt.sh "$(SYSTEMD_VERSION)" $(SBINDIR)/sealpost <systemd/sealpost.service \
	    >$(DESTDIR)$(UNITDIR)/sealpost.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/sealpost.service
	install -m 0644 systemd/*.socket $(DESTDIR)$(UNITDIR)
	test -e $(DESTDIR)/etc/sealpost/sealpost.toml || \
	    install -D -m 0644 config/sealpost.toml $(DESTDIR)/etc/sealpost/sealpost.toml
	$(BINARY) man $(DESTDIR)$(MANDIR)/man1
	mv $(DESTDIR)$(MANDIR)/man1/sealpost.toml.5 $(DESTDIR)$(MANDIR)/man5
	chmod 0644 $(DESTDIR)$(MANDIR)/man1/sealpost*.1 $(DESTDIR)$(MANDIR)/man5/sealpost.toml.5
	$(BINARY) completions bash >$(DESTDIR)$(BASHDIR)/sealpost
	$(BINARY) completions zsh >$(DESTDIR)$(ZSHDIR)/_sealpost
	$(BINARY) completions fish >$(DESTDIR)$(FISHDIR)/sealpost.fish
	chmod 0644 $(DESTDIR)$(BASHDIR)/sealpost $(DESTDIR)$(ZSHDIR)/_sealpost $(DESTDIR)$(FISHDIR)/sealpost.fish
	install -m 0644 README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT $(DESTDIR)$(DOCDIR)
	install -m 0644 $(wildcard docs/*) $(DESTDIR)$(DOCDIR)/docs
	cp -r config/sealpost.toml $(wildcard config/*/) $(DESTDIR)$(DATADIR)
	chmod -R u=rwX,go=rX $(DESTDIR)$(DOCDIR) $(DESTDIR)$(DATADIR)
	@$(if $(DESTDIR),:,echo "make install: systemctl daemon-reload, then see docs/install.md")

# The configuration and the queue stay.
uninstall:
	@$(if $(DESTDIR),:,systemctl disable --now sealpost.socket sealpost.service 2>/dev/null || :)
	rm -f $(DESTDIR)$(SBINDIR)/sealpost $(DESTDIR)$(UNITDIR)/sealpost.service \
	    $(patsubst systemd/%,$(DESTDIR)$(UNITDIR)/%,$(wildcard systemd/*.socket)) \
	    $(DESTDIR)$(MANDIR)/man1/sealpost.1 $(DESTDIR)$(MANDIR)/man1/sealpost-*.1 \
	    $(DESTDIR)$(MANDIR)/man5/sealpost.toml.5 \
	    $(DESTDIR)$(BASHDIR)/sealpost $(DESTDIR)$(ZSHDIR)/_sealpost $(DESTDIR)$(FISHDIR)/sealpost.fish
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)$(DATADIR)
	@echo "make uninstall: kept: $(DESTDIR)/etc/sealpost $(DESTDIR)/var/lib/sealpost"

# Another program than the release build: make deb BINARY=target/debug/sealpost
deb: $(if $(filter $(RELEASE),$(BINARY)),build)
	@BINARY="$(BINARY)" VERSION="$(VERSION)" COMPRESSION="$(COMPRESSION)" OUT="$(OUT)" sh packaging/deb.sh

clean:
	$(CARGO) clean
