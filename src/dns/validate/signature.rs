//! Verification of a set's signatures (RFC 4035 §5.3).

use super::budget::Budget;
use super::canonical::{CanonicalData, signed_data};
use super::flaw::Flaw;
use super::keys::{ZoneKeys, is_supported};
use super::rdata::Rrsig;
use super::rrset::RrSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time by which signatures are judged: seconds since 1970, modulo 2^32 (RFC 4034 §3.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) struct WallClock(pub u32);

impl From<SystemTime> for WallClock {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() as u32)
    }
}

/// A set whose signature is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) struct Verified {
    /// In seconds: the lowest of what was received, what was signed and how long the signature holds
    /// (RFC 4035 §5.3.3).
    pub ttl: u32,
    pub origin: Origin,
}

/// Whether the records are published under their owner's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) enum Origin {
    Exact,
    /// They come from the wildcard below the name of the owner's last `encloser` labels: it has to be
    /// shown that nothing closer matches (RFC 4035 §5.3.4).
    Wildcard {
        encloser: usize,
    },
}

/// Checks the signatures of `set` by the zone's keys until one is good.
pub(in crate::dns) fn verify(
    set: &RrSet<'_>,
    zone: &ZoneKeys,
    now: WallClock,
    budget: &mut Budget,
) -> Result<Verified, Flaw> {
    let data = CanonicalData::of(set);
    let mut worst = Flaw::NoSignature;
    for rrsig in &set.signatures {
        match verify_one(set, &data, rrsig, (zone, now), budget) {
            Ok(verified) => return Ok(verified),
            Err(Flaw::TooMuchWork) => return Err(Flaw::TooMuchWork),
            Err(flaw) => worst = worst.max(flaw),
        }
    }
    Err(worst)
}

fn verify_one(
    set: &RrSet<'_>,
    data: &CanonicalData,
    rrsig: &Rrsig,
    (zone, now): (&ZoneKeys, WallClock),
    budget: &mut Budget,
) -> Result<Verified, Flaw> {
    if rrsig.signer != zone.zone || !zone.zone.zone_of(set.owner) {
        return Err(Flaw::WrongSigner);
    }
    if !is_supported(rrsig.algorithm) {
        return Err(Flaw::UnknownAlgorithm);
    }
    if rrsig.labels < zone.zone.num_labels() {
        return Err(Flaw::MalformedSignature); // a wildcard above the zone
    }
    let lifetime = remaining(rrsig, now)?;
    let signed = signed_data(set, data, rrsig).ok_or(Flaw::MalformedSignature)?;
    let mut flaw = Flaw::NoKey;
    for key in zone.candidates(rrsig.algorithm, rrsig.key_tag) {
        budget.check()?;
        if key.verify_sig(&signed, &rrsig.signature).is_ok() {
            return Ok(Verified {
                ttl: set.ttl.min(rrsig.original_ttl).min(lifetime),
                origin: origin(set, rrsig),
            });
        }
        budget.check_failed()?;
        flaw = Flaw::BadSignature;
    }
    Err(flaw)
}

/// How many seconds the signature still holds, in serial number arithmetic (RFC 4034 §3.1.5, RFC 1982).
fn remaining(rrsig: &Rrsig, now: WallClock) -> Result<u32, Flaw> {
    if now.0.wrapping_sub(rrsig.inception).cast_signed() < 0 {
        return Err(Flaw::NotYetValid);
    }
    let remaining = rrsig.expiration.wrapping_sub(now.0).cast_signed();
    u32::try_from(remaining).map_err(|_| Flaw::Expired)
}

fn origin(set: &RrSet<'_>, rrsig: &Rrsig) -> Origin {
    if set.owner.num_labels() == rrsig.labels {
        return Origin::Exact;
    }
    Origin::Wildcard {
        encloser: rrsig.labels.into(),
    }
}
