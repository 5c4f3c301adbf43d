//! A DNS server on loopback that says what a test tells it to say, and short forms for records.

use crate::dns::wire::Reply;
use crate::dns::{Dns, DnsSettings};
use crate::names::DomainName;
pub(crate) use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::op::{Message, OpCode};
pub(crate) use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA};
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::proto::serialize::binary::BinEncodable;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// How a question arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// What is sent back: none, one or several messages.
pub(crate) type Script = Arc<dyn Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync>;

/// The server; gone when dropped.
pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    /// `TYPE name` of every question, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Responder {
    /// Answers each question with the messages that `script` returns.
    pub(crate) async fn start(
        script: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let script: Script = Arc::new(script);
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let asked = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&script), Arc::clone(&asked)));
        tasks.spawn(serve_tcp(tcp, script, Arc::clone(&asked)));
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    /// Serves the records given: NODATA where the name has others, NXDOMAIN where it has none.
    pub(crate) async fn zone(records: Vec<Record>) -> Self {
        Self::start(move |query, _| vec![from_zone(query, &records).to_vec().unwrap()]).await
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A resolver that asks this server.
    pub(crate) fn dns(&self, timeout: Duration) -> Dns {
        dns_for(vec![self.address], timeout)
    }
}

/// A resolver that asks these servers.
pub(crate) fn dns_for(servers: Vec<SocketAddr>, timeout: Duration) -> Dns {
    let settings = DnsSettings {
        servers,
        timeout,
        ..DnsSettings::default()
    };
    Dns::new(&settings, Arc::new(|_, _| {})).unwrap()
}

/// The same port for both transports.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn note(query: &Message, asked: &Mutex<Vec<String>>) {
    let question = &query.queries[0];
    let said = format!("{} {}", question.query_type(), question.name());
    asked.lock().unwrap().push(said);
}

async fn serve_udp(socket: UdpSocket, script: Script, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        note(&query, &asked);
        for reply in script(&query, Over::Udp) {
            socket.send_to(&reply, from).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Script, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; length.into()];
        stream.read_exact(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer).unwrap();
        note(&query, &asked);
        for reply in script(&query, Over::Tcp) {
            let length = u16::try_from(reply.len()).unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }
}

/// An empty answer to a query.
pub(crate) fn response_to(query: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(query.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(query.queries.iter().cloned());
    message
}

/// An empty message that answers nothing in particular.
pub(crate) fn response(code: ResponseCode) -> Message {
    let mut message = Message::response(1, OpCode::Query);
    message.metadata.response_code = code;
    message
}

/// The message as the resolver reads it.
pub(in crate::dns) fn read_back(message: &Message) -> Reply {
    Reply::read(&message.to_vec().unwrap()).unwrap()
}

/// The record's data without compression.
pub(crate) fn data(record: &Record) -> Box<[u8]> {
    record.data.to_bytes().unwrap().into()
}

fn from_zone(query: &Message, records: &[Record]) -> Message {
    let question = &query.queries[0];
    let mut owner = question.name().clone();
    let mut answers: Vec<Record> = Vec::new();
    let exists = loop {
        let here: Vec<&Record> = records.iter().filter(|r| r.name == owner).collect();
        let wanted = |r: &&&Record| r.record_type() == question.query_type();
        answers.extend(here.iter().filter(wanted).map(|r| (*r).clone()));
        let alias = here.iter().find_map(|r| {
            let RData::CNAME(target) = &r.data else {
                return None;
            };
            Some(((*r).clone(), target.0.clone()))
        });
        match alias {
            Some((record, target)) if answers.len() < 20 => {
                answers.push(record);
                owner = target;
            }
            _ => break !here.is_empty(),
        }
    };
    let code = if exists {
        ResponseCode::NoError
    } else {
        ResponseCode::NXDomain
    };
    let mut message = response_to(query, code);
    if !answers
        .iter()
        .any(|r| r.record_type() == question.query_type())
    {
        message.add_authority(soa("test.", 600, 300));
    }
    message.add_answers(answers);
    message
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn domain(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

/// An A or AAAA record.
pub(crate) fn a(owner: &str, ip: &str, ttl: u32) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    record(owner, ttl, data)
}

pub(crate) fn mx(owner: &str, preference: u16, host: &str, ttl: u32) -> Record {
    record(owner, ttl, RData::MX(MX::new(preference, name(host))))
}

pub(crate) fn cname(owner: &str, target: &str, ttl: u32) -> Record {
    record(owner, ttl, RData::CNAME(CNAME(name(target))))
}

pub(crate) fn ptr(owner: &str, target: &str) -> Record {
    record(owner, 60, RData::PTR(PTR(name(target))))
}

pub(crate) fn ns(owner: &str, target: &str) -> Record {
    record(owner, 60, RData::NS(NS(name(target))))
}

pub(crate) fn soa(owner: &str, ttl: u32, minimum: u32) -> Record {
    let soa = SOA::new(name(owner), name(owner), 1, 3600, 600, 86_400, minimum);
    record(owner, ttl, RData::SOA(soa))
}
