//! Mail through a running daemon, by what Unbound and the daemon itself make of BIND's signatures.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::Internet;
use lab::client::{Reply, SmtpClient};
use lab::dns::tlsa_owner;
use lab::mx::Script;
use lab::postfix::{Postfix, Setup, available, maildir};

use super::tools::skipped;
use super::unbound::Unbound;
use super::zones::Records;
use crate::support::{CONTENT, Daemon, merge};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a domain publishes for its host.
#[derive(Clone, Copy, Debug)]
enum Tlsa {
    Right,
    Wrong,
    Nothing,
}

/// What becomes of mail.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Dane,
    May,
    Mismatch,
    Bogus,
}

/// Domain, TLSA records, what libunbound says about its MX records and about its TLSA records, what becomes of mail.
type Row = (&'static str, Tlsa, [&'static str; 2], Fate);

const SECURE: [&str; 2] = ["secure", "secure"];
const INSECURE: [&str; 2] = ["insecure", "insecure"];
const BOGUS: [&str; 2] = ["BOGUS", "BOGUS"];
const ROWS: [Row; 15] = [
    ("ec.test", Tlsa::Right, SECURE, Fate::Dane),
    ("rsa.test", Tlsa::Right, SECURE, Fate::Dane),
    ("p384.test", Tlsa::Right, SECURE, Fate::Dane),
    ("ed.test", Tlsa::Right, SECURE, Fate::Dane),
    ("optout.test", Tlsa::Right, SECURE, Fate::Dane),
    ("wrong.ec.test", Tlsa::Wrong, SECURE, Fate::Mismatch),
    ("wrong.p384.test", Tlsa::Wrong, SECURE, Fate::Mismatch),
    ("wrong.ed.test", Tlsa::Wrong, SECURE, Fate::Mismatch),
    ("none.rsa.test", Tlsa::Nothing, SECURE, Fate::May),
    // What is not signed is not believed, whatever it says.
    ("plain.test", Tlsa::Wrong, INSECURE, Fate::May),
    ("nods.test", Tlsa::Wrong, INSECURE, Fate::May),
    ("child.optout.test", Tlsa::Wrong, INSECURE, Fate::May),
    ("expired.test", Tlsa::Right, BOGUS, Fate::Bogus),
    ("badds.test", Tlsa::Right, BOGUS, Fate::Bogus),
    (
        "altered.test",
        Tlsa::Right,
        ["secure", "BOGUS"],
        Fate::Bogus,
    ),
];

impl Fate {
    /// Code, enhanced code and words of the reply.
    fn reply(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Dane => (250, "2.0.0", ", dane)"),
            Self::May => (250, "2.0.0", ", may)"),
            Self::Mismatch => (451, "4.7.5", "dane policy of wrong."),
            Self::Bogus => (451, "4.4.3", "bogus"),
        }
    }
}

/// The daemon and everything around it.
struct World {
    daemon: Daemon,
    net: Internet,
    unbound: Unbound,
}

