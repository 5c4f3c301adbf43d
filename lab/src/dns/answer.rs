//! From a question's octets to the octets of the answer, faults and lies included.

use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, Query, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::resolve::{Extent, Resolution, deny, resolve};
use super::{Fault, Kind, Office, Question, Shared, Transport};
use crate::dnssec::Verdict;
use crate::dnssec::canonical::from_octets;
use crate::name::{Domain, name, normal};
use crate::tasks::lock;

/// UDP payload without EDNS (RFC 1035 §4.2.1).
const CLASSIC_PAYLOAD: u16 = 512;

/// The most that is sent over UDP, whatever the client says; unbound's default.
const PAYLOAD: u16 = 1232;

/// Extended error "DNSSEC Bogus": option 15 with code 6 (RFC 8914 §4.7).
const EXTENDED_ERROR: u16 = 15;
const DNSSEC_BOGUS: [u8; 2] = [0, 6];

/// What is sent back, and when; `None` if nothing ever is.
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) octets: Vec<u8>,
}

fn named_fault(shared: &Shared, query: &Query, question: &Question) -> Option<Fault> {
    // There is no world but the Internet.
    if query.query_class() != DNSClass::IN {
        return Some(Fault::Refused);
    }
    lock(&shared.store).fault(&question.name, question.record_type)
}

pub(super) fn answer(
    shared: &Shared,
    octets: &[u8],
    transport: Transport,
    office: Office,
) -> Option<Answer> {
    let request = Message::from_vec(octets).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let query = request.queries.first()?.clone();
    let question = Question {
        name: normal(&query.name().to_ascii()),
        record_type: query.query_type(),
        transport,
        dnssec_ok: dnssec_ok(&request),
        checking_disabled: request.metadata.checking_disabled,
        authentic_data: request.metadata.authentic_data,
    };
    let named = named_fault(shared, &query, &question);
    shared
        .asked
        .send_modify(|asked| asked.push(question.clone()));
    let kind = match office {
        Office::Resolver => *lock(&shared.kind),
        Office::Authority => Kind::Authority,
    };
    let resolution = found(shared, &query, kind, &request);
    let fault = named.or_else(|| resolution.fault.clone());
    let mut after = Duration::ZERO;
    let mut response = respond(&request, &query, resolution, kind);
    match fault {
        None => {}
        Some(Fault::Timeout) => return None,
        Some(Fault::Truncated) if transport == Transport::Tcp => {}
        Some(Fault::Truncated | Fault::TruncatedAlways) => response = response.truncate(),
        Some(Fault::Delay(time)) => after = time,
        Some(Fault::WrongId) => response.metadata.id = response.metadata.id.wrapping_add(1),
        Some(Fault::Garbage) => {
            let octets = (0..fastrand::usize(1..200))
                .map(|_| fastrand::u8(..))
                .collect();
            return Some(Answer { after, octets });
        }
        Some(Fault::ServFail) => fail(&mut response, ResponseCode::ServFail),
        Some(Fault::Refused) => fail(&mut response, ResponseCode::Refused),
        Some(Fault::NotImp) => fail(&mut response, ResponseCode::NotImp),
        Some(Fault::Lame) => fail(&mut response, ResponseCode::NoError),
        Some(Fault::CnameLoop) => {
            fail(&mut response, ResponseCode::NoError);
            response.answers = aliases_in_a_circle(&query);
        }
        Some(Fault::Garbled) => {
            fail(&mut response, ResponseCode::NoError);
            response.answers = vec![garbled(&query)];
        }
    }
    let lie = lock(&shared.lie).clone();
    if let Some(lie) = lie {
        lie.tell(&question, &mut response);
    }
    let octets = encode(&response, &request, transport)?;
    Some(Answer { after, octets })
}

/// The truth, with everything that proves it.
pub(super) fn honest(shared: &Shared, asked: &str, record_type: RecordType) -> Message {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.metadata.checking_disabled = true;
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    request.set_edns(edns);
    let query = Query::query(name(asked), record_type);
    let resolution = found(shared, &query, Kind::Forwarder, &request);
    respond(&request, &query, resolution, Kind::Forwarder)
}

/// How a zone would deny a name that need not be its own.
pub(super) fn denial(shared: &Shared, apex: &str, owner: &str) -> Vec<Record> {
    let tree = lock(&shared.store).tree();
    let zone = tree.zones.get(&Domain::parse(apex));
    zone.map_or_else(Vec::new, |zone| deny(zone, &Domain::parse(owner)))
}

