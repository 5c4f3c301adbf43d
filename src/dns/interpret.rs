//! What a reply says about a question: records, absence, or an alias whose target must be asked for.
//! Pure: no I/O, no clock.

use super::{Existence, LookupFailure, MAX_ALIASES};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// The chain of aliases so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub aliases: usize,
    /// Lowest TTL of its records, in seconds.
    pub ttl: u32,
}

impl Chain {
    pub(super) const EMPTY: Self = Self {
        aliases: 0,
        ttl: u32::MAX,
    };
}

/// What a reply brought.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Done(Found),
    /// The reply ends in an alias: ask for its target.
    Follow(Name, Chain),
}

/// The end of a lookup.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub records: Vec<RData>,
    pub existence: Existence,
    /// The end of the chain, which the existence is about (RFC 2308 §2.1, RFC 6604 §3).
    pub owner: Name,
    /// In seconds; `None` for absence without a SOA record, which says nothing about time (RFC 2308 §5).
    pub ttl: Option<u32>,
}

/// Reads the reply to `question`, which `chain` led to.
pub(super) fn read(
    message: &Message,
    question: &Query,
    mut chain: Chain,
) -> Result<Step, LookupFailure> {
    let mut owner = question.name().clone();
    let before = chain.aliases;
    loop {
        let (records, ttl) = records_of(message, &owner, question.query_type());
        if !records.is_empty() {
            if message.response_code == ResponseCode::NXDomain {
                return Err(LookupFailure::Malformed("NXDOMAIN with records".into()));
            }
            return Ok(Step::Done(Found {
                records,
                existence: Existence::Present,
                owner,
                ttl: Some(ttl.min(chain.ttl)),
            }));
        }
        let Some((target, ttl)) = alias_of(message, &owner) else {
            break;
        };
        chain.aliases += 1;
        chain.ttl = chain.ttl.min(ttl);
        if chain.aliases > MAX_ALIASES {
            return Err(LookupFailure::TooManyAliases);
        }
        owner = target;
    }
    absence(message, owner, chain, before)
}

/// Neither records nor a further alias for `owner`.
fn absence(
    message: &Message,
    owner: Name,
    chain: Chain,
    before: usize,
) -> Result<Step, LookupFailure> {
    let soa = message.authorities.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else {
            return None;
        };
        Some(seconds(record.ttl).min(seconds(soa.minimum)))
    });
    let existence = if message.response_code == ResponseCode::NXDomain {
        Existence::NxDomain
    } else if soa.is_none() && chain.aliases > before {
        return Ok(Step::Follow(owner, chain));
    } else if soa.is_none() && is_referral(message) {
        // A server that does not recurse: its "not here" must not become "does not exist".
        return Err(LookupFailure::ServerFailure(
            "a referral: the server does not recurse".into(),
        ));
    } else {
        Existence::NoData
    };
    Ok(Step::Done(Found {
        records: Vec::new(),
        existence,
        owner,
        ttl: soa.map(|ttl| ttl.min(chain.ttl)),
    }))
}

fn is_referral(message: &Message) -> bool {
    !message.authoritative
        && !message.recursion_available
        && message
            .authorities
            .iter()
            .any(|record| record.record_type() == RecordType::NS)
}

fn records_of(message: &Message, owner: &Name, wanted: RecordType) -> (Vec<RData>, u32) {
    let mut ttl = u32::MAX;
    let mut records = Vec::new();
    for record in at(message, owner).filter(|record| record.record_type() == wanted) {
        ttl = ttl.min(seconds(record.ttl));
        records.push(record.data.clone());
    }
    (records, ttl)
}

fn alias_of(message: &Message, owner: &Name) -> Option<(Name, u32)> {
    at(message, owner).find_map(|record| {
        let RData::CNAME(target) = &record.data else {
            return None;
        };
        Some((target.0.clone(), seconds(record.ttl)))
    })
}

fn at<'a>(message: &'a Message, owner: &'a Name) -> impl Iterator<Item = &'a Record> {
    message
        .answers
        .iter()
        .filter(move |record| record.dns_class == DNSClass::IN && record.name == *owner)
}

