//! The DNS server, asked by hand.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::Name;
use lab::dns::{DnsServer, Fault, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn question(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message.to_vec().unwrap()
}

async fn udp(dns: &DnsServer, name: &str, record_type: RecordType) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket
        .send_to(&question(name, record_type), dns.address())
        .await
        .unwrap();
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer));
    let length = received.await.ok()?.unwrap();
    buffer.truncate(length);
    Some(buffer)
}

async fn ask(dns: &DnsServer, name: &str, record_type: RecordType) -> Message {
    Message::from_vec(&udp(dns, name, record_type).await.unwrap()).unwrap()
}

async fn tcp(dns: &DnsServer, name: &str, record_type: RecordType) -> Message {
    let mut stream = TcpStream::connect(dns.address()).await.unwrap();
    let question = question(name, record_type);
    stream.write_u16(question.len() as u16).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn shown(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|r| format!("{} {} {}", r.name, r.record_type(), r.data))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_aliases_and_absence() {
    let dns = DnsServer::start().await.unwrap();
    dns.mx("a.test", 10, "mx1.a.test")
        .mx("a.test", 20, "mx2.a.test")
        .null_mx("none.test");
    dns.a("mx1.a.test", "127.0.0.1")
        .aaaa("mx1.a.test", "::1")
        .txt("a.test", "v=x");
    dns.cname("alias.test", "second.test")
        .cname("second.test", "a.test");
    dns.cname("dangling.test", "nowhere.test")
        .a("deep.ent.test", "127.0.0.1");
    dns.cname("l1.test", "l2.test").cname("l2.test", "l1.test");
    let (no_error, no_name) = (ResponseCode::NoError, ResponseCode::NXDomain);
    for (name, record_type, code, answers, authorities) in [
        ("A.Test.", RecordType::MX, no_error, 2, 0),
        ("alias.test", RecordType::MX, no_error, 4, 0),
        ("a.test", RecordType::A, no_error, 0, 1),
        ("none.test", RecordType::MX, no_error, 1, 0),
        ("mx1.a.test", RecordType::AAAA, no_error, 1, 0),
        ("nothing.test", RecordType::MX, no_name, 0, 1),
        ("dangling.test", RecordType::A, no_name, 1, 1),
        ("ent.test", RecordType::A, no_error, 0, 1),
        ("l1.test", RecordType::A, ResponseCode::ServFail, 0, 0),
    ] {
        let message = ask(&dns, name, record_type).await;
        let found = (
            message.metadata.response_code,
            message.answers.len(),
            message.authorities.len(),
        );
        assert_eq!(
            found,
            (code, answers, authorities),
            "{name} {record_type}: {message}"
        );
        assert!(message.metadata.recursion_available && message.metadata.id == 4711);
    }
    assert_eq!(
        shown(&ask(&dns, "none.test", RecordType::MX).await),
        ["none.test. MX 0 ."]
    );
    assert_eq!(dns.queries("a.test", RecordType::MX), 1);
    dns.remove("a.test", RecordType::MX);
    assert!(ask(&dns, "a.test", RecordType::MX).await.answers.is_empty());
    assert!(
        dns.wait_for_queries("a.test", RecordType::MX, 2, Duration::from_secs(1))
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults() {
    let dns = DnsServer::start().await.unwrap();
    for name in ["f.test", "other.test"] {
        dns.mx(name, 10, "mx.test");
    }
    let fault = |fault| dns.fault("f.test", RecordType::MX, fault);
    for (what, code) in [
        (Fault::ServFail, ResponseCode::ServFail),
        (Fault::Refused, ResponseCode::Refused),
        (Fault::NotImp, ResponseCode::NotImp),
    ] {
        fault(what);
        assert_eq!(
            ask(&dns, "f.test", RecordType::MX)
                .await
                .metadata
                .response_code,
            code
        );
    }
    fault(Fault::Timeout);
    assert!(udp(&dns, "f.test", RecordType::MX).await.is_none());
    fault(Fault::Truncated);
    let short = ask(&dns, "f.test", RecordType::MX).await;
    assert!(short.metadata.truncation && short.answers.is_empty());
    assert_eq!(tcp(&dns, "f.test", RecordType::MX).await.answers.len(), 1);
    fault(Fault::TruncatedAlways);
    assert!(
        tcp(&dns, "f.test", RecordType::MX)
            .await
            .metadata
            .truncation
    );
    fault(Fault::WrongId);
    assert_eq!(ask(&dns, "f.test", RecordType::MX).await.metadata.id, 4712);
    fault(Fault::Delay(Duration::from_millis(50)));
    assert_eq!(ask(&dns, "f.test", RecordType::MX).await.answers.len(), 1);
    fault(Fault::CnameLoop);
    assert_eq!(ask(&dns, "f.test", RecordType::MX).await.answers.len(), 2);
    fault(Fault::Garbage);
    assert!(udp(&dns, "f.test", RecordType::MX).await.is_some());
    fault(Fault::Garbled);
    assert!(udp(&dns, "f.test", RecordType::MX).await.is_some());
    assert_eq!(
        ask(&dns, "other.test", RecordType::MX).await.answers.len(),
        1
    );
    dns.mend("f.test");
    assert_eq!(ask(&dns, "f.test", RecordType::MX).await.answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_cut_over_udp_and_whole_over_tcp() {
    let dns = DnsServer::start().await.unwrap();
    for number in 0..60 {
        dns.mx("big.test", 10, &format!("host{number}.big.test"));
    }
    assert!(
        ask(&dns, "big.test", RecordType::MX)
            .await
            .metadata
            .truncation
    );
    assert_eq!(
        tcp(&dns, "big.test", RecordType::MX).await.answers.len(),
        60
    );
}
