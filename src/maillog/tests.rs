//! Whole logs through reader and tally.

use super::*;

const ERA: Era = Era {
    latest: 1_795_694_400, // 2026-11-26 12:00:00 UTC
    offset: 0,
};
const TLS: &str = "TLS connection established to";
const AES: &str = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519";

fn read(text: impl AsRef<[u8]>) -> Summary {
    read_in_pieces(text, usize::MAX)
}

fn read_in_pieces(text: impl AsRef<[u8]>, size: usize) -> Summary {
    let (mut tally, mut reader) = (Tally::default(), Reader::new(ERA));
    for piece in text.as_ref().chunks(size) {
        reader.feed(piece, &mut tally);
    }
    reader.finish(&mut tally);
    tally.finish()
}

/// Lines of one smtp process, a second each.
fn smtp(texts: &[&str]) -> String {
    let line = |(i, text)| format!("Nov 26 07:00:{i:02} mail postfix/smtp[12]: {text}\n");
    texts.iter().enumerate().map(line).collect()
}

fn sent(id: &str, to: &str, relay: &str) -> String {
    format!(
        "{id}: to=<{to}>, relay={relay}, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)"
    )
}

fn mx(n: u8) -> String {
    format!("mx{n}.example[192.0.2.{n}]:25")
}

fn ways(summary: &Summary, name: &str) -> Vec<(Channel, u64)> {
    let found = summary.destinations.iter().find(|d| &*d.name == name);
    let mut ways: Vec<_> = found.map(|d| d.ways.iter().collect()).unwrap_or_default();
    ways.sort_unstable();
    ways
}

#[test]
fn a_delivery_has_the_tls_of_its_session() {
    let (a, b) = (mx(1), mx(2));
    let established = format!("Trusted {TLS} {a}: TLSv1.3 {AES}");
    let to_a = sent("AAAAA1", "x@a.example", &a);
    let other = Channel::Tls(Version::Tls1_3, Trust::Trusted);
    for (texts, expected, why) in [
        (vec![&*established, &to_a], vec![(other, 1)], "its own"),
        (vec![&*to_a], vec![(Channel::Plaintext, 1)], "there is none"),
        (
            vec![&*established, &to_a, &to_a],
            vec![(other, 2)],
            "two recipients",
        ),
        (
            vec![&*established, &to_a, &sent("AAAAA2", "x@a.example", &a)],
            vec![(Channel::Plaintext, 1), (other, 1)],
            "the next message had a connection of its own",
        ),
        (
            vec![&*established, &sent("AAAAA1", "x@a.example", &b)],
            vec![(Channel::Plaintext, 1)],
            "the session was with another host",
        ),
        (
            vec![&*established, "", "", "", "", "", "", &to_a],
            vec![(Channel::Plaintext, 1)],
            "it took a second, so that this session was another's",
        ),
    ] {
        let summary = read(smtp(&texts));
        assert_eq!(ways(&summary, "a.example"), expected, "{why}");
    }
}

#[test]
fn a_connection_that_is_used_again_has_what_its_peer_had() {
    let a = mx(1);
    let again = sent("AAAAA2", "x@a.example", &a).replace(", delay=", ", conn_use=2, delay=");
    let established = format!("Trusted {TLS} {a}: TLSv1.3 {AES}");
    let reused = established.replace("established", "reused");
    let first = sent("AAAAA1", "x@a.example", &a);
    let tls = Channel::Tls(Version::Tls1_3, Trust::Trusted);
    for (texts, expected, connections) in [
        (
            vec![&*established, &first, &reused, &again],
            vec![(tls, 2)],
            1,
        ),
        (vec![&*established, &first, &again], vec![(tls, 2)], 1),
        (vec![&*first, &again], vec![(Channel::Plaintext, 2)], 1),
        (vec![&*again], vec![(Channel::Plaintext, 1)], 0),
    ] {
        let summary = read(smtp(&texts));
        assert_eq!(ways(&summary, "a.example"), expected, "{texts:?}");
        assert_eq!(
            summary.outbound.connections.total(),
            connections,
            "{texts:?}"
        );
    }
    // By another process.
    let other = smtp(&[&reused, &again]).replace("[12]", "[13]");
    let summary = read(smtp(&[&established, &first]) + &other);
    assert_eq!(ways(&summary, "a.example"), [(tls, 2)]);
}

