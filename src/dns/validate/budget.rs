//! What one lookup may cost. Hostile zones can make a validator compute for minutes (CVE-2023-50387, many
//! keys with one tag and many signatures; CVE-2023-50868, many hashes); honest ones need a few checks.

use super::flaw::Flaw;

/// Signatures that may fail before the answer is given up.
const FAILED_CHECKS: u32 = 16;

/// Signatures that may be checked in all.
const CHECKS: u32 = 64;

/// NSEC3 hashes that may be computed, each of up to 151 rounds; an address of IPv6 has 34 labels.
const HASHES: u32 = 128;

/// Counts down what is left.
#[derive(Debug)]
pub(in crate::dns) struct Budget {
    failed_checks: u32,
    checks: u32,
    hashes: u32,
}

impl Budget {
    pub(in crate::dns) fn new() -> Self {
        Self {
            failed_checks: FAILED_CHECKS,
            checks: CHECKS,
            hashes: HASHES,
        }
    }

    pub(super) fn check(&mut self) -> Result<(), Flaw> {
        spend(&mut self.checks)
    }

    pub(super) fn check_failed(&mut self) -> Result<(), Flaw> {
        spend(&mut self.failed_checks)
    }

    pub(super) fn hash(&mut self) -> Result<(), Flaw> {
        spend(&mut self.hashes)
    }
}

fn spend(left: &mut u32) -> Result<(), Flaw> {
    *left = left.checked_sub(1).ok_or(Flaw::TooMuchWork)?;
    Ok(())
}
