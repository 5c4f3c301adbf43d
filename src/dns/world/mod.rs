//! A small signed world on loopback: a forwarder that knows every zone of it, and lies where a test wants.

mod sign;
mod zone;

pub(crate) use sign::{Signer, Window, raw, wire};
pub(crate) use zone::{Denial, OPT_OUT, TTL, Zone};

use crate::dns::testing::{Responder, a, cname, mx, name, response_to};
use crate::dns::validate::names::substitute;
use crate::dns::{Dns, DnsSettings, Dnssec};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The zones, parents before children.
pub(crate) struct World {
    pub zones: Vec<Zone>,
}

/// Whether anything is said at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Voice {
    #[default]
    Speaks,
    Silent,
}

/// What an honest resolver says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub code: ResponseCode,
    pub voice: Voice,
    /// How the question was asked.
    pub checking_disabled: bool,
}

pub(crate) const DIGEST: [u8; 32] = [7; 32];

impl World {
    /// `.`, `test.` (NSEC), and below `test.`: `ec`, `sib` (NSEC), `n3` (NSEC3), `opt` (NSEC3 opt-out) with
    /// the unsigned `child.opt`, `iter` (NSEC3, too many rounds), `plain` (unsigned) and others that are
    /// ill; each with the same hosts.
    pub(crate) fn new() -> Self {
        let now = Window::NOW;
        let past = Window {
            from: -200_000,
            to: -100_000,
        };
        let future = Window {
            from: 100_000,
            to: 200_000,
        };
        let mut zones = vec![
            Zone::signed(".", Denial::Nsec, now),
            Zone::signed("test.", Denial::Nsec, now),
            Zone::signed("ec.test.", Denial::Nsec, now),
            Zone::signed("sib.test.", Denial::Nsec, now),
            Zone::signed("n3.test.", Denial::Nsec3(5, 0), now),
            Zone::signed("opt.test.", Denial::Nsec3(0, OPT_OUT), now),
            Zone::unsigned("child.opt.test."),
            Zone::signed("sec.opt.test.", Denial::Nsec, now),
            Zone::signed("iter.test.", Denial::Nsec3(151, 0), now),
            Zone::unsigned("plain.test."),
            Zone::signed("expired.test.", Denial::Nsec, past),
            Zone::signed("future.test.", Denial::Nsec, future),
            Zone::signed("badds.test.", Denial::Nsec, now),
            Zone::signed("unknown.test.", Denial::Nsec, now),
            Zone::signed("nods.test.", Denial::Nsec, now),
            Zone::signed("sha1.test.", Denial::Nsec, now),
            Zone::signed("sha384.test.", Denial::Nsec, now),
        ];
        for zone in &mut zones[2..] {
            zone.furnish();
        }
        for i in 1..zones.len() {
            let child = zones[i].name.clone();
            let ds = zones[i].signer.as_ref().map(|signer| signer.ds(2));
            let parent = (0..i)
                .filter(|j| zones[*j].name.zone_of(&child))
                .max_by_key(|j| zones[*j].name.iter().len())
                .unwrap();
            let ds = match (&child.to_ascii()[..], ds) {
                ("badds.test.", Some(mut ds)) => {
                    ds[10] ^= 1;
                    Some(ds)
                }
                ("unknown.test.", Some(mut ds)) => {
                    ds[2] = 200;
                    Some(ds)
                }
                ("nods.test.", _) => None,
                ("sha1.test.", _) => zones[i].signer.as_ref().map(|signer| signer.ds(1)),
                ("sha384.test.", _) => zones[i].signer.as_ref().map(|signer| signer.ds(4)),
                (_, ds) => ds,
            };
            zones[parent].delegate(&child, ds);
        }
        Self { zones }
    }

    pub(crate) fn zone(&self, zone: &str) -> &Zone {
        self.zones.iter().find(|z| z.name == name(zone)).unwrap()
    }

    /// What an honest resolver answers, asked with DO and CD.
    pub(crate) fn answer(&self, owner: &str, record_type: RecordType) -> Answers {
        let mut said = Answers::default();
        let mut owner = name(owner);
        for _ in 0..12 {
            match self.hop(&owner, record_type, &mut said) {
                Some(target) => owner = target,
                None => break,
            }
        }
        said
    }

