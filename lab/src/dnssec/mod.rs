//! Signed zones: keys, signatures, proofs of absence. The canonical form and what is signed are this module's own.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::dnssec::{Algorithm, Zone};
//! let dns = lab::dns::DnsServer::start().await?;
//! dns.secure("a.test").mx("a.test", 10, "mx.a.test").a("mx.a.test", "127.0.1.1");
//! dns.zone("b.test", Zone::signed(Algorithm::Ed25519).nsec3(5, b"salt").opt_out());
//! dns.zone("old.test", Zone::secure().expired());
//! # Ok(()) }
//! ```

pub(crate) mod canonical;
pub(crate) mod declare;
pub(crate) mod key;
mod rsa;

pub use declare::{Ds, Zone};
pub use key::{Algorithm, Digest, Role};

/// What a validator has to say about an answer (RFC 4033 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Signed all the way from the root.
    Secure,
    /// Provably not signed.
    Insecure,
    /// Should be signed and is not, or not properly.
    Bogus,
    /// The servers do not answer.
    ServFail,
}
