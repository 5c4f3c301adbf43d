use super::*;

fn of_tls(text: &str) -> TlsLine<'_> {
    match sender(text.as_bytes()) {
        Some(Sender::Tls(tls)) => tls,
        other => panic!("{text}: {other:?}"),
    }
}

fn of_delivery(text: &str) -> Delivery<'_> {
    match sender(text.as_bytes()) {
        Some(Sender::Delivery(delivery)) => delivery,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn sessions() {
    for (text, version, trust, exchange) in [
        (
            "Trusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1.3 with cipher C (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256",
            Version::Tls1_3,
            Trust::Trusted,
            "X25519",
        ),
        (
            "Verified TLS connection reused to mx.example.net[192.0.2.1]:25: TLSv1.2 with cipher C (256/256 bits)",
            Version::Tls1_2,
            Trust::Verified,
            "",
        ),
        (
            "Untrusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1.3 with cipher C (128/128 bits) key-exchange ECDHE (P-256) server-signature ECDSA (P-256) server-digest SHA256",
            Version::Tls1_3,
            Trust::Untrusted,
            "P-256",
        ),
        (
            "Anonymous TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1 with cipher C (128/128 bits) key-exchange DHE (2048 bits) server-signature X",
            Version::Tls1_0,
            Trust::Anonymous,
            "DHE (2048 bits)",
        ),
        (
            "Trusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv9 with cipher C (",
            Version::Other,
            Trust::Trusted,
            "",
        ),
    ] {
        let tls = of_tls(text);
        assert_eq!(tls.channel, Channel::Tls(version, trust), "{text}");
        assert_eq!(tls.peer, b"mx.example.net[192.0.2.1]:25", "{text}");
        assert_eq!(
            (tls.cipher, tls.exchange),
            (&b"C"[..], exchange.as_bytes()),
            "{text}"
        );
        let use_ = if text.contains("reused") {
            Use::Again
        } else {
            Use::New
        };
        assert_eq!(tls.use_, use_);
    }
}

#[test]
fn deliveries() {
    let read = of_delivery(
        "4XyZ12abcdz: to=<a@B.example>, orig_to=<root>, relay=mx.b.example[2001:db8::1]:25, conn_use=3, delay=0.5, delays=0.1/0/2.2/0.2, tls=dane, dsn=2.0.0, status=sent (250 ok (yes))",
    );
    let expected = Delivery {
        queue_id: b"4XyZ12abcdz",
        recipient: b"a@B.example",
        relay: b"mx.b.example[2001:db8::1]:25",
        uses: 3,
        took: 4,
        level: b"dane",
        status: Status::Sent,
        reply: b"250 ok (yes)",
    };
    assert_eq!(read, expected);
    // What stands in quotes is no field.
    let read = of_delivery(
        r#"ABCDE: to=<"x>, relay=evil[192.0.2.9]:25, \"y"@a.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (timed out)"#,
    );
    assert_eq!((read.relay, read.status), (&b"none"[..], Status::Deferred));
    assert!(read.recipient.ends_with(b"@a.example"));
}

#[test]
fn what_does_not_matter() {
    for text in [
        "",
        ":",
        "connect to mx.example.net[192.0.2.1]:25: Connection refused",
        "Trusted TLS connection established from a[192.0.2.1]: TLSv1.3 with cipher C (",
        "Trusted TLS connection established to mx",
        "Trusting",
        "ABCDE: to=<a@b.example>, relay=x[192.0.2.1]:25, status=deliverable (250 ok)",
        "ABCDE: to=<a@b.example>, relay=x[192.0.2.1]:25, delay=1",
        "ABCDE: to=<a@b.example",
        "ABCDE: to=<\"a@b.example>, relay=",
        "ABCDE: enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx[192.0.2.1]:25",
    ] {
        assert_eq!(sender(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn troubles() {
    for (text, expected) in [
        (
            "SSL_connect error to mx[192.0.2.1]:25: -1",
            Problem::Handshake,
        ),
        (
            "ABCDE: Cannot start TLS: handshake failure",
            Problem::Handshake,
        ),
        (
            "warning: TLS library problem: error:0A00",
            Problem::Handshake,
        ),
        ("ABCDE: Server certificate not trusted", Problem::NotTrusted),
        (
            "certificate verification failed for mx[192.0.2.1]:25: untrusted issuer /CN=x",
            Problem::CertificateRejected,
        ),
        (
            "ABCDE: TLS is required, but was not offered by host mx[192.0.2.1]",
            Problem::NotOffered,
        ),
    ] {
        let said = sender(text.as_bytes());
        assert!(
            matches!(said, Some(Sender::Problem(problem, _)) if problem == expected),
            "{text}: {said:?}"
        );
    }
}

#[test]
fn what_an_smtpd_says() {
    let client = |text| match receiver(text) {
        Some(Receiver::Message(client)) => (client.peer, client.login),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        client(b"ABCDE: client=a.example[192.0.2.1]"),
        (&b"a.example[192.0.2.1]"[..], Login::Stranger)
    );
    assert_eq!(
        client(b"NOQUEUE: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=u@x"),
        (&b"unknown[192.0.2.1]"[..], Login::User)
    );
    let text = b"Anonymous TLS connection established from a.example[192.0.2.1] to mx.here.example: TLSv1.3 with cipher C (";
    let Some(Receiver::Tls(tls)) = receiver(text) else {
        panic!()
    };
    assert_eq!(tls.peer, b"a.example[192.0.2.1]");
    assert_eq!(
        receiver(b"connect from x[192.0.2.1]"),
        Some(Receiver::Connect(b"x[192.0.2.1]"))
    );
    assert_eq!(receiver(b"ABCDE: reject: RCPT from x"), None);
}

#[test]
fn only_sealpost_speaks_for_sealpost() {
    for (reply, expected) in [
        (
            "250 2.0.0 host mx.a.test[192.0.2.1] said: 250 ok (sealpost 1A, TLSv1.3, dane)",
            Some(Channel::Tls(Version::Tls1_3, Trust::Dane)),
        ),
        (
            "250 2.0.0 host mx[192.0.2.1] said: 250 (sealpost 1A, TLSv1.3, dane) (sealpost 2B, plaintext, may)",
            Some(Channel::Plaintext),
        ),
        (
            "250 2.0.0 host mx[192.0.2.1] said: 250 ok (sealpost 2B, TLSv1.2, may) (and 2 more)",
            Some(Channel::Tls(Version::Tls1_2, Trust::Untrusted)),
        ),
        ("250 2.0.0 Ok: queued as ABC", None),
        ("250 (sealpost 1A, TLSv1.3", None),
    ] {
        assert_eq!(told_by_sealpost(reply.as_bytes()), expected, "{reply}");
    }
}
