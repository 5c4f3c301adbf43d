//! What a resolver that does not validate finds: the chain of aliases across the zones, with all signatures and proofs.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Fault;
use super::proof::{Claim, Proof, Strength};
use super::store::Sets;
use super::tree::{LiveZone, There, Tree, code};
use crate::dnssec::Verdict;
use crate::dnssec::canonical::{RrSet, octets};
use crate::dnssec::declare::Duty;
use crate::dnssec::key::{Key, Role};
use crate::name::{Domain, name};

/// How many aliases are followed before the resolver gives up, as unbound does.
const MAX_ALIASES: usize = 11;

/// What a question leads to.
#[derive(Debug)]
pub(super) struct Resolution {
    pub(super) code: ResponseCode,
    /// The chain of aliases and, if there are any, the records.
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// What a validator says to it.
    pub(super) verdict: Verdict,
    /// The fault of the first zone on the way that has one.
    pub(super) fault: Option<Fault>,
    extent: Extent,
}

/// Whether signatures and proofs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Plain,
    Signed,
}

/// Where in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
}

/// Whether the chain goes on.
enum Step {
    Done,
    Alias(Name),
}

/// What is found if the zones' faults do not matter.
pub(super) fn resolve(
    tree: &Tree,
    asked: &Name,
    record_type: RecordType,
    extent: Extent,
) -> Resolution {
    let mut resolution = Resolution::new(extent);
    let mut at = asked.clone();
    for _ in 0..=MAX_ALIASES {
        let zone = tree.zone_for(&Domain::of(&at), record_type.into());
        if resolution.fault.is_none() {
            resolution.fault = zone.fault(record_type).cloned();
        }
        resolution.verdict = resolution.verdict.max(zone.status);
        match resolution.step(zone, &at, record_type) {
            Step::Done => return resolution,
            Step::Alias(target) => at = target,
        }
    }
    resolution.answers.clear();
    resolution.authorities.clear();
    resolution.code = ResponseCode::ServFail;
    resolution
}

/// The authority section with which a zone denies a name, whether it is its own or not.
pub(super) fn deny(zone: &LiveZone, domain: &Domain) -> Vec<Record> {
    let mut resolution = Resolution::new(Extent::Signed);
    resolution.absent(zone, Claim::NoName, domain);
    resolution.authorities
}

impl Resolution {
    fn new(extent: Extent) -> Self {
        Self {
            code: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            verdict: Verdict::Secure,
            fault: None,
            extent,
        }
    }

    fn step(&mut self, zone: &LiveZone, at: &Name, record_type: RecordType) -> Step {
        let domain = Domain::of(at);
        if let Some((owner, set)) = zone.dname_above(&domain) {
            self.add(zone, Section::Answer, &owner.to_name(), (&owner, set));
            return self.substitute(at, &owner, set);
        }
        let closest = || zone.closest(&domain).wildcard();
        match zone.at(&domain) {
            There::Sets(sets) => self.found(zone, at, (&domain, sets), record_type),
            There::Empty => self.absent(zone, Claim::NoType, &domain),
            There::Nothing => match zone.at(&closest()) {
                There::Sets(sets) => self.found(zone, at, (&closest(), sets), record_type),
                There::Empty => self.absent(zone, Claim::ExpandedNoType, &domain),
                There::Nothing => {
                    self.code = ResponseCode::NXDomain;
                    self.absent(zone, Claim::NoName, &domain)
                }
            },
        }
    }

    /// There are records at the name, or at the wildcard for it: `source` is where they come from.
    fn found(
        &mut self,
        zone: &LiveZone,
        at: &Name,
        source: (&Domain, &Sets),
        record_type: RecordType,
    ) -> Step {
        let (owner, sets) = source;
        let domain = Domain::of(at);
        let expanded = *owner != domain;
        let code = u16::from(record_type);
        let wanted = match code {
            code::ANY | code::RRSIG => sets.values().collect::<Vec<_>>(),
            _ => sets.get(&code).into_iter().collect(),
        };
        let alias = sets.get(&code::CNAME).filter(|_| wanted.is_empty());
        let answer = wanted.into_iter().chain(alias).collect::<Vec<_>>();
        let is_nsec = code == code::NSEC && zone.denial_type() == RecordType::NSEC;
        if is_nsec && zone.is_signed() {
            let proof = zone.nsec(owner);
            self.add(zone, Section::Answer, at, (owner, &proof.set));
            return Step::Done;
        }
        if answer.is_empty() {
            let claim = if expanded {
                Claim::ExpandedNoType
            } else {
                Claim::NoType
            };
            return self.absent(zone, claim, &domain);
        }
        for set in answer {
            if code == code::RRSIG {
                self.answers.extend(signatures(zone, at, owner, set));
            } else {
                self.add(zone, Section::Answer, at, (owner, set));
            }
        }
        if expanded {
            self.prove(zone, Claim::Expanded, &domain);
        }
        let target = alias.and_then(|set| set.data.first());
        match target {
            Some(RData::CNAME(CNAME(target))) => Step::Alias(target.clone()),
            _ => Step::Done,
        }
    }

