//! What Sealpost would change, as far as a log can tell.

use crate::maillog::{Channel, Destination, Summary, Trust, Version};
use serde::Serialize;

/// Mail of one kind, and what becomes of it.
#[derive(Debug, Serialize)]
pub(super) struct Impact {
    pub(super) kind: &'static str,
    pub(super) what: &'static str,
    pub(super) recipients: u64,
    pub(super) destinations: u64,
    pub(super) then: &'static str,
}

type Which = fn(Channel) -> bool;

/// What is looked at, in words for people, and what becomes of it.
const KINDS: [(&str, Which, &str, &str); 4] = [
    (
        "plaintext",
        is_plaintext,
        "went in the clear",
        "the same, and counted; where a policy or a rule demands TLS it is held back, with the reason in the reply",
    ),
    (
        "old-tls",
        is_old,
        "went over TLS 1.1 or older",
        "Sealpost has TLS 1.2 and 1.3 only: in the clear after a second try, unless TLS is demanded; see old-hosts.md",
    ),
    (
        "unauthenticated",
        is_unauthenticated,
        "went over TLS, but the host was not proven",
        "DANE and MTA-STS are enforced for domains that publish them; `sealpost scan` tells which do",
    ),
    (
        "authenticated",
        Channel::is_verified,
        "went over TLS to a proven host",
        "the same, as long as the domain publishes it or a rule demands it",
    ),
];

/// Empty if the log says nothing of TLS.
pub(super) fn of(summary: &Summary) -> Vec<Impact> {
    if !summary.tells_outbound() {
        return Vec::new();
    }
    let impact = |(kind, which, what, then): (&'static str, Which, &'static str, &'static str)| {
        let count = |d: &Destination| d.ways.sum(which);
        Impact {
            kind,
            what,
            recipients: summary.destinations.iter().map(count).sum(),
            destinations: summary.destinations.iter().filter(|d| count(d) > 0).count() as u64,
            then,
        }
    };
    let all = KINDS.into_iter().map(impact);
    all.filter(|impact| impact.recipients > 0).collect()
}

fn is_plaintext(channel: Channel) -> bool {
    !channel.is_tls()
}

fn is_old(channel: Channel) -> bool {
    match channel {
        Channel::Tls(Version::Ssl3 | Version::Tls1_0 | Version::Tls1_1, _) => true,
        Channel::Tls(Version::Tls1_2 | Version::Tls1_3 | Version::Other, _)
        | Channel::Plaintext => false,
    }
}

fn is_unauthenticated(channel: Channel) -> bool {
    match channel {
        Channel::Tls(_, Trust::Anonymous | Trust::Untrusted | Trust::Trusted) => !is_old(channel),
        Channel::Tls(_, Trust::Verified | Trust::WebPki | Trust::Dane | Trust::Fingerprint)
        | Channel::Plaintext => false,
    }
}
