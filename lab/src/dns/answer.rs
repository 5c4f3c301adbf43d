//! From a question's octets to the octets of the answer, faults included.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Metadata, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NULL};
use hickory_proto::rr::{RData, Record, RecordType};

use super::zone::{Found, name, normal};
use super::{Fault, Question, Shared, Transport};
use crate::tasks::lock;

/// UDP payload without EDNS (RFC 1035 §4.2.1).
const CLASSIC_PAYLOAD: u16 = 512;

/// What is sent back, and when; `None` if nothing ever is.
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) octets: Vec<u8>,
}

pub(super) fn answer(shared: &Shared, octets: &[u8], transport: Transport) -> Option<Answer> {
    let request = Message::from_vec(octets).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let query = request.queries.first()?.clone();
    let owner = normal(&query.name().to_ascii());
    let record_type = query.query_type();
    let question = Question {
        name: owner.clone(),
        record_type,
        transport,
    };
    let fault = lock(&shared.zone).fault(&owner, record_type);
    shared.asked.send_modify(|asked| asked.push(question));
    let mut after = Duration::ZERO;
    let mut response = respond(shared, &request, &query, fault.as_ref());
    match fault {
        None | Some(Fault::ServFail | Fault::Refused | Fault::NotImp) => {}
        Some(Fault::CnameLoop | Fault::Garbled) => {}
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
    }
    let octets = encode(response, &request, transport)?;
    Some(Answer { after, octets })
}

/// Cuts what does not fit the client's payload, as a UDP server must.
fn encode(response: Message, request: &Message, transport: Transport) -> Option<Vec<u8>> {
    let octets = response.to_vec().ok()?;
    let limit = request
        .edns
        .as_ref()
        .map_or(CLASSIC_PAYLOAD, |edns| edns.max_payload());
    if transport == Transport::Udp && octets.len() > usize::from(limit.max(CLASSIC_PAYLOAD)) {
        return response.truncate().to_vec().ok();
    }
    Some(octets)
}

fn respond(shared: &Shared, request: &Message, query: &Query, fault: Option<&Fault>) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    if let Some(edns) = &request.edns {
        let mut ours = hickory_proto::op::Edns::new();
        ours.set_max_payload(1232)
            .set_dnssec_ok(edns.flags().dnssec_ok);
        response.set_edns(ours);
    }
    let owner = normal(&query.name().to_ascii());
    match fault {
        Some(Fault::ServFail) => response.metadata.response_code = ResponseCode::ServFail,
        Some(Fault::Refused) => response.metadata.response_code = ResponseCode::Refused,
        Some(Fault::NotImp) => response.metadata.response_code = ResponseCode::NotImp,
        Some(Fault::CnameLoop) => {
            let other = name(&format!("loop.{owner}"));
            let there = RData::CNAME(CNAME(other.clone()));
            let back = RData::CNAME(CNAME(query.name().clone()));
            response.add_answer(Record::from_rdata(query.name().clone(), 60, there));
            response.add_answer(Record::from_rdata(other, 60, back));
        }
        Some(Fault::Garbled) => {
            let rdata = NULL::with((0..7).map(|_| fastrand::u8(..)).collect());
            let data = RData::Unknown {
                code: query.query_type(),
                rdata,
            };
            response.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
        _ => fill(
            &mut response,
            &shared_find(shared, &owner, query.query_type()),
        ),
    }
    response
}

fn shared_find(shared: &Shared, owner: &str, record_type: RecordType) -> Found {
    lock(&shared.zone).find(owner, record_type)
}

fn fill(response: &mut Message, found: &Found) {
    match found {
        Found::Records(answers) => {
            response.add_answers(answers.iter().cloned());
        }
        Found::NoData(answers, soa) => {
            response.add_answers(answers.iter().cloned());
            response.add_authority(soa.clone());
        }
        Found::NoName(answers, soa) => {
            response.add_answers(answers.iter().cloned());
            response.add_authority(soa.clone());
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        Found::TooManyAliases => response.metadata.response_code = ResponseCode::ServFail,
    }
}
