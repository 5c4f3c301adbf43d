//! What a client meets: keywords, sequences, chunks, STARTTLS, listeners, and the one field that is added.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::ca::Cert;
use support::{CONTENT, Reply, Script, SmtpClient, World, WorldBuilder};

fn usual() -> WorldBuilder {
    World::new().domain("a.test", Script::default())
}

fn sizes(reply: &Reply) -> (u16, Option<&str>) {
    (reply.code, reply.enhanced())
}

/// Two listeners as usual, the first with STARTTLS.
fn with_tls() -> WorldBuilder {
    usual().config_with(|net| {
        let files = net.ca.files(&net.ca.issue(&Cert::new(["relay.test"])));
        format!(
            "[[listen]]\naddress = '{}'\nprotocol = 'smtp'\ntls = {{ cert = '{}', key = '{}' }}\n\
             [[listen]]\naddress = '{}'\nprotocol = 'lmtp'\n",
            net.relay_smtp(),
            files.cert.display(),
            files.key.display(),
            net.relay_lmtp(),
        )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_is_offered_is_announced() {
    let world = usual()
        .config("[client]\nmax_message_size = '7MiB'")
        .start()
        .await;
    let mut keywords = vec![
        "8BITMIME",
        "CHUNKING",
        "DSN",
        "ENHANCEDSTATUSCODES",
        "PIPELINING",
        "SIZE 7340032",
        "SMTPUTF8",
        "XFORWARD IDENT",
    ];
    keywords.sort_unstable();
    for (address, hello, protocol) in [
        (world.daemon.smtp, "EHLO", "ESMTP"),
        (world.daemon.lmtp, "LHLO", "LMTP"),
    ] {
        let mut client = SmtpClient::connect(address.unwrap()).await.unwrap();
        let greeting = client.reply().await.unwrap();
        assert_eq!(greeting.code, 220);
        assert!(greeting.lines[0].starts_with(&format!("relay.test {protocol}")));
        let reply = client
            .command(&format!("{hello} client.test"))
            .await
            .unwrap();
        assert!(reply.lines[0].starts_with("relay.test"), "{reply}");
        let mut said: Vec<&str> = reply.lines[1..].iter().map(String::as_str).collect();
        said.sort_unstable();
        assert_eq!(said, keywords, "{hello}");
    }
    let mut client = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    client.reply().await.unwrap();
    let reply = client.command("HELO client.test").await.unwrap();
    assert_eq!((reply.code, reply.lines.len()), (250, 1), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_after_helo_is_delivered() {
    let world = usual().start().await;
    let mut client = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    client.reply().await.unwrap();
    client.command("HELO client.test").await.unwrap();
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let text = world.mx("a.test").messages()[0].text();
    assert!(text.contains(" with SMTP id "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_out_of_sequence_are_refused_and_the_session_goes_on() {
    let world = usual().start().await;
    let mut client = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    client.reply().await.unwrap();
    for (command, code) in [
        ("MAIL FROM:<s@client.test>", 503), // no hello
        ("RCPT TO:<x@a.test>", 503),
        ("DATA", 503),
        ("LHLO client.test", 500),
        ("EHLO client.test", 250),
        ("RCPT TO:<x@a.test>", 503),
        ("DATA", 503),
        ("STARTTLS", 502), // no certificate
        ("AUTH PLAIN AAAA", 502),
        ("EXPN list", 502),
        ("VRFY x", 252),
        ("NOOP", 250),
        ("NOOP with words", 250),
        ("HELP", 214),
        ("WHAT", 500),
        ("MAIL FROM:<s@client.test>", 250),
        ("MAIL FROM:<s@client.test>", 503),
        ("XFORWARD IDENT=late", 503),
        ("DATA", 554), // no recipient
        ("RCPT TO:<x@a.test>", 250),
        ("RSET", 250),
        ("DATA", 503),
        ("MAIL FROM:<s@client.test>", 250),
        ("RCPT TO:<x@a.test>", 250),
        ("EHLO client.test", 250), // resets, RFC 5321 §4.1.4
        ("RCPT TO:<x@a.test>", 503),
    ] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, code, "{command}: {reply}");
    }
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.mx("a.test").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lmtp_hears_lhlo_only_and_answers_each_recipient() {
    let world = usual()
        .domain(
            "no.test",
            Script {
                rcpt: (550, "5.1.1 unknown").into(),
                ..Script::default()
            },
        )
        .start()
        .await;
    let mut client = SmtpClient::connect(world.daemon.lmtp.unwrap())
        .await
        .unwrap();
    client.reply().await.unwrap();
    for (command, code) in [
        ("EHLO client.test", 500), // RFC 2033 §4.1
        ("HELO client.test", 500),
        ("LHLO client.test", 250),
        ("MAIL FROM:<s@client.test>", 250),
        ("DATA", 503), // RFC 2033 §4.2
        ("RSET", 250),
    ] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, code, "{command}: {reply}");
    }
    let to = ["x@a.test", "y@no.test", "z@a.test"];
    let replies = client
        .lmtp_mail("s@client.test", &to, CONTENT)
        .await
        .unwrap();
    let codes: Vec<u16> = replies.iter().map(|r| r.code).collect();
    assert_eq!(codes, [250, 550, 250]);
    assert_eq!(replies[1].enhanced(), Some("5.1.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_not_announced_are_refused() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    for (command, code, enhanced) in [
        ("MAIL FROM:<s@client.test> REQUIRETLS", 555, "5.5.4"),
        ("MAIL FROM:<s@client.test> AUTH=<>", 555, "5.5.4"),
        ("MAIL FROM:<s@client.test> FOO=bar", 555, "5.5.4"),
        ("MAIL FROM:<s@client.test> SIZE=x", 501, "5.5.4"),
        ("MAIL FROM:<s@client.test> BODY=BINARYMIME", 501, "5.5.4"),
        ("MAIL FROM:<s@client.test> SIZE=1 SIZE=2", 501, "5.5.4"),
        ("MAIL FROM:<s@cliént.test>", 553, "5.6.7"),
        ("MAIL FROM:<s@client.test", 501, "5.1.7"),
        (
            "MAIL FROM:<s@client.test> SIZE=100 BODY=8BITMIME SMTPUTF8",
            250,
            "2.1.0",
        ),
        ("RCPT TO:<x@a.test> FOO", 555, "5.5.4"),
        ("RCPT TO:<x@@a.test>", 501, "5.1.3"),
        (
            "RCPT TO:<x@a.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x@a.test",
            250,
            "2.1.5",
        ),
    ] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(sizes(&reply), (code, Some(enhanced)), "{command}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_make_the_message_that_data_would() {
    let world = usual().start().await;
    let body = b"Subject: secret-marker\r\n\r\n.dots stay\r\n..\r\n.\r\nend\r\n";
    let mut client = world.smtp().await;
    for cuts in [&[][..], &[10], &[1, 25, 37, 38], &[body.len()]] {
        client.command("MAIL FROM:<s@client.test>").await.unwrap();
        client.command("RCPT TO:<x@a.test>").await.unwrap();
        let mut from = 0;
        for &cut in cuts {
            let reply = client.bdat(&body[from..cut], "").await.unwrap();
            assert_eq!(reply.code, 250, "{reply}");
            from = cut;
        }
        // The last of these is BDAT 0 LAST.
        let reply = client.bdat(&body[from..], " LAST").await.unwrap();
        assert_eq!(reply.code, 250, "{cuts:?}: {reply}");
    }
    let messages = world.mx("a.test").messages();
    assert_eq!(messages.len(), 4);
    for message in messages {
        assert!(message.content.ends_with(body), "{}", message.text());
        assert_eq!(message.text().matches("Received:").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_to_their_end_whatever_is_wrong() {
    let world = usual()
        .config("[client]\nmax_message_size = 1000")
        .start()
        .await;
    let mut client = world.smtp().await;
    let hostile = b"RSET\r\nMAIL FROM:<evil@client.test>\r\n";
    let reply = client.bdat(hostile, " LAST").await.unwrap();
    assert_eq!(reply.code, 503, "no transaction: {reply}");
    client.command("MAIL FROM:<s@client.test>").await.unwrap();
    let reply = client.bdat(hostile, " LAST").await.unwrap();
    assert_eq!(reply.code, 554, "no recipient: {reply}");
    // A refused chunk ends the transaction (RFC 3030 §2).
    let reply = client.command("RCPT TO:<x@a.test>").await.unwrap();
    assert_eq!(reply.code, 503, "{reply}");
    client
        .pipeline(&["RSET", "MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"])
        .await
        .unwrap();
    assert_eq!(client.bdat(hostile, "").await.unwrap().code, 250);
    let reply = client.command("DATA").await.unwrap();
    assert_eq!(reply.code, 503, "BDAT and DATA are not mixed: {reply}");
    let reply = client.bdat(&[b'x'; 1000], "").await.unwrap();
    assert_eq!(sizes(&reply), (552, Some("5.3.4")), "{reply}");
    let recorded = |l: &serde_json::Value| {
        l["message"] == "delivery" && l["result"] == "rejected" && l["to"] == "x@a.test"
    };
    let event = world.daemon.wait_log(recorded).await;
    assert!(event["reply"].as_str().unwrap().starts_with("552"));
    let reply = client.bdat(b"more\r\n", " LAST").await.unwrap();
    assert_eq!(reply.code, 503, "after a refused chunk: {reply}");
    assert_eq!(client.command("RSET").await.unwrap().code, 250);
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.mx("a.test").messages().len(), 1);
    assert!(!world.mx("a.test").wire_contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_size_ends_the_session() {
    let world = usual().start().await;
    for line in [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT 1 FIRST",
        "BDAT 99999999999999999999999",
    ] {
        let mut client = world.smtp().await;
        let reply = client.command(line).await.unwrap();
        assert_eq!(reply.code, 501, "{line}: {reply}");
        assert_eq!(client.until_closed().await.unwrap(), b"", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_with_both_versions_and_received_says_so() {
    let world = with_tls().start().await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.net.ca.root().clone()).unwrap();
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    for (nth, version) in versions.into_iter().enumerate() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let mut client = world.smtp().await;
        let hello = client.command("EHLO client.test").await.unwrap();
        assert!(hello.lines.iter().any(|l| l == "STARTTLS"), "{hello}");
        let mut client = client
            .starttls_with("relay.test", Arc::new(config))
            .await
            .unwrap();
        // Everything before is forgotten (RFC 3207 §4.2), the hello as well.
        let reply = client.command("MAIL FROM:<s@client.test>").await.unwrap();
        assert_eq!(reply.code, 503, "{reply}");
        let hello = client.command("EHLO inside.test").await.unwrap();
        assert!(!hello.contains("STARTTLS"), "{hello}");
        assert_eq!(client.command("STARTTLS").await.unwrap().code, 503);
        let reply = client
            .mail("s@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let text = world.mx("a.test").messages()[nth].text();
        assert!(text.contains("Received: from inside.test ("), "{text}");
        assert!(text.contains(" with ESMTPS id "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_does_not_survive_starttls() {
    let world = with_tls().start().await;
    let mut client = world.smtp().await;
    client
        .command("MAIL FROM:<clear@client.test>")
        .await
        .unwrap();
    client.command("RCPT TO:<x@a.test>").await.unwrap();
    let mut client = client.starttls("relay.test").await.unwrap();
    for command in ["RCPT TO:<x@a.test>", "DATA"] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, 503, "{command}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_behind_starttls_are_never_obeyed() {
    let world = with_tls().start().await;
    let mut client = world.smtp().await;
    let injected =
        "STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@client.test>\r\nRCPT TO:<x@a.test>\r\n";
    client.send(injected).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 220);
    let config = lab::client::tls_config(None);
    let mut client = client.handshake("relay.test", config).await.unwrap();
    // No reply to what was injected waits here: the first is to this.
    let reply = client.command("DATA").await.unwrap();
    assert_eq!(reply.code, 503, "{reply}");
    let reply = client.command("MAIL FROM:<s@client.test>").await.unwrap();
    assert_eq!(reply.code, 503, "hello is still missing: {reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn xforward_ident_is_the_client_id_of_one_message() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    let commands = [
        "XFORWARD NAME=host.test ADDR=192.0.2.1 PROTO=ESMTP",
        "XFORWARD IDENT=4XyZ12abc SOURCE=LOCAL",
    ];
    for command in commands {
        assert_eq!(
            client.command(command).await.unwrap().code,
            250,
            "{command}"
        );
    }
    for to in ["one@a.test", "two@a.test"] {
        client.mail("s@client.test", &[to], CONTENT).await.unwrap();
    }
    client
        .pipeline(&[
            "MAIL FROM:<s@client.test> ENVID=envelope-3",
            "RCPT TO:<three@a.test>",
        ])
        .await
        .unwrap();
    assert_eq!(client.bdat(CONTENT, " LAST").await.unwrap().code, 250);
    let traced = b"Received: from a by b (Postfix) with ESMTP id 9QUEUE; Mon\r\n\r\nx\r\n";
    client
        .mail("s@client.test", &["four@a.test"], traced)
        .await
        .unwrap();
    let ids: Vec<_> = world
        .daemon
        .deliveries()
        .iter()
        .map(|d| (d["to"].as_str().unwrap().to_owned(), d["client_id"].clone()))
        .collect();
    let expected = [
        ("one@a.test", serde_json::json!("4XyZ12abc")),
        ("two@a.test", serde_json::Value::Null),
        ("three@a.test", serde_json::json!("envelope-3")),
        ("four@a.test", serde_json::json!("9QUEUE")),
    ]
    .map(|(to, id)| (to.to_owned(), id));
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_recipient_over_smtp_is_deferred_and_the_first_delivered() {
    let world = usual().config("[relay]\ncustody = 'client'").start().await;
    let mut client = world.smtp().await;
    client.command("MAIL FROM:<s@client.test>").await.unwrap();
    assert_eq!(
        client.command("RCPT TO:<x@a.test>").await.unwrap().code,
        250
    );
    for _ in 0..3 {
        let reply = client.command("RCPT TO:<y@a.test>").await.unwrap();
        assert_eq!(sizes(&reply), (452, Some("4.5.3")), "{reply}");
    }
    let reply = client.bdat(CONTENT, " LAST").await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let told = "destination_recipient_limit = 1";
    let is_warning = |l: &serde_json::Value| {
        l["severity"] == "WARN" && l["message"].as_str().is_some_and(|m| m.contains(told))
    };
    world.daemon.wait_log(is_warning).await;
    let warnings = world.daemon.log().into_iter().filter(is_warning).count();
    assert_eq!(warnings, 1, "once a minute is enough");
    assert_eq!(world.mx("a.test").messages()[0].addresses(), ["x@a.test"]);
}

/// Two listeners as usual, the second with a name; a third with another; two unix sockets.
fn everywhere() -> WorldBuilder {
    usual().config_with(|net| {
        let (smtp, lmtp) = (net.relay_smtp(), net.relay_lmtp());
        let other = net.ports.at(250);
        format!(
            "[[listen]]\naddress = '{smtp}'\nprotocol = 'smtp'\n\
             [[listen]]\naddress = '{lmtp}'\nprotocol = 'lmtp'\nhostname = 'lmtp.relay.test'\n\
             [[listen]]\naddress = '{other}'\nprotocol = 'smtp'\nhostname = 'other.relay.test'\n\
             [[listen]]\naddress = 'unix:STATE/lmtp.sock'\nprotocol = 'lmtp'\nmode = '0600'\n\
             [[listen]]\naddress = 'unix:STATE/smtp.sock'\nprotocol = 'smtp'\n"
        )
    })
}

/// A client for each of them, with its hello and the name that it must be greeted with.
async fn everybody(world: &World) -> Vec<(SmtpClient, &'static str, &'static str)> {
    let directory = world.daemon.directory();
    let tcp = async |address| SmtpClient::connect(address).await.unwrap();
    let unix = async |file| {
        SmtpClient::connect_unix(&directory.join(file))
            .await
            .unwrap()
    };
    vec![
        (tcp(world.daemon.smtp.unwrap()).await, "EHLO", "relay.test"),
        (
            tcp(world.daemon.lmtp.unwrap()).await,
            "LHLO",
            "lmtp.relay.test",
        ),
        (
            tcp(world.net.ports.at(250)).await,
            "EHLO",
            "other.relay.test",
        ),
        (unix("lmtp.sock").await, "LHLO", "relay.test"),
        (unix("smtp.sock").await, "EHLO", "relay.test"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_every_kind_serve_at_once() {
    let world = everywhere().start().await;
    for (nth, (mut client, hello, name)) in everybody(&world).await.into_iter().enumerate() {
        let greeting = client.reply().await.unwrap();
        assert!(
            greeting.lines[0].starts_with(&format!("{name} ")),
            "{greeting}"
        );
        client
            .command(&format!("{hello} client.test"))
            .await
            .unwrap();
        let reply = client
            .mail("s@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let text = world.mx("a.test").messages()[nth].text();
        assert!(text.contains(&format!("\r\n\tby {name} (")), "{text}");
        let from = if nth < 3 { "([127." } else { "(unix)" };
        assert!(
            text.starts_with(&format!("Received: from client.test {from}")),
            "{text}"
        );
        let client = world.daemon.deliveries()[nth]["client"].clone();
        assert_eq!(client == "unix", nth >= 3, "{client}");
    }
    // The name of a listener is also the one that the MX hears.
    let connections = world.mx("a.test").connections();
    for name in ["relay.test", "lmtp.relay.test", "other.relay.test"] {
        let hello = format!("EHLO {name}");
        let heard = connections
            .iter()
            .any(|c| c.all_commands().contains(&hello.as_str()));
        assert!(heard, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_have_their_mode() {
    let world = everywhere().start().await;
    for (socket, mode) in [("lmtp.sock", 0o600), ("smtp.sock", 0o660)] {
        let found = std::fs::metadata(world.daemon.directory().join(socket)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{socket}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_one_write_is_answered_in_order_without_stalls() {
    let world = usual().start().await;
    let one = "MAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\n";
    let mut client = world.smtp().await;
    client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    let began = Instant::now();
    const N: usize = 10;
    for _ in 0..N {
        // RFC 2920 §3.1: DATA is the last of a group; a client that goes on all the same stays in step.
        client
            .send(format!(
                "RSET\r\n{one}Subject: x\r\n\r\nhello\r\n.\r\nNOOP\r\n"
            ))
            .await
            .unwrap();
        let mut codes = Vec::new();
        for _ in 0..6 {
            codes.push(client.reply().await.unwrap().code);
        }
        assert_eq!(codes, [250, 250, 250, 354, 250, 250]);
    }
    let each = began.elapsed() / u32::try_from(N).unwrap();
    assert!(
        each < Duration::from_millis(38),
        "{each:?}: delayed acknowledgements"
    );
    assert_eq!(world.mx("a.test").messages().len(), N + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_one_group_of_commands_leave_in_one_write() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = usual().start().await;
    let mut stream = tokio::net::TcpStream::connect(world.daemon.lmtp.unwrap())
        .await
        .unwrap();
    let mut buffer = [0; 8192];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"220 "));
    let mut group = "LHLO c.test\r\nMAIL FROM:<s@c.test>\r\n".to_owned();
    for n in 0..50 {
        group.push_str(&format!("RCPT TO:<u{n}@a.test>\r\n"));
    }
    group.push_str("RSET\r\n");
    stream.write_all(group.as_bytes()).await.unwrap();
    let read = stream.read(&mut buffer).await.unwrap();
    let text = String::from_utf8_lossy(&buffer[..read]);
    let replies = text.matches("\r\n250 ").count() + usize::from(text.starts_with("250 "));
    assert_eq!(replies, 53, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_received_field_is_added_and_nothing_else_changes() {
    let world = usual().start().await;
    let content: &[u8] =
        b"DKIM-Signature: v=1;\r\n\tb=  x\r\nreceived: from x by y; Mon\r\n Folded\r\n\
        Subject: \xe9\r\n\r\n \r\n\t\r\n..two\r\n\r\n\r\n";
    let mut client = world.smtp().await;
    let reply = client
        .mail("s@client.test", &["x@a.test"], content)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let message = world.mx("a.test").messages().remove(0);
    let head = message
        .content
        .strip_suffix(content)
        .expect("the content is as it was");
    let head = std::str::from_utf8(head).unwrap();
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines.len(), 4, "{head}");
    assert!(
        lines[0].starts_with("Received: from client.test ([127."),
        "{head}"
    );
    let id = reply.text();
    let id = id
        .split("(sealpost ")
        .nth(1)
        .and_then(|t| t.split([',', ')']).next())
        .unwrap();
    assert_eq!(
        lines[1],
        format!("\tby relay.test (Sealpost) with ESMTP id {id};")
    );
    // RFC 5322 §3.3: day, date, time, zone.
    let date = lines[2].trim();
    assert_eq!(date.split(' ').count(), 6, "{date}");
    assert!(
        date.ends_with(" +0000") && date.as_bytes()[3] == b',',
        "{date}"
    );
    assert_eq!(lines[3], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn smtputf8_is_said_in_received_and_to_the_mx() {
    let world = World::new()
        .domain("a.test", Script::default().with("SMTPUTF8"))
        .start()
        .await;
    let mut client = world.smtp().await;
    for command in ["MAIL FROM:<sé@client.test> SMTPUTF8", "RCPT TO:<ü@a.test>"] {
        assert_eq!(
            client.command(command).await.unwrap().code,
            250,
            "{command}"
        );
    }
    let reply = client
        .bdat("Subject: ü\r\n\r\nx\r\n".as_bytes(), " LAST")
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let message = world.mx("a.test").messages().remove(0);
    assert_eq!(message.addresses(), ["ü@a.test"]);
    assert!(
        message.params.iter().any(|p| p == "SMTPUTF8"),
        "{:?}",
        message.params
    );
    assert!(
        message.text().contains(" with UTF8SMTP id "),
        "{}",
        message.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_required_no_skips_what_is_published_and_may_be_ignored() {
    // Nothing published exists in this version: the header field must not change what rules demand.
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let content = [b"TLS-Required: No\r\n", CONTENT].concat();
    let mut client = world.smtp().await;
    let reply = client
        .mail("s@client.test", &["x@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(
        sizes(&reply),
        (451, Some("4.7.4")),
        "rules still bind: {reply}"
    );
    assert!(!world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_are_refused_and_the_name_of_this_host_is_no_loop() {
    let world = usual().config("[relay]\nhop_limit = 10").start().await;
    let ours = "Received: from x (unix)\r\n\tby relay.test (Sealpost) with ESMTP id 0123456789ABCDEF;\r\n\tMon\r\n";
    let mta = "Received: from localhost by relay.test (Postfix) with ESMTP id 4Xy; Mon\r\n";
    let mut client = world.smtp().await;
    for (fields, code, why) in [
        (mta.repeat(10), 250, "at the limit"),
        (mta.repeat(11), 554, "beyond the limit"),
        (ours.repeat(5), 250, "five of our own"),
        (ours.repeat(6), 554, "six of our own"),
        (
            format!("{}{}", ours.repeat(5), mta.repeat(5)),
            250,
            "ten in all",
        ),
        (
            "X-Received: a by relay.test\r\n".repeat(20),
            250,
            "other fields",
        ),
        (
            format!("Subject: x\r\n\r\n{}", mta.repeat(30)),
            250,
            "in the body",
        ),
    ] {
        let content = format!("{fields}\r\nhello\r\n");
        let reply = client
            .mail("s@client.test", &["x@a.test"], content.as_bytes())
            .await
            .unwrap();
        assert_eq!(reply.code, code, "{why}: {reply}");
        if code == 554 {
            assert_eq!(reply.enhanced(), Some("5.4.6"), "{why}");
        }
    }
    assert_eq!(world.mx("a.test").messages().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_sent_in_circles_through_the_relay_ends() {
    // An MX whose content comes back in as new mail, again and again.
    let world = usual().start().await;
    let mut content = CONTENT.to_vec();
    let mut passed = 0;
    for _ in 0..10 {
        let mut client = world.smtp().await;
        let reply = client
            .mail("s@client.test", &["x@a.test"], &content)
            .await
            .unwrap();
        if reply.code != 250 {
            assert_eq!(sizes(&reply), (554, Some("5.4.6")), "{reply}");
            break;
        }
        content = world.mx("a.test").messages()[passed].content.clone();
        passed += 1;
    }
    assert_eq!(passed, 6, "more than five fields of our own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_null_sender_and_postmaster_are_taken() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    let reply = client.mail("", &["x@a.test"], CONTENT).await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.mx("a.test").messages()[0].sender, "");
    assert_eq!(world.daemon.deliveries()[0]["from"], "<>");
    client.command("MAIL FROM:<>").await.unwrap();
    let reply = client.command("RCPT TO:<Postmaster>").await.unwrap();
    assert_eq!(reply.code, 250, "RFC 5321 §4.5.1: {reply}");
}
