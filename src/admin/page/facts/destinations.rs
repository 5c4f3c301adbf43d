//! Destinations: what was last obtained, what is demanded, and why mail is held back.

use super::counts::{Span, over_time};
use super::policies::CachedPolicy;
use super::rules::RuleEntry;
use super::{Slot, time};
use crate::smtp::address::without_addresses;
use crate::store::history::{
    DAY, Destination, DestinationDetail, Facet, HOUR, SeenChannel, SeenRefusal, ShownDestination,
    ShownPage, Way,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much is shown of one destination.
const WEEKS: u64 = 53;
const HOURS: u64 = 72;

/// Answer to `/api/v1/destinations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationList {
    /// How many match, on all pages.
    pub matching: u64,
    /// From 1.
    pub page: u32,
    pub pages: u64,
    pub destinations: Vec<DestinationEntry>,
}

/// A destination: a recipient's domain, or an address literal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationEntry {
    /// A-labels.
    pub name: String,
    pub first: Timestamp,
    pub last: Timestamp,
    /// What came of the last attempt: `verified`, `encrypted`, `plaintext`, `blocked`, `refused`, `deferred`.
    pub state: String,
    /// The policy of the last attempt.
    pub policy: PolicySeen,
    /// The rule of the last attempt: its name, or where it stands.
    pub rule: Option<String>,
    /// The last delivery.
    pub obtained: Option<Obtained>,
    /// What kept mail back last; of now if `state` says so.
    pub refusal: Option<RefusalSeen>,
    /// Whether the last delivery went in the clear, although there was TLS within 30 days before.
    pub downgraded: bool,
    /// Deliveries in the clear after TLS.
    pub downgrades: u64,
    pub downgrade_first: Option<Timestamp>,
    pub downgrade_last: Option<Timestamp>,
    /// The last delivery over TLS.
    pub last_secured: Option<Timestamp>,
    /// Deliveries since it was first seen.
    pub delivered: u64,
    /// Attempts since then, like the following.
    pub verified: u64,
    pub encrypted: u64,
    pub plaintext: u64,
    pub blocked: u64,
    pub refused: u64,
    pub deferred: u64,
    /// What a rule in dry-run would have held back.
    pub would_block: u64,
}

/// What was demanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySeen {
    /// Where it came from: the label of the metrics.
    pub source: String,
    pub level: String,
}

/// How mail was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obtained {
    pub at: Timestamp,
    /// The MX host.
    pub mx: String,
    /// `verified`, `encrypted` or `plaintext`.
    pub outcome: String,
    /// Empty without TLS, like the following.
    pub tls_version: String,
    pub cipher: String,
    pub group: String,
    pub authenticated: String,
    pub certificate_problem: String,
    pub key: String,
    /// Why in the clear; else empty.
    pub plaintext_cause: String,
}

/// What kept mail back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalSeen {
    pub at: Timestamp,
    /// In words: what the client was answered, with addresses left out.
    pub reason: String,
    /// RFC 8460's result type, where a TLS policy held it back.
    pub result: Option<String>,
}

/// Answer to `/api/v1/destinations/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationShown {
    #[serde(flatten)]
    pub destination: DestinationEntry,
    /// The rule that holds now.
    pub configured: Option<RuleEntry>,
    /// The MTA-STS policy that is remembered.
    pub mta_sts: Option<CachedPolicy>,
    /// The last 72 hours.
    pub hours: Vec<Slot>,
    /// The last year by weeks, each beginning on a Monday.
    pub weeks: Vec<Slot>,
}

impl DestinationList {
    pub(in super::super) fn of(page: ShownPage, number: u32, limit: u32) -> Self {
        let rows = page.rows.into_iter();
        Self {
            matching: page.matching,
            page: number,
            pages: page.matching.div_ceil(u64::from(limit)).max(1),
            destinations: rows.map(DestinationEntry::of).collect(),
        }
    }
}

impl DestinationEntry {
    pub(super) fn of(shown: ShownDestination) -> Self {
        let of = (shown.destination, shown.rule);
        Self::new(of, &shown.facet, shown.channel, shown.refusal)
    }

    fn new(
        (seen, rule): (Destination, Option<String>),
        facet: &Facet,
        channel: Option<SeenChannel>,
        refusal: Option<SeenRefusal>,
    ) -> Self {
        Self {
            delivered: seen.delivered(),
            name: seen.name,
            first: time(seen.first),
            last: time(seen.last),
            state: seen.way.as_str().to_owned(),
            policy: PolicySeen {
                source: facet.policy.to_string(),
                level: facet.level.to_string(),
            },
            rule,
            obtained: channel.map(Obtained::of),
            refusal: refusal.map(RefusalSeen::of),
            downgraded: seen.downgraded,
            downgrades: seen.downgrades,
            downgrade_first: seen.downgrade_first.map(time),
            downgrade_last: seen.downgrade_last.map(time),
            last_secured: seen.last_secured.map(time),
            verified: seen.verified,
            encrypted: seen.encrypted,
            plaintext: seen.plaintext,
            blocked: seen.blocked,
            refused: seen.refused,
            deferred: seen.deferred,
            would_block: seen.would_block,
        }
    }

    /// Whether mail is kept back now.
    pub fn is_kept_back(&self) -> bool {
        [Way::Blocked, Way::Refused, Way::Deferred]
            .iter()
            .any(|way| way.as_str() == self.state)
    }
}

impl Obtained {
    fn of(seen: SeenChannel) -> Self {
        let facet = seen.facet;
        let plaintext = facet.way == Way::Plaintext;
        Self {
            at: time(seen.at),
            mx: seen.mx,
            outcome: facet.way.as_str().to_owned(),
            tls_version: facet.version.to_string(),
            cipher: facet.cipher.to_string(),
            group: facet.group.to_string(),
            authenticated: facet.authenticated.to_string(),
            certificate_problem: facet.problem.to_string(),
            key: facet.key.to_string(),
            plaintext_cause: if plaintext {
                facet.why.to_string()
            } else {
                String::new()
            },
        }
    }
}

impl RefusalSeen {
    fn of(seen: SeenRefusal) -> Self {
        Self {
            at: time(seen.at),
            reason: without_addresses(&seen.words, &[]),
            result: seen.why,
        }
    }
}

impl DestinationShown {
    pub(in super::super) fn of(
        seen: DestinationDetail,
        configured: Option<RuleEntry>,
        mta_sts: Option<CachedPolicy>,
        now: u64,
    ) -> Self {
        let hours = Span {
            from: (now - now % HOUR).saturating_sub((HOURS - 1) * HOUR),
            to: now,
            step: HOUR,
        };
        // The first day of 1970 was a Thursday.
        let today = now / DAY;
        let monday = today - (today + 3) % 7;
        let weeks = Span {
            from: monday.saturating_sub((WEEKS - 1) * 7) * DAY,
            to: now,
            step: 7 * DAY,
        };
        Self {
            hours: over_time(&seen.hours, hours).1,
            weeks: over_time(&seen.days, weeks).1,
            destination: DestinationEntry::new(
                (seen.destination, seen.rule),
                &seen.facet,
                seen.channel,
                seen.refusal,
            ),
            configured,
            mta_sts,
        }
    }
}
