//! Where a name leads: a CNAME record, or what a DNAME record above it makes of it.

use super::LookupFailure;
use super::validate::names::{is_below, substitute};
use super::wire::{Record, Reply, plain_name};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

/// A record that leads from one name to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// The CNAME record of this owner.
    Alias(Name),
    /// The DNAME record of this owner, above this name, and whether the CNAME record that the server made of
    /// it is the right one (RFC 6672 §3.1).
    Redirection {
        owner: Name,
        from: Name,
        synthesis: Synthesis,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Synthesis {
    /// Or there is none.
    Right,
    Wrong,
}

/// Where a name leads.
pub(super) struct Hop {
    pub link: Link,
    pub target: Name,
    /// In seconds.
    pub ttl: u32,
}

impl Hop {
    /// Whether it makes the alias that is asked for.
    pub(super) fn makes(&self, question: &Query) -> bool {
        question.query_type() == RecordType::CNAME && matches!(self.link, Link::Redirection { .. })
    }
}

/// The next hop from `owner`: a CNAME record, unless a DNAME record above it has made it.
pub(super) fn hop(reply: &Reply, owner: &Name) -> Result<Option<Hop>, LookupFailure> {
    if !is_signed(reply, owner)
        && let Some(made) = redirection(reply, owner)
    {
        return made.map(Some);
    }
    let Some((target, ttl)) = alias_of(reply, owner) else {
        return Ok(None);
    };
    Ok(Some(Hop {
        link: Link::Alias(owner.clone()),
        target: target?,
        ttl,
    }))
}

/// What a DNAME record above `owner` makes of it (RFC 6672 §2.2).
fn redirection(reply: &Reply, owner: &Name) -> Option<Result<Hop, LookupFailure>> {
    let dname = reply
        .answers
        .iter()
        .find(|record| record.record_type == RecordType::DNAME && is_below(owner, &record.owner))?;
    let read = || {
        let (to, _) = plain_name(&dname.data)?;
        let target = substitute(owner, &dname.owner, &to)?;
        let synthesis = match alias_of(reply, owner) {
            Some((Ok(alias), _)) if alias == target => Synthesis::Right,
            None => Synthesis::Right,
            Some(_) => Synthesis::Wrong,
        };
        Some(Hop {
            link: Link::Redirection {
                owner: dname.owner.clone(),
                from: owner.clone(),
                synthesis,
            },
            target,
            ttl: dname.ttl,
        })
    };
    Some(read().ok_or_else(|| malformed("a DNAME record")))
}

fn alias_of(reply: &Reply, owner: &Name) -> Option<(Result<Name, LookupFailure>, u32)> {
    let record = at(reply, owner).find(|record| record.record_type == RecordType::CNAME)?;
    let target = plain_name(&record.data).map(|(target, _)| target);
    Some((
        target.ok_or_else(|| malformed("a CNAME record")),
        record.ttl,
    ))
}

/// Whether there is a signature for a CNAME record at `owner`: one that is made of a DNAME record has none.
fn is_signed(reply: &Reply, owner: &Name) -> bool {
    let covered = u16::from(RecordType::CNAME).to_be_bytes();
    at(reply, owner)
        .any(|record| record.record_type == RecordType::RRSIG && record.data.starts_with(&covered))
}

/// The records of the answer at `owner`.
pub(super) fn at<'a>(reply: &'a Reply, owner: &'a Name) -> impl Iterator<Item = &'a Record> {
    reply
        .answers
        .iter()
        .filter(move |record| record.owner == *owner)
}

pub(super) fn malformed(what: &str) -> LookupFailure {
    LookupFailure::Malformed(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{Record as Typed, cname, name, read_back, response};
    use crate::dns::world::{raw, wire};
    use hickory_resolver::proto::op::ResponseCode;

    fn dname(owner: &str, target: &str) -> Typed {
        raw(&name(owner), RecordType::DNAME, 60, wire(&name(target)))
    }

    fn signature(owner: &str) -> Typed {
        let data = [&[0, 5][..], &[0; 20]].concat();
        raw(&name(owner), RecordType::RRSIG, 60, data)
    }

    /// `target link`, or why not.
    fn say(answers: Vec<Typed>) -> String {
        let mut message = response(ResponseCode::NoError);
        message.add_answers(answers);
        match hop(&read_back(&message), &name("a.b.test.")) {
            Ok(None) => "nowhere".into(),
            Ok(Some(hop)) => match hop.link {
                Link::Alias(owner) => format!("{} CNAME {owner}", hop.target),
                Link::Redirection {
                    owner, synthesis, ..
                } => {
                    format!("{} DNAME {owner} {synthesis:?}", hop.target)
                }
            },
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn where_names_lead() {
        let alias = |target| cname("a.b.test.", target, 60);
        let long = format!("{}.", vec!["x".repeat(62); 4].join("."));
        for (what, answers, expected) in [
            ("nothing", vec![], "nowhere"),
            ("CNAME", vec![alias("c.test.")], "c.test. CNAME a.b.test."),
            (
                "another's",
                vec![cname("b.test.", "c.test.", 60)],
                "nowhere",
            ),
            (
                "DNAME",
                vec![dname("b.test.", "c."), alias("a.c.")],
                "a.c. DNAME b.test. Right",
            ),
            (
                "DNAME alone",
                vec![dname("test.", "c.")],
                "a.b.c. DNAME test. Right",
            ),
            (
                "DNAME and another CNAME",
                vec![dname("b.test.", "c."), alias("evil.")],
                "a.c. DNAME b.test. Wrong",
            ),
            (
                "DNAME and a signed CNAME",
                vec![dname("b.test.", "c."), alias("d."), signature("a.b.test.")],
                "d. CNAME a.b.test.",
            ),
            (
                "DNAME at the name",
                vec![dname("a.b.test.", "c.")],
                "nowhere",
            ),
            ("DNAME beside", vec![dname("c.test.", "c.")], "nowhere"),
            (
                "too long",
                vec![dname("test.", &long), alias("c.")],
                "malformed answer: a DNAME record",
            ),
        ] {
            assert_eq!(say(answers), expected, "{what}");
        }
    }
}