    /// A DNAME record replaces the end of the name (RFC 6672 §2.2); the alias it makes is not signed.
    fn substitute(&mut self, at: &Name, owner: &Domain, set: &RrSet) -> Step {
        let Some(target) = set.data.first().and_then(target_name) else {
            return Step::Done;
        };
        let kept = usize::from(at.num_labels()).saturating_sub(owner.depth());
        let labels = at.iter().take(kept).chain(target.iter());
        let Ok(mut alias) = Name::from_labels::<_, &[u8]>(labels) else {
            self.code = ResponseCode::YXDomain;
            return Step::Done;
        };
        alias.set_fqdn(true);
        let data = RData::CNAME(CNAME(alias.clone()));
        self.answers
            .push(Record::from_rdata(at.clone(), set.ttl, data));
        Step::Alias(alias)
    }

    fn absent(&mut self, zone: &LiveZone, claim: Claim, domain: &Domain) -> Step {
        let apex = zone.apex.to_name();
        self.add(zone, Section::Authority, &apex, (&zone.apex, zone.soa()));
        self.prove(zone, claim, domain);
        Step::Done
    }

    fn prove(&mut self, zone: &LiveZone, claim: Claim, domain: &Domain) {
        if self.extent == Extent::Plain || !zone.is_signed() {
            return;
        }
        for proof in zone.prove(claim, domain) {
            let Proof {
                owner,
                set,
                strength,
            } = &proof;
            self.add(zone, Section::Authority, &owner.to_name(), (owner, set));
            if *strength == Strength::Insecure {
                self.verdict = self.verdict.max(Verdict::Insecure);
            }
        }
    }

    /// A set with its signatures, under a name that is not its owner's if that is a wildcard.
    fn add(&mut self, zone: &LiveZone, section: Section, at: &Name, source: (&Domain, &RrSet)) {
        let (owner, set) = source;
        let mut records = set.records(at);
        if self.extent == Extent::Signed {
            records.extend(signatures(zone, at, owner, set));
        }
        if zone.status == Verdict::Secure && zone.zone.is_altered(set.record_type) {
            self.verdict = self.verdict.max(Verdict::Bogus);
        }
        match section {
            Section::Answer => self.answers.extend(records),
            Section::Authority => self.authorities.extend(records),
        }
    }
}

/// The RRSIG records of a set.
pub(super) fn signatures(zone: &LiveZone, at: &Name, owner: &Domain, set: &RrSet) -> Vec<Record> {
    // The parent's half of a delegation is not its own (RFC 4035 §2.2).
    if set.code() == code::NS && *owner != zone.apex {
        return Vec::new();
    }
    let signing = zone.keys.iter().filter(|(spec, key)| {
        let role = match key.role {
            Role::Combined => true,
            Role::KeySigning => set.code() == code::DNSKEY,
            Role::ZoneSigning => set.code() != code::DNSKEY,
        };
        role && spec.duty == Duty::Signing
    });
    let data = signing.map(|(_, key)| rrsig(zone, key, owner, set));
    let rrsigs = super::tree::generated(RecordType::RRSIG, data.collect());
    RrSet {
        ttl: set.ttl,
        ..rrsigs
    }
    .records(at)
}

/// The data of an RRSIG record (RFC 4034 §3.1).
fn rrsig(zone: &LiveZone, key: &Key, owner: &Domain, set: &RrSet) -> Vec<u8> {
    let (inception, expiration) = zone.zone.period.seconds();
    let labels = owner.depth() - usize::from(owner.is_wildcard());
    let mut data = set.code().to_be_bytes().to_vec();
    // A name has at most 127 labels.
    data.extend([key.algorithm.number(), labels as u8]);
    data.extend(set.ttl.to_be_bytes());
    data.extend(expiration.to_be_bytes());
    data.extend(inception.to_be_bytes());
    data.extend(key.tag().to_be_bytes());
    data.extend(zone.apex.wire());
    let mut signed = set.to_be_signed(&data, owner);
    if zone.zone.is_altered(set.record_type) {
        signed.push(0);
    }
    data.extend(key.sign(&signed));
    data
}

/// The name that is all of a record's data.
fn target_name(data: &RData) -> Option<Name> {
    let octets = octets(data);
    let mut labels = Vec::new();
    let mut rest = octets.as_slice();
    while let Some((length @ 1..=63, after)) = rest
        .split_first()
        .map(|(l, after)| (usize::from(*l), after))
    {
        let (label, after) = after.split_at_checked(length)?;
        labels.push(label);
        rest = after;
    }
    let mut target = Name::from_labels::<_, &[u8]>(labels).ok()?;
    target.set_fqdn(true);
    Some(target)
}

/// The data of a DNAME record.
pub(super) fn dname_data(target: &str) -> Vec<u8> {
    Domain::of(&name(target)).wire()
}