/// A TTL with its top bit set is zero (RFC 2181 §8).
fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() {
        0
    } else {
        ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{a, cname, name, ns, soa};
    use hickory_resolver::proto::op::OpCode;

    fn reply(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.answers = answers;
        message.authorities = authorities;
        message
    }

    /// `existence owner ttl`, `follow target aliases ttl`, or the failure.
    fn say(message: &Message, chain: Chain) -> String {
        let question = Query::query(name("a.test."), RecordType::A);
        match read(message, &question, chain) {
            Ok(Step::Done(found)) => format!(
                "{:?} {} {:?} {}",
                found.existence,
                found.owner,
                found.ttl,
                found.records.len()
            ),
            Ok(Step::Follow(target, chain)) => {
                format!("follow {target} {} {}", chain.aliases, chain.ttl)
            }
            Err(failure) => failure.to_string(),
        }
    }

    fn check(cases: Vec<(&str, Message, &str)>) {
        for (what, message, expected) in cases {
            assert_eq!(say(&message, Chain::EMPTY), expected, "{what}");
        }
    }

    const IP: &str = "192.0.2.1";

    #[test]
    fn records_of_the_name_asked_for() {
        use ResponseCode::{NXDomain, NoError};
        let one = |owner, ttl| reply(NoError, vec![a(owner, IP, ttl)], vec![]);
        let two = vec![a("a.test.", IP, 300), a("A.test.", "192.0.2.2", 200)];
        let contradiction = reply(NXDomain, vec![a("a.test.", IP, 1)], vec![]);
        check(vec![
            (
                "two",
                reply(NoError, two, vec![]),
                "Present a.test. Some(200) 2",
            ),
            ("ttl", one("a.test.", u32::MAX), "Present a.test. Some(0) 1"),
            ("stranger's", one("b.test.", 300), "NoData a.test. None 0"),
            (
                "both",
                contradiction,
                "malformed answer: NXDOMAIN with records",
            ),
        ]);
    }

    #[test]
    fn absence_of_the_name_asked_for() {
        use ResponseCode::{NXDomain, NoError};
        let soa = |ttl, minimum| vec![soa("test.", ttl, minimum)];
        let referral = reply(NoError, vec![], vec![ns("test.", "ns.test.")]);
        let refused = "server failure (a referral: the server does not recurse)";
        check(vec![
            (
                "type",
                reply(NoError, vec![], soa(900, 100)),
                "NoData a.test. Some(100) 0",
            ),
            (
                "name",
                reply(NXDomain, vec![], soa(50, 100)),
                "NxDomain a.test. Some(50) 0",
            ),
            (
                "no soa",
                reply(NXDomain, vec![], vec![]),
                "NxDomain a.test. None 0",
            ),
            ("referral", referral, refused),
        ]);
    }

    #[test]
    fn aliases_lead_to_the_name_that_counts() {
        use ResponseCode::{NXDomain, NoError};
        let soa = |ttl| vec![soa("test.", ttl, ttl)];
        let chain = || {
            vec![
                cname("a.test.", "b.test.", 60),
                cname("b.test.", "c.test.", 30),
            ]
        };
        let whole = [chain(), vec![a("c.test.", IP, 300)]].concat();
        let endless = vec![
            cname("a.test.", "b.test.", 60),
            cname("b.test.", "a.test.", 60),
        ];
        check(vec![
            (
                "whole",
                reply(NoError, whole, vec![]),
                "Present c.test. Some(30) 1",
            ),
            (
                "no type",
                reply(NoError, chain(), soa(9)),
                "NoData c.test. Some(9) 0",
            ),
            (
                "no name",
                reply(NXDomain, chain(), soa(99)),
                "NxDomain c.test. Some(30) 0",
            ),
            (
                "half",
                reply(NoError, chain(), vec![]),
                "follow c.test. 2 30",
            ),
            (
                "endless",
                reply(NoError, endless, vec![]),
                "more than 10 aliases",
            ),
        ]);
    }

    #[test]
    fn aliases_of_earlier_replies_count() {
        let message = reply(
            ResponseCode::NoError,
            vec![cname("a.test.", "b.test.", 60)],
            vec![],
        );
        for (aliases, expected) in [
            (0, "follow b.test. 1 60"),
            (MAX_ALIASES - 1, "follow b.test. 10 60"),
            (MAX_ALIASES, "more than 10 aliases"),
        ] {
            let chain = Chain { aliases, ttl: 100 };
            assert_eq!(say(&message, chain), expected, "{aliases}");
        }
    }
}
