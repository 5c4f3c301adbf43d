//! A world of zones in every state, and a table of questions with what a validator has to say about each: for tests
//! of validators, one against another.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let dns = lab::dns::DnsServer::start().await?;
//! lab::world::build(&dns);
//! let anchor = dns.trust_anchor_file();
//! for question in lab::world::questions() {
//!     // ... a validator that starts at `anchor` and forwards to `dns.address()` is asked, and agrees with
//!     // `question.verdict` and `question.found` ...
//! }
//! # Ok(()) }
//! ```

mod attacks;
mod content;
mod special;
mod zones;

use hickory_proto::rr::RecordType;

use crate::dns::DnsServer;
use crate::dnssec::Verdict;
pub use attacks::Attack;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Without the final dot.
    pub name: String,
    /// The type asked for.
    pub record_type: RecordType,
    /// What a validator says.
    pub verdict: Verdict,
    /// What there is if that is secure or insecure.
    pub found: Found,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Records of the type, perhaps after aliases.
    Records,
    /// The name, perhaps after aliases, but no records of the type.
    NoType,
    /// No such name, perhaps after aliases.
    NoName,
    /// Nobody can know.
    Nothing,
}

/// Lies about names of the world, with what a validator has to say about each; start one with [`Attack::start`].
pub fn attacks() -> Vec<Attack> {
    attacks::attacks()
}

/// Declares the zones of the world and fills them.
pub fn build(dns: &DnsServer) {
    for line in zones::zones() {
        dns.zone(line.apex, line.zone);
        content::fill(dns, line.apex);
    }
    special::fill(dns);
}

/// The table. Not in it, because they take a validator's whole patience, are `mx.dead.test` (nothing is ever answered:
/// [`Verdict::ServFail`]) and `mx.dead-keys.test` (DNSKEY is never answered: [`Verdict::Bogus`]).
pub fn questions() -> Vec<Question> {
    let of_zones = zones::zones();
    let of_zones = of_zones.iter().flat_map(content::questions);
    of_zones.chain(special::questions()).collect()
}
