//! Lies: an answer is changed before it is sent. The pieces of which liars make theirs.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::dns::{DnsServer, RecordType, lie};
//! let dns = DnsServer::start().await?;
//! dns.secure("a.test").a("mx.a.test", "127.0.1.1").tlsa_raw("mx.a.test", 25, &[3, 1, 1]);
//! // A denial that was made for another name.
//! let denial = dns.honest("nothing.plain.test", RecordType::TLSA);
//! dns.lie(move |question, response| {
//!     if question.record_type == RecordType::TLSA {
//!         lie::replace(response, &denial);
//!     }
//! });
//! # Ok(()) }
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Record, RecordType};

use super::Question;
use crate::dnssec::canonical;

type Change = dyn Fn(&Question, &mut Message) + Send + Sync;

/// Changes answers.
#[derive(Clone)]
pub(super) struct Lie(pub(super) Arc<Change>);

impl Lie {
    /// A liar that panics has said so on stderr; the server goes on and answers SERVFAIL.
    pub(super) fn tell(&self, question: &Question, response: &mut Message) {
        let told = AssertUnwindSafe(|| (self.0)(question, response));
        if catch_unwind(told).is_err() {
            deny(response, ResponseCode::ServFail, Vec::new());
        }
    }
}

impl fmt::Debug for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lie")
    }
}

/// Says what another answer says: code and records. Id, question and EDNS stay.
pub fn replace(response: &mut Message, by: &Message) {
    response.metadata.response_code = by.metadata.response_code;
    response.answers.clone_from(&by.answers);
    response.authorities.clone_from(&by.authorities);
    response.additionals.clone_from(&by.additionals);
}

/// Takes all records of these types away, such as RRSIG.
pub fn strip(response: &mut Message, types: &[RecordType]) {
    let stays = |record: &Record| !types.contains(&record.record_type());
    response.answers.retain(stays);
    response.authorities.retain(stays);
    response.additionals.retain(stays);
}

/// Says "no such name" or "no such type" with this authority section, which may be anybody's, or empty.
pub fn deny(response: &mut Message, code: ResponseCode, authorities: Vec<Record>) {
    response.metadata.response_code = code;
    response.answers.clear();
    response.authorities = authorities;
}

/// The type that an RRSIG record is for; `None` for other records and for what is too short.
pub fn covered(record: &Record) -> Option<RecordType> {
    let octets = data(record);
    let code = octets.first_chunk::<2>()?;
    (record.record_type() == RecordType::RRSIG).then(|| u16::from_be_bytes(*code).into())
}

/// The octets of a record's data, without compression.
pub fn data(record: &Record) -> Vec<u8> {
    canonical::octets(&record.data)
}

/// A record of any type with these octets as its data.
pub fn record(owner: &str, record_type: RecordType, ttl: u32, data: &[u8]) -> Record {
    let data = canonical::from_octets(record_type, data);
    Record::from_rdata(crate::name::name(owner), ttl, data)
}
