//! What is said of each kind of mistake.

use super::parse;

/// Each case: the text (after the first line, which sets `hostname`), and what is said of it.
const PROBLEMS: &[(&str, &str)] = &[
    (
        "[client]\nnetwork = []",
        "3:1: client.network: there is no key \"network\"; did you mean \"networks\"?",
    ),
    (
        "[clint]",
        "2:2: clint: there is no key \"clint\"; did you mean \"client\"?",
    ),
    (
        "[client]\nnetworks = [\"10.1.2.3/8\"]",
        "3:13: client.networks: \"10.1.2.3/8\" has bits set beyond its prefix length; write \
         \"10.0.0.0/8\", or \"10.1.2.3/32\" for the one address",
    ),
    (
        "[client]\nnetworks = [\"127.0.0.1\"]",
        "3:13: client.networks: \"127.0.0.1\" has no prefix length; write \"127.0.0.1/32\" for \
         this one address",
    ),
    (
        "[client]\nnetworks = [\"0.0.0.0/0\"]",
        "3:12: client.networks: 0.0.0.0/0 makes an open relay; name the networks of your own \
         mail servers",
    ),
    (
        "[client]\nmax_message_size = \"50MX\"",
        "3:20: client.max_message_size: \"50MX\" is no size; write octets, or as \"50MiB\"",
    ),
    (
        "[client]\nmax_message_size = \"99999999999GiB\"",
        "3:20: client.max_message_size: \"99999999999GiB\" is no size; write octets, or as \
         \"50MiB\"",
    ),
    (
        "[client]\nmax_recipients = -1",
        "3:18: client.max_recipients: cannot be -1; write a number from 0 to \
         18446744073709551615",
    ),
    (
        "[client]\nmax_sessions = 0",
        "3:16: client.max_sessions: is zero; write 1 or more",
    ),
    (
        "[client]\nidle_timeout = 5",
        "3:16: client.idle_timeout: is an integer; write a time as \"90s\" or \"9m30s\"",
    ),
    (
        "[relay]\ncustody = \"quue\"",
        "3:11: relay.custody: cannot be \"quue\"; did you mean \"queue\"?",
    ),
    (
        "[queue]\nretry = []",
        "3:9: queue.retry: has no time, or one of zero; write [\"1m\", \"5m\", \"30m\"]",
    ),
    (
        "[queue]\nexpire = \"1h\"",
        "2:1: queue.delay_warning: is not below queue.expire (1h); lower it, or write \"0s\" for no warnings",
    ),
    (
        "[history]\nretention = \"23h\"",
        "3:13: history.retention: is less than a day or more than ten years; write a time as \"366d\", or enabled = false for no history",
    ),
    (
        "[history]\ndestinations = 0",
        "3:16: history.destinations: is zero or more than 1000000; write a number as 200000, or enabled = false for no history",
    ),
    (
        "[queue]\ndsn_via = \"[127.0.0.1\"",
        "3:11: queue.dsn_via: is no next hop: the opening bracket is not closed; write \"[127.0.0.1]:25\" or \"mx\"",
    ),
    (
        "[queue]\npostmaster = \"postmaster\"",
        "3:14: queue.postmaster: is no address; write \"postmaster@example.com\", or \"\" for nobody",
    ),
    (
        "[relay]\ndeadline = \"1m\"",
        "3:12: relay.deadline: 1m is less than relay.reach_timeout (1m30s); raise deadline, or \
         lower reach_timeout",
    ),
    (
        "[relay]\ndot_deadline = \"2m\"",
        "3:16: relay.dot_deadline: 2m is less than relay.deadline (5m); raise dot_deadline, or \
         lower deadline",
    ),
    (
        "[relay]\nplaintext_fallback = \"delay\"",
        "3:22: relay.plaintext_fallback: cannot be \"delay\"; did you mean \"delayed\"?",
    ),
    (
        "[tls]\nmin_version = \"1.1\"",
        "3:15: tls.min_version: cannot be \"1.1\"; did you mean \"1.2\"?",
    ),
    (
        "[tls]\nclient_cert = { cert = \"/c.pem\", kye = \"/k.pem\" }",
        "3:15: tls.client_cert: has no key; write { cert = \"/PATH\", key = \"/PATH\" }\n\
         test.toml:3:34: tls.client_cert: there is no key \"kye\"; did you mean \"key\"?",
    ),
    (
        "[[listen]]\naddress = \"127.0.0.1:25\"\n[[listen]]\naddress = \"0.0.0.0:25\"",
        "5:11: listen 2: address: 127.0.0.1:25 is listened on already; give each [[listen]] an \
         address of its own",
    ),
    (
        "[[listen]]\nprotocol = \"lmtp\"",
        "2:1: listen 1: address: is missing; write address = \"127.0.0.1:2525\"",
    ),
    (
        "[[listen]]\naddress = \"127.0.0.1:25\"\nmode = \"0660\"",
        "4:8: listen 1: mode: is for unix sockets only; remove it",
    ),
    (
        "[[listen]]\naddress = \"unix:relative.sock\"",
        "3:11: listen 1: address: \"relative.sock\" is no absolute path; write the path from / \
         on",
    ),
    (
        "listen = []",
        "2:10: listen: has no listener; write a [[listen]], or leave it out",
    ),
    (
        "client = 3",
        "2:10: client: is a section, not integer; write [client] on a line of its own, its \
         keys below",
    ),
    (
        "[admin]\nlisten = \"127.0.0.1:2525\"",
        "3:10: admin.listen: 127.0.0.1:2525 is the address of a [[listen]] or [[socketmap]]; give it a port of \
         its own",
    ),
    (
        "[dns]\nservers = [\"192.0.2.53:53\"]\ndnssec = \"trust-ad\"",
        "4:10: dns.dnssec: cannot be \"trust-ad\" while dns.servers has 192.0.2.53:53, which is not on \
         loopback; write \"validate\", or trust_remote_ad = true if nobody can sit on the way to it",
    ),
    (
        "[dns]\ndnssec = \"off\"\n[[rule]]\ndomains = [\"a.example\"]\nrequire = \"dane-only\"",
        "6:11: rule 1: require: \"dane-only\" would hold all mail back while dns.dnssec is \"off\"; turn \
         DNSSEC on, or choose another level",
    ),
    (
        "[policy]\ndefault = \"dane\"",
        "3:11: policy.default: cannot be \"dane\"; write \"may\", \"encrypt\" or \"verify\"; the \
         others need a [[rule]]",
    ),
    (
        "[policy]\npreload = [\"/nonexistent/list.json\"]",
        "3:11: policy.preload: /nonexistent/list.json cannot be opened: No such file or directory (os error 2); \
         name a list of STARTTLS Everywhere, or remove it",
    ),
    (
        "[policy]\ntls_policy_map = \"hash:/etc/postfix/tls_policy\"",
        "3:18: policy.tls_policy_map: \"hash:/etc/postfix/tls_policy\" is no absolute path; \
         write the path from / on",
    ),
    (
        "[tlsrpt]\nenabled = true",
        "3:11: tlsrpt.enabled: is not in this version; write false",
    ),
    (
        "[[socketmap]]\ntlsrpt = true",
        "2:1: socketmap 1: listen: is missing; write listen = \"127.0.0.1:2526\"",
    ),
    (
        "[[socketmap]]\nlisten = \"127.0.0.1:2525\"",
        "3:10: socketmap 1: listen: 127.0.0.1:2525 is listened on already; give each [[socketmap]] an address of \
         its own",
    ),
    (
        "[[socketmap]]\nlisten = \"unix:/run/m\"\n[[socketmap]]\nlisten = \"unix:/run/m\"",
        "5:10: socketmap 2: listen: /run/m is listened on already; give each [[socketmap]] an address of its own",
    ),
    (
        "[[socketmap]]\nlisten = \"127.0.0.1:2526\"\nmode = \"0660\"",
        "4:8: socketmap 1: mode: is for unix sockets only; remove it",
    ),
    (
        "[[socketmap]]\nlisten = \"127.0.0.1:9825\"",
        "1:1: admin.listen: 127.0.0.1:9825 is the address of a [[listen]] or [[socketmap]]; give it a port of its own",
    ),
    (
        "[outbound]\nport = 0",
        "3:8: outbound.port: is no port; write 1 to 65535",
    ),
    (
        "[log]\nlevel = \"verbose\"",
        "3:9: log.level: cannot be \"verbose\"; write \"error\", \"warn\", \"info\", \"debug\" or \
         \"trace\"",
    ),
];

