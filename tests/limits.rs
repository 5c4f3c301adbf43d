//! What bounds a client: networks, sizes, counts, time, and what a session may cost.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::time::{Duration, Instant};

use support::{CONTENT, Script, SmtpClient, World, WorldBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn usual() -> WorldBuilder {
    World::new().domain("a.test", Script::default())
}

/// Content of this many octets on the wire, dots apart.
fn content_of(octets: usize) -> Vec<u8> {
    let mut content = b"Subject: x\r\n\r\n".to_vec();
    while content.len() + 80 < octets {
        content.extend_from_slice(&[b'x'; 76]);
        content.extend_from_slice(b"\r\n");
    }
    content.resize(octets - 2, b'y');
    content.extend_from_slice(b"\r\n");
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_and_can_relay_nothing() {
    let world = usual()
        .config("[client]\nnetworks = ['192.0.2.0/24']")
        .start()
        .await;
    for address in [world.daemon.smtp.unwrap(), world.daemon.lmtp.unwrap()] {
        let mut client = SmtpClient::connect(address).await.unwrap();
        let greeting = client.reply().await.unwrap();
        assert_eq!(
            (greeting.code, greeting.enhanced()),
            (554, Some("5.7.1")),
            "{greeting}"
        );
        // One who goes on all the same gets nowhere.
        let lines = "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n";
        client.send(lines).await.unwrap();
        let rest = String::from_utf8(client.until_closed().await.unwrap()).unwrap();
        assert!(rest.lines().all(|line| line.starts_with('5')), "{rest}");
    }
    assert_eq!(world.mx("a.test").connections().len(), 0);
    // A client of the networks is served again as soon as they say so.
    world.reload("[client]\nnetworks = ['127.0.0.0/8']");
    world
        .daemon
        .wait_log(|l| l["message"] == "configuration reloaded")
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_take_the_places_of_clients() {
    let world = usual()
        .config("[client]\nnetworks = ['127.0.0.1/32']\nmax_sessions = 2")
        .start()
        .await;
    let smtp = world.daemon.smtp.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..60 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(smtp).await.unwrap();
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"554");
        strangers.push(stream);
    }
    assert_eq!(world.send("x@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_and_the_session_goes_on() {
    let world = usual()
        .config("[client]\nmax_message_size = 100000")
        .start()
        .await;
    let mut client = world.smtp().await;
    for (size, code) in [
        ("100001", 552),
        ("99999999999999999999", 552),
        ("100000", 250),
    ] {
        let command = format!("MAIL FROM:<s@client.test> SIZE={size}");
        let reply = client.command(&command).await.unwrap();
        assert_eq!(reply.code, code, "{size}: {reply}");
        if code == 552 {
            assert_eq!(reply.enhanced(), Some("5.3.4"));
        }
    }
    client.command("RSET").await.unwrap();
    for (octets, code) in [(100_001, 552), (2_000_000, 552), (100_000, 250)] {
        let content = content_of(octets);
        let reply = client
            .mail("s@client.test", &["x@a.test"], &content)
            .await
            .unwrap();
        assert_eq!(reply.code, code, "{octets}: {reply}");
        if code == 552 {
            assert_eq!(reply.enhanced(), Some("5.3.4"));
        }
    }
    let mut client = world.lmtp().await;
    let to = ["x@a.test", "y@a.test"];
    let replies = client
        .lmtp_mail("s@client.test", &to, &content_of(100_001))
        .await
        .unwrap();
    assert_eq!(
        replies.iter().map(|r| r.code).collect::<Vec<_>>(),
        [552, 552]
    );
    let replies = client
        .lmtp_mail("s@client.test", &to, CONTENT)
        .await
        .unwrap();
    assert_eq!(
        replies.iter().map(|r| r.code).collect::<Vec<_>>(),
        [250, 250]
    );
    assert_eq!(
        world
            .mx("a.test")
            .messages()
            .iter()
            .map(|m| m.recipients.len())
            .sum::<usize>(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_over_the_limit_are_deferred_and_the_others_delivered() {
    let world = usual().config("[client]\nmax_recipients = 3").start().await;
    let mut client = world.lmtp().await;
    client.command("MAIL FROM:<s@client.test>").await.unwrap();
    for n in 0..5 {
        let reply = client
            .command(&format!("RCPT TO:<u{n}@a.test>"))
            .await
            .unwrap();
        let expected = if n < 3 {
            (250, Some("2.1.5"))
        } else {
            (452, Some("4.5.3"))
        };
        assert_eq!((reply.code, reply.enhanced()), expected, "{n}: {reply}");
    }
    client.command("DATA").await.unwrap().expect(354).unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.reply().await.unwrap().code, 250);
    }
    // No fourth reply: the next one is to this.
    assert_eq!(client.command("VRFY step").await.unwrap().code, 252);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_and_lines_of_any_size_come_through_as_they_are() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    let mut fields = Vec::new();
    for n in 0..40_000 {
        fields.extend_from_slice(format!("X-Field-{n}: {}\r\n", "v".repeat(20)).as_bytes());
    }
    let huge_header = [&fields[..], b"\r\nbody\r\n"].concat();
    let no_body = [&fields[..], b"\r\n"].concat();
    let short_lines = [b"Subject: x\r\n\r\n".to_vec(), b".\r\n".repeat(100_000)].concat();
    let long_line = [
        b"Subject: x\r\n\r\n".to_vec(),
        vec![b'l'; 2_000_000],
        b"\r\n".to_vec(),
    ]
    .concat();
    for (nth, content) in [huge_header, no_body, short_lines, long_line]
        .iter()
        .enumerate()
    {
        let reply = client
            .mail("s@client.test", &["x@a.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{nth}: {reply}");
        let arrived = world.mx("a.test").messages()[nth].content.clone();
        assert!(
            arrived.ends_with(content),
            "{nth}: {} of {}",
            arrived.len(),
            content.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlong_command_is_refused_and_an_endless_one_costs_nothing() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    let line = format!("NOOP {}", "x".repeat(5000));
    let reply = client.command(&line).await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (500, Some("5.5.2")),
        "{reply}"
    );
    assert_eq!(client.command("VRFY step").await.unwrap().code, 252);
    // Tens of megabytes without a line end: no reply, no growth.
    let before = rss(world.daemon.pid());
    for _ in 0..400 {
        client.send([b'x'; 100_000]).await.unwrap();
    }
    let grown = rss(world.daemon.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} octets");
    client.send("\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 500);
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_dropped_with_421_wherever_they_are() {
    let world = usual()
        .config("[client]\nidle_timeout = '1s'")
        .start()
        .await;
    let smtp = world.daemon.smtp.unwrap();
    let stages = [
        "",
        "EHLO x\r\n",
        "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\n",
        "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\nSubject: x\r\n",
        "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nBDAT 100\r\nSubj",
        "EHLO x\r\nNOO",
    ];
    let silent = stages.map(|stage| async move {
        let began = Instant::now();
        let mut client = SmtpClient::connect(smtp).await.unwrap();
        client.send(stage).await.unwrap();
        let said = String::from_utf8(client.until_closed().await.unwrap()).unwrap();
        let last = said.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("421 4.4.2 "), "{stage:?}: {said}");
        let took = began.elapsed();
        assert!(
            took > Duration::from_millis(900) && took < Duration::from_secs(6),
            "{took:?}"
        );
    });
    futures_util::future::join_all(silent).await;
    assert_eq!(world.mx("a.test").messages().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_clients_are_dropped_although_they_are_never_silent() {
    let world = usual()
        .config("[client]\nidle_timeout = '1s'")
        .start()
        .await;
    let smtp = world.daemon.smtp.unwrap();
    let drip = |head: &'static str, drop: &'static str| async move {
        let mut stream = TcpStream::connect(smtp).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let dripping = async {
            while write.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut said = Vec::new();
        let end = Instant::now() + Duration::from_secs(8);
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = dripping => {}
            () = tokio::time::sleep_until(end.into()) => panic!("{head:?} goes on"),
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("\r\n421 4.4.2 "), "{head:?}: {said}");
    };
    let data = "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\n";
    let bdat = "EHLO x\r\nMAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\nBDAT 100000\r\n";
    tokio::join!(
        drip("EHLO x\r\n", "N"),
        drip(data, "a\r\n"),
        drip(bdat, "a")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_mail_come_to_an_end() {
    let world = usual().start().await;
    for (line, most) in [
        ("NOOP", 2500),
        ("RSET", 2500),
        ("EHLO x", 2500),
        ("WHAT", 50),
    ] {
        let mut client = world.smtp().await;
        let mut last = 250;
        let mut said = 0;
        while last != 421 && said < most {
            last = client.command(line).await.unwrap().code;
            said += 1;
        }
        assert_eq!(last, 421, "{line} after {said}");
        assert_eq!(client.until_closed().await.unwrap(), b"");
    }
    // A client that delivers goes on for ever.
    let mut client = world.lmtp().await;
    for n in 0..300 {
        let lines = [
            "NOOP",
            "MAIL FROM:<s@client.test>",
            "NOOP",
            "RCPT TO:<bad@@a.test>",
            "RSET",
            "RSET",
        ];
        let codes: Vec<u16> = client
            .pipeline(&lines)
            .await
            .unwrap()
            .iter()
            .map(|r| r.code)
            .collect();
        assert_eq!(codes, [250, 250, 250, 501, 250, 250], "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_max_sessions_accepting_pauses_before_421() {
    let world = usual().config("[client]\nmax_sessions = 3").start().await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(world.smtp().await);
    }
    // One who comes now waits, and is served when a place is free.
    let mut waiting = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    waiting.patience(Duration::from_millis(500));
    assert!(
        waiting.reply().await.is_err(),
        "not served yet, not refused either"
    );
    inside.pop().unwrap().command("QUIT").await.unwrap();
    waiting.patience(Duration::from_secs(5));
    assert_eq!(waiting.reply().await.unwrap().code, 220);
    // The next hears 421 after the pause, and those inside were never disturbed.
    let began = Instant::now();
    let mut refused = SmtpClient::connect(world.daemon.lmtp.unwrap())
        .await
        .unwrap();
    refused.patience(Duration::from_secs(20));
    let reply = refused.reply().await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (421, Some("4.3.2")),
        "{reply}"
    );
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let reply = inside[0]
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_so_many_sessions_and_others_have_theirs() {
    let world = usual()
        .config("[client]\nmax_sessions_per_client = 2")
        .start()
        .await;
    let mut first = world.smtp().await;
    let _second = world.lmtp().await;
    let mut third = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    let reply = third.reply().await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (421, Some("4.3.2")),
        "{reply}"
    );
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(world.daemon.smtp.unwrap()).await.unwrap();
    let mut code = [0; 3];
    other.read_exact(&mut code).await.unwrap();
    assert_eq!(&code, b"220", "another client");
    first.command("QUIT").await.unwrap();
    first.until_closed().await.unwrap();
    world
        .daemon
        .wait_log(|l| l["message"] == "session" && l["ended"] == "quit")
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_costs_less_than_64_kib() {
    const SESSIONS: usize = 500;
    let world = usual().start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let before = rss(world.daemon.pid());
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = world.smtp().await;
        // One that has seen a larger message, too.
        let big = content_of(300_000);
        if sessions.len() % 100 == 0 {
            client
                .mail("s@client.test", &["x@a.test"], &big)
                .await
                .unwrap();
        }
        sessions.push(client);
    }
    let each = rss(world.daemon.pid()).saturating_sub(before) / SESSIONS as u64;
    assert!(each < 64 << 10, "{each} octets each");
    assert_eq!(
        world
            .daemon
            .metric("sessions", &[("protocol", "smtp")])
            .await,
        500.0
    );
    drop(sessions);
    let until = Instant::now() + Duration::from_secs(10);
    while world.daemon.metric("sessions", &[]).await > 0.0 {
        assert!(Instant::now() < until, "sessions are left");
    }
}

/// Octets of memory that a process occupies.
fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
