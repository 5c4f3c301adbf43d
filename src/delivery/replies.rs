//! What the client is told: one table from reason to reply.

use super::failure::{Failure, Stage};
use super::outcome::{Channel, Dsn, PolicyBlock, Scope, Settled, Via};
use crate::discovery::{HostFailure, RouteFailure};
use crate::dns::LookupFailure;
use crate::message::MessageId;
use crate::names::{MxHost, NextHop};
use crate::policy::{DeferReason, Deferral, HostPolicy, OnFailure, TlsFailure, Trial};
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::status::EnhancedStatus;
use crate::tls::Authenticated;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a host is named: `mx1.example.com[192.0.2.1]`, or the bare address.
pub(super) fn host_label(host: Option<&MxHost>, ip: IpAddr) -> String {
    match host {
        Some(host) => format!("{host}[{ip}]"),
        None => format!("[{ip}]"),
    }
}

/// The same for a host that was not tried, by its first address.
pub fn first_label(host: Option<&MxHost>, addresses: &[IpAddr]) -> String {
    match (host, addresses.first()) {
        (host, Some(first)) => host_label(host, *first),
        (Some(host), None) => host.to_string(),
        (None, None) => String::new(),
    }
}

fn reply(code: u16, subject: u16, detail: u16, text: impl Into<String>) -> Reply {
    let class = if code >= 500 { 5 } else { 4 };
    Reply::new(code, EnhancedStatus::new(class, subject, detail), text)
}

/// The reply to a delivered message. The MX's own words are cut so that ours fit.
pub(super) fn delivered(
    label: &str,
    said: &Reply,
    id: &MessageId,
    channel: &Channel,
    policy: &HostPolicy,
) -> Reply {
    let (tls, proof) = match channel {
        Channel::Tls(seen) => {
            let proof = match seen.authenticated {
                Authenticated::None => policy.level.as_str(),
                proof @ (Authenticated::WebPki
                | Authenticated::Dane
                | Authenticated::HalfDane
                | Authenticated::Fingerprint) => proof.as_str(),
            };
            (seen.version.to_string(), proof)
        }
        Channel::Plaintext(_) | Channel::None => ("plaintext".into(), policy.level.as_str()),
    };
    let ours = format!(" (sealpost {id}, {tls}, {proof})");
    let mut text = format!("host {label} said: {said}");
    let room = 512 - "250 2.0.0 \r\n".len() - ours.len();
    cut(&mut text, room);
    Reply::new(250, EnhancedStatus::new(2, 0, 0), text + &ours)
}

/// The MX's own refusal, passed on.
fn refused(label: &str, stage: Stage, said: &Reply) -> Reply {
    // What concerns the host alone is never a verdict on the recipient.
    let host_only = matches!(
        stage,
        Stage::Greeting | Stage::Ehlo | Stage::Starttls | Stage::EhloAfterTls
    );
    let code = match said.code {
        421 => 451,
        code @ 400..=499 => code,
        code @ 500..=599 if !host_only => code,
        _ => 451,
    };
    let class = if code >= 500 { 5 } else { 4 };
    let enhanced = match said.enhanced {
        Some(enhanced) if enhanced.class == class => enhanced,
        _ => EnhancedStatus::new(class, 0, 0),
    };
    let shown = if code == said.code {
        said.text()
    } else {
        said.to_string()
    };
    let mut text = format!("host {label} said: {shown}");
    cut(&mut text, MAX_TEXT);
    Reply::new(code, enhanced, text)
}

/// Longest text of a reply, octets: it is kept, logged and told to senders. What goes to the client is cut further.
const MAX_TEXT: usize = 1000;

fn cut(text: &mut String, most: usize) {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1; // 0 is a boundary
    }
    text.truncate(end);
}

/// What a failure at one host means for the recipients, with the block that the policy has put up.
pub(super) fn failed(
    label: &str,
    failure: &Failure,
    policy: &HostPolicy,
) -> (Reply, Option<PolicyBlock>) {
    let plain =
        |code, subject, detail| reply(code, subject, detail, format!("host {label}: {failure}"));
    let answer = match failure {
        Failure::Refused { stage, reply } => refused(label, *stage, reply),
        Failure::Connect(_)
        | Failure::ConnectTimeout(_)
        | Failure::ConnectHurried(_)
        | Failure::Local(_)
        | Failure::OutOfTime => plain(451, 4, 1),
        Failure::TimedOut { .. } => plain(451, 4, 1),
        Failure::Lost { .. } => plain(451, 4, 2),
        Failure::Protocol { .. } | Failure::Unexpected { .. } => plain(451, 5, 0),
        Failure::NoSlot => plain(451, 3, 2),
        Failure::Spool(_) => plain(451, 3, 0),
        Failure::LoopsBack => plain(554, 4, 6),
        Failure::PolicyChanged => plain(451, 7, 5),
        Failure::NoSmtpUtf8 => plain(553, 6, 7),
        Failure::NoEightBitMime => plain(554, 6, 3),
        Failure::TooBig { .. } => plain(552, 3, 4),
        Failure::Tls(failure) => return tls_failed(label, failure, policy),
        Failure::TlsDelayed {
            failure,
            plaintext_from,
        } => {
            let text = format!(
                "TLS failed, plaintext not before {plaintext_from}; host {label}: {failure}"
            );
            let block = PolicyBlock {
                policy: policy.source_of(failure),
                reason: failure.result_type(),
            };
            return (reply(451, 7, 5, text), Some(block));
        }
    };
    (answer, None)
}