/// What a validator says to the truth, or to the fault of a zone on the way.
pub(super) fn verdict(shared: &Shared, asked: &str, record_type: RecordType) -> Verdict {
    let tree = lock(&shared.store).tree();
    let found = resolve(&tree, &name(asked), record_type, Extent::Signed);
    match found.fault {
        None | Some(Fault::Delay(_) | Fault::Truncated) => found.verdict,
        // Nothing is no proof.
        Some(Fault::Lame) if found.verdict == Verdict::Secure => Verdict::Bogus,
        Some(Fault::Lame) => found.verdict,
        Some(_) => Verdict::ServFail,
    }
}

fn dnssec_ok(request: &Message) -> bool {
    let edns = request.edns.as_ref();
    edns.is_some_and(|edns| edns.flags().dnssec_ok)
}

fn found(shared: &Shared, query: &Query, kind: Kind, request: &Message) -> Resolution {
    let extent = match kind {
        Kind::Forwarder | Kind::Authority if dnssec_ok(request) => Extent::Signed,
        Kind::Forwarder | Kind::Authority | Kind::Stripping => Extent::Plain,
        Kind::Validating => Extent::Signed,
    };
    let tree = lock(&shared.store).tree();
    resolve(&tree, query.name(), query.query_type(), extent)
}

/// Cuts what does not fit the client's payload, as a UDP server must.
fn encode(response: &Message, request: &Message, transport: Transport) -> Option<Vec<u8>> {
    let Ok(octets) = response.to_vec() else {
        // Too large even for TCP.
        let mut short = response.truncate();
        fail(&mut short, ResponseCode::ServFail);
        return short.to_vec().ok();
    };
    let theirs = request.edns.as_ref().map(Edns::max_payload);
    let limit = theirs.map_or(CLASSIC_PAYLOAD, |theirs| {
        theirs.clamp(CLASSIC_PAYLOAD, PAYLOAD)
    });
    if transport == Transport::Udp && octets.len() > usize::from(limit) {
        return response.truncate().to_vec().ok();
    }
    Some(octets)
}

fn respond(request: &Message, query: &Query, found: Resolution, kind: Kind) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.recursion_available = kind != Kind::Authority;
    response.metadata.authoritative = kind == Kind::Authority;
    response.metadata.authentic_data = false;
    response.metadata.response_code = found.code;
    response.add_query(query.clone());
    if request.edns.is_some() {
        let mut ours = Edns::new();
        ours.set_max_payload(PAYLOAD)
            .set_dnssec_ok(dnssec_ok(request) && kind != Kind::Stripping);
        response.set_edns(ours);
    }
    response.answers = found.answers;
    response.authorities = found.authorities;
    if kind == Kind::Validating {
        validate(&mut response, request, found.verdict);
    }
    response.maybe_strip_dnssec_records(dnssec_ok(request))
}

/// As a validating resolver would (RFC 4035 §3.2, RFC 6840 §5.7 and §5.9).
fn validate(response: &mut Message, request: &Message, verdict: Verdict) {
    let asked = dnssec_ok(request) || request.metadata.authentic_data;
    match verdict {
        Verdict::Secure => response.metadata.authentic_data = asked,
        Verdict::Bogus if !request.metadata.checking_disabled => {
            fail(response, ResponseCode::ServFail);
            if let Some(edns) = &mut response.edns {
                let error = EdnsOption::Unknown(EXTENDED_ERROR, DNSSEC_BOGUS.to_vec());
                edns.options_mut().insert(error);
            }
        }
        Verdict::Insecure | Verdict::Bogus | Verdict::ServFail => {}
    }
}

fn fail(response: &mut Message, code: ResponseCode) {
    response.metadata.response_code = code;
    response.metadata.authentic_data = false;
    response.answers.clear();
    response.authorities.clear();
    response.additionals.clear();
}

fn aliases_in_a_circle(query: &Query) -> Vec<Record> {
    let here = query.name().clone();
    // The longest names have no room for another label.
    let other = here.prepend_label("loop").unwrap_or_else(|_| Name::root());
    let there = RData::CNAME(CNAME(other.clone()));
    let back = RData::CNAME(CNAME(here.clone()));
    vec![
        Record::from_rdata(here, 60, there),
        Record::from_rdata(other, 60, back),
    ]
}

fn garbled(query: &Query) -> Record {
    let mut octets = (0..7).map(|_| fastrand::u8(..)).collect::<Vec<_>>();
    if query.query_type() == RecordType::TXT {
        // Strings could come out of it by chance; this first one is longer than the data.
        octets[0] |= 0x80;
    }
    let data = from_octets(query.query_type(), &octets);
    Record::from_rdata(query.name().clone(), 60, data)
}
