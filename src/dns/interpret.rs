//! What a reply says about a question: records, absence, or an alias whose target must be asked for.
//! Pure: no I/O, no clock. Nothing is believed here; what is said is proven elsewhere.

use super::hop::{Link, at, hop, malformed};
use super::wire::{Flags, Record, Reply, append, plain_name};
use super::{Existence, LookupFailure, MAX_ALIASES};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The aliases of this reply, in order.
    pub links: Vec<Link>,
    /// With those aliases.
    pub chain: Chain,
    pub step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Done(Found),
    /// The reply ends in an alias: ask for its target.
    Follow(Name, Chain),
}

/// The end of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Data of the records.
    pub records: Vec<Box<[u8]>>,
    pub existence: Existence,
    /// The end of the chain, which the existence is about (RFC 2308 §2.1, RFC 6604 §3).
    pub owner: Name,
    /// In seconds; `None` for absence without a SOA record, which says nothing about time (RFC 2308 §5).
    pub ttl: Option<u32>,
}

/// Reads the reply to `question`, which `chain` led to.
pub(super) fn read(
    reply: &Reply,
    question: &Query,
    mut chain: Chain,
) -> Result<Reading, LookupFailure> {
    let mut owner = question.name().clone();
    let mut links = Vec::new();
    loop {
        let hop = hop(reply, &owner)?;
        let (mut records, ttl) = records_of(reply, &owner, question.query_type());
        if let Some(made) = hop.as_ref().filter(|hop| hop.makes(question)) {
            // The alias that was asked for is made of a DNAME record.
            records = vec![data_of(&made.target)];
            links.push(made.link.clone());
            chain.ttl = chain.ttl.min(made.ttl);
        }
        if !records.is_empty() {
            if reply.code == ResponseCode::NXDomain {
                return Err(malformed("NXDOMAIN with records"));
            }
            let found = Found {
                records,
                existence: Existence::Present,
                owner,
                ttl: Some(ttl.min(chain.ttl)),
            };
            let step = Step::Done(found);
            return Ok(Reading { links, chain, step });
        }
        let Some(hop) = hop else {
            break;
        };
        chain.aliases += 1;
        chain.ttl = chain.ttl.min(hop.ttl);
        if chain.aliases > MAX_ALIASES {
            return Err(LookupFailure::TooManyAliases);
        }
        links.push(hop.link);
        owner = hop.target;
    }
    let step = absence(reply, owner, chain, &links)?;
    Ok(Reading { links, chain, step })
}

/// Neither records nor a further alias for `owner`.
fn absence(
    reply: &Reply,
    owner: Name,
    chain: Chain,
    links: &[Link],
) -> Result<Step, LookupFailure> {
    let soa = reply.authorities.iter().find_map(negative_ttl);
    let existence = if reply.code == ResponseCode::NXDomain {
        Existence::NxDomain
    } else if soa.is_none() && !links.is_empty() {
        return Ok(Step::Follow(owner, chain));
    } else if soa.is_none() && is_referral(reply) {
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

/// How long an absence holds by a SOA record (RFC 2308 §5).
fn negative_ttl(record: &Record) -> Option<u32> {
    if record.record_type != RecordType::SOA {
        return None;
    }
    let (_, rest) = plain_name(&record.data)?;
    let (_, numbers) = plain_name(rest)?;
    let minimum = numbers.get(16..20)?;
    let minimum = u32::from_be_bytes(minimum.try_into().ok()?);
    Some(record.ttl.min(minimum))
}

fn is_referral(reply: &Reply) -> bool {
    !reply.flags.has(Flags::AUTHORITATIVE)
        && !reply.flags.has(Flags::RECURSION_AVAILABLE)
        && reply
            .authorities
            .iter()
            .any(|record| record.record_type == RecordType::NS)
}

fn records_of(reply: &Reply, owner: &Name, wanted: RecordType) -> (Vec<Box<[u8]>>, u32) {
    let mut ttl = u32::MAX;
    let mut records = Vec::new();
    for record in at(reply, owner).filter(|record| record.record_type == wanted) {
        ttl = ttl.min(record.ttl);
        records.push(record.data.clone());
    }
    (records, ttl)
}

fn data_of(name: &Name) -> Box<[u8]> {
    let mut data = Vec::new();
    append(name, &mut data);
    data.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{Record, a, cname, name, ns, read_back, response, soa};

    fn reply(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Reply {
        let mut message = response(code);
        message.answers = answers;
        message.authorities = authorities;
        read_back(&message)
    }

    /// `existence owner ttl`, `follow target aliases ttl`, or the failure.
    fn say(reply: &Reply, chain: Chain) -> String {
        let question = Query::query(name("a.test."), RecordType::A);
        match read(reply, &question, chain).map(|reading| reading.step) {
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

    fn check(cases: Vec<(&str, Reply, &str)>) {
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
