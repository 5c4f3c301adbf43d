//! `[[socketmap]]`: what Postfix is told, by a client of our own that can also be wrong, slow or gone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::dns::{Fault, RecordType};
use support::dane::{half, signed, with_tlsa};
use support::sts::{WEEK, with_policy};
use support::{Answer, Daemon, Script, World, WorldBuilder, policy};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Last octet of the address at which the daemon answers.
const MAP: u8 = 249;
/// Longer than any answer that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// A client, as Postfix is one.
struct Client {
    stream: Box<dyn Octets>,
}

impl Client {
    async fn tcp(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        Self {
            stream: Box::new(stream),
        }
    }

    async fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.unwrap();
        Self {
            stream: Box::new(stream),
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The next reply; `None` when the daemon has hung up.
    async fn reply(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("an answer in time")
    }

    async fn read(&mut self) -> Option<String> {
        let mut length = 0;
        loop {
            match self.stream.read_u8().await {
                Ok(digit @ b'0'..=b'9') => length = length * 10 + usize::from(digit - b'0'),
                Ok(b':') => break,
                Ok(other) => panic!("{other} in the length of a reply"),
                Err(_) => return None,
            }
        }
        let mut reply = vec![0; length + 1];
        self.stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply.pop(), Some(b','));
        Some(String::from_utf8(reply).unwrap())
    }

    async fn ask(&mut self, map: &str, key: &str) -> String {
        self.send(&request(map, key)).await;
        self.reply().await.expect("the daemon answers")
    }
}

fn request(map: &str, key: &str) -> Vec<u8> {
    let payload = format!("{map} {key}");
    format!("{}:{payload},", payload.len()).into_bytes()
}

fn mapped(world: WorldBuilder) -> WorldBuilder {
    world.config_with(|net| format!("[[socketmap]]\nlisten = '{}'", net.ports.at(MAP)))
}

async fn client(world: &World) -> Client {
    Client::tcp(world.net.ports.at(MAP)).await
}

/// The answer for one key, in a connection of its own.
async fn ask(world: &World, key: &str) -> String {
    client(world).await.ask("postfix", key).await
}

