//! Attempts, counted by what came of them.

use super::time;
use crate::store::history::{Facet, Total, Way};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Kinds of one thing that are told apart; what is rarer is taken together.
const MOST_KINDS: usize = 12;

/// Attempts, one for each recipient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Delivered to a host that was authenticated by DANE.
    pub dane: u64,
    /// By TLSA records, although the MX records were not secure.
    pub half_dane: u64,
    /// By WebPKI: MTA-STS, or a rule.
    pub webpki: u64,
    /// By a pin of a rule.
    pub pin: u64,
    /// Over TLS, to nobody knows whom.
    pub encrypted: u64,
    /// In the clear.
    pub plaintext: u64,
    /// Held back by a TLS policy.
    pub blocked: u64,
    /// Refused for good for another reason.
    pub refused: u64,
    /// Put off for another reason.
    pub deferred: u64,
    /// Of all these, what rules in dry-run would have held back.
    pub would_block: u64,
}

/// Attempts within an hour or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// When it began.
    pub at: Timestamp,
    #[serde(flatten)]
    pub counts: Counts,
}

/// How many deliveries were of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub label: String,
    pub count: u64,
}

/// What deliveries were like; the most common first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// `1.3`, `1.2`, ...; `none`: in the clear.
    pub tls_version: Vec<Share>,
    /// Of those over TLS, like the following.
    pub cipher: Vec<Share>,
    pub group: Vec<Share>,
    /// What a full check finds wrong with the certificate, also when none was asked for; `none`: nothing.
    pub certificate_problem: Vec<Share>,
    pub key: Vec<Share>,
    /// Where the policy came from, of all deliveries.
    pub policy: Vec<Share>,
    /// Why mail went in the clear.
    pub plaintext_cause: Vec<Share>,
    /// Why mail was held back: RFC 8460's result types.
    pub blocked_reason: Vec<Share>,
}

impl Counts {
    pub fn add(&mut self, facet: &Facet, count: u64) {
        *self.of(facet.way, &facet.authenticated) += count;
        if facet.would_block() {
            self.would_block += count;
        }
    }

    fn of(&mut self, way: Way, authenticated: &str) -> &mut u64 {
        match way {
            Way::Verified => match authenticated {
                "dane" => &mut self.dane,
                "half-dane" => &mut self.half_dane,
                "fingerprint" => &mut self.pin,
                _ => &mut self.webpki,
            },
            Way::Encrypted => &mut self.encrypted,
            Way::Plaintext => &mut self.plaintext,
            Way::Blocked => &mut self.blocked,
            Way::Refused => &mut self.refused,
            Way::Deferred => &mut self.deferred,
        }
    }

    pub fn verified(&self) -> u64 {
        self.dane + self.half_dane + self.webpki + self.pin
    }

    /// Over TLS.
    pub fn secured(&self) -> u64 {
        self.verified() + self.encrypted
    }

    pub fn delivered(&self) -> u64 {
        self.secured() + self.plaintext
    }

    pub fn sum(&self) -> u64 {
        self.delivered() + self.blocked + self.refused + self.deferred
    }
}

/// Slots of so many seconds that follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// When the first one begins, UNIX seconds.
    pub(super) from: u64,
    /// Not after.
    pub(super) to: u64,
    pub(super) step: u64,
}

/// The sum of all, and what there was in each slot, empty ones included.
pub(super) fn over_time(totals: &[Total], span: Span) -> (Counts, Vec<Slot>) {
    let mut sum = Counts::default();
    let begins = (span.from..=span.to).step_by(usize::try_from(span.step).unwrap_or(usize::MAX));
    let mut slots: BTreeMap<u64, Counts> = begins.map(|at| (at, Counts::default())).collect();
    for total in totals {
        let Some(since) = total.at.checked_sub(span.from) else {
            continue;
        };
        let begin = total.at - since % span.step;
        if let Some(slot) = slots.get_mut(&begin) {
            sum.add(&total.facet, total.count);
            slot.add(&total.facet, total.count);
        }
    }
    let slots = slots.into_iter().map(|(at, counts)| Slot {
        at: time(at),
        counts,
    });
    (sum, slots.collect())
}

