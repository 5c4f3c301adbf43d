//! Line ends that two servers could read differently (SMTP smuggling, RFC 5321 §2.3.8), and octets without meaning.
//!
//! What must hold: a message with a bare CR or LF is refused whole, nothing behind a false end of data is ever obeyed,
//! and the session stays in step.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::time::Duration;

use support::{CONTENT, Script, SmtpClient, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HIDDEN: &str = "MAIL FROM:<evil@client.test>\r\nRCPT TO:<victim@a.test>\r\nDATA\r\n\
    Subject: smuggled\r\n\r\nsmuggled\r\n";

/// Ends of data that some server takes for one, other than CRLF . CRLF.
const FALSE_ENDS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\r.\n",
    "\n.\r",
    "\r\n\r.\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\n\0.\r\n\r",
    "\n\r\n\r.\n\r\n\r",
];

async fn world() -> World {
    World::new()
        .domain("a.test", Script::default())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_end_of_data_smuggles_nothing_over_smtp() {
    let world = world().await;
    let mut client = world.smtp().await;
    for end in FALSE_ENDS {
        let replies = client
            .pipeline(&["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>", "DATA"])
            .await
            .unwrap();
        assert_eq!(replies[2].code, 354);
        let wire = format!("Subject: x\r\n\r\nhello{end}{HIDDEN}.\r\n");
        client.send(wire).await.unwrap();
        let reply = client.reply().await.unwrap();
        assert_eq!(
            (reply.code, reply.enhanced()),
            (550, Some("5.6.11")),
            "{end:?}: {reply}"
        );
        // In step: the next reply is to this, whose code nothing else has.
        let reply = client.command("VRFY step").await.unwrap();
        assert_eq!(reply.code, 252, "{end:?}: {reply}");
    }
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    only_the_good_one(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_end_of_data_is_refused_for_every_lmtp_recipient() {
    let world = world().await;
    let mut client = world.lmtp().await;
    for end in FALSE_ENDS {
        let lines = [
            "MAIL FROM:<s@client.test>",
            "RCPT TO:<x@a.test>",
            "RCPT TO:<y@a.test>",
            "DATA",
        ];
        client.pipeline(&lines).await.unwrap();
        let wire = format!("Subject: x\r\n\r\nhello{end}{HIDDEN}.\r\nVRFY step\r\n");
        client.send(wire).await.unwrap();
        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(client.reply().await.unwrap().code);
        }
        assert_eq!(codes, [550, 550, 252], "{end:?}");
    }
    let replies = client
        .lmtp_mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(replies[0].code, 250, "{}", replies[0]);
    only_the_good_one(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_end_of_data_is_refused_in_chunks_however_they_are_cut() {
    let world = world().await;
    let mut client = world.smtp().await;
    for end in FALSE_ENDS {
        let content = format!("Subject: x\r\n\r\nhello{end}{HIDDEN}");
        let cut = content.find(end).unwrap();
        for cut in [cut, cut + 1, cut + 2] {
            client
                .pipeline(&["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"])
                .await
                .unwrap();
            let (first, last) = content.as_bytes().split_at(cut);
            let _ = client.bdat(first, "").await.unwrap();
            let reply = client.bdat(last, " LAST").await.unwrap();
            assert!(
                reply.code == 550 || reply.code == 503,
                "{end:?} at {cut}: {reply}"
            );
            client.command("RSET").await.unwrap().expect(250).unwrap();
        }
    }
    // A chunk may end between CR and LF: that is no bare CR.
    client
        .pipeline(&["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"])
        .await
        .unwrap();
    let cut = CONTENT.iter().position(|b| *b == b'\r').unwrap() + 1;
    assert_eq!(client.bdat(&CONTENT[..cut], "").await.unwrap().code, 250);
    let reply = client.bdat(&CONTENT[cut..], " LAST").await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    only_the_good_one(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bare_octet_anywhere_is_refused() {
    let world = world().await;
    let mut client = world.smtp().await;
    for content in [
        &b"Subject: x\ny\r\n\r\nz\r\n"[..],
        b"Subject: x\ry\r\n\r\nz\r\n",
        b"\nSubject: x\r\n\r\nz\r\n",
        b"\rSubject: x\r\n\r\nz\r\n",
        b"Subject: x\n\nz\r\n",
        b"Subject: x\r\n\r\nz\r\r\n",
        b"Subject: x\r\n\r\nz\r\n\n",
    ] {
        let reply = client
            .mail("s@client.test", &["x@a.test"], content)
            .await
            .unwrap();
        assert_eq!(
            (reply.code, reply.enhanced()),
            (550, Some("5.6.11")),
            "{:?}: {reply}",
            String::from_utf8_lossy(content)
        );
    }
    // The very last octet, which no LF follows: only a chunk can end so.
    client
        .pipeline(&["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"])
        .await
        .unwrap();
    let reply = client
        .bdat(b"Subject: x\r\n\r\nz\r", " LAST")
        .await
        .unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (550, Some("5.6.11")),
        "{reply}"
    );
    assert_eq!(client.command("VRFY step").await.unwrap().code, 252);
    assert_eq!(world.mx("a.test").messages().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_last_line_end_gets_one() {
    let world = world().await;
    let mut client = world.smtp().await;
    client
        .pipeline(&["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"])
        .await
        .unwrap();
    let reply = client
        .bdat(b"Subject: x\r\n\r\n.unfinished", " LAST")
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let content = world.mx("a.test").messages().remove(0).content;
    assert!(content.ends_with(b"\r\n.unfinished\r\n"));
    assert_eq!(world.mx("a.test").violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_line_feed_does_not_end_a_command() {
    let world = world().await;
    let mut client = world.smtp().await;
    let reply = client
        .command("MAIL FROM:<s@client.test>\nRCPT TO:<x@a.test>")
        .await
        .unwrap();
    assert_eq!(reply.code, 500, "{reply}");
    let second = client.reply().await.unwrap();
    assert_eq!(second.code, 503, "MAIL was not obeyed: {second}");
    for hostile in [
        "MAIL FROM:<a@b.test>\0",
        "NOOP\rNOOP",
        "EHLO x\x08y",
        "MAIL FROM:<a\x7f@b.test>",
    ] {
        let reply = client.command(hostile).await.unwrap();
        assert!(
            reply.code == 500 || reply.code == 501,
            "{hostile:?}: {reply}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_not_smtp() {
    let world = world().await;
    let mut client = SmtpClient::connect(world.daemon.smtp.unwrap())
        .await
        .unwrap();
    client.reply().await.unwrap();
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n{HIDDEN}.\r\n");
    client.send(request).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 421);
    assert_eq!(client.until_closed().await.unwrap(), b"");
    assert_eq!(world.mx("a.test").messages().len(), 0);
}

/// A small generator with a seed: the same octets in every run (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % n
    }

    fn octets(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// Words of the protocol in no order.
    fn words(&mut self, n: usize) -> Vec<u8> {
        const WORDS: &[&[u8]] = &[
            b"EHLO x\r\n",
            b"LHLO x\r\n",
            b"MAIL FROM:<a@client.test>",
            b"RCPT TO:<x@",
            b"a.test>",
            b"\r\n",
            b"DATA\r\n",
            b".\r\n",
            b"\r\n.\r\n",
            b"BDAT 5\r\n",
            b"BDAT 0 LAST\r\n",
            b"BDAT 99999\r\n",
            b"hello",
            b"RSET\r\n",
            b"\n",
            b"\r",
            b"\0",
            b" SIZE=9",
            b" BODY=8BITMIME",
            b"XFORWARD IDENT=",
            b"+00",
            b"\xff\xfe",
            b"STARTTLS\r\n",
            b"NOOP\r\n",
            b"<>",
            b"\"",
            b"\\",
            b"@[127.0.0.1]>",
            b" NOTIFY=",
            b";",
            b"VRFY ",
            b"HELP\r\n",
        ];
        (0..n)
            .flat_map(|_| WORDS[self.below(WORDS.len())].to_vec())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_octets_at_every_socket_do_no_harm() {
    let world = world().await;
    let sockets = [
        world.daemon.smtp.unwrap(),
        world.daemon.lmtp.unwrap(),
        world.daemon.admin,
    ];
    let mut noise = Noise(0x5EA1_9057);
    for round in 0..120 {
        let wire = match round % 3 {
            0 => noise.octets(1 + round * 50),
            1 => noise.words(1 + round),
            _ => [b"EHLO x\r\n".to_vec(), noise.words(40), noise.octets(200)].concat(),
        };
        let mut stream = TcpStream::connect(sockets[noise.below(3)]).await.unwrap();
        // The daemon may hang up before everything is written.
        let _ = stream.write_all(&wire).await;
        if noise.below(2) == 0 {
            let _ = stream.shutdown().await;
            let mut said = Vec::new();
            let read = stream.read_to_end(&mut said);
            tokio::time::timeout(Duration::from_secs(20), read)
                .await
                .unwrap_or_else(|_| panic!("round {round} does not end"))
                .ok();
        }
    }
    let reply = world.send("x@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.daemon.stderr().matches("panicked").count(), 0);
}

async fn only_the_good_one(world: &World) {
    let mx = world.mx("a.test");
    assert_eq!(mx.messages().len(), 1);
    assert!(mx.messages()[0].content.ends_with(CONTENT));
    for hidden in ["evil@", "victim@"] {
        let said = |c: &lab::mx::Connection| c.all_commands().iter().any(|l| l.contains(hidden));
        assert!(!mx.connections().iter().any(said), "{hidden}");
    }
    assert_eq!(world.daemon.deliveries().len(), 1);
}