async fn answers(world: &World, answer: &str) -> f64 {
    let labels = [("answer", answer)];
    world
        .daemon
        .metric("socketmap_answers_total", &labels)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_domain_publishes_is_answered() {
    let world = World::new()
        .domain("plain.test", Script::default())
        .domain("a.test", Script::default())
        .sts(
            "a.test",
            "1",
            policy("enforce", &["mx.a.test", "*.b.test"], WEEK),
        )
        .domain("trying.test", Script::default())
        .sts(
            "trying.test",
            "1",
            policy("testing", &["mx.other.test"], WEEK),
        )
        .domain("dane.test", Script::default())
        .dns(|dns| {
            dns.secure("dane.test");
        })
        .net(|net| {
            net.tlsa("mx.dane.test", "3 1 1");
        });
    let world = mapped(world).start().await;
    let mut client = client(&world).await;
    let secure = "OK secure match=mx.a.test:.b.test servername=hostname";
    for (key, expected) in [
        ("plain.test", "NOTFOUND "),
        ("a.test", secure),
        ("A.Test.", secure),
        (".test", "NOTFOUND "),
        (".a.test", "NOTFOUND "),
        ("", "NOTFOUND "),
        ("trying.test", "NOTFOUND "),
        ("dane.test", "OK dane-only"),
        ("[mx.dane.test]", "OK dane-only"),
        ("[mx.a.test]", "NOTFOUND "), // no MX lookup, so no policy domain
        ("missing.test", "NOTFOUND "),
        ("192.0.2.1", "NOTFOUND "),
        ("[192.0.2.1]:25", "NOTFOUND "),
        ("no name at all", "NOTFOUND "),
        ("/var/run/lmtp", "NOTFOUND "),
        (
            "plain.test:nonsense",
            "TEMP which port is nonsense? write its number",
        ),
    ] {
        assert_eq!(client.ask("any", key).await, expected, "{key}");
    }
    for (answer, count) in [
        ("secure", 2.0),
        ("dane-only", 2.0),
        ("notfound", 11.0),
        ("temp", 1.0),
    ] {
        assert_eq!(answers(&world, answer).await, count, "{answer}");
    }
    let said = world
        .daemon
        .wait_log(|line| Daemon::field(line, "key").is_some_and(|key| key == "dane.test"))
        .await;
    assert_eq!(Daemon::field(&said, "reply").unwrap(), "OK dane-only");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_s_rules_are_answered() {
    let digest = "ab".repeat(32);
    let rules = format!(
        "[[rule]]\ndomains = ['plain.test', '*.plain.test']\nrequire = 'encrypt'\nmin_version = '1.3'\n\
         [[rule]]\ndomains = ['clear.test']\nrequire = 'none'\n\
         [[rule]]\ndomains = ['pinned.test']\nrequire = 'fingerprint'\nfingerprints = ['spki-sha256:{digest}']\n\
         [[rule]]\ndomains = ['named.test']\nrequire = 'secure'\nmatch = ['mx.named.test', '.far.test']\n\
         [[rule]]\ndomains = ['routed.test']\nrequire = 'verify'\nnext_hop = '[mx.other.test]:587'\n\
         [[rule]]\ndomains = ['tried.test']\nrequire = 'verify'\nenforce = 'dry-run'"
    );
    let map = "[smart.test]:587 secure match=mx.smart.test\nmap.test encrypt\n.map.test may\n";
    let world = mapped(World::new().domain("plain.test", Script::default()))
        .config(&rules)
        .config_with(move |net| {
            let path = net.ca.roots_file().with_file_name("tls_policy");
            std::fs::write(&path, map).unwrap();
            format!("[policy]\ntls_policy_map = '{}'", path.display())
        })
        .start()
        .await;
    let newest = "protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2";
    let digest = ["AB"; 32].join(":");
    for (key, expected) in [
        ("plain.test", format!("OK encrypt {newest}")),
        ("x.y.plain.test", format!("OK encrypt {newest}")), // the wildcard is resolved here
        (".plain.test", "NOTFOUND ".into()),
        ("clear.test", "OK none".into()),
        ("pinned.test", format!("OK fingerprint match={digest}")),
        (
            "named.test",
            "OK secure match=mx.named.test:.far.test".into(),
        ),
        ("routed.test", "OK verify match=hostname".into()),
        ("tried.test", "NOTFOUND ".into()),
        ("map.test", "OK encrypt".into()),
        ("x.map.test", "OK may".into()),
        ("[smart.test]:587", "OK secure match=mx.smart.test".into()),
        ("[smart.test]", "NOTFOUND ".into()),
    ] {
        assert_eq!(ask(&world, key).await, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_temporary() {
    let world = World::new()
        .domain("mx.test", Script::default())
        .dns(|dns| {
            dns.fault("mx.test", RecordType::MX, Fault::ServFail);
        });
    let world = mapped(world.domain("a.test", Script::default()).dns(|dns| {
        dns.secure("a.test");
    }))
    .net(|net| {
        let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
        net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
    })
    .start()
    .await;
    let lost = ask(&world, "mx.test").await;
    assert!(
        lost.starts_with("TEMP DNS lookup of mx.test: server failure"),
        "{lost}"
    );
    let lost = ask(&world, "a.test").await;
    assert!(lost.starts_with("TEMP mx.a.test: TLSA lookup: _"), "{lost}");
    assert_eq!(answers(&world, "temp").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_answers_are_temporary() {
    let world = mapped(signed(Script::default()))
        .dns(|dns| {
            let zone = lab::dnssec::Zone::secure().altered_only([RecordType::MX]);
            dns.zone("a.test", zone);
        })
        .start()
        .await;
    let answer = ask(&world, "a.test").await;
    assert!(
        answer.starts_with("TEMP ") && answer.contains("bogus"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn insecure_mx_records_of_secure_hosts_are_no_dane_only() {
    let world = mapped(half(Script::default()))
        .net(|net| {
            net.tlsa("mx.s.test", "3 1 1");
        })
        .start()
        .await;
    assert_eq!(ask(&world, "a.test").await, "OK dane");
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_decides_where_both_are_published() {
    let world = with_tlsa("3 1 1").sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK));
    let world = mapped(world).start().await;
    assert_eq!(ask(&world, "a.test").await, "OK dane-only");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_for_reports_are_sent_to_those_who_ask() {
    let world = with_policy("enforce", Script::default()).config_with(|net| {
        let (plain, full) = (net.ports.at(MAP), net.ports.at(MAP - 1));
        format!(
            "[[socketmap]]\nlisten = '{plain}'\n[[socketmap]]\nlisten = '{full}'\ntlsrpt = true"
        )
    });
    let world = world.start().await;
    let plain = "OK secure match=mx.a.test servername=hostname";
    let full = format!(
        "{plain} policy_type=sts policy_domain=a.test mx_host_pattern=mx.a.test \
         {{ policy_string = version: STSv1 }} {{ policy_string = mode: enforce }} \
         {{ policy_string = mx: mx.a.test }} {{ policy_string = max_age: 604800 }}"
    );
    for (octet, map, expected) in [
        (MAP, "QUERY", plain),
        (MAP, "QUERYwithTLSRPT", &full),
        (MAP, "querywithtlsrpt", &full),
        (MAP, "QUERYwithTLSRPTs", plain),
        (MAP - 1, "QUERY", &full),
    ] {
        let mut client = Client::tcp(world.net.ports.at(octet)).await;
        assert_eq!(client.ask(map, "a.test").await, expected, "{octet} {map}");
    }
}

/// A policy host that does not answer holds nobody up for long, and mail that would flow flows.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_contact_is_waited_for_as_long_as_mail_would_wait() {
    let world = World::new()
        .domain("a.test", Script::default())
        .policy_host("a.test", Answer::Hang)
        .net(|net| {
            net.sts_record("a.test", "v=STSv1; id=1;");
        });
    let world = mapped(world).start().await;
    let began = Instant::now();
    assert_eq!(ask(&world, "a.test").await, "NOTFOUND ");
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(20),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_answered_in_their_order() {
    const MANY: usize = 2000;
    let world = mapped(World::new().domain("a.test", Script::default()))
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'\npublished = 'ignore'")
        .start()
        .await;
    let client = client(&world).await;
    let (reading, mut writing) = tokio::io::split(client.stream);
    let mut client = Client {
        stream: Box::new(tokio::io::join(reading, tokio::io::sink())),
    };
    let keys = |n: usize| {
        if n.is_multiple_of(3) {
            "b.test"
        } else {
            "a.test"
        }
    };
    let sending = async {
        let all: Vec<u8> = (0..MANY).flat_map(|n| request("m", keys(n))).collect();
        writing.write_all(&all).await.unwrap();
    };
    let reading = async {
        for n in 0..MANY {
            let expected = if n.is_multiple_of(3) {
                "OK encrypt"
            } else {
                "NOTFOUND "
            };
            assert_eq!(client.reply().await.as_deref(), Some(expected), "{n}");
        }
    };
    tokio::join!(sending, reading);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_octet_by_octet() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let mut client = client(&world).await;
    for octet in request("m", "a.test") {
        client.send(&[octet]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.as_deref(), Some("NOTFOUND "));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_the_protocol_is_left() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let huge = [b"10001:".to_vec(), vec![b'a'; 20_000]].concat();
    for hostile in [
        &b"EHLO client.test\r\n"[..],
        b"012:m a.test12345,",
        b"00012:",
        b"8:m a.test;",
        b"3:m a.test,",
        b"999999999999999999999999:",
        b"-1:m,",
        b"\0\0\0\0",
        &huge,
    ] {
        let mut client = client(&world).await;
        // It may hang up while we still send.
        let _ = client.stream.write_all(hostile).await;
        assert_eq!(
            client.reply().await,
            None,
            "{:?}",
            String::from_utf8_lossy(&hostile[..4])
        );
    }
    // The frame is right: it is told, and may go on.
    let mut client = client(&world).await;
    client.send(b"6:a.test,0:,8:m a.test,").await;
    let refused = "PERM a request is the name of a map, a blank, and a key";
    assert_eq!(client.reply().await.as_deref(), Some(refused));
    assert_eq!(client.reply().await.as_deref(), Some(refused));
    assert_eq!(client.reply().await.as_deref(), Some("NOTFOUND "));
    let longest = "a".repeat(9_998);
    assert_eq!(client.ask("m", &longest).await, "NOTFOUND ");
    assert_eq!(client.ask("m", "a{b} match=x").await, "NOTFOUND ");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_the_middle_is_left_in_time() {
    let world = mapped(World::new()).start().await;
    let mut client = client(&world).await;
    client.send(b"8:m a.").await;
    let began = Instant::now();
    assert_eq!(client.reply().await, None);
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(30),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_answered() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .config("[client]\nnetworks = ['192.0.2.0/24']")
        .start()
        .await;
    let mut client = client(&world).await;
    let _ = client.stream.write_all(&request("m", "a.test")).await;
    assert_eq!(client.reply().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_has_its_mode_and_a_reload_changes_what_it_serves() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("[[socketmap]]\nlisten = 'unix:STATE/map.sock'\nmode = '0666'")
        .start()
        .await;
    let path = world.daemon.directory().join("map.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o666);
    let mut before = Client::unix(&path).await;
    assert_eq!(before.ask("m", "a.test").await, "NOTFOUND ");

    world.reload(
        "[[socketmap]]\nlisten = 'unix:STATE/map.sock'\nmode = '0600'\n\
         [[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'",
    );
    let until = Instant::now() + PATIENCE;
    while mode(&path) != 0o600 {
        assert!(Instant::now() < until, "not reloaded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who was there may go on until he is idle, and hears the new rules; Postfix connects again by itself.
    assert_eq!(
        Client::unix(&path).await.ask("m", "a.test").await,
        "OK encrypt"
    );
    let last = before.send_and_hear(&request("m", "a.test")).await;
    assert!(
        last.is_none() || last.as_deref() == Some("OK encrypt"),
        "{last:?}"
    );

    // Without the section there is no socket.
    let config = world.config().replace("[[socketmap]]", "[[gone]]");
    let config = config.split("[[gone]]").next().unwrap().to_owned();
    world.daemon.reload(&config);
    let until = Instant::now() + PATIENCE;
    while path.exists() {
        assert!(
            Instant::now() < until,
            "still there:\n{}",
            world.daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Client {
    /// The reply, if the daemon is still there.
    async fn send_and_hear(&mut self, octets: &[u8]) -> Option<String> {
        self.stream.write_all(octets).await.ok()?;
        self.reply().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_may_come_from_systemd() {
    let (net, config) = World::new()
        .domain("a.test", Script::default())
        .config("[[socketmap]]\nlisten = 'systemd:map'")
        .prepare()
        .await;
    let map = std::net::TcpListener::bind(net.ports.at(MAP)).unwrap();
    let other = std::net::TcpListener::bind(net.ports.at(MAP - 1)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let sockets = [("map", map), ("unused", other)];
    let mut daemon = Daemon::spawn_passing(sockets, directory, &config);
    daemon.wait_until_ready().await;
    let mut client = Client::tcp(net.ports.at(MAP)).await;
    assert_eq!(client.ask("m", "a.test").await, "NOTFOUND ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_are_left_at_once_when_it_ends() {
    let mut world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let mut client = client(&world).await;
    assert_eq!(client.ask("m", "a.test").await, "NOTFOUND ");
    let metric = [("protocol", "socketmap")];
    assert_eq!(world.daemon.metric("sessions", &metric).await, 1.0);
    let began = Instant::now();
    world.daemon.signal("TERM");
    assert_eq!(client.reply().await, None);
    assert!(world.daemon.wait_exit(PATIENCE).await.is_some());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

/// Who has asked gets his answer first.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_owed_is_given_when_it_ends() {
    let world = World::new().domain("a.test", Script::default()).dns(|dns| {
        dns.fault("a.test", RecordType::MX, Fault::Timeout);
    });
    let mut world = mapped(world).start().await;
    let mut client = client(&world).await;
    client.send(&request("m", "a.test")).await;
    let until = Instant::now() + PATIENCE;
    while world.net.dns.queries("a.test", RecordType::MX) == 0 {
        assert!(Instant::now() < until, "nobody asks");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.daemon.signal("TERM");
    let answer = client.reply().await.unwrap();
    assert!(answer.starts_with("TEMP "), "{answer}");
    assert_eq!(client.reply().await, None);
    assert!(world.daemon.wait_exit(PATIENCE).await.is_some());
}