#[test]
fn problems_say_where_what_and_how_to_mend() {
    for (text, expected) in PROBLEMS {
        let errors = parse(text).expect_err(text);
        assert_eq!(
            errors.to_string(),
            format!("test.toml:{expected}"),
            "{text}"
        );
    }
}

const BAD_RULES: &[(&str, &str)] = &[
    (
        "require = \"dane\"\nnext_hop = \"[192.0.2.1]\"",
        "next_hop: an address has no name below which level \"dane\" could find TLSA records",
    ),
    (
        "require = \"dane\"\nmatch = [\"mx.example.com\"]",
        "match: does not go with level \"dane\"",
    ),
    (
        "match = [\"mx.example.com\"]",
        "match: does not go with level \"may\"",
    ),
    ("require = \"verify\"\nmatch = []", "match: is empty"),
    (
        "require = \"verify\"\nmatch = [\"*.x.example\"]",
        "match: \"*.x.example\" cannot be matched",
    ),
    (
        "require = \"fingerprint\"",
        "fingerprints: level \"fingerprint\" needs at least one",
    ),
    (
        "require = \"fingerprint\"\nfingerprints = []",
        "fingerprints: level \"fingerprint\" needs",
    ),
    (
        "require = \"fingerprint\"\nfingerprints = [\"cert-sha256:00\"]",
        "fingerprints: \"cert-sha256:00\" has no SHA-256 digest",
    ),
    (
        "require = \"verify\"\nfingerprints = [\"spki-sha256:00\"]",
        "fingerprints: does not go with level \"verify\"",
    ),
    (
        "require = \"may\"\nmin_version = \"1.3\"",
        "min_version: binds only where TLS is mandatory",
    ),
    (
        "require = \"none\"\npublished = \"honor\"",
        "published: cannot be \"honor\"",
    ),
    (
        "require = \"none\"\nnext_hop = \"[a.example]:465\"",
        "next_hop: port 465 is TLS",
    ),
    (
        "require = \"verify\"\nnext_hop = \"[192.0.2.1]\"",
        "next_hop: an address has no name",
    ),
    (
        "require = \"verify\"\nclient_cert = true",
        "client_cert: there is no client certificate",
    ),
    (
        "require = \"encrypted\"",
        "require: cannot be \"encrypted\"; did you mean \"encrypt\"?",
    ),
    ("name = \"a b\"", "name: is no name for a metric"),
    (
        "next_hop = \"[mx.example.com\"",
        "next_hop: \"[mx.example.com\": the opening bracket",
    ),
];

#[test]
fn rules_that_contradict_themselves_are_refused() {
    for (rule, expected) in BAD_RULES {
        let errors =
            parse(&format!("[[rule]]\ndomains = [\"a.example\"]\n{rule}")).expect_err(rule);
        let first = &errors.0[0];
        assert!(
            first.to_string().contains(&format!("rule 1: {expected}")),
            "{rule}: {errors}"
        );
        assert!(
            first.place.is_some_and(|place| place.line != 3),
            "{rule}: {errors}"
        );
    }
}
