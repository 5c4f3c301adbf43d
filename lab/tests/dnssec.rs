//! The signed hierarchy, asked by hand.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use hickory_proto::op::{Edns, Query};
use hickory_proto::rr::Name;
use lab::Internet;
use lab::ca::{Ca, Cert};
use lab::dns::{DnsServer, Fault, Message, RecordType, ResponseCode, lie};
use lab::dnssec::Zone;
use lab::mx::Script;
use tokio::net::UdpSocket;

/// The bits that are set in a question.
#[derive(Clone, Copy, PartialEq)]
enum Bits {
    None,
    DnssecOk,
    /// And CD.
    Unchecked,
}

async fn ask(dns: &DnsServer, name: &str, record_type: RecordType, bits: Bits) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = bits == Bits::Unchecked;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    let mut edns = Edns::new();
    edns.set_dnssec_ok(bits != Bits::None).set_max_payload(4096);
    message.set_edns(edns);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket
        .send_to(&message.to_vec().unwrap(), dns.address())
        .await
        .unwrap();
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

fn types(message: &Message) -> (Vec<RecordType>, Vec<RecordType>) {
    let types = |records: &[hickory_proto::rr::Record]| {
        records
            .iter()
            .map(hickory_proto::rr::Record::record_type)
            .collect()
    };
    (types(&message.answers), types(&message.authorities))
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_come_only_to_those_who_want_them() {
    let dns = DnsServer::start().await.unwrap();
    dns.secure("a.test").mx("a.test", 10, "mx.a.test");
    let with = types(&ask(&dns, "a.test", RecordType::MX, Bits::DnssecOk).await);
    assert_eq!(with, (vec![RecordType::MX, RecordType::RRSIG], vec![]));
    let without = types(&ask(&dns, "a.test", RecordType::MX, Bits::None).await);
    assert_eq!(without, (vec![RecordType::MX], vec![]));
    let absent = types(&ask(&dns, "no.a.test", RecordType::A, Bits::DnssecOk).await).1;
    let (soa, rrsig, nsec) = (RecordType::SOA, RecordType::RRSIG, RecordType::NSEC);
    assert_eq!(absent, [soa, rrsig, nsec, rrsig]);
    let absent = types(&ask(&dns, "no.a.test", RecordType::A, Bits::None).await).1;
    assert_eq!(absent, [soa]);
    let keys = types(&ask(&dns, "a.test", RecordType::DNSKEY, Bits::None).await).0;
    assert_eq!(keys, [RecordType::DNSKEY]);
    let asked = dns.questions();
    assert!(asked[0].dnssec_ok && !asked[1].dnssec_ok && !asked[0].checking_disabled);
    assert_eq!(dns.queries("a.test", RecordType::DNSKEY), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_signed_anew_and_what_does_not_is_not() {
    let dns = DnsServer::start().await.unwrap();
    dns.secure("a.test")
        .mx("a.test", 10, "mx.a.test")
        .tlsa_raw("mx.a.test", 25, &[3, 1, 1]);
    let owner = "_25._tcp.mx.a.test";
    let (mx, tlsa) = (
        dns.honest("a.test", RecordType::MX),
        dns.honest(owner, RecordType::TLSA),
    );
    dns.remove(owner, RecordType::TLSA)
        .tlsa_raw("mx.a.test", 25, b"");
    assert_eq!(
        dns.honest("a.test", RecordType::MX).answers[1],
        mx.answers[1]
    );
    let after = dns.honest(owner, RecordType::TLSA);
    assert_ne!(after.answers[1], tlsa.answers[1]);
    let ds = dns.honest("a.test", RecordType::DS).answers;
    dns.zone("a.test", Zone::secure().expired());
    assert_eq!(dns.honest("a.test", RecordType::DS).answers, ds);
    dns.new_keys("a.test");
    assert_ne!(dns.honest("a.test", RecordType::DS).answers, ds);
}

#[tokio::test(flavor = "multi_thread")]
async fn resolvers_of_three_kinds() {
    let dns = DnsServer::start().await.unwrap();
    dns.secure("a.test").a("a.test", "127.0.0.1");
    dns.zone("bad.test", Zone::secure().altered())
        .a("bad.test", "127.0.0.1");
    dns.a("plain.test", "127.0.0.1");
    dns.validates();
    for (name, bits, code, authentic, records) in [
        ("a.test", Bits::DnssecOk, ResponseCode::NoError, true, 2),
        (
            "plain.test",
            Bits::DnssecOk,
            ResponseCode::NoError,
            false,
            1,
        ),
        ("bad.test", Bits::DnssecOk, ResponseCode::ServFail, false, 0),
        ("bad.test", Bits::Unchecked, ResponseCode::NoError, false, 2),
        ("no.test", Bits::DnssecOk, ResponseCode::NXDomain, true, 0),
        ("a.test", Bits::None, ResponseCode::NoError, false, 1),
    ] {
        let answer = ask(&dns, name, RecordType::A, bits).await;
        let found = (
            answer.metadata.response_code,
            answer.metadata.authentic_data,
            answer.answers.len(),
        );
        assert_eq!(found, (code, authentic, records), "{name} {answer}");
    }
    dns.strips_dnssec();
    let answer = ask(&dns, "a.test", RecordType::A, Bits::DnssecOk).await;
    assert_eq!((answer.answers.len(), answer.authentic_data), (1, false));
    dns.forwards();
    let answer = ask(&dns, "bad.test", RecordType::A, Bits::DnssecOk).await;
    assert_eq!((answer.answers.len(), answer.authentic_data), (2, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_told_until_the_truth_is() {
    let dns = DnsServer::start().await.unwrap();
    dns.secure("a.test").a("a.test", "127.0.0.1");
    dns.a("plain.test", "127.0.0.1");
    let denial = dns.honest("no.plain.test", RecordType::A);
    let oracle = dns.oracle();
    dns.lie(move |question, response| match question.name.as_str() {
        "a.test" => lie::replace(response, &denial),
        "plain.test" => response.answers = oracle.honest("a.test", RecordType::A).answers,
        _ => lie::strip(response, &[RecordType::RRSIG]),
    });
    let denied = ask(&dns, "a.test", RecordType::A, Bits::DnssecOk).await;
    assert_eq!(denied.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(denied.authorities[0].name.to_ascii(), "plain.test.");
    assert_eq!(
        ask(&dns, "plain.test", RecordType::A, Bits::DnssecOk)
            .await
            .answers
            .len(),
        2
    );
    let stripped = ask(&dns, "test", RecordType::DNSKEY, Bits::DnssecOk).await;
    assert_eq!(types(&stripped).0, [RecordType::DNSKEY]);
    dns.tell_the_truth();
    assert_eq!(
        ask(&dns, "a.test", RecordType::A, Bits::DnssecOk)
            .await
            .answers
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_zones_concern_all_their_names_but_not_their_ds_records() {
    let dns = DnsServer::start().await.unwrap();
    dns.zone("down.test", Zone::secure().fault(Fault::ServFail))
        .a("mx.down.test", "127.0.0.1");
    dns.zone(
        "mute.test",
        Zone::secure().fault_for(RecordType::TLSA, Fault::Lame),
    )
    .a("mx.mute.test", "127.0.0.1")
    .tlsa_raw("mx.mute.test", 25, &[3, 1, 1]);
    dns.cname("to.test", "mx.down.test");
    for (name, record_type, code, records) in [
        ("mx.down.test", RecordType::A, ResponseCode::ServFail, 0),
        ("to.test", RecordType::A, ResponseCode::ServFail, 0),
        ("down.test", RecordType::DS, ResponseCode::NoError, 2),
        ("mx.mute.test", RecordType::A, ResponseCode::NoError, 2),
        (
            "_25._tcp.mx.mute.test",
            RecordType::TLSA,
            ResponseCode::NoError,
            0,
        ),
    ] {
        let answer = ask(&dns, name, record_type, Bits::DnssecOk).await;
        let found = (answer.metadata.response_code, answer.answers.len());
        assert_eq!(found, (code, records), "{name} {record_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tlsa_records_are_made_of_certificates() {
    let ca = Ca::default();
    let identity = ca.issue(&Cert::new(["mx.a.test"]));
    let leaf = identity.leaf();
    let digest = |algorithm, octets: &[u8]| ring::digest::digest(algorithm, octets);
    let spki = identity.spki();
    for (parameters, data) in [
        ("3 0 0", leaf.to_vec()),
        ("3 1 0", spki.clone()),
        (
            "3 0 1",
            digest(&ring::digest::SHA256, leaf).as_ref().to_vec(),
        ),
        (
            "3 1 2",
            digest(&ring::digest::SHA512, &spki).as_ref().to_vec(),
        ),
    ] {
        assert_eq!(
            lab::dns::tlsa_data(parameters, leaf)[3..],
            data,
            "{parameters}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internet_publishes_its_hosts_certificates_and_its_trust_anchor() {
    let mut net = Internet::new().await.unwrap();
    net.dns.secure("a.test");
    net.domain("a.test", Script::default()).await.unwrap();
    net.tlsa("a.test", "3 1 1").tlsa("mx.a.test", "2 0 1");
    let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
    let answers = net.dns.honest(&owner, RecordType::TLSA).answers;
    let expected = [
        lab::dns::tlsa_data("3 1 1", net.mx("a.test").identity().leaf()),
        lab::dns::tlsa_data("2 0 1", net.ca.root()),
    ];
    assert_eq!([lie::data(&answers[0]), lie::data(&answers[1])], expected);
    let config = net.config_validating(std::path::Path::new("/nowhere"));
    let anchor = net.dns.trust_anchor_file();
    assert!(
        config.contains("dnssec = \"validate\"")
            && config.contains(&format!("trust_anchor = \"{}\"", anchor.display())),
        "{config}"
    );
    let anchor = std::fs::read_to_string(anchor).unwrap();
    assert!(
        anchor.starts_with(". 3600 IN DS ") && anchor.contains(" 13 2 "),
        "{anchor}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_do_not_fit_into_udp() {
    let dns = DnsServer::start().await.unwrap();
    dns.secure("a.test");
    for number in 0..60 {
        dns.tlsa_raw(
            "mx.a.test",
            25,
            &[[3, 1, 1].as_slice(), &[number; 32]].concat(),
        );
    }
    let answer = ask(&dns, "_25._tcp.mx.a.test", RecordType::TLSA, Bits::DnssecOk).await;
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    assert_eq!(
        dns.honest("_25._tcp.mx.a.test", RecordType::TLSA)
            .answers
            .len(),
        61
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_questions_and_odd_liars_do_no_harm() {
    let dns = DnsServer::start().await.unwrap();
    dns.zone("a.test", Zone::secure().nsec3(3, b"x"))
        .dname("dn.a.test", "a.much.longer.name.a.test");
    dns.fault("loop.test", RecordType::A, Fault::CnameLoop);
    let long = format!("{0}.{0}.{0}.{1}.dn.a.test", "l".repeat(63), "m".repeat(50));
    for (name, code) in [
        (long.as_str(), ResponseCode::YXDomain),
        ("", ResponseCode::NoError),
        ("a\\.b.*.a.test", ResponseCode::NXDomain),
        ("*.*", ResponseCode::NXDomain),
    ] {
        for record_type in [RecordType::A, RecordType::ANY, RecordType::RRSIG] {
            let answer = ask(&dns, name, record_type, Bits::DnssecOk).await;
            assert_eq!(answer.metadata.response_code, code, "{name} {record_type}");
        }
    }
    dns.lie(|_, response| response.answers.clear());
    let answer = ask(&dns, "a.test", RecordType::SOA, Bits::DnssecOk).await;
    assert!(answer.answers.is_empty());
    dns.lie(|_, response| drop(response.answers.remove(99)));
    let answer = ask(&dns, "a.test", RecordType::SOA, Bits::DnssecOk).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    let huge = lie::record("a.test", RecordType::TXT, 60, &[200; 60_000]);
    dns.lie(move |_, response| response.answers = vec![huge.clone(); 5]);
    let answer = ask(&dns, "a.test", RecordType::SOA, Bits::DnssecOk).await;
    assert!(answer.metadata.truncation && answer.answers.is_empty());
}