#[test]
fn troubles_belong_to_the_next_delivery_of_the_process() {
    let texts = [
        "SSL_connect error to mx1.example[192.0.2.1]:25: -1",
        "warning: TLS library problem: error:0A00042E:SSL routines::tlsv1 alert protocol version",
        "AAAAA1: Cannot start TLS: handshake failure",
        &sent("AAAAA1", "x@a.example", &mx(1)),
        "AAAAA2: to=<x@b.example>, relay=mx2.example[192.0.2.2]:25, delay=1, delays=0/0/1/0, dsn=4.7.4, status=deferred (TLS is required, but was not offered by host mx2.example[192.0.2.2])",
        "AAAAA3: to=<x@b.example>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx2.example[192.0.2.2]:25: Connection refused)",
    ];
    let summary = read(smtp(&texts));
    let found = |name: &str| {
        summary
            .destinations
            .iter()
            .find(|d| &*d.name == name)
            .unwrap()
    };
    let problems = |name| {
        found(name)
            .problems
            .iter()
            .map(|(p, n, _)| (p, n))
            .collect::<Vec<_>>()
    };
    assert_eq!(problems("a.example"), [(Problem::Handshake, 1)]);
    let (_, _, words) = found("a.example").problems.iter().next().unwrap();
    assert!(words.contains("alert protocol version"), "{words}");
    assert_eq!(problems("b.example"), [(Problem::NotOffered, 1)]);
    assert_eq!(
        (found("b.example").deferred, found("b.example").blocked),
        (2, 1)
    );
    // What failed before TLS is no connection in the clear.
    assert_eq!(summary.outbound.connections.total(), 1);
}

#[test]
fn what_stays_here_is_not_mail_to_others() {
    let texts = [
        &*sent("AAAAA1", "x@a.example", "127.0.0.1[127.0.0.1]:10024"),
        &sent("AAAAA2", "x@a.example", "localhost[::1]:10024"),
        &sent(
            "AAAAA3",
            "x@a.example",
            "mail.example[private/dovecot-lmtp]",
        ),
        &sent("AAAAA4", "x@a.example", "here[127.0.0.1]:2525").replace(
            "250 ok",
            "250 2.0.0 host mx.a.example[192.0.2.1] said: 250 ok (sealpost 1A, TLSv1.3, dane)",
        ),
        // A stranger's words are believed of Sealpost on this machine only.
        &sent("AAAAA5", "x@b.example", &mx(1)).replace(
            "250 ok",
            "250 2.0.0 host x said: 250 ok (sealpost 1A, TLSv1.3, dane)",
        ),
    ];
    let summary = read(smtp(&texts));
    assert_eq!((summary.handed_over, summary.by_sealpost), (3, 1));
    let dane = Channel::Tls(Version::Tls1_3, Trust::Dane);
    assert_eq!(ways(&summary, "a.example"), [(dane, 1)]);
    assert_eq!(ways(&summary, "b.example"), [(Channel::Plaintext, 1)]);
    let lmtp = smtp(&[&sent("AAAAA1", "x@a.example", &mx(1))]).replace("/smtp", "/lmtp");
    let summary = read(lmtp);
    assert_eq!((summary.handed_over, summary.outbound.recipients), (1, 0));
}

#[test]
fn the_level_says_what_verified_means() {
    for (level, trust) in [
        ("dane", Trust::Dane),
        ("secure", Trust::WebPki),
        ("fingerprint", Trust::Fingerprint),
        ("may", Trust::Verified),
    ] {
        let tls = format!("tls={level}, dsn=");
        let texts = [
            &*format!("Verified {TLS} {}: TLSv1.3 {AES}", mx(1)),
            &sent("AAAAA1", "x@a.example", &mx(1)).replace("dsn=", &tls),
        ];
        let expected = [(Channel::Tls(Version::Tls1_3, trust), 1)];
        assert_eq!(ways(&read(smtp(&texts)), "a.example"), expected);
    }
}

