//! The reader of replies against hickory's writer, and against octets that nobody should send.

use super::testing::{Record as Typed, a, cname, mx, name, ns, ptr, response_to, soa};
use super::wire::{Flags, HEADER, Record, Reply, WireError, append, plain_name};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, RecordType};
use hickory_resolver::proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use proptest::prelude::*;

fn query() -> Message {
    let mut query = Message::query();
    query.add_query(Query::query(name("example.test."), RecordType::MX));
    query
}

fn reply(answers: Vec<Typed>) -> Message {
    let mut message = response_to(&query(), ResponseCode::NoError);
    message.answers = answers;
    message
}

fn read(message: &Message) -> Result<Reply, WireError> {
    Reply::read(&message.to_vec().unwrap())
}

/// As hickory writes it alone, without compression.
fn expected(record: &Typed) -> Record {
    let mut data = Vec::new();
    let mut encoder = BinEncoder::new(&mut data);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).unwrap();
    Record {
        owner: record.name.clone(),
        record_type: record.record_type(),
        ttl: record.ttl,
        data: data.into(),
    }
}

#[test]
fn names_are_decompressed_where_they_may_be_compressed() {
    let records = vec![
        mx("example.test.", 10, "MX.example.test.", 60),
        mx("example.test.", 20, "example.test.", 60),
        cname("a.example.test.", "mx.example.test.", 60),
        ptr("b.example.test.", "mx.example.test."),
        ns("example.test.", "ns.example.test."),
        soa("example.test.", 60, 30),
        a("mx.example.test.", "192.0.2.1", 60),
    ];
    let message = reply(records.clone());
    let length: usize = records.iter().map(|r| r.to_bytes().unwrap().len()).sum();
    assert!(
        message.to_vec().unwrap().len() < HEADER + length,
        "compressed"
    );
    let got = read(&message).unwrap();
    let wanted: Vec<Record> = records.iter().map(expected).collect();
    assert_eq!(got.answers, wanted);
    assert_eq!(got.question, Some(query().queries[0].clone()));
}