impl Shares {
    pub(super) fn of(totals: &[Total]) -> Self {
        let delivered = |total: &&Total| total.facet.way.is_delivered();
        let secured = |total: &&Total| total.facet.way.is_secured();
        let of_way = |way| move |total: &&Total| total.facet.way == way;
        Self {
            tls_version: shares(totals.iter().filter(delivered), |facet| &facet.version),
            cipher: shares(totals.iter().filter(secured), |facet| &facet.cipher),
            group: shares(totals.iter().filter(secured), |facet| &facet.group),
            certificate_problem: shares(totals.iter().filter(secured), |facet| &facet.problem),
            key: shares(totals.iter().filter(secured), |facet| &facet.key),
            policy: shares(totals.iter().filter(delivered), |facet| &facet.policy),
            plaintext_cause: shares(totals.iter().filter(of_way(Way::Plaintext)), |facet| {
                &facet.why
            }),
            blocked_reason: shares(totals.iter().filter(of_way(Way::Blocked)), |facet| {
                &facet.why
            }),
        }
    }
}

fn shares<'a>(
    totals: impl Iterator<Item = &'a Total>,
    label: impl Fn(&'a Facet) -> &'a str,
) -> Vec<Share> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for total in totals {
        let label = match label(&total.facet) {
            "" => "none",
            label => label,
        };
        *counts.entry(label).or_default() += total.count;
    }
    let mut shares: Vec<_> = counts
        .into_iter()
        .map(|(label, count)| Share {
            label: label.to_owned(),
            count,
        })
        .collect();
    shares.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.label.cmp(&b.label)));
    if shares.len() > MOST_KINDS {
        let rest = shares.split_off(MOST_KINDS - 1);
        shares.push(Share {
            label: "all others".to_owned(),
            count: rest.iter().map(|share| share.count).sum(),
        });
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn total(at: u64, way: Way, authenticated: &'static str, count: u64) -> Total {
        let mut facet = Facet::folded(way);
        facet.authenticated = authenticated.into();
        facet.version = if way.is_secured() { "1.3" } else { "" }.into();
        Total {
            at,
            facet: Arc::new(facet),
            count,
        }
    }

    #[test]
    fn every_attempt_is_in_one_count_and_one_slot() {
        let totals = [
            total(3600, Way::Verified, "dane", 1),
            total(3600, Way::Verified, "half-dane", 2),
            total(3600, Way::Verified, "webpki", 4),
            total(7200, Way::Verified, "fingerprint", 8),
            total(7200, Way::Encrypted, "none", 16),
            total(7200, Way::Plaintext, "", 32),
            total(7200, Way::Blocked, "", 64),
            total(7200, Way::Refused, "", 128),
            total(7200, Way::Deferred, "", 256),
            total(99_999, Way::Deferred, "", 512), // not in the time
        ];
        let (sum, slots) = over_time(
            &totals,
            Span {
                from: 3600,
                to: 3 * 3600,
                step: 3600,
            },
        );
        let expected = Counts {
            dane: 1,
            half_dane: 2,
            webpki: 4,
            pin: 8,
            encrypted: 16,
            plaintext: 32,
            blocked: 64,
            refused: 128,
            deferred: 256,
            would_block: 0,
        };
        assert_eq!(sum, expected);
        assert_eq!((sum.verified(), sum.secured(), sum.sum()), (15, 31, 511));
        let sums: Vec<u64> = slots.iter().map(|slot| slot.counts.sum()).collect();
        assert_eq!(sums, [7, 504, 0]);
        let shares = Shares::of(&totals);
        let versions: Vec<_> = shares
            .tls_version
            .iter()
            .map(|s| (&*s.label, s.count))
            .collect();
        assert_eq!(versions, [("none", 32), ("1.3", 31)]);
    }

    #[test]
    fn what_is_rare_is_taken_together() {
        let totals: Vec<_> = (0..20u64)
            .map(|number| {
                let mut facet = Facet::folded(Way::Encrypted);
                facet.cipher = format!("cipher{number}").into();
                Total {
                    at: 0,
                    facet: Arc::new(facet),
                    count: number + 1,
                }
            })
            .collect();
        let shares = Shares::of(&totals).cipher;
        assert_eq!(shares.len(), MOST_KINDS);
        assert_eq!((&*shares[0].label, shares[0].count), ("cipher19", 20));
        assert_eq!(shares.iter().map(|share| share.count).sum::<u64>(), 210);
    }
}