#[test]
fn mail_from_others_and_from_users() {
    let secured = "Anonymous TLS connection established from c.example[192.0.2.7]: TLSv1.3 with cipher X (1/1 bits)";
    let smtpd = |pid: u8, service: &str, texts: &[&str]| -> String {
        let texts = texts.iter();
        texts
            .map(|text| format!("Nov 26 07:00:00 mail postfix/{service}[{pid}]: {text}\n"))
            .collect()
    };
    let log = [
        smtpd(
            1,
            "smtpd",
            &[
                "connect from c.example[192.0.2.7]",
                secured,
                "AAAAA1: client=c.example[192.0.2.7]",
                "AAAAA2: client=c.example[192.0.2.7]",
                "disconnect from c.example[192.0.2.7] ehlo=2",
                "connect from d.example[192.0.2.8]",
                "AAAAA3: client=d.example[192.0.2.8]",
                "disconnect from d.example[192.0.2.8]",
                "connect from scanner[192.0.2.9]",
                "disconnect from scanner[192.0.2.9]",
                "connect from localhost[127.0.0.1]",
                "AAAAA4: client=localhost[127.0.0.1]",
                "disconnect from localhost[127.0.0.1]",
                "connect from c.example[192.0.2.7]",
                secured,
                "disconnect from c.example[192.0.2.7]",
            ],
        ),
        smtpd(
            2,
            "submission/smtpd",
            &[
                "connect from u[192.0.2.7]",
                secured,
                "AAAAA5: client=u[192.0.2.7], sasl_method=PLAIN, sasl_username=u",
            ],
        ),
        smtpd(
            3,
            "smtpd",
            &[
                "connect from u[192.0.2.7]",
                secured,
                "AAAAA6: client=u[192.0.2.7], sasl_method=PLAIN, sasl_username=u",
            ],
        ),
    ];
    let summary = read(log.concat());
    let of = |side: &Side| {
        let (c, m) = (&side.connections, &side.messages);
        (c.tls(), c.total(), m.tls(), m.total(), side.idle)
    };
    assert_eq!(of(&summary.inbound), (2, 3, 2, 3, 1));
    assert_eq!(of(&summary.submitted), (2, 2, 2, 2, 0));
    assert_eq!(summary.from_here, 1);
    assert_eq!(summary.inbound.ciphers.sorted(), [("X", 2)]);
}

#[test]
fn domains_are_told_apart_by_name_only() {
    let texts: Vec<String> = [
        "x@A.Example.",
        "\"a@b\"@a.example",
        "x@bücher.example",
        "x@xn--bcher-kva.example",
        "x@[192.0.2.5]",
        "root",
        "x@-",
        "x@a\u{1b}[2J.example",
    ]
    .iter()
    .map(|to| sent("AAAAA1", to, &mx(1)))
    .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let summary = read(smtp(&texts));
    let names: Vec<_> = summary
        .destinations
        .iter()
        .map(|d| (&*d.name, d.ways.total()))
        .collect();
    assert_eq!(
        names,
        [
            ("a.example", 2),
            ("xn--bcher-kva.example", 2),
            ("[192.0.2.5]", 1)
        ]
    );
    assert_eq!(summary.elsewhere, 3);
}