/// An empty reply, and records of this type and data after it, whose owner is the name asked for.
fn by_hand(record_type: RecordType, data: &[&[u8]]) -> Vec<u8> {
    let mut bytes = reply(vec![]).to_vec().unwrap();
    bytes[6..8].copy_from_slice(&(data.len() as u16).to_be_bytes());
    for data in data {
        bytes.extend([0xc0, HEADER as u8]);
        bytes.extend(u16::from(record_type).to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

#[test]
fn a_malformed_tlsa_record_spoils_nothing() {
    let data = [&[][..], &[3], &[3, 1], &[3, 1, 1], &[3, 1, 1, 7]];
    let got = Reply::read(&by_hand(RecordType::TLSA, &data)).unwrap();
    let kept: Vec<&[u8]> = got.answers.iter().map(|record| &record.data[..]).collect();
    assert_eq!(kept, data);
}

#[test]
fn what_the_header_and_edns_say() {
    let mut message = reply(vec![]);
    message.metadata.authentic_data = true;
    message.metadata.truncation = true;
    message.metadata.response_code = ResponseCode::BADVERS;
    let mut bytes = message.to_vec().unwrap();
    // hickory writes no OPT record of its own accord.
    let opt = |data: &[u8]| {
        let length = (data.len() as u16).to_be_bytes();
        [&[0, 0, 41, 4, 208, 1, 0, 0, 0], &length[..], data].concat()
    };
    let explanation = [&[0, 15, 0, 8, 0, 6][..], b"no\nkey"].concat();
    let unknown = [0, 200, 0, 1, 9];
    let options = [&unknown[..], &explanation, &[0, 15, 0, 99]].concat();
    bytes[11] = 1;
    let read_with = |extra: &[u8]| Reply::read(&[&bytes[..], extra].concat());
    let got = read_with(&opt(&options)).unwrap();
    assert!(got.flags.has(Flags::AUTHENTIC) && got.flags.has(Flags::TRUNCATED));
    assert!(!got.flags.has(Flags::AUTHORITATIVE));
    assert_eq!(u16::from(got.code), 16);
    let said: Vec<(u16, &str)> = got
        .explanations
        .iter()
        .map(|e| (e.code, &e.text[..]))
        .collect();
    assert_eq!(said, [(6, "nokey")]);
    bytes[11] = 2;
    let twice = [opt(&[]), opt(&[])].concat();
    assert_eq!(Reply::read(&[bytes, twice].concat()), Err(WireError::Edns));
}

#[test]
fn records_of_another_class_are_left_out() {
    let mut chaos = a("example.test.", "192.0.2.1", 60);
    chaos.dns_class = DNSClass::CH;
    let got = read(&reply(vec![
        chaos,
        a("example.test.", "192.0.2.2", u32::MAX),
    ]))
    .unwrap();
    assert_eq!(got.answers.len(), 1);
    assert_eq!(
        (&got.answers[0].data[..], got.answers[0].ttl),
        (&[192, 0, 2, 2][..], 0)
    );
}

#[test]
fn what_is_no_reply() {
    let good = reply(vec![mx("example.test.", 10, "mx.example.test.", 60)]);
    let good = good.to_vec().unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Reply::read(&bytes).unwrap_err()
    };
    // The record: owner (pointer), type, class, TTL, length, preference, name.
    let record = good.len() - (2 + 8 + 2 + 2 + 5);
    for (what, error, expected) in [
        ("empty", Reply::read(&[]).unwrap_err(), WireError::NoHeader),
        ("a query", with(2, 0), WireError::NoResponse),
        ("another opcode", with(2, 0x90), WireError::NoResponse),
        ("two questions", with(5, 2), WireError::Questions),
        ("more records than there are", with(7, 2), WireError::Name),
        ("far too many", with(6, 0x20), WireError::TooMuch),
        (
            "a pointer to itself",
            with(record + 1, record as u8),
            WireError::Name,
        ),
        (
            "a pointer forwards",
            with(record + 1, 0xff),
            WireError::Name,
        ),
        (
            "data too short for the name",
            with(record + 11, 3),
            WireError::DataLength,
        ),
        (
            "data beyond the end",
            with(record + 11, 200),
            WireError::Cut,
        ),
    ] {
        assert_eq!(error, expected, "{what}");
    }
    for length in 0..good.len() {
        assert!(Reply::read(&good[..length]).is_err(), "{length}");
    }
}

#[test]
fn what_grows_is_bounded() {
    // Two octets each, for two names of which the second points to the first: 257 octets.
    let label = [&[62][..], &[b'x'; 62]].concat();
    let name = [&label[..], &label, &label, &label, &[0]].concat();
    let pointer = (HEADER + "example.test.".len() + 1 + 4 + 12).to_be_bytes();
    let [high, low] = [pointer[6] | 0xc0, pointer[7]];
    let mut data = vec![&name[..]];
    data.resize(1500, &[]);
    let pointer = [high, low];
    data[1..].fill(&pointer);
    let bytes = by_hand(RecordType::CNAME, &data);
    assert!(bytes.len() < 30_000);
    assert_eq!(Reply::read(&bytes), Err(WireError::TooMuch));
    let fewer = by_hand(RecordType::CNAME, &data[..1000]);
    let got = Reply::read(&fewer).unwrap();
    assert_eq!(got.answers[999].data[..], name);
}

#[test]
fn chains_of_pointers_are_short() {
    let first = HEADER + "example.test.".len() + 1 + 4;
    // Each record's data is a pointer to that of the record before; the first has a name.
    let with_chain = |length: usize| {
        let data: Vec<Vec<u8>> = (0..length)
            .map(|i| match i {
                0 => b"\x01a\x00".to_vec(),
                1 => (0xc000 | (first + 12) as u16).to_be_bytes().to_vec(),
                _ => (0xc000 | (first + 12 + 15 + (i - 2) * 14) as u16)
                    .to_be_bytes()
                    .to_vec(),
            })
            .collect();
        let data: Vec<&[u8]> = data.iter().map(|data| &data[..]).collect();
        Reply::read(&by_hand(RecordType::CNAME, &data))
    };
    let got = with_chain(100).unwrap();
    assert_eq!(got.answers[99].data[..], *b"\x01a\x00");
    assert_eq!(with_chain(400), Err(WireError::Name));
}

#[test]
fn names_that_must_not_be_compressed() {
    for (data, expected) in [
        (&b"\x01a\x00"[..], Some(("a.", 0))),
        (b"\x01a\x00rest", Some(("a.", 4))),
        (b"\x00", Some((".", 0))),
        (b"\x01a\xc0\x00", None),
        (b"\xc0\x00", None),
        (b"\x40a\x00", None),
        (b"\x02a", None),
        (b"\x01a", None),
        (b"", None),
    ] {
        let got = plain_name(data).map(|(name, rest)| (name.to_ascii(), rest.len()));
        assert_eq!(
            got,
            expected.map(|(name, rest)| (name.into(), rest)),
            "{data:?}"
        );
    }
    let too_long = [&[63; 64][..]; 4].concat();
    assert_eq!(plain_name(&[&too_long[..], &[0]].concat()), None);
}

proptest! {
    #[test]
    fn names_come_back(labels in proptest::collection::vec("[a-z*_\\x01]{1,20}", 0..6)) {
        let labels = labels.iter().map(String::as_bytes);
        let name = hickory_resolver::proto::rr::Name::from_labels(labels).unwrap();
        let mut octets = Vec::new();
        append(&name, &mut octets);
        prop_assert_eq!(plain_name(&octets), Some((name, &[][..])));
    }

    #[test]
    fn any_octets_are_read_or_refused(
        head in proptest::collection::vec(any::<u8>(), 0..40),
        tail in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = reply(vec![]).to_vec().unwrap();
        for (octet, random) in bytes.iter_mut().skip(4).zip(&head) {
            *octet = random & 3;
        }
        bytes.extend(tail);
        if let Ok(reply) = Reply::read(&bytes) {
            let size: usize = reply.answers.iter().map(|record| record.data.len()).sum();
            prop_assert!(size <= 256 * 1024);
        }
    }

    /// Nothing that hickory reads is read otherwise.
    #[test]
    fn hickory_reads_the_same(flips in proptest::collection::vec((12..150usize, any::<u8>()), 0..4)) {
        let mut bytes = reply(vec![
            mx("example.test.", 10, "mx.example.test.", 60),
            cname("b.example.test.", "example.test.", 60),
            a("mx.example.test.", "192.0.2.1", 60),
        ]).to_vec().unwrap();
        for (at, value) in flips {
            if let Some(octet) = bytes.get_mut(at) {
                *octet = value;
            }
        }
        let (Ok(ours), Ok(theirs)) = (Reply::read(&bytes), Message::from_vec(&bytes)) else {
            return Ok(());
        };
        let class = theirs.queries[0].query_class();
        let mut theirs = theirs.answers.iter().filter(|record| record.dns_class == class);
        for record in &ours.answers {
            let other = theirs.next().unwrap();
            prop_assert_eq!(&record.owner, &other.name);
            prop_assert_eq!(record.record_type, other.record_type());
        }
    }
}
