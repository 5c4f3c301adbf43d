//! What went wrong on the way to a host.

use crate::delivery::failure::Failure;
use std::net::SocketAddr;

/// Why a host was not reached, and where.
#[derive(Debug)]
pub(in crate::delivery) struct Unreached {
    pub failure: Failure,
    pub address: SocketAddr,
    /// Whether the failure is of this attempt.
    pub freshness: Freshness,
    /// Addresses whose TLS failed: now, or as remembered.
    pub tls_failed: Vec<(SocketAddr, Freshness)>,
    /// Addresses really tried.
    pub tried: u32,
}

/// Whether a failure happened just now. One that only our own haste explains counts as remembered:
/// nothing new is learned from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Freshness {
    Now,
    Remembered,
}

/// What went wrong on the way.
#[derive(Debug, Default)]
pub(super) struct Trail {
    last: Option<(SocketAddr, Failure)>,
    remembered: Option<(SocketAddr, Failure)>,
    tls_failed: Vec<(SocketAddr, Freshness)>,
    tried: u32,
}

impl Trail {
    pub(super) fn add(&mut self, address: SocketAddr, failure: Failure, freshness: Freshness) {
        self.tried += 1;
        self.note_tls(address, &failure, freshness);
        self.last = Some((address, failure));
    }

    pub(super) fn remember(&mut self, address: SocketAddr, failure: Failure) {
        self.note_tls(address, &failure, Freshness::Remembered);
        self.remembered.get_or_insert((address, failure));
    }

    pub(super) fn note_tls(
        &mut self,
        address: SocketAddr,
        failure: &Failure,
        freshness: Freshness,
    ) {
        if let Failure::Tls(_) = failure {
            self.tls_failed.push((address, freshness));
        }
    }

    pub(super) fn end(self, first: Option<SocketAddr>) -> Unreached {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let nothing = || (first.unwrap_or(unspecified), Failure::OutOfTime);
        let freshness = match self.last {
            Some(_) => Freshness::Now,
            None => Freshness::Remembered,
        };
        let (address, failure) = self.last.or(self.remembered).unwrap_or_else(nothing);
        Unreached {
            failure,
            address,
            freshness,
            tls_failed: self.tls_failed,
            tried: self.tried,
        }
    }
}
