//! What each key means: its unit, what it bounds, and what a client or an MX gets to see of it.

/// What a change takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Reload,
    Restart,
}

use Takes::{Reload, Restart};

pub(super) const INTRODUCTION: &str = "\
# Configuration

One file in TOML, `/etc/sealpost/sealpost.toml` unless `--config` or the environment variable `SEALPOST_CONFIG`
names another. No key has to be set, but for `hostname` where the machine has no fully qualified name.

`sealpost config check` says what is wrong in which line and how to mend it; unknown keys are errors. `sealpost config
show` prints the configuration in effect with all defaults. SIGHUP (`systemctl reload sealpost`) reloads: a file with an
error is refused as a whole, the old configuration stays in force, and
`sealpost_config_last_reload_successful` is 0. A message on its way keeps the configuration that it began with.

Times are written as `\"90s\"` or `\"9m30s\"`, with d, h, m, s and ms. Sizes are written as `\"50MiB\"`, or as a number of
octets. This page is what `sealpost config reference` prints; `man sealpost.toml` says the same.
";

/// A section, whether there may be several, and what it is about.
pub(super) const SECTIONS: &[(&str, bool, &str)] = &[
    ("", false, "Who this is, and where its state lives."),
    (
        "listen",
        true,
        "Where clients connect. Without any there is one SMTP listener on 127.0.0.1, port 2525. Each client that\n\
         connects over IP must be in `client.networks`; a unix socket is trusted by its permissions.",
    ),
    ("client", false, "Who may relay, and how much at a time."),
    (
        "relay",
        false,
        "How long a delivery may take, who keeps what could not be delivered at once, and what is done where TLS fails.",
    ),
    (
        "dns",
        false,
        "Which servers are asked, and who checks signatures (DNSSEC).",
    ),
    (
        "tls",
        false,
        "What is trusted, and what is shown to others, on the way out.",
    ),
    ("outbound", false, "Connections to MX hosts."),
    (
        "policy",
        false,
        "What holds for domains without a rule. What a domain publishes (DANE, MTA-STS) comes on top of it and of rules.",
    ),
    (
        "rule",
        true,
        "What you demand for domains. The most specific domain wins: the exact one, then the longest parent. A rule is a\n\
         floor: what the domain publishes can raise it, never lower it.",
    ),
    (
        "queue",
        false,
        "Mail that Sealpost keeps (see `relay.custody`), and notices to its senders (RFC 3461, 3464).",
    ),
    (
        "store",
        false,
        "Where policies, memory, the history and the queue are kept.",
    ),
    (
        "history",
        false,
        "What was delivered at which level, by destination and over time, in the store ([operations.md](operations.md#history)).",
    ),
    (
        "tlsrpt",
        false,
        "TLS reports (RFC 8460). Not in this version: `enabled = true` is refused.",
    ),
    (
        "socketmap",
        true,
        "Answers Postfix's `smtp_tls_policy_maps = socketmap:...`, for a Postfix that delivers by itself\n\
         ([socketmap.md](socketmap.md)).",
    ),
    (
        "admin",
        false,
        "Metrics, health, and what `sealpost policy` and `sealpost queue` talk to.",
    ),
    ("log", false, "The log goes to the journal, or to stderr."),
];

