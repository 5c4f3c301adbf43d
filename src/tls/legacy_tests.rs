use super::*;
use proptest::prelude::*;

/// A ServerHello with these extensions, in a record of its own.
fn hello(version: [u8; 2], suite: u16, compression: u8, extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(compression);
    if !extensions.is_empty() {
        push16(&mut body, extensions);
    }
    record(&message(SERVER_HELLO, &body))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

fn record(messages: &[u8]) -> Vec<u8> {
    let mut record = vec![HANDSHAKE, 3, 1];
    push16(&mut record, messages);
    record
}

fn said(octets: &[u8]) -> String {
    match read_answer(octets) {
        Ok(Reading::Done(Answer::Chosen(c))) => format!(
            "{} {:04x} {:?} {} {:?}",
            c.version.as_str(),
            c.suite,
            c.compression,
            c.extras.0,
            c.dh_bits
        ),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_a_server_chooses() {
    let extensions = [0xFF, 1, 0, 1, 0, 0, 23, 0, 0];
    let mut prime = Vec::new();
    push16(&mut prime, &[0x80; 128]);
    let exchange = message(SERVER_KEY_EXCHANGE, &prime);
    let dhe = hello([3, 3], 0x009F, 0, &[]);
    let certificate = record(&message(11, &[0; 3000]));
    for (what, octets, expected) in [
        ("1.0", hello([3, 1], 0x0035, 0, &[]), "1.0 0035 Off 0 None"),
        (
            "both",
            hello([3, 3], 0xC02F, 0, &extensions),
            "1.2 c02f Off 3 None",
        ),
        (
            "deflate",
            hello([3, 2], 0x0035, 1, &[]),
            "1.1 0035 On 0 None",
        ),
        (
            "dhe",
            [dhe.clone(), certificate.clone(), record(&exchange)].concat(),
            "1.2 009f Off 0 Some(1024)",
        ),
        (
            "alert",
            vec![ALERT, 3, 1, 0, 2, 2, 70],
            "Ok(Done(Alert(70)))",
        ),
        (
            "half",
            hello([3, 1], 0x0035, 0, &[])[..20].to_vec(),
            "Ok(More)",
        ),
        ("nothing", Vec::new(), "Ok(More)"),
        ("smtp", b"220 ready to go\r\n".to_vec(), "Err(Malformed)"),
        ("1.3", hello([3, 4], 0x1301, 0, &[]), "Err(Malformed)"),
        ("odd", hello([3, 3], 0x0035, 9, &[]), "Err(Malformed)"),
        (
            "cut extensions",
            hello([3, 3], 0x0035, 0, &[0xFF, 1, 0, 9, 0]),
            "Err(Malformed)",
        ),
        (
            "huge record",
            vec![HANDSHAKE, 3, 3, 0xFF, 0xFF, 0],
            "Err(Malformed)",
        ),
        ("no hello", record(&message(11, &[0; 9])), "Err(Malformed)"),
    ] {
        assert_eq!(said(&octets), expected, "{what}");
    }
    let unfinished = said(&[dhe, certificate].concat());
    assert!(unfinished.starts_with("Ok(AtLeast("), "{unfinished}");
}

#[test]
fn what_is_offered_is_well_formed() {
    let name = DomainName::parse("mx.example.com").unwrap();
    for version in [
        HelloVersion::Tls10,
        HelloVersion::Tls11,
        HelloVersion::Tls12,
    ] {
        let offer = Hello {
            version,
            suites: &[0xC02F, 0x0035],
            server_name: Some(&name),
        };
        let wire = offer.to_wire();
        let mut rest = Octets(&wire);
        let (kind, data) = rest.record().unwrap().unwrap();
        assert!(kind == HANDSHAKE && rest.0.is_empty());
        let (kind, body) = Octets(data).message().unwrap();
        assert_eq!(kind, 1);
        let mut body = Octets(body);
        assert_eq!(body.take(2).unwrap(), version.octets());
        body.take(33).unwrap();
        assert_eq!(body.vector16().unwrap(), [0xC0, 0x2F, 0, 0x35, 0, 0xFF]);
        assert_eq!(body.take(3).unwrap(), [2, 1, 0]);
        let mut extensions = Octets(body.vector16().unwrap());
        assert!(body.0.is_empty());
        let mut kinds = Vec::new();
        while !extensions.0.is_empty() {
            kinds.push(extensions.number16().unwrap());
            extensions.vector16().unwrap();
        }
        let modern = version == HelloVersion::Tls12;
        assert_eq!(kinds.contains(&13), modern, "{kinds:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_ends() {
    let offer = Hello {
        version: HelloVersion::Tls10,
        suites: &[0x0035],
        server_name: None,
    };
    for (octets, expected) in [
        (
            record(&message(SERVER_HELLO, &[0; 300])),
            NoAnswer::Malformed,
        ),
        (hello([3, 3], 0x009F, 0, &[])[..9].to_vec(), NoAnswer::Lost),
    ] {
        let stream = tokio_test_stream(octets);
        assert_eq!(offer.ask(stream).await, Err(expected));
    }
    // A chain without end where the parameters of the exchange should come.
    let mut endless = hello([3, 3], 0x009F, 0, &[]);
    endless.extend(record(&message(11, &[0; 16_000])).repeat(9));
    let answered = offer.ask(tokio_test_stream(endless)).await;
    assert_eq!(answered, Err(NoAnswer::Malformed));
}

/// A peer that says this and closes.
fn tokio_test_stream(octets: Vec<u8>) -> impl AsyncRead + AsyncWrite + Unpin {
    tokio::io::join(io::Cursor::new(octets), tokio::io::sink())
}

proptest! {
    #[test]
    fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_answer(&octets);
        let _ = read_answer(&record(&message(SERVER_HELLO, &octets)));
        let mut hello = hello([3, 3], 0x009F, 0, &[]);
        hello.extend(record(&[&[SERVER_KEY_EXCHANGE, 0, 0, 50][..], &octets].concat()));
        let _ = read_answer(&hello);
    }
}