    /// Answers for one name; returns where an alias leads.
    fn hop(&self, owner: &Name, record_type: RecordType, said: &mut Answers) -> Option<Name> {
        let below = |zone: &&Zone| {
            zone.name.zone_of(owner) && (record_type != RecordType::DS || zone.name != *owner)
        };
        let zone = self
            .zones
            .iter()
            .filter(below)
            .max_by_key(|zone| zone.name.iter().len())
            .unwrap_or(&self.zones[0]);
        if let Some(dname) = zone.records.iter().find(|r| {
            r.record_type() == RecordType::DNAME && r.name.zone_of(owner) && r.name != *owner
        }) {
            let RData::Unknown { rdata, .. } = &dname.data else {
                return None;
            };
            let to = crate::dns::wire::plain_name(&rdata.anything)?.0;
            let target = substitute(owner, &dname.name, &to)?;
            said.answers
                .extend(zone.answer(&dname.name, RecordType::DNAME, &dname.name));
            let made = cname(&owner.to_ascii(), &target.to_ascii(), TTL);
            said.answers.push(made);
            return (record_type != RecordType::CNAME).then_some(target);
        }
        let mut source = owner.clone();
        if !zone.has(owner) {
            source = zone.encloser(owner).prepend_label(&b"*"[..]).unwrap();
            if zone.has(&source) {
                said.authorities.extend(zone.deny(owner));
            } else {
                said.code = ResponseCode::NXDomain;
            }
        }
        for wanted in [record_type, RecordType::CNAME] {
            let set = zone.answer(&source, wanted, owner);
            let alias = set.iter().find_map(|r| {
                let RData::CNAME(target) = &r.data else {
                    return None;
                };
                Some(target.0.clone())
            });
            if !set.is_empty() {
                said.answers.extend(set);
                return alias.filter(|_| record_type != RecordType::CNAME);
            }
        }
        said.authorities.extend(zone.soa());
        said.authorities.extend(zone.deny(owner));
        None
    }

    /// Serves the world; `lie` may change what is said to a question, written as `TYPE name`.
    pub(crate) async fn serve(
        self,
        lie: impl Fn(&World, &str, &mut Answers) + Send + Sync + 'static,
    ) -> Served {
        self.serve_octets(lie, |_, _| {}).await
    }

    /// The same; `damage` may also change the octets that are sent.
    pub(crate) async fn serve_octets(
        self,
        lie: impl Fn(&World, &str, &mut Answers) + Send + Sync + 'static,
        damage: impl Fn(&str, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Served {
        let mut anchor = String::new();
        let root = self.zones[0].signer.as_ref().unwrap().ds(2);
        let tag = u16::from_be_bytes([root[0], root[1]]);
        write!(anchor, ". IN DS {tag} {} {} ", root[2], root[3]).unwrap();
        for octet in &root[4..] {
            write!(anchor, "{octet:02x}").unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), anchor).unwrap();
        let responder = Responder::start(move |query, _| {
            let question = &query.queries[0];
            let owner = question.name().to_ascii();
            let mut said = self.answer(&owner, question.query_type());
            said.checking_disabled = query.checking_disabled;
            let asked = format!("{} {owner}", question.query_type());
            lie(&self, &asked, &mut said);
            if said.voice == Voice::Silent {
                return vec![];
            }
            let mut octets = message(query, said);
            damage(&asked, &mut octets);
            vec![octets]
        })
        .await;
        Served { responder, file }
    }
}

fn message(query: &Message, said: Answers) -> Vec<u8> {
    let mut message = response_to(query, said.code);
    let wants_signatures = query
        .edns
        .as_ref()
        .is_some_and(|edns| edns.flags().dnssec_ok);
    let shown = |r: &Record| wants_signatures || r.record_type() != RecordType::RRSIG;
    message.answers = said.answers.into_iter().filter(shown).collect();
    message.authorities = said.authorities.into_iter().filter(shown).collect();
    message.to_vec().unwrap()
}

/// A world being served, and its anchor.
pub(crate) struct Served {
    pub responder: Responder,
    file: tempfile::NamedTempFile,
}

impl Served {
    pub(crate) fn settings(&self) -> DnsSettings {
        DnsSettings {
            servers: vec![self.responder.address],
            timeout: Duration::from_secs(10),
            dnssec: Dnssec::Validate,
            trust_anchor: Some(self.file.path().into()),
            ..DnsSettings::default()
        }
    }

    pub(crate) fn dns(&self) -> Dns {
        Dns::new(&self.settings(), Arc::new(|_, _| {})).unwrap()
    }
}

impl Zone {
    /// The hosts that every zone has.
    fn furnish(&mut self) {
        let zone = self.name.to_ascii();
        let at = |label: &str| format!("{label}.{zone}");
        let tlsa = [&[3, 1, 1][..], &DIGEST].concat();
        self.records.extend([
            mx(&zone, 10, &at("MX"), TTL),
            a(&at("mx"), "192.0.2.1", TTL),
            cname(&at("alias"), &at("mx"), TTL),
            cname(&at("dangling"), &at("gone"), TTL),
            cname(&at("out"), "mx.plain.test.", TTL),
            cname(&at("in"), "mx.n3.test.", TTL),
            cname(&at("_25._tcp.shared"), &at("*._tcp.generic"), TTL),
            a(&at("*.wild"), "192.0.2.7", TTL),
            a(&at("real.wild"), "192.0.2.9", TTL),
            cname(&at("*.walias"), &at("mx"), TTL),
            a(&at("deep.er.ent"), "192.0.2.8", TTL),
        ]);
        for owner in ["_25._tcp.mx", "*._tcp.generic", "*._tcp.wildmx"] {
            self.add(&name(&at(owner)), RecordType::TLSA, tlsa.clone());
        }
        let target = wire(&name("n3.test."));
        self.add(&name(&at("dn")), RecordType::DNAME, target);
    }
}