/// A key, what a change takes, and what it means.
pub(super) const KEYS: &[(&str, Takes, &str)] = &[
    (
        "hostname",
        Reload,
        "The name for EHLO and Received. Default: the machine's fully qualified name; without one `config check` and `run`\n\
         fail and say so. It should be what the address that mail leaves from resolves to, since many MX hosts check that.\n\
         An MX record with this name means this host.",
    ),
    (
        "state_dir",
        Restart,
        "The embedded database and the queue's large messages live here, and messages above 256 KiB on their way. It must\n\
         be on a disk that survives a restart, and belongs to one daemon.",
    ),
    (
        "listen.address",
        Reload,
        "`\"IP:PORT\"`, `\"[IP]:PORT\"`, `\"unix:/PATH\"`, or `\"systemd:NAME\"` for a socket that systemd passes under that name\n\
         (`FileDescriptorName=` of the socket unit). `\"[::]:PORT\"` is IPv6 alone; beside it goes `\"0.0.0.0:PORT\"`.",
    ),
    (
        "listen.protocol",
        Reload,
        "LMTP (RFC 2033) has a reply for each recipient, SMTP one for all. See `relay.custody`.",
    ),
    (
        "listen.mode",
        Reload,
        "Permissions of a unix socket. Not set: 0660.",
    ),
    (
        "listen.group",
        Reload,
        "Group of a unix socket. The daemon's user must be a member, or root.",
    ),
    (
        "listen.tls",
        Reload,
        "PEM files; with them STARTTLS is offered to clients. Read again at each reload.",
    ),
    (
        "listen.hostname",
        Reload,
        "As `hostname`, for what arrives at this listener. Not set: `hostname`.",
    ),
    (
        "listen.bind",
        Reload,
        "As `outbound.bind`, for what arrives at this listener. Empty: `outbound.bind`.",
    ),
    (
        "client.networks",
        Reload,
        "Who may relay. Everybody else is greeted with 554 5.7.1. A network of all addresses is refused: it would be an\n\
         open relay.",
    ),
    (
        "client.max_sessions",
        Reload,
        "Sessions at a time. At the limit the listener stops accepting for up to 10 s before it answers 421 4.3.2. It is\n\
         lowered, and the log says so, if there are too few file descriptors for it.",
    ),
    (
        "client.max_sessions_per_client",
        Reload,
        "The same for one address; 0: no limit, since the mail server is one client.",
    ),
    (
        "client.max_message_size",
        Reload,
        "Announced as SIZE (RFC 1870); more is answered 552 5.3.4. Not below Postfix's `message_size_limit`: what Postfix\n\
         has taken and Sealpost refuses is returned to its sender.",
    ),
    (
        "client.max_recipients",
        Reload,
        "Recipients of one message; the others are answered 452 4.5.3.",
    ),
    (
        "client.idle_timeout",
        Reload,
        "How long a client may say nothing, before 421 4.4.2 (RFC 5321 section 4.5.3.2).",
    ),
    (
        "relay.custody",
        Reload,
        "Who keeps what could not be delivered at once.\n\
         `\"auto\"`: the client, who is answered with what became of the mail; where the recipients of one SMTP message fare\n\
         differently, the queue keeps what has to wait.\n\
         `\"client\"`: the client, always; over SMTP a transaction then takes one recipient.\n\
         `\"queue\"`: Sealpost, as soon as the message is safely on disk; it retries, and reports what fails.",
    ),
    (
        "relay.reach_timeout",
        Reload,
        "For each next hop, from the client's final dot until some MX has answered EHLO (and TLS); then 451 4.4.1. Knowingly\n\
         below RFC 5321's five minutes for a greeting, since a client waits. It does not bind deliveries of the queue.",
    ),
    (
        "relay.deadline",
        Reload,
        "From the client's final dot to our own at the MX. After it no host, connection or DATA is begun: 451 4.4.1.",
    ),
    (
        "relay.dot_deadline",
        Reload,
        "From the client's final dot until the MX has answered ours; then 451 4.4.2, and the log says\n\
         `possible_duplicate=yes`. Keep it below Postfix's `lmtp_data_done_timeout` or `smtp_data_done_timeout` (600 s).",
    ),
    (
        "relay.plaintext_fallback",
        Reload,
        "At level `may`, after a failed TLS handshake. `\"delayed\"`: in the clear only if TLS failed with that host at least\n\
         5 minutes ago too (it is remembered for 24 hours), else 451 4.7.5 with the time; `\"immediate\"`: on a new\n\
         connection at once, as Postfix does; `\"never\"`: 451 4.7.5.",
    ),
    (
        "relay.tls_required_no",
        Reload,
        "The header field `TLS-Required: No` (RFC 8689). `\"honor\"`: what domains publish is not looked up for that message;\n\
         rules bind all the same. `\"ignore\"`: it is as if it were not there.",
    ),
    (
        "relay.hop_limit",
        Reload,
        "Received fields; more are a loop: 554 5.4.6.",
    ),
    (
        "relay.own_names",
        Reload,
        "Further names that mean this host in MX records. Where this host is an MX, only better ones are tried; if it is\n\
         the best: 554 5.4.6.",
    ),
    (
        "dns.servers",
        Restart,
        "`\"IP\"` or `\"IP:PORT\"`. Not set: the servers of `/etc/resolv.conf`.",
    ),
    (
        "dns.dnssec",
        Restart,
        "Who checks signatures. `\"validate\"`: Sealpost, from the root's keys down; the servers must pass signatures on.\n\
         `\"trust-ad\"`: the servers, whose AD bit is believed, as Postfix does. `\"off\"`: nobody, and no DANE.\n\
         `\"auto\"`: `validate` if the root's keys can be checked here; else `trust-ad` if every server is on loopback, is no\n\
         mere forwarder and proves to validate.",
    ),
    (
        "dns.trust_remote_ad",
        Restart,
        "Believe the AD bit over the network too. Whoever is on the way to the server can forge it and with it every TLSA\n\
         record (RFC 7672 section 2.1.3).",
    ),
    (
        "dns.dnssec_unavailable",
        Restart,
        "While DNSSEC does not work: `\"defer\"` all mail with 451 4.4.3, or go on `\"without-dane\"`, with a warning in the log\n\
         and `sealpost_dnssec_working` 0.",
    ),
    (
        "dns.trust_anchor",
        Restart,
        "A file with DS or DNSKEY records of the root in zone-file format. Not set: IANA's root keys.",
    ),
    (
        "dns.timeout",
        Restart,
        "For one question, over all servers and attempts; then 451 4.4.3.",
    ),
    (
        "tls.roots",
        Reload,
        "The authorities that certificates of MX hosts and MTA-STS policy hosts are checked against: those of the system,\n\
         those of Mozilla that were compiled in, or PEM files. DANE needs none.",
    ),
    (
        "tls.min_version",
        Reload,
        "Lowest version where TLS is mandatory; level `may` takes what it gets. TLS 1.0 and 1.1 are never spoken.",
    ),
    (
        "tls.client_cert",
        Reload,
        "PEM files. The certificate is presented only where a rule says `client_cert = true`.",
    ),
    (
        "outbound.port",
        Reload,
        "Of MX hosts. Other than 25 only in tests.",
    ),
    (
        "outbound.bind",
        Reload,
        "Source addresses. Of several of one family each next hop always gets the same. Empty: the kernel chooses.\n\
         In place of Postfix's `smtp_bind_address` and `smtp_bind_address6`.",
    ),
    (
        "outbound.address_preference",
        Reload,
        "Which addresses of an MX host come first, or are left out (`\"ipv4-only\"`, `\"ipv6-only\"`). In place of Postfix's\n\
         `inet_protocols` and `smtp_address_preference`. A refusal for policy (5.7.x) over one family is tried once over the other.",
    ),
    (
        "outbound.blocked_networks",
        Reload,
        "Never connected to for names that strangers publish (MX, policy hosts) and for address literals, so that nobody can\n\
         aim Sealpost at your own network; add private networks that it can reach. A rule's `next_hop` may. An IPv4 address\n\
         mapped into IPv6 counts as what it is.",
    ),
    (
        "outbound.nat_addresses",
        Reload,
        "Public addresses that are this machine, though no interface has them. An MX with one of them is this host.",
    ),
    ("outbound.max_connections", Reload, "At a time, in all."),
    (
        "outbound.max_connections_per_mx",
        Reload,
        "At a time, to one address. At the limit a delivery waits for up to 30 s, in turn with other next hops, then 451 4.3.2.",
    ),
    (
        "outbound.idle_connection_timeout",
        Reload,
        "How long a connection is kept for the next message.",
    ),
    (
        "outbound.messages_per_connection",
        Reload,
        "Then the connection ends, however busy.",
    ),
    (
        "outbound.connect_timeout",
        Reload,
        "For one address; then the next is tried.",
    ),
    (
        "outbound.assume_8bit",
        Reload,
        "Send 8-bit content to an MX that does not announce 8BITMIME. With `false` the next MX is tried, and in the end the\n\
         reply is 554 5.6.3. Sealpost never converts content, since that would break DKIM signatures.",
    ),
    (
        "outbound.mta_sts_port",
        Reload,
        "Of policy hosts (RFC 8461). Other than 443 only in tests.",
    ),
    (
        "policy.default",
        Reload,
        "The level for domains without a rule: `\"may\"`, `\"encrypt\"` or `\"verify\"`.",
    ),
    (
        "policy.dane",
        Reload,
        "Whether TLSA records of MX hosts count (RFC 7672). A rule at level `dane` or `dane-only` looks them up all the same.",
    ),
    (
        "policy.mta_sts",
        Reload,
        "Whether policies of domains count (RFC 8461).",
    ),
    (
        "policy.preload",
        Reload,
        "Lists in the format of STARTTLS Everywhere: policies for the first contact with a domain. A policy that was fetched\n\
         beats them. A list that has expired, or is older than one that was in force before, is ignored with a warning.",
    ),
    (
        "policy.tls_policy_map",
        Reload,
        "Rules in the syntax of Postfix's `smtp_tls_policy_maps`: the text file, not the `.db`. An entry means what it means\n\
         in Postfix: its level replaces what the domain publishes. `config check` lists those that thereby switch a published\n\
         policy off. A `[[rule]]` for the same domain is a contradiction, and refused.",
    ),
    (
        "rule.domains",
        Reload,
        "Domains of recipients. `\"*.x\"` is every subdomain of x at any depth, not x itself.",
    ),
    (
        "rule.name",
        Reload,
        "Labels this rule's metrics (`sealpost_rule_deliveries_total`), so that an alert can watch a partner. Letters, digits,\n\
         `-`, `_` and `.`",
    ),
    (
        "rule.require",
        Reload,
        "The level, with Postfix's names.\n\
         `none`: TLS is never tried, and what is published does not count. `may`: tried. `dane`: mandatory where the MX has\n\
         secure TLSA records, as `may` where it provably has none. `encrypt`: mandatory, with no look at the certificate.\n\
         `fingerprint`: certificate or key is one of `fingerprints`. `verify`: a trusted certificate for the MX host name.\n\
         `secure`: a trusted certificate for the recipient's domain. `dane-only`: secure TLSA records that match.\n\
         Not set: `policy.default`.",
    ),
    (
        "rule.match",
        Reload,
        "At `verify` and `secure`: the names that count in place of the level's own. A name is exact, `.example.net` is every\n\
         name below it, and `hostname`, `nexthop` and `dot-nexthop` mean what they mean in Postfix.",
    ),
    (
        "rule.fingerprints",
        Reload,
        "At `fingerprint`: digests of the certificate or of its public key, `\"cert-sha256:HEX\"` or `\"spki-sha256:HEX\"`, with or\n\
         without colons. Name the next one too before a partner changes.",
    ),
    (
        "rule.min_version",
        Reload,
        "As `tls.min_version`, for this rule.",
    ),
    (
        "rule.published",
        Reload,
        "`\"ignore\"`: what the domain publishes does not raise the level. At level `none` that is implied.",
    ),
    (
        "rule.next_hop",
        Reload,
        "Where the mail goes in place of the domain's MX hosts. In brackets the host itself, without its MX records are looked\n\
         up; port 465 is TLS from the first octet. What the recipient's domain publishes does not apply then: names and TLSA\n\
         records are those of the next hop.",
    ),
    (
        "rule.on_failure",
        Reload,
        "What the policy blocks is deferred (451 4.7.4, 4.7.5), or returned at once (`\"reject\"`: 554 5.7.4, 5.7.5).",
    ),
    (
        "rule.enforce",
        Reload,
        "`\"dry-run\"`: the rule is checked with every delivery, logged and counted\n\
         (`sealpost_tls_failures_total{policy=\"rule\",enforced=\"no\"}`), and holds nothing back.",
    ),
    (
        "rule.client_cert",
        Reload,
        "Present `tls.client_cert` to these hosts.",
    ),
    (
        "queue.retry",
        Reload,
        "How long after each attempt the next one comes; then the last one again and again. Each is lengthened by up to a tenth\n\
         at random.",
    ),
    (
        "queue.expire",
        Reload,
        "Then the message is returned to its sender.",
    ),
    (
        "queue.delay_warning",
        Reload,
        "After that time the sender hears that his mail still waits, once; `\"0s\"`: never.",
    ),
    (
        "queue.dsn_via",
        Reload,
        "Where notices to senders go: a mail server of yours as in `rule.next_hop` (plain SMTP on loopback), or `\"mx\"`: to the MX\n\
         hosts of the sender's domain, like any mail.",
    ),
    (
        "queue.postmaster",
        Reload,
        "Gets a copy of notices that cannot be delivered. Empty: nobody; they are in the log at error.",
    ),
    (
        "store.url",
        Restart,
        "`sqlite:///PATH`. Default: `sealpost.db` in `state_dir`.",
    ),
    (
        "history.enabled",
        Restart,
        "Keep what was delivered at which level: by destination, and over time. No addresses, and nothing of the mail.",
    ),
    (
        "history.retention",
        Restart,
        "How long a day is kept, and a destination that gets no mail any more. Hours are kept for 3 days.",
    ),
    (
        "history.destinations",
        Restart,
        "Destinations that are kept at most; beyond it those go that got no mail for the longest time.",
    ),
    ("tlsrpt.enabled", Reload, "Not in this version."),
    ("tlsrpt.from", Reload, "Not in this version."),
    ("tlsrpt.organization", Reload, "Not in this version."),
    ("tlsrpt.contact", Reload, "Not in this version."),
    (
        "socketmap.listen",
        Reload,
        "Where Postfix asks: `\"IP:PORT\"` (those in `client.networks`), `\"unix:/PATH\"` or `\"systemd:NAME\"`.",
    ),
    (
        "socketmap.mode",
        Reload,
        "Permissions of a unix socket. Not set: 0660.",
    ),
    (
        "socketmap.group",
        Reload,
        "Group of a unix socket. The daemon's user must be a member, or root.",
    ),
    (
        "socketmap.tlsrpt",
        Reload,
        "Add the attributes that Postfix reports on (`smtp_tlsrpt_enable`). For Postfix 3.10 and newer only: older ones refuse\n\
         such answers, and mail waits.",
    ),
    (
        "admin.listen",
        Restart,
        "`/metrics`, `/healthz`, `/readyz` and the status page over HTTP, for everybody who can connect: the page names the\n\
         domains that mail goes to, so keep it off the Internet. `\"off\"`: none.",
    ),
    (
        "admin.page",
        Reload,
        "The status page and `/api/v1` on `admin.listen`. `false`: monitoring alone.",
    ),
    (
        "admin.hosts",
        Reload,
        "Host names that the page answers to, beside addresses, `localhost` and `hostname`: what a reverse proxy passes on. All\n\
         others are refused, so that no web page can read ours through a name of its own (DNS rebinding).",
    ),
    (
        "admin.socket",
        Restart,
        "What `sealpost policy` and `sealpost queue` talk to. Root, the daemon's user and its group may open it.",
    ),
    (
        "log.level",
        Reload,
        "`debug` adds an event for each session; none has message content.",
    ),
    (
        "log.format",
        Restart,
        "`\"auto\"`: the journal, with the fields of each event, where systemd started the daemon; else text.",
    ),
    (
        "log.addresses",
        Reload,
        "`\"hash\"`: senders and recipients as the first 16 digits of the SHA-256 of their address in lower case, so that whoever\n\
         knows an address finds it: `printf alice@example.net | sha256sum`. Domains stay readable.",
    ),
];
