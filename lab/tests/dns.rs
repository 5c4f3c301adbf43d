//! The DNS server, asked by hand.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData};
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

/// The strings of each TXT record.
fn strings(message: &Message) -> Vec<Vec<Vec<u8>>> {
    let answers = message.answers.iter();
    let texts = answers.filter_map(|record| {
        let RData::TXT(text) = &record.data else {
            return None;
        };
        Some(text.txt_data.iter().map(|s| s.to_vec()).collect())
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_records_are_strings_and_one_name_may_have_several() {
    let dns = DnsServer::start().await.unwrap();
    let long = "x".repeat(300);
    dns.txt_strings("_mta-sts.a.test", &[b"v=STS", b"v1; id=1;", b"\xff"])
        .txt("_mta-sts.a.test", "v=spf1");
    dns.txt("empty.test", "").txt("long.test", &long);
    for (name, expected) in [
        (
            "_mta-sts.a.test",
            vec![
                vec![b"v=STS".to_vec(), b"v1; id=1;".to_vec(), vec![0xff]],
                vec![b"v=spf1".to_vec()],
            ],
        ),
        ("empty.test", vec![vec![Vec::new()]]),
        ("long.test", vec![vec![vec![b'x'; 255], vec![b'x'; 45]]]),
    ] {
        let mut found = strings(&ask(&dns, name, RecordType::TXT).await);
        found.sort_by_key(|strings| std::cmp::Reverse(strings.len()));
        assert_eq!(found, expected, "{name}");
    }
    dns.txt_strings("none.test", &[]);
    // Too short for the type: the answer is there, the record in it is not.
    let octets = udp(&dns, "none.test", RecordType::TXT).await.unwrap();
    assert_eq!(octets[6..8], [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_for_text_go_wrong_and_are_counted_like_all_others() {
    let dns = DnsServer::start().await.unwrap();
    for name in ["fails", "silent", "garbled"] {
        dns.txt(&format!("_mta-sts.{name}.test"), "v=STSv1; id=1;")
            .a(&format!("_mta-sts.{name}.test"), "127.0.0.1");
    }
    dns.fault("_mta-sts.fails.test", RecordType::TXT, Fault::ServFail)
        .fault("_mta-sts.silent.test", RecordType::TXT, Fault::Timeout)
        .fault("_mta-sts.garbled.test", RecordType::TXT, Fault::Garbled);
    let failed = ask(&dns, "_mta-sts.fails.test", RecordType::TXT).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    let other = ask(&dns, "_mta-sts.fails.test", RecordType::A).await;
    assert_eq!(other.answers.len(), 1);
    let silent = udp(&dns, "_mta-sts.silent.test", RecordType::TXT).await;
    assert_eq!(silent, None);
    for _ in 0..300 {
        let garbled = udp(&dns, "_mta-sts.garbled.test", RecordType::TXT).await;
        assert!(Message::from_vec(&garbled.unwrap()).is_err());
    }
    assert_eq!(dns.queries("_mta-sts.garbled.test", RecordType::TXT), 300);
    assert_eq!(dns.queries("_MTA-STS.fails.test.", RecordType::TXT), 1);
    assert_eq!(dns.queries("_mta-sts.fails.test", RecordType::A), 1);
    dns.mend("_mta-sts.fails.test");
    let mended = ask(&dns, "_mta-sts.fails.test", RecordType::TXT).await;
    assert_eq!(strings(&mended), [[b"v=STSv1; id=1;".to_vec()]]);
}
