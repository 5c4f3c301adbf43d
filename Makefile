# make demo    what Sealpost does, on loopback, without root or Internet (ONCE=1: ends by itself)
# make test    all tests; installs what they need when root
# make check   format, lints, documentation, systemd units
# make docs    the reference of the configuration, from the code
# make soak    mail while Sealpost is killed again and again, for 10 minutes (SECONDS=3600 ROUNDS=100 SEED=1)
# make bench   Sealpost against Postfix, as root (ARGS="--quick": a few minutes; ARGS=--help)

CARGO ?= cargo
# make soak: how long, how often it dies before the queue is let run empty, what is drawn.
SECONDS ?= 600
ROUNDS ?= 200
SEED ?=
SURVIVES = what_was_answered_with_250_survives_every_kill
PREFIX ?= /usr/local
DESTDIR ?=
# The real servers and clients that some tests talk to: a command, and its Debian package if that has another name.
PEERS = postfix swaks unbound unbound-host dnssec-signzone:bind9-utils openssl ip:iproute2 promtool:prometheus \
        systemd-analyze:systemd systemd-nspawn:systemd-container

.PHONY: build check test test-setup demo docs soak bench install clean

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
	$(CARGO) bench --locked --bench relay -- $(ARGS)
	$(CARGO) bench --locked --bench queue -- $(ARGS)

# The configuration of an earlier installation is kept.
install:
	@test -x target/release/sealpost || { echo "make install: run make build first, as yourself"; exit 1; }
	install -D -m 0755 target/release/sealpost $(DESTDIR)$(PREFIX)/sbin/sealpost
	install -D -m 0644 systemd/sealpost.service $(DESTDIR)$(PREFIX)/lib/systemd/system/sealpost.service
	sed -i 's|/usr/sbin/sealpost|$(PREFIX)/sbin/sealpost|' $(DESTDIR)$(PREFIX)/lib/systemd/system/sealpost.service
	test -e $(DESTDIR)/etc/sealpost/sealpost.toml || \
	    install -D -m 0644 config/sealpost.toml $(DESTDIR)/etc/sealpost/sealpost.toml
	target/release/sealpost man $(DESTDIR)$(PREFIX)/share/man/man1

clean:
	$(CARGO) clean