fn tls_failed(
    label: &str,
    failure: &TlsFailure,
    policy: &HostPolicy,
) -> (Reply, Option<PolicyBlock>) {
    let detail = match failure {
        TlsFailure::StarttlsNotOffered | TlsFailure::StarttlsRefused(_) => 4,
        TlsFailure::SurplusAfterStarttls
        | TlsFailure::Handshake(_)
        | TlsFailure::NoCommonParameters
        | TlsFailure::HandshakeTimeout
        | TlsFailure::ConnectionLost
        | TlsFailure::VersionTooOld(_)
        | TlsFailure::Certificate(_)
        | TlsFailure::Dane(_)
        | TlsFailure::MtaSts(_) => 5,
    };
    // That a connection broke or was slow says nothing of what the host can do.
    let passing = matches!(
        failure,
        TlsFailure::HandshakeTimeout | TlsFailure::ConnectionLost
    );
    let code = match policy.on_failure {
        OnFailure::Reject if !passing => 554,
        OnFailure::Defer | OnFailure::Reject => 451,
    };
    let text = format!("{}: {label}: {failure}", policy.describe(failure));
    let block = PolicyBlock {
        policy: policy.source_of(failure),
        reason: failure.result_type(),
    };
    (reply(code, 7, detail, text), Some(block))
}

/// The reply to a failure that is only remembered: nothing was tried, so nothing is final.
pub fn softened(reply: Reply) -> Reply {
    if reply.severity() != Severity::Permanent {
        return reply;
    }
    let enhanced = reply.enhanced.map(|e| EnhancedStatus { class: 4, ..e });
    Reply {
        code: 451,
        enhanced,
        ..reply
    }
}

/// After our final dot: the reply is lost, and the message may have been accepted.
pub(super) fn uncertain(label: &str, failure: &Failure) -> Reply {
    let confused = matches!(
        failure,
        Failure::Unexpected { .. } | Failure::Protocol { .. }
    );
    let detail = if confused { (5, 0) } else { (4, 2) };
    let text = format!("host {label}: {failure}; the message may have been accepted");
    reply(451, detail.0, detail.1, text)
}

/// A host without an address.
pub fn host_without_address(host: &str, failure: &HostFailure) -> Reply {
    match failure {
        HostFailure::Lookup(lookup) => {
            reply(451, 4, 3, format!("DNS lookup of MX host {host}: {lookup}"))
        }
        HostFailure::NoAddress => reply(550, 4, 4, format!("MX host {host} {failure}")),
        HostFailure::OnlyBlocked => reply(554, 4, 6, format!("MX host {host} {failure}")),
        HostFailure::FamilyNotUsed => reply(451, 4, 1, format!("MX host {host} {failure}")),
    }
}

/// The policy does not use this host now.
pub fn policy_defers(host: &str, deferral: &Deferral) -> Reply {
    let Deferral {
        source,
        subject,
        reason,
        on_failure,
        ..
    } = deferral;
    let text = format!("{source} policy of {subject}: {host}: {reason}");
    match reason {
        DeferReason::TlsaLookup(_) | DeferReason::StsBogus(_) => reply(451, 4, 3, text),
        // We cannot tell, and it is our own fault.
        DeferReason::StsUnknown(_) => reply(451, 3, 0, text),
        // Nothing is proven of the host; it is we who cannot tell.
        DeferReason::TlsaNotSought => reply(451, 7, 5, text),
        DeferReason::NoTlsa
        | DeferReason::TlsaInsecure
        | DeferReason::NoneUsable(_)
        | DeferReason::MxInsecure
        | DeferReason::NotListed => match on_failure {
            OnFailure::Defer => reply(451, 7, 5, text),
            OnFailure::Reject => reply(554, 7, 5, text),
        },
    }
}

/// The same as what became of every recipient at this host.
pub fn deferred(
    host: Option<&MxHost>,
    address: Option<SocketAddr>,
    deferral: &Deferral,
) -> Settled {
    let addresses: Vec<IpAddr> = address.iter().map(SocketAddr::ip).collect();
    let label = first_label(host, &addresses);
    let via = address.map(|address| {
        Arc::new(Via {
            mx: host.cloned(),
            address,
            source: None,
            policy: deferral.source,
            level: deferral.level,
            rule_name: deferral.rule_name.clone(),
            trial: Trial::None,
            channel: Channel::None,
            dsn: Dsn::NotOffered,
        })
    });
    let block = PolicyBlock {
        policy: deferral.source,
        reason: deferral.reason.result_type(),
    };
    Settled::failed(
        policy_defers(&label, deferral),
        via,
        Some(block),
        Scope::Host,
    )
}