/// Another validator, which asks Unbound and believes nothing, finds the zones as they are meant to be.
#[tokio::test(flavor = "multi_thread")]
async fn libunbound_finds_the_zones_as_they_are_meant_to_be() {
    if skipped() {
        return;
    }
    let (net, records) = all_rows().await;
    let unbound = Unbound::start(&net.ports, &[], &records);
    for (domain, tlsa, proofs, _) in ROWS {
        let owner = tlsa_owner(net.mx(domain).name(), net.ports.port());
        let found = [unbound.proof(domain, "MX"), unbound.proof(&owner, "TLSA")];
        assert_eq!(found, proofs, "{domain} {tlsa:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_is_believed() {
    same_for_all_rows("trust-ad", "AD bit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_is_only_the_forwarder() {
    same_for_all_rows("validate", "checked here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_on_loopback_is_believed_by_itself() {
    same_for_all_rows("auto", "AD bit").await;
}

async fn same_for_all_rows(dnssec: &str, log: &str) {
    if skipped() {
        return;
    }
    let (net, records) = all_rows().await;
    let world = World::start(net, dnssec, &records).await;
    let words = |line: &serde_json::Value| line.to_string().contains(log);
    world.daemon.wait_log(words).await;
    for (domain, _, _, fate) in ROWS {
        let reply = world.send(&format!("x@{domain}")).await;
        let (code, enhanced, words) = fate.reply();
        let is_so = reply.code == code && reply.enhanced() == Some(enhanced);
        assert!(
            is_so && reply.contains(words),
            "{dnssec} {domain} {fate:?}: {reply}"
        );
        let mx = world.net.mx(domain);
        assert_eq!(mx.messages().len(), usize::from(code == 250), "{domain}");
        assert!(!mx.mail_octets_in_clear(), "{domain}");
    }
}

async fn all_rows() -> (Internet, Records) {
    let mut net = Internet::new().await.unwrap();
    let mut records = Records::default();
    let port = net.ports.port();
    let other = net.ca.identity("other.test");
    for (domain, tlsa, ..) in ROWS {
        let mx = net.domain(domain, Script::default()).await.unwrap();
        let (name, leaf) = (mx.name(), mx.identity().leaf().clone());
        let owner = tlsa_owner(name, port);
        records
            .mx(domain, name)
            .add(name, &format!("A {}", mx.address().ip()));
        match tlsa {
            Tlsa::Right => records.tlsa(&owner, "3 1 1", &leaf),
            Tlsa::Wrong => records.tlsa(&owner, "3 1 1", other.leaf()),
            Tlsa::Nothing => &mut records,
        };
    }
    (net, records)
}

impl World {
    async fn start(net: Internet, dnssec: &str, records: &Records) -> Self {
        let unbound = Unbound::start(&net.ports, &[], records);
        let daemon = Daemon::start(config(&net, &unbound, dnssec)).await;
        Self {
            daemon,
            net,
            unbound,
        }
    }

    async fn send(&self, to: &str) -> Reply {
        let mut client = SmtpClient::smtp(self.daemon.smtp.unwrap()).await.unwrap();
        client.patience(PATIENCE);
        let sent = client.mail("sender@client.test", &[to], CONTENT).await;
        client.command("QUIT").await.unwrap();
        sent.unwrap()
    }
}

/// The lab's configuration, with Unbound in place of the lab's own server.
pub(super) fn config(net: &Internet, unbound: &Unbound, dnssec: &str) -> String {
    // With `auto`, Unbound alone knows the anchor of this root: so it has to be believed.
    let anchor = match dnssec {
        "auto" => String::new(),
        _ => format!("trust_anchor = '{}'", unbound.trust_anchor().display()),
    };
    let servers = unbound.address();
    let dns = format!("[dns]\nservers = ['{servers}']\ndnssec = '{dnssec}'\n{anchor}");
    merge(&net.config(Path::new("STATE")), &dns)
}

/// Postfix with a certificate is the MX; the records for it come and go.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_gets_mail_only_while_its_tlsa_record_is_right() {
    if skipped() {
        return;
    }
    if let Err(why) = available() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let net = Internet::new().await.unwrap();
    let listen = net.ports.next();
    let identity = net.ca.identity("mx.ec.test");
    let postfix = postfix_mx(&net, listen, &identity);
    let owner = tlsa_owner("mx.ec.test", listen.port());
    let mut records = Records::default();
    records
        .mx("ec.test", "mx.ec.test")
        .add("mx.ec.test", &format!("A {}", listen.ip()))
        .tlsa(&owner, "3 1 1", identity.leaf());
    let mut world = World::start(net, "validate", &records).await;

    let reply = world.send("someone@ec.test").await;
    assert!(reply.code == 250 && reply.contains(", dane)"), "{reply}");
    let event = &world.daemon.deliveries()[0];
    for field in ["policy", "level", "authenticated"] {
        assert_eq!(Daemon::field(event, field).unwrap(), "dane", "{field}");
    }
    assert!(postfix.wait_until_empty(PATIENCE).await);
    assert_eq!(postfix.delivered().len(), 1, "{}", postfix.log());

    let other = world.net.ca.identity("mx.ec.test");
    records.remove(&owner).tlsa(&owner, "3 1 1", other.leaf());
    world.unbound.publish(&records);
    // What is delivered before the old answer has expired is right by it.
    let until = Instant::now() + PATIENCE;
    let mut delivered = 1;
    let reply = loop {
        let reply = world.send("someone@ec.test").await;
        if reply.code != 250 {
            break reply;
        }
        delivered += 1;
        assert!(Instant::now() < until, "the old record never expires");
    };
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.7.5")),
        "{reply}"
    );
    assert!(reply.contains("dane policy of ec.test"), "{reply}");
    assert!(postfix.wait_until_empty(PATIENCE).await);
    assert_eq!(postfix.delivered().len(), delivered, "{}", postfix.log());
}

fn postfix_mx(net: &Internet, listen: SocketAddr, identity: &lab::ca::Identity) -> Postfix {
    let files = net.ca.files(identity);
    let main = format!(
        "{}myhostname = mx.ec.test\nsmtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
        maildir("ec.test"),
        files.cert.display(),
        files.key.display()
    );
    Postfix::start(&Setup {
        listen,
        main,
        master: String::new(),
    })
    .unwrap()
}