/// The same log in every form says the same.
#[test]
fn forms() {
    let tls = format!("Trusted {TLS} {}: TLSv1.3 {AES}", mx(1));
    let to = sent("AAAAA1", "x@a.example", &mx(1));
    let seconds = 1_795_694_400_u64;
    let export = |text: &str| {
        format!(
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP={seconds}000000\n_HOSTNAME=mail\nSYSLOG_IDENTIFIER=postfix/smtp\n_PID=12\nMESSAGE={text}\n\n"
        )
    };
    let binary = |text: &str| {
        let head = format!(
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP={seconds}000000\nSYSLOG_IDENTIFIER=postfix/smtp\nSYSLOG_PID=12\n_PID=1\nMESSAGE\n"
        );
        let length = (text.len() as u64).to_le_bytes();
        [head.as_bytes(), &length, text.as_bytes(), b"\n\n"].concat()
    };
    let json = |message: serde_json::Value| {
        format!(
            "{}\n",
            serde_json::json!({"__REALTIME_TIMESTAMP": format!("{seconds}000000"), "_PID": "12", "SYSLOG_IDENTIFIER": "postfix/smtp", "MESSAGE": message, "X": null})
        )
    };
    let logs: Vec<Vec<u8>> = vec![
        smtp(&[&tls, &to]).into_bytes(),
        smtp(&[&tls, &to]).replace('\n', "\r\n").into_bytes(),
        smtp(&[&tls, &to])
            .replace("Nov 26 07:00:0", "2026-11-26T07:00:0")
            .replace(" mail", "+00:00 mail")
            .into_bytes(),
        smtp(&[&tls, &to])
            .replace("Nov 26 07:00:0", "<22>1 2026-11-26T07:00:0")
            .replace(" mail", "Z mail")
            .replace("[12]:", " 12 - -")
            .into_bytes(),
        (export(&tls) + &export(&to)).into_bytes(),
        [binary(&tls), binary(&to)].concat(),
        (json(tls.as_str().into()) + &json(to.as_bytes().into())).into_bytes(),
    ];
    for log in logs {
        let summary = read(&log);
        let text = String::from_utf8_lossy(&log);
        assert_eq!(
            ways(&summary, "a.example"),
            [(Channel::Tls(Version::Tls1_3, Trust::Trusted), 1)],
            "{text}"
        );
        assert_eq!(
            (
                summary.lines.read,
                summary.lines.used,
                summary.lines.unreadable
            ),
            (2, 2, 0),
            "{text}"
        );
        for size in [1, 7, 64] {
            assert_eq!(read_in_pieces(&log, size), summary, "{size}: {text}");
        }
    }
}

#[test]
fn what_is_no_line_is_counted_and_skipped() {
    let tls = smtp(&[&sent("AAAAA1", "x@a.example", &mx(1))]);
    let mut log = vec![b'x'; 3 * reader::MAX_LINE];
    log.push(b'\n');
    log.extend_from_slice(&[0, 1, 2, b'\n', b'\n']);
    log.extend_from_slice(b"{\"a\":\n");
    log.extend_from_slice(tls.as_bytes());
    for size in [1000, usize::MAX] {
        let lines = read_in_pieces(&log, size).lines;
        assert_eq!((lines.read, lines.used), (4, 1), "{size}");
        assert_eq!((lines.too_long, lines.unreadable), (1, 2), "{size}");
    }
    // A field that claims to be endless holds no memory.
    let mut export = b"__CURSOR=s\nMESSAGE\n".to_vec();
    export.extend_from_slice(&u64::MAX.to_le_bytes());
    export.resize(10 * reader::MAX_LINE, b'x');
    assert_eq!(read(export).lines.used, 0);
}

#[test]
fn what_is_older_is_left_out() {
    let mut tally = Tally::since(Some(ERA.latest - 5 * 3600 + 1));
    let mut reader = Reader::new(ERA);
    let to = sent("AAAAA1", "x@a.example", &mx(1));
    reader.feed(smtp(&[&to, &to, &to]).as_bytes(), &mut tally);
    reader.finish(&mut tally);
    let summary = tally.finish();
    assert_eq!((summary.lines.older, summary.lines.used), (1, 2));
    assert_eq!(summary.first, Some(ERA.latest - 5 * 3600 + 1));
}

#[test]
fn a_log_without_tls_lines_tells_nothing_of_it() {
    let silent = read(smtp(&[&sent("AAAAA1", "x@a.example", &mx(1))]));
    assert!(!silent.tells_outbound() && !silent.is_empty());
    let told = read(smtp(&[&format!("Trusted {TLS} {}: TLSv1.3 {AES}", mx(1))]));
    assert!(told.tells_outbound());
    assert!(read("").is_empty());
}
