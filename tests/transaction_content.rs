//! The content of a message: octet for octet, and what happens in the middle of it.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::mx::Content;
use std::time::{Duration, Instant};
use support::{CONTENT, Daemon, Log, Reply, Script, SmtpClient, World, WorldBuilder};

const NOTHING: [String; 0] = [];

/// A domain with a host that behaves so, and a good one behind it.
fn with_backup(world: WorldBuilder, domain: &str, first: Script) -> WorldBuilder {
    let (mx1, mx2) = (format!("mx1.{domain}"), format!("mx2.{domain}"));
    let hosts = vec![
        (mx1.as_str(), 10, first),
        (mx2.as_str(), 20, Script::default()),
    ];
    world.domain_with(domain, hosts)
}

/// Sends a content to one recipient: the final reply.
async fn mail(world: &World, to: &str, content: &[u8]) -> Reply {
    let mut client = world.smtp().await;
    client
        .mail("sender@client.test", &[to], content)
        .await
        .unwrap()
}

/// A message of about so many octets, of lines that a laboratory's host checks.
fn content_of(octets: usize) -> Vec<u8> {
    let mut content = b"Subject: big\r\n\r\n".to_vec();
    let mut line = 0_u64;
    while content.len() < octets {
        content.extend_from_slice(format!("line {line}, {}\r\n", fastrand::u64(..)).as_bytes());
        line += 1;
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn content_arrives_octet_for_octet() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let all_octets: Vec<u8> = (1..=255)
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .collect();
    let mut contents: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n".to_vec(),
        b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n".to_vec(),
        b"no header at all\r\n".to_vec(),
        [b"Subject: 8\r\n\r\n", &all_octets[..], b"\r\n"].concat(),
        [&b"Subject: long line\r\n\r\n"[..], &[b'x'; 20_000], b"\r\n"].concat(),
    ];
    for octets in [
        900, 65_400, 65_536, 131_072, 262_000, 262_144, 262_145, 300_000, 1_000_000, 5_000_000,
    ] {
        contents.push(content_of(octets));
    }
    let dots: Vec<u8> = b".\r\n..\r\n"
        .iter()
        .copied()
        .cycle()
        .take(7 * 60_000)
        .collect();
    contents.push([b"Subject: dots\r\n\r\n", &dots[..]].concat());
    let mut client = world.smtp().await;
    let mx = world.mx("a.test");
    for (at, content) in contents.iter().enumerate() {
        let reply = client
            .mail("s@client.test", &["r@a.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{at}: {reply}");
        let message = mx.messages().pop().unwrap();
        let head = message.content.strip_suffix(&content[..]);
        let head = String::from_utf8(
            head.unwrap_or_else(|| panic!("content {at} was changed"))
                .to_vec(),
        )
        .unwrap();
        assert!(
            head.starts_with("Received: from ") && head.ends_with("\r\n"),
            "{at}: {head}"
        );
        let folded = head
            .lines()
            .skip(1)
            .all(|line| line.starts_with([' ', '\t']));
        assert!(folded, "more than one field was added: {head}");
        let size = format!("SIZE={}", message.content.len());
        assert!(message.params.contains(&size), "{at}: {:?}", message.params);
        let eight_bit = message.params.contains(&"BODY=8BITMIME".to_owned());
        assert_eq!(eight_bit, !content.is_ascii(), "{at}: {:?}", message.params);
    }
    assert_eq!(mx.violations(), NOTHING);
    assert_eq!(mx.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_line_end_is_added_before_the_final_dot() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client = world.smtp().await;
    for (content, expected) in [
        (
            &b"Subject: x\r\n\r\nno end"[..],
            &b"Subject: x\r\n\r\nno end\r\n"[..],
        ),
        (b"Subject: x\r\n\r\n.", b"Subject: x\r\n\r\n.\r\n"),
    ] {
        client
            .command("MAIL FROM:<s@client.test>")
            .await
            .unwrap()
            .expect(250)
            .unwrap();
        client
            .command("RCPT TO:<r@a.test>")
            .await
            .unwrap()
            .expect(250)
            .unwrap();
        let reply = client.bdat(content, " LAST").await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let message = world.mx("a.test").messages().pop().unwrap();
        assert!(message.content.ends_with(expected), "{}", message.text());
    }
    assert_eq!(world.mx("a.test").violations(), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_of_the_content_is_the_answer() {
    let with = |content| Script {
        content,
        ..Script::default()
    };
    let cases: Vec<(&str, Content, (u16, &str))> = vec![
        (
            "closes",
            Content::SayAfter(300_000, "552 5.3.4 too big\r\n"),
            (552, "5.3.4"),
        ),
        (
            "stops",
            Content::SayAndStop(300_000, "552 5.3.4 too big\r\n"),
            (552, "5.3.4"),
        ),
        (
            "at-once",
            Content::SayAndStop(0, "554 5.7.1 not like that\r\n"),
            (554, "5.7.1"),
        ),
    ];
    let mut builder = World::new();
    for (name, content, _) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), with(*content));
    }
    let world = builder.start().await;
    let content = content_of(20_000_000);
    for (name, _, expected) in &cases {
        let reply = mail(&world, &format!("r@{name}.test"), &content).await;
        assert_eq!(
            (reply.code, reply.enhanced().unwrap_or("")),
            *expected,
            "{name}: {reply}"
        );
        let second = world.mx(&format!("mx2.{name}.test"));
        assert_eq!(second.connections().len(), 0, "{name}");
    }
    let duplicates = world.daemon.deliveries();
    let yes = |line: &&Log| {
        Daemon::field(line, "possible_duplicate").and_then(|v| v.as_str()) == Some("yes")
    };
    assert_eq!(
        duplicates.iter().filter(yes).count(),
        0,
        "the dot never went out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_lost_in_the_middle_of_the_content_leaves_the_mail_to_the_next() {
    let with = |content| Script {
        content,
        ..Script::default()
    };
    let cases: Vec<(&str, Content)> = vec![
        ("closes", Content::CloseAfter(300_000)),
        ("resets", Content::ResetAfter(300_000)),
        (
            "soft",
            Content::SayAfter(300_000, "451 4.3.0 disk full\r\n"),
        ),
        // Nothing that is said before our dot is a delivery.
        ("early", Content::SayAfter(300_000, "250 2.0.0 done\r\n")),
    ];
    let mut builder = World::new();
    for (name, content) in &cases {
        builder = with_backup(builder, &format!("{name}.test"), with(*content));
    }
    let world = builder.start().await;
    let content = content_of(20_000_000);
    for (name, _) in &cases {
        let reply = mail(&world, &format!("r@{name}.test"), &content).await;
        assert_eq!(reply.code, 250, "{name}: {reply}");
        assert!(reply.contains("host mx2."), "{name}: {reply}");
        assert_eq!(
            world
                .mx(&format!("mx1.{name}.test"))
                .record()
                .messages
                .len(),
            0,
            "{name}"
        );
        let message = world.mx(&format!("mx2.{name}.test")).messages().remove(0);
        assert!(message.content.ends_with(&content), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_writes_are_not_delayed() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client: SmtpClient = world.smtp().await;
    let mut times = Vec::new();
    for _ in 0..41 {
        let started = Instant::now();
        let reply = client
            .mail("s@client.test", &["r@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        times.push(started.elapsed());
    }
    times.sort();
    // One delayed acknowledgement on loopback costs 40 ms.
    assert!(
        times[20] < Duration::from_millis(38),
        "median {:?}",
        times[20]
    );
}
