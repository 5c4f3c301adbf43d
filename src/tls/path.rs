//! Whether a chain leads to a trusted root (RFC 5280 §6), remembered for a short while: connections to
//! one host show the same chain again and again.

use super::certificate::{is_self_issued, validity};
use super::issuers::Issuers;
use crate::policy::CertificateProblem;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// How long a verdict is believed, in seconds, unless a date in the chain passes before.
const VERDICT_LIFETIME: i64 = 5 * 60;
/// Verdicts remembered.
const MAX_VERDICTS: usize = 4096;

type Verdict = Result<(), CertificateProblem>;
type ChainDigest = [u8; 32];

/// The trusted roots and what was found out with them.
pub(super) struct Paths {
    roots: Vec<TrustAnchor<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    remembered: Mutex<HashMap<ChainDigest, Remembered>>,
}

struct Remembered {
    verdict: Verdict,
    since: i64,
    until: i64,
}

impl Paths {
    pub(super) fn new(
        roots: Vec<TrustAnchor<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            roots,
            algorithms,
            remembered: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the chain, leaf first, leads to a trusted root and is meant for servers. Names are not
    /// looked at.
    pub(super) fn check(&self, chain: &[CertificateDer<'static>], now: SystemTime) -> Verdict {
        let [leaf, intermediates @ ..] = chain else {
            return Err(CertificateProblem::Missing);
        };
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        let digest = digest(chain);
        if let Some(known) = self.remembered().get(&digest)
            && (known.since..known.until).contains(&seconds)
        {
            return known.verdict.clone();
        }
        let time = UnixTime::since_unix_epoch(since_epoch);
        let verdict = self.verify(leaf, intermediates, time);
        self.remember(
            digest,
            Remembered {
                verdict: verdict.clone(),
                since: seconds,
                until: holds_until(chain, seconds),
            },
        );
        verdict
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'static>,
        others: &[CertificateDer<'static>],
        time: UnixTime,
    ) -> Verdict {
        // Those that may lie on the way, and not too many: a stranger's chain may be made to keep us busy.
        let intermediates = Issuers::of(leaf, others).certificates;
        let path = |cert: &EndEntityCert<'_>| {
            cert.verify_for_usage(
                self.algorithms.all,
                &self.roots,
                &intermediates,
                time,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .map(|_| ())
        };
        EndEntityCert::try_from(leaf)
            .and_then(|cert| path(&cert))
            .map_err(|error| problem(&error, leaf))
    }

    fn remember(&self, digest: ChainDigest, verdict: Remembered) {
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_VERDICTS {
            remembered.retain(|_, known| known.until > verdict.since);
        }
        if remembered.len() >= MAX_VERDICTS {
            remembered.clear();
        }
        remembered.insert(digest, verdict);
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<ChainDigest, Remembered>> {
        // Nothing that holds the lock leaves the map half changed.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths")
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

/// One digest over all certificates; the lengths keep them apart.
fn digest(chain: &[CertificateDer<'_>]) -> ChainDigest {
    let mut hash = Sha256::new();
    for cert in chain {
        hash.update((cert.len() as u64).to_be_bytes());
        hash.update(cert);
    }
    hash.finalize().into()
}

/// Until when a verdict of `now` holds: no date in the chain may pass unseen. A chain with unreadable
/// dates is verified anew each time.
fn holds_until(chain: &[CertificateDer<'_>], now: i64) -> i64 {
    let mut until = now.saturating_add(VERDICT_LIFETIME);
    for cert in chain {
        let Some(validity) = validity(cert) else {
            return now;
        };
        for change in [*validity.start(), validity.end().saturating_add(1)] {
            if change > now {
                until = until.min(change);
            }
        }
    }
    until
}

/// What webpki's error means to an operator.
#[allow(clippy::wildcard_enum_match_arm)] // webpki's enum, non-exhaustive
pub(super) fn problem(error: &Error, leaf: &CertificateDer<'_>) -> CertificateProblem {
    match error {
        Error::CertExpired { .. } => CertificateProblem::Expired,
        Error::CertNotValidYet { .. } => CertificateProblem::NotYetValid,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            CertificateProblem::WrongUsage
        }
        // What remains is said of a self-signed leaf in many ways: a CA as server, version 1, unknown issuer.
        _ if is_self_issued(leaf) => CertificateProblem::SelfSigned,
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::EndEntityUsedAsCa
        | Error::PathLenConstraintViolated
        | Error::CertDistrusted
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded => CertificateProblem::Untrusted,
        _ => CertificateProblem::Unacceptable(reason(error).into()),
    }
}

/// A short phrase; webpki's own texts are names of variants.
#[allow(clippy::wildcard_enum_match_arm)] // webpki's enum, non-exhaustive
fn reason(error: &Error) -> &'static str {
    match error {
        Error::UnsupportedCertVersion => "not an X.509 version 3 certificate",
        Error::CaUsedAsEndEntity => "a CA certificate used by a server",
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::SignatureAlgorithmMismatch => "signature algorithm",
        Error::UnsupportedCriticalExtension => "unknown critical extension",
        Error::NameConstraintViolation => "name constraints of its issuer",
        _ => "cannot be read",
    }
}
