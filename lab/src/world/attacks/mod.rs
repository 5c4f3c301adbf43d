//! Lies about names in signed zones of the world. No validator may believe any of them.

mod chains;
mod denials;
mod forgeries;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};

use crate::dns::{self, DnsServer, Oracle, lie};
use crate::dnssec::Verdict;
use crate::name::name;

/// One lie, and whom it harms.
#[derive(Clone)]
pub struct Attack {
    /// What is done.
    pub name: &'static str,
    /// The zone whose names are lied about.
    pub zone: &'static str,
    /// The name that is to be asked for.
    pub victim: String,
    /// And the type.
    pub record_type: RecordType,
    /// What a validator says; never secure, never insecure.
    pub verdict: Verdict,
    change: Change,
}

type Change = fn(&Scene<'_>, &mut Message);

/// What a liar sees.
struct Scene<'a> {
    oracle: &'a Oracle,
    question: &'a dns::Question,
    attack: &'a Attack,
}

impl Attack {
    /// Lies from now on, in place of an earlier lie.
    pub fn start(&self, dns: &DnsServer) {
        let (attack, oracle) = (self.clone(), dns.oracle());
        dns.lie(move |question, response| {
            let scene = Scene {
                oracle: &oracle,
                question,
                attack: &attack,
            };
            (attack.change)(&scene, response);
        });
    }
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.victim, self.record_type, self.name)
    }
}

impl Scene<'_> {
    fn is_victim(&self) -> bool {
        self.question.name == self.attack.victim
            && self.question.record_type == self.attack.record_type
    }

    fn asks(&self, name: &str, record_type: RecordType) -> bool {
        self.question.name == name && self.question.record_type == record_type
    }

    /// The truth about a name in the zone.
    fn honest(&self, relative: &str, record_type: RecordType) -> Message {
        let name = format!("{relative}.{}", self.attack.zone);
        let name = name.trim_start_matches('.');
        self.oracle.honest(name, record_type)
    }

    fn victim(&self) -> Name {
        name(&self.attack.victim)
    }
}

/// The attacks: on a zone with NSEC, and on two with NSEC3.
pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for zone in ["ec.test", "rsa.test", "optout.test"] {
        for (rows, verdict) in [
            (denials::DENIALS, Verdict::Bogus),
            (forgeries::FORGERIES, Verdict::Bogus),
            (chains::CHAINS, Verdict::Bogus),
            (denials::FAILURES, Verdict::ServFail),
        ] {
            attacks.extend(rows.iter().map(|(name, relative, change)| {
                Attack {
                    name,
                    zone,
                    victim: format!("{relative}.{zone}")
                        .trim_start_matches('.')
                        .to_owned(),
                    record_type: asked(relative),
                    verdict,
                    change: *change,
                }
            }));
        }
    }
    attacks
}

/// What is done, to which name in the zone, and how.
type Row = (&'static str, &'static str, Change);

const TLSA: &str = "_25._tcp.mx";
const STAR: &str = "_25._tcp.star";
const WILD: &str = "any.wild";
const BELOW: &str = "_25._tcp.mx.sub";
const MX: &str = "";

fn asked(relative: &str) -> RecordType {
    match relative {
        MX => RecordType::MX,
        WILD => RecordType::A,
        _ => RecordType::TLSA,
    }
}

const NO_ERROR: ResponseCode = ResponseCode::NoError;
const NO_NAME: ResponseCode = ResponseCode::NXDomain;

fn only(scene: &Scene<'_>, response: &mut Message, change: impl FnOnce(&mut Message)) {
    if scene.is_victim() && !response.answers.is_empty() {
        change(response);
    }
}

fn deny(scene: &Scene<'_>, response: &mut Message, code: ResponseCode, proof: Vec<Record>) {
    if scene.is_victim() {
        lie::deny(response, code, proof);
    }
}

fn instead(scene: &Scene<'_>, response: &mut Message, other: &Message) {
    if scene.is_victim() {
        lie::replace(response, other);
    }
}

/// The SOA record of a denial with its signature.
fn soa(denial: Message) -> Vec<Record> {
    let kept = |record: &Record| {
        record.record_type() == RecordType::SOA || lie::covered(record) == Some(RecordType::SOA)
    };
    denial.authorities.into_iter().filter(kept).collect()
}

/// And without.
fn soa_alone(denial: Message) -> Vec<Record> {
    let mut records = soa(denial);
    records.truncate(1);
    records
}

/// A TLSA record of the liar's own.
fn tlsa(like: &Record) -> Record {
    lie::record(
        &like.name.to_ascii(),
        RecordType::TLSA,
        like.ttl,
        &[3, 1, 1, 0xba, 0xad],
    )
}

/// All answers under another name.
fn renamed(mut message: Message, owner: &Name) -> Message {
    for record in &mut message.answers {
        record.name = owner.clone();
    }
    message
}
