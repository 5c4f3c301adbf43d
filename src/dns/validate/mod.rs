//! Validation of signed answers (RFC 4033 to 4035, RFC 5155, RFC 6840), pure: records, keys and the time
//! in, verdict out. What has to be asked for is asked by [`super::trust`].

pub(super) mod anchor;
mod anchor_file;
#[cfg(test)]
mod bind_tests;
mod budget;
mod canonical;
mod delegation;
mod denial;
mod flaw;
mod keys;
pub(super) mod names;
mod nsec;
mod nsec3;
#[cfg(test)]
mod nsec3_tests;
mod rdata;
#[cfg(test)]
mod rfc_tests;
mod rrset;
mod signature;
#[cfg(test)]
mod signature_tests;

pub(super) use anchor::{Anchor, Anchors};
pub(super) use budget::Budget;
pub(super) use delegation::{Fork, Way};
pub(super) use denial::{Absence, Denials};
pub(super) use flaw::Flaw;
pub(super) use keys::ZoneKeys;
pub(super) use rrset::RrSet;
pub(super) use signature::{Origin, Verified, WallClock, verify};