/// No way to the destination. Where a rule chose the next hop, the rule is at fault and not the
/// recipient: its mail waits until that is mended.
pub fn no_route(failure: &RouteFailure, next_hop: &NextHop) -> Reply {
    let verdict = route_verdict(failure);
    match next_hop {
        NextHop::Rule(hop) if verdict.severity() == Severity::Permanent => {
            reply(451, 3, 5, format!("next_hop {hop}: {failure}"))
        }
        NextHop::Rule(_) | NextHop::Domain(_) | NextHop::Literal(_) => verdict,
    }
}

fn route_verdict(failure: &RouteFailure) -> Reply {
    let text = failure.to_string();
    match failure {
        RouteFailure::NoSuchDomain(_) | RouteFailure::NeitherMxNorAddress(_) => {
            reply(550, 1, 2, text)
        }
        RouteFailure::NoHostHasAddress(_) => reply(550, 4, 4, text),
        RouteFailure::NullMx(_) => reply(556, 1, 10, text),
        RouteFailure::ThisHost(_) | RouteFailure::OnlyBlocked(_) => reply(554, 4, 6, text),
        RouteFailure::FamilyNotUsed(_) => reply(451, 4, 1, text),
        RouteFailure::Dns { failure, .. } => match failure {
            LookupFailure::Bogus(_)
            | LookupFailure::ServerFailure(_)
            | LookupFailure::TimedOut
            | LookupFailure::Unreachable(_)
            | LookupFailure::TooManyAliases
            | LookupFailure::Malformed(_)
            | LookupFailure::DnssecBroken => reply(451, 4, 3, text),
        },
    }
}

/// RFC 3339 in UTC, to the second.
pub(super) fn timestamp(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "later".into(),
    }
}

/// No MX was reached in time.
pub fn out_of_time(limit: Duration) -> Reply {
    reply(
        451,
        4,
        1,
        format!("no MX host reached within {} s", limit.as_secs()),
    )
}

/// The route was not found out in time.
pub fn dns_timeout(next_hop: &NextHop) -> Reply {
    reply(451, 4, 3, format!("DNS lookup of {next_hop}: time-out"))
}

/// The delivery was given up: the client has left or we are shutting down.
pub fn withdrawn() -> Reply {
    reply(451, 3, 2, "delivery given up, try again")
}

/// The delivery was given up although our final dot had gone out: we cannot wait any longer.
pub fn abandoned() -> Reply {
    let text = "no reply to the message before the relay shut down; it may have been accepted";
    reply(451, 4, 2, text)
}

/// Several hosts failed: soft beats hard, the text is that of the last.
pub fn after_several(hosts: usize, last: Reply, soft: Option<&Reply>) -> Reply {
    if hosts < 2 {
        return last;
    }
    let prefix = format!("{hosts} hosts tried; ");
    let hard = last.severity() == Severity::Permanent;
    match soft {
        Some(soft) if hard => Reply {
            code: soft.code,
            enhanced: soft.enhanced,
            lines: vec![format!("{prefix}{last}")],
        },
        _ => Reply {
            lines: vec![prefix + &last.text()],
            ..last
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, text: &str) -> Reply {
        match EnhancedStatus::split(text) {
            Some((enhanced, rest)) => Reply::new(code, enhanced, rest),
            None => Reply::plain(code, text),
        }
    }

    #[test]
    fn refusals_keep_their_code_unless_it_would_mislead() {
        for (stage, code, text, expected) in [
            (
                Stage::Rcpt,
                550,
                "5.1.1 no such user",
                "550 5.1.1 host mx said: no such user",
            ),
            (Stage::Rcpt, 450, "later", "450 4.0.0 host mx said: later"),
            (Stage::Rcpt, 550, "4.1.1 odd", "550 5.0.0 host mx said: odd"),
            (
                Stage::Mail,
                421,
                "4.3.0 closing",
                "451 4.3.0 host mx said: 421 4.3.0 closing",
            ),
            (
                Stage::Greeting,
                554,
                "5.7.1 no",
                "451 4.0.0 host mx said: 554 5.7.1 no",
            ),
            (Stage::Ehlo, 502, "what", "451 4.0.0 host mx said: 502 what"),
            (
                Stage::FinalDot,
                552,
                "5.3.4 big",
                "552 5.3.4 host mx said: big",
            ),
        ] {
            assert_eq!(
                refused("mx", stage, &said(code, text)).to_string(),
                expected
            );
        }
    }

    #[test]
    fn a_soft_failure_dominates_a_later_hard_one() {
        let soft = reply(450, 2, 0, "host a said: greylisted");
        let hard = reply(550, 1, 1, "host b said: no such user");
        let combined = after_several(2, hard.clone(), Some(&soft));
        let expected = "450 4.2.0 2 hosts tried; 550 5.1.1 host b said: no such user";
        assert_eq!(combined.to_string(), expected);
        let expected = "550 5.1.1 2 hosts tried; host b said: no such user";
        assert_eq!(after_several(2, hard, None).to_string(), expected);
    }
}
