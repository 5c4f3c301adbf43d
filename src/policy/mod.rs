//! What a connection to an MX host must prove: pure values and pure functions.
//!
//! Facts and rules go in, a [`HostVerdict`] with its reason comes out. No await, no clock, no log, so
//! that one table test can try every combination.

mod case;
mod facts;
mod failure;
mod floor;
mod level;
pub mod postfix_map;
mod reference;
mod requirement;
mod rules;
mod verdict;

pub use facts::{Demand, HostFacts, StsFinding, TlsaFailure, TlsaFinding};
pub use failure::{CertificateProblem, TlsFailure};
pub use level::{Level, PolicySource};
pub use requirement::{
    Audit, AuditPurpose, Authentication, ClientCertificate, DaneRequirement, DaneTrust, Encryption,
    Fingerprint, HostPolicy, Objection, OnFailure, PlaintextPermit, ReferenceName, TlsRequirement,
    TlsVersion, Trial, Tried,
};
pub use rules::{Enforce, MatchName, Published, Rule, RuleConflict, Rules};
pub use verdict::{
    DeferReason, Deferral, HostVerdict, PolicySettings, SeekTlsa, for_host, seek_sts, seek_tlsa,
};
