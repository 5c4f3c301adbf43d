//! Debian's Postfix delivers itself, set up as `config/postfix/socketmap.cf` says, and asks Sealpost. Without root,
//! Postfix or namespaces these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

/// What is shared with the tests of DANE.
#[allow(dead_code, reason = "a part of it is used")]
mod interop_dane {
    mod isolation;
    mod tools;

    /// Runs the test again where /etc/resolv.conf is ours; whether this is there, if there is something left to do.
    pub(super) fn isolated(test: &str) -> Option<bool> {
        isolation::isolate(test).map(|place| place == isolation::Place::Inside)
    }
}

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lab::ca::Cert;
use lab::client::SmtpClient;
use lab::dns::{Fault, RecordType};
use lab::postfix::{Postfix, Setup, available};
use support::sts::WEEK;
use support::{Script, World, WorldBuilder, policy};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Last octet of Postfix's address, and of the one at which Sealpost answers.
const CLIENT: u8 = 250;
const MAP: u8 = 249;
/// For a message to be delivered or deferred.
const PATIENCE: Duration = Duration::from_secs(60);

/// The servers of /etc/resolv.conf: 127.0.0.1:53 hands on what the laboratory's DNS says.
struct Resolver {
    _tasks: JoinSet<()>,
}

impl Resolver {
    async fn start(upstream: SocketAddr) -> Self {
        let mut tasks = JoinSet::new();
        let udp = std::sync::Arc::new(UdpSocket::bind("127.0.0.1:53").await.unwrap());
        let tcp = TcpListener::bind("127.0.0.1:53").await.unwrap();
        tasks.spawn(async move {
            let mut asking = JoinSet::new();
            let mut question = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                let (udp, question) = (udp.clone(), question[..length].to_vec());
                asking.spawn(async move {
                    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    socket.send_to(&question, upstream).await.unwrap();
                    let mut answer = [0; 65_535];
                    let length = socket.recv(&mut answer).await.unwrap();
                    let _ = udp.send_to(&answer[..length], from).await;
                });
            }
        });
        tasks.spawn(async move {
            let mut asking = JoinSet::new();
            while let Ok((mut client, _)) = tcp.accept().await {
                asking.spawn(async move {
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { _tasks: tasks }
    }
}

/// Whether to go on, where Postfix's DNS is the laboratory's.
fn inside(test: &str) -> bool {
    if let Err(why) = available() {
        println!("SKIPPED: {why}");
        return false;
    }
    match interop_dane::isolated(test) {
        Some(true) => true,
        Some(false) => {
            println!("SKIPPED: no namespaces");
            false
        }
        None => false,
    }
}

/// `socketmap.cf` for this world; `map` in place of the one in it.
fn main_cf(world: &World, map: &str) -> String {
    let path = format!("{}/config/postfix/socketmap.cf", env!("CARGO_MANIFEST_DIR"));
    let shipped = std::fs::read_to_string(path).unwrap();
    let map_in_it = "socketmap:inet:127.0.0.1:2526:sealpost";
    let roots_in_it = "/etc/ssl/certs/ca-certificates.crt";
    assert!(shipped.contains(map_in_it) && shipped.contains(roots_in_it));
    let roots = world.net.ca.roots_file();
    let shipped = shipped.replace(map_in_it, map);
    let shipped = shipped.replace(roots_in_it, &roots.display().to_string());
    format!(
        "{shipped}smtp_tcp_port = {}\nsmtp_tls_loglevel = 1\n",
        world.net.ports.port()
    )
}

fn start(world: &World, map: &str, master: &str) -> Postfix {
    let setup = Setup {
        listen: world.net.ports.at(CLIENT),
        main: main_cf(world, map),
        master: master.to_owned(),
    };
    Postfix::start(&setup).unwrap()
}

async fn send(postfix: &Postfix, domain: &str) {
    let mut client = SmtpClient::smtp(postfix.address()).await.unwrap();
    client.patience(PATIENCE);
    let to = format!("someone@{domain}");
    let reply = client
        .mail("sender@postfix.test", &[&to], support::CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    client.command("QUIT").await.unwrap();
}

/// Sends to a domain; whether it is delivered, with the line of the log that says so.
async fn outcome(postfix: &Postfix, domain: &str) -> (bool, String) {
    let to = format!("to=<someone@{domain}>");
    let before = postfix.lines(&to).len();
    send(postfix, domain).await;
    assert!(postfix.wait_log(&to, before + 1).await, "{domain}");
    let line = postfix.lines(&to).swap_remove(before);
    (line.contains("status=sent"), line)
}

/// Domains of every kind. Hosts have certificates of the laboratory for their names, which Postfix trusts.
fn domains() -> WorldBuilder {
    let listing = |domain: &str| policy("enforce", &[&format!("mx.{domain}")], WEEK);
    let other = |ca: &lab::ca::Ca| Script::with_identity(ca.issue(&Cert::new(["other.test"])));
    World::new()
        .dns(|dns| {
            dns.validates();
            for apex in ["dane.test", "badane.test", "both.test", "lost.test"] {
                dns.secure(apex);
            }
        })
        .domain("clear.test", Script::no_starttls())
        .domain("sts.test", Script::default())
        .sts("sts.test", "1", listing("sts.test"))
        .certified("othername.test", other)
        .sts("othername.test", "1", listing("othername.test"))
        .domain("stsclear.test", Script::no_starttls())
        .sts("stsclear.test", "1", listing("stsclear.test"))
        .domain("unlisted.test", Script::default())
        .sts(
            "unlisted.test",
            "1",
            policy("enforce", &["mx.elsewhere.test"], WEEK),
        )
        .certified("dane.test", other)
        .domain("badane.test", Script::default())
        .certified("both.test", other)
        .sts("both.test", "1", listing("both.test"))
        .domain("lost.test", Script::default())
        .domain("ruleclear.test", Script::no_starttls())
        .domain("pinned.test", Script::default())
        .domain("badpin.test", Script::default())
        .domain("named.test", Script::default())
        .domain("newest.test", Script::default())
        .net(|net| {
            net.tlsa("mx.dane.test", "3 1 1")
                .tlsa("mx.both.test", "3 1 1");
            support::dane::wrong_tlsa(net, "mx.badane.test");
            let owner = format!("_{}._tcp.mx.lost.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
        })
        .config_with(|net| {
            let pin = pin(net.mx("pinned.test"));
            format!(
                "[[rule]]\ndomains = ['ruleclear.test']\nrequire = 'encrypt'\n\
                 [[rule]]\ndomains = ['pinned.test', 'badpin.test']\nrequire = 'fingerprint'\n\
                 fingerprints = ['spki-sha256:{pin}']\n\
                 [[rule]]\ndomains = ['named.test']\nrequire = 'secure'\n\
                 [[rule]]\ndomains = ['newest.test']\nrequire = 'verify'\nmin_version = '1.3'"
            )
        })
}

/// SHA-256 of the host's public key.
fn pin(mx: &lab::mx::Mx) -> String {
    lab::dns::tlsa_data("3 1 1", mx.identity().leaf())[3..]
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// A domain, what postmap finds for it, and what comes of mail.
struct Case(&'static str, &'static str, Mail, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mail {
    Arrives,
    Waits,
}

use Mail::{Arrives, Waits};

const CASES: [Case; 14] = [
    Case("clear.test", "", Arrives, "status=sent"),
    Case(
        "sts.test",
        "secure match=mx.sts.test servername=hostname",
        Arrives,
        "status=sent",
    ),
    Case(
        "othername.test",
        "secure match=mx.othername.test servername=hostname",
        Waits,
        "Server certificate not verified",
    ),
    Case(
        "stsclear.test",
        "secure match=mx.stsclear.test servername=hostname",
        Waits,
        "TLS is required, but was not offered",
    ),
    Case(
        "unlisted.test",
        "secure match=mx.elsewhere.test servername=hostname",
        Waits,
        "Server certificate not verified",
    ),
    Case("dane.test", "dane-only", Arrives, "status=sent"),
    Case(
        "badane.test",
        "dane-only",
        Waits,
        "Server certificate not verified",
    ),
    Case("both.test", "dane-only", Arrives, "status=sent"),
    Case(
        "lost.test",
        "TEMP",
        Waits,
        "client TLS configuration problem",
    ),
    Case(
        "ruleclear.test",
        "encrypt",
        Waits,
        "TLS is required, but was not offered",
    ),
    Case("pinned.test", "fingerprint", Arrives, "status=sent"),
    Case(
        "badpin.test",
        "fingerprint",
        Waits,
        "Server certificate not verified",
    ),
    Case(
        "named.test",
        "secure match=nexthop:dot-nexthop",
        Arrives,
        "status=sent",
    ),
    Case(
        "newest.test",
        "verify match=hostname protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2",
        Arrives,
        "status=sent",
    ),
];

async fn deliver(world: &World, postfix: &Postfix, map: &str, case: &Case) {
    let &Case(domain, answer, mail, words) = case;
    let delivered = mail == Arrives;
    match postfix.look_up(map, domain) {
        Ok(said) => assert!(
            said.starts_with(answer) && !answer.is_empty(),
            "{domain}: {said}"
        ),
        Err(said) if answer == "TEMP" => {
            assert!(said.contains("TLSA lookup"), "{domain}: {said}")
        }
        Err(said) => assert_eq!((answer, said.as_str()), ("", ""), "{domain}"),
    }
    let (sent, line) = outcome(postfix, domain).await;
    assert_eq!(sent, delivered, "{domain}: {line}");
    assert!(line.contains(words), "{domain}: {line}");
    let mx = world.mx(domain);
    assert_eq!(!mx.messages().is_empty(), delivered, "{domain}");
    assert_eq!(
        mx.mail_octets_in_clear(),
        domain == "clear.test",
        "{domain}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_delivers_as_it_is_told() {
    if !inside("postfix_delivers_as_it_is_told") {
        return;
    }
    let world =
        domains().config_with(|net| format!("[[socketmap]]\nlisten = '{}'", net.ports.at(MAP)));
    let mut world = world.start().await;
    let _resolver = Resolver::start(world.net.dns.address()).await;
    let at = world.net.ports.at(MAP);
    let map = format!("socketmap:inet:{}:{}:sealpost", at.ip(), at.port());
    let postfix = start(&world, &map, "");
    for case in &CASES {
        deliver(&world, &postfix, &map, case).await;
    }
    for (host, trust) in [
        ("mx.sts.test", "Verified"),
        ("mx.dane.test", "Verified"),
        ("mx.both.test", "Verified"),
    ] {
        let line = format!("{trust} TLS connection established to {host}");
        assert_eq!(postfix.lines(&line).len(), 1, "{line}");
    }
    // A daemon that is gone: mail waits, also where it was sent in the clear before.
    world.daemon.end("KILL").await;
    for domain in ["clear.test", "sts.test"] {
        let (sent, line) = outcome(&postfix, domain).await;
        assert!(
            !sent && line.contains("client TLS configuration problem"),
            "{line}"
        );
        assert_eq!(world.mx(domain).messages().len(), 1, "{domain}");
    }
    world.daemon.start_again().await;
    for domain in ["clear.test", "sts.test"] {
        let came = world
            .mx(domain)
            .wait_at_most(PATIENCE, |record| record.accepted().count() == 2);
        assert!(came.await, "{domain}:\n{}", postfix.queue());
    }
}

/// Debian's smtp(8) is in a chroot: the path of the socket is one below the queue directory.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_in_a_chroot_reaches_a_unix_socket_below_its_spool() {
    if !inside("postfix_in_a_chroot_reaches_a_unix_socket_below_its_spool") {
        return;
    }
    let world = domains().start().await;
    let _resolver = Resolver::start(world.net.dns.address()).await;
    let map = "socketmap:unix:/sealpost/map.sock:sealpost";
    let postfix = start(&world, map, "smtp unix - - y - - smtp");
    let directory = postfix.queue_directory().join("sealpost");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("map.sock");
    world.reload(&format!(
        "[[socketmap]]\nlisten = 'unix:{}'\nmode = '0660'\ngroup = 'postfix'",
        path.display()
    ));
    let listens = world
        .daemon
        .wait_log(|line| line.to_string().contains("reload"));
    listens.await;
    for (domain, delivered) in [
        ("sts.test", true),
        ("othername.test", false),
        ("dane.test", true),
    ] {
        let (sent, line) = outcome(&postfix, domain).await;
        assert_eq!(sent, delivered, "{domain}: {line}");
    }
    let labels = [("answer", "secure")];
    assert!(
        world
            .daemon
            .metric("socketmap_answers_total", &labels)
            .await
            >= 2.0
    );
}

/// Where smtp(8) cannot reach a socket itself, proxymap(8) can.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_in_a_chroot_asks_through_proxymap() {
    if !inside("postfix_in_a_chroot_asks_through_proxymap") {
        return;
    }
    let run = tempfile::tempdir().unwrap();
    std::fs::set_permissions(run.path(), Permissions::from_mode(0o755)).unwrap();
    let path = run.path().join("map.sock").display().to_string();
    let section = format!("[[socketmap]]\nlisten = 'unix:{path}'\ngroup = 'postfix'");
    let world = domains().config(&section).start().await;
    let _resolver = Resolver::start(world.net.dns.address()).await;
    let map = format!("proxy:socketmap:unix:{path}:sealpost");
    let postfix = start(&world, &map, "smtp unix - - y - - smtp");
    for (domain, delivered) in [("sts.test", true), ("othername.test", false)] {
        let (sent, line) = outcome(&postfix, domain).await;
        assert_eq!(sent, delivered, "{domain}: {line}");
    }
}

/// Whoever pastes from the documentation gets what is tested here.
#[test]
fn the_documentation_has_every_setting_of_config_postfix() {
    let read = |name: &str| {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let text = read("docs/socketmap.md");
    let lines = text.lines().map(str::trim).collect::<Vec<_>>();
    let settings = read("config/postfix/socketmap.cf");
    let is_setting = |line: &&str| !line.starts_with('#') && !line.is_empty();
    for setting in settings.lines().filter(is_setting) {
        assert!(lines.contains(&setting), "{setting}");
    }
}
