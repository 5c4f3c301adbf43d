//! What Sealpost does, seen on one page: the real daemon amid an Internet on loopback whose hosts behave differently.
//! A table says for each destination under which policy, over which TLS and with which outcome mail went, and whether
//! that is as it should be. Then what differs for the recipients of one message is kept, over a kill -9.
//!
//! `make demo` goes on serving the status page and /metrics until Ctrl-C; `make demo ONCE=1` ends with exit code 0 if every row was right.

mod queue;

use std::error::Error;
use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lab::Internet;
use lab::ca::{Cert, Intermediate, Key};
use lab::client::{Reply, SmtpClient};
use lab::dns::{Fault, RecordType, tlsa_owner};
use lab::dnssec::Zone;
use lab::mx::{Handshake, Script, Tls, Versions};
use lab::sts::{Answer, PolicyScript, policy};
use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::{Table, Value as Toml};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The daemon answers /readyz within this, and ends within this.
const PATIENCE: Duration = Duration::from_secs(20);
/// One message, the slowest destination included.
const MESSAGE: Duration = Duration::from_secs(40);
const CONTENT: &[u8] = b"From: demo@client.test\r\nSubject: demo\r\n\r\nHello.\r\n";

/// One row of the table: a recipient, and what is to become of it.
struct Case {
    about: &'static str,
    to: &'static str,
    /// Level and source.
    policy: &'static str,
    /// Version, and who the host proved to be.
    tls: &'static str,
    /// The beginning of the reply.
    reply: &'static str,
}

const fn case(
    to: &'static str,
    policy: &'static str,
    tls: &'static str,
    reply: &'static str,
    about: &'static str,
) -> Case {
    Case {
        about,
        to,
        policy,
        tls,
        reply,
    }
}

/// Each a message of its own over SMTP.
#[rustfmt::skip]
const SINGLE: &[Case] = &[
    case("a@bank.test", "verify (rule)", "1.3 webpki", "250 2.0.0", "trusted certificate, required"),
    case("a@pinned.test", "fingerprint (rule)", "1.3 fingerprint", "250 2.0.0", "its key is the one in the rule"),
    case("a@routed.test", "encrypt (rule)", "1.3 none", "250 2.0.0", "next_hop in place of its MX"),
    case("a@plain.test", "may (default)", "-", "250 2.0.0", "no STARTTLS"),
    case("a@selfsigned.test", "may (default)", "1.3 none", "250 2.0.0", "self-signed certificate"),
    case("a@expired.test", "may (default)", "1.3 none", "250 2.0.0", "expired certificate"),
    case("a@old.test", "may (default)", "1.2 none", "250 2.0.0", "TLS 1.2 only"),
    case("a@backup.test", "may (default)", "1.3 none", "250 2.0.0", "first MX down, second up"),
    case("a@stripped.test", "encrypt (rule)", "-", "451 4.7.4", "no STARTTLS, but TLS required"),
    case("a@impostor.test", "verify (rule)", "-", "451 4.7.5", "certificate of another host"),
    case("a@lapsed.test", "verify (rule)", "-", "554 5.7.5", "expired, on_failure = reject"),
    case("a@garbled.test", "may (default)", "-", "451 4.7.5", "TLS breaks: no clear text at once"),
    case("a@grey.test", "may (default)", "1.3 none", "450 4.2.0", "greylisting"),
    case("nobody@choosy.test", "may (default)", "1.3 none", "550 5.1.1", "unknown user"),
    case("a@dane.test", "dane (dane)", "1.3 dane", "250 2.0.0", "TLSA record matches; self-signed"),
    case("a@tlsa-ta.test", "dane (dane)", "1.3 dane", "250 2.0.0", "TLSA record of its authority"),
    case("a@half.test", "dane (dane)", "1.3 half-dane", "250 2.0.0", "unsigned MX, signed host"),
    case("a@odd-tlsa.test", "encrypt (dane)", "1.3 none", "250 2.0.0", "TLSA records that nobody can use"),
    case("a@changed.test", "dane (dane)", "-", "451 4.7.5", "TLSA record of another key"),
    case("a@no-tls.test", "dane (dane)", "-", "451 4.7.4", "TLSA record, but no STARTTLS"),
    case("a@tlsa-fails.test", "dane (dane)", "-", "451 4.4.3", "TLSA lookup fails: no downgrade"),
    case("a@forged.test", "undecided", "-", "451 4.4.3", "signatures do not match (bogus)"),
    case("a@sts.test", "verify (mta-sts)", "1.3 webpki", "250 2.0.0", "MTA-STS policy, listed and trusted"),
    case("a@sts-name.test", "verify (mta-sts)", "-", "451 4.7.5", "MTA-STS, certificate of another"),
    case("a@sts-forged.test", "verify (mta-sts)", "-", "451 4.7.5", "MX is not in the MTA-STS policy"),
    case("a@sts-trial.test", "may (default)", "-", "250 2.0.0", "MTA-STS in mode testing, no STARTTLS"),
    case("a@sts-404.test", "may (default)", "1.3 none", "250 2.0.0", "its policy was never to be had"),
    case("a@nullmx.test", "undecided", "-", "556 5.1.10", "takes no mail (null MX)"),
    case("a@nowhere.test", "undecided", "-", "550 5.1.2", "no such domain"),
    case("a@lame.test", "undecided", "-", "451 4.4.3", "its name servers fail"),
    case("a@dead.test", "may (default)", "-", "451 4.4.1", "connection refused"),
    case("a@silent.test", "may (default)", "-", "451 4.4.1", "accepts, and says nothing"),
];

/// One message to all of them over LMTP: each has its own reply.
#[rustfmt::skip]
const MIXED: &[Case] = &[
    case("b@bank.test", "verify (rule)", "1.3 webpki", "250 2.0.0", "LMTP, one message for four:"),
    case("b@grey.test", "may (default)", "1.3 none", "450 4.2.0", "each has its own reply"),
    case("b@stripped.test", "encrypt (rule)", "-", "451 4.7.4", "\""),
    case("b@nowhere.test", "undecided", "-", "550 5.1.2", "\""),
];

/// Where nothing of a message may be readable on the wire, whatever became of it.
const NEVER_IN_CLEAR: &[&str] = &[
    "bank.test",
    "pinned.test",
    "mx.partner.test",
    "stripped.test",
    "impostor.test",
    "lapsed.test",
    "garbled.test",
    "dane.test",
    "tlsa-ta.test",
    "mx.signed.test",
    "odd-tlsa.test",
    "changed.test",
    "no-tls.test",
    "tlsa-fails.test",
    "forged.test",
    "sts.test",
    "sts-name.test",
    "sts-forged.test",
];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let once = std::env::args().any(|argument| argument == "--once");
    let (mut net, pinned) = internet().await?;
    let open = queue::internet(&mut net).await?;
    let directory = tempfile::tempdir()?;
    let mut daemon = Daemon::start(&config(&net, &pinned, directory.path())?, directory.path())?;
    daemon.ready(&net).await?;
    println!(
        "sealpost is running amid {} mail hosts, all on loopback; sending ...\n",
        net.hosts().count()
    );

    let mut replies = Vec::new();
    for case in SINGLE {
        replies.push((case, single(&net, case).await?));
    }
    replies.extend(MIXED.iter().zip(mixed(&net).await?));
    let log = daemon.log(replies.len()).await?;
    let rows = replies
        .iter()
        .map(|(case, reply)| Row::of(case, reply, &log))
        .collect::<Vec<_>>();
    print(&rows);

    let leaks = NEVER_IN_CLEAR
        .iter()
        .filter(|name| net.mx(name).mail_octets_in_clear())
        .collect::<Vec<_>>();
    let wrong = rows.iter().filter(|row| !row.unexpected.is_empty()).count();
    println!(
        "\n{} of {} rows as they should be.",
        rows.len() - wrong,
        rows.len()
    );
    match leaks.as_slice() {
        [] => println!("Where TLS was required, or had failed, no mail was readable on the wire."),
        leaks => println!("UNEXPECTED: mail in clear text for {leaks:?}"),
    }
    let kept = queue::show(&net, &mut daemon, &open).await?;
    if !once {
        linger(&net, directory.path()).await?;
    }
    daemon.stop().await?;
    Ok(if wrong == 0 && leaks.is_empty() && kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The hosts and records behind the rows, and the key of pinned.test.
async fn internet() -> Result<(Internet, Vec<u8>)> {
    let mut net = Internet::new().await?;
    net.domain("bank.test", Script::default()).await?;
    let pinned = net.ca.identity("mx.pinned.test");
    let key = pinned.spki();
    net.domain("pinned.test", Script::with_identity(pinned))
        .await?;
    net.host("mx.partner.test", Script::default()).await?;
    for name in ["plain.test", "stripped.test"] {
        net.domain(name, Script::no_starttls()).await?;
    }
    certified(&mut net).await?;
    signed(&mut net).await?;
    policies(&mut net).await?;
    let tls = Tls {
        versions: Versions::Only12,
        ..Tls::default()
    };
    net.domain(
        "old.test",
        Script {
            tls,
            ..Script::default()
        },
    )
    .await?;
    let handshake = Handshake::Garbage(b"500 what?\r\n".to_vec());
    net.domain(
        "garbled.test",
        Script {
            handshake,
            ..Script::default()
        },
    )
    .await?;
    net.domain("grey.test", Script::greylisting()).await?;
    let unknown = (550, "5.1.1 no such user here");
    net.domain(
        "choosy.test",
        Script::default().rcpt("nobody@choosy.test", unknown),
    )
    .await?;
    net.domain("dead.test", Script::refused()).await?;
    net.domain("silent.test", Script::silent()).await?;
    net.domain("backup.test", Script::refused()).await?;
    net.host("mx2.backup.test", Script::default()).await?;
    net.dns
        .mx("backup.test", 20, "mx2.backup.test")
        .null_mx("nullmx.test");
    net.dns
        .null_mx("routed.test")
        .fault("lame.test", RecordType::MX, Fault::ServFail);
    Ok((net, key))
}

/// Hosts whose certificates are not as they should be.
async fn certified(net: &mut Internet) -> Result<()> {
    for (domain, cert) in [
        (
            "selfsigned.test",
            Cert::new(["mx.selfsigned.test"])
                .self_signed_ca()
                .key(Key::Rsa2048),
        ),
        ("expired.test", Cert::new(["mx.expired.test"]).expired()),
        ("lapsed.test", Cert::new(["mx.lapsed.test"]).expired()),
        ("impostor.test", Cert::new(["mx.elsewhere.test"])),
    ] {
        let identity = net.ca.issue(&cert);
        net.domain(domain, Script::with_identity(identity)).await?;
    }
    Ok(())
}

/// Domains in signed zones, with TLSA records.
async fn signed(net: &mut Internet) -> Result<()> {
    let own = net.ca.issue(&Cert::new(["mx.dane.test"]).self_signed_ca());
    net.domain("dane.test", Script::with_identity(own)).await?;
    let cert = Cert::new(["mx.tlsa-ta.test"]).with_intermediate(Intermediate::Sent);
    let issued = net.ca.issue(&cert);
    net.domain("tlsa-ta.test", Script::with_identity(issued))
        .await?;
    net.domain("no-tls.test", Script::no_starttls()).await?;
    for name in [
        "odd-tlsa.test",
        "changed.test",
        "tlsa-fails.test",
        "forged.test",
    ] {
        net.domain(name, Script::default()).await?;
    }
    net.host("mx.signed.test", Script::default()).await?;
    net.dns.mx("half.test", 10, "mx.signed.test");
    for zone in [
        "dane.test",
        "tlsa-ta.test",
        "no-tls.test",
        "odd-tlsa.test",
        "changed.test",
        "tlsa-fails.test",
        "signed.test",
    ] {
        net.dns.secure(zone);
    }
    net.dns.zone("forged.test", Zone::secure().altered());
    for host in ["mx.dane.test", "mx.signed.test", "mx.no-tls.test"] {
        net.tlsa(host, "3 1 1");
    }
    net.tlsa("mx.tlsa-ta.test", "2 1 1");
    let port = net.ports.port();
    let stranger = net.ca.identity("stranger.test");
    net.dns
        .tlsa("mx.changed.test", port, "3 1 1", stranger.leaf())
        .tlsa_raw("mx.odd-tlsa.test", port, &[3, 1, 1, 7])
        .fault(
            &tlsa_owner("mx.tlsa-fails.test", port),
            RecordType::TLSA,
            Fault::ServFail,
        );
    Ok(())
}

/// Domains with MTA-STS policies.
async fn policies(net: &mut Internet) -> Result<()> {
    const WEEK: u64 = 604_800;
    let elsewhere = net.ca.issue(&Cert::new(["mx.elsewhere.test"]));
    for (domain, script, mode, mx) in [
        ("sts.test", Script::default(), "enforce", "*.sts.test"),
        (
            "sts-name.test",
            Script::with_identity(elsewhere),
            "enforce",
            "mx.sts-name.test",
        ),
        (
            "sts-forged.test",
            Script::default(),
            "enforce",
            "mail.sts-forged.test",
        ),
        (
            "sts-trial.test",
            Script::no_starttls(),
            "testing",
            "mx.sts-trial.test",
        ),
    ] {
        net.domain(domain, script).await?;
        net.sts(domain, "20260101", policy(mode, &[mx], WEEK))
            .await?;
    }
    net.domain("sts-404.test", Script::default()).await?;
    net.sts_record("sts-404.test", "v=STSv1; id=20260101;");
    net.policy_host("sts-404.test", PolicyScript::with(Answer::Status(404)))
        .await?;
    Ok(())
}

/// The administrator's rules for it, over the configuration that every relay in the laboratory has.
fn config(net: &Internet, pinned: &[u8], directory: &Path) -> Result<String> {
    let digest = Sha256::digest(pinned)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect::<String>();
    let port = net.ports.port();
    let rules = format!(
        r#"
[[rule]]
domains = ["bank.test", "impostor.test"]
require = "verify"
name = "bank"

[[rule]]
domains = ["lapsed.test"]
require = "verify"
on_failure = "reject"

[[rule]]
domains = ["stripped.test"]
require = "encrypt"

[[rule]]
domains = ["pinned.test"]
require = "fingerprint"
fingerprints = ["spki-sha256:{digest}"]

[[rule]]
domains = ["routed.test"]
require = "encrypt"
next_hop = "[mx.partner.test]:{port}"
"#
    );
    let mut table = (net.config_validating(directory) + &rules).parse::<Table>()?;
    // The demonstration is not to last a minute and a half for a host that says nothing.
    if let Some(Toml::Table(relay)) = table.get_mut("relay") {
        relay.insert("reach_timeout".to_owned(), "3s".into());
    }
    let home = net.mx(queue::HOME).address();
    let kept = [
        ("retry".to_owned(), Toml::Array(vec!["1s".into()])),
        (
            "dsn_via".to_owned(),
            format!("[{}]:{}", home.ip(), home.port()).into(),
        ),
    ];
    table.insert("queue".to_owned(), Toml::Table(kept.into_iter().collect()));
    Ok(toml::to_string(&table)?)
}

async fn single(net: &Internet, case: &Case) -> Result<Reply> {
    let mut client = SmtpClient::smtp(net.relay_smtp()).await?;
    client.patience(MESSAGE);
    let reply = client.mail("demo@client.test", &[case.to], CONTENT).await?;
    client.command("QUIT").await?;
    Ok(reply)
}

async fn mixed(net: &Internet) -> Result<Vec<Reply>> {
    let mut client = SmtpClient::lmtp(net.relay_lmtp()).await?;
    client.patience(MESSAGE);
    let to = MIXED.iter().map(|case| case.to).collect::<Vec<_>>();
    let replies = client.lmtp_mail("demo@client.test", &to, CONTENT).await?;
    client.command("QUIT").await?;
    Ok(replies)
}

/// What happened to one recipient, from the reply and from the daemon's log.
struct Row {
    cells: [String; 4],
    reply: String,
    /// What should have been in place of it; empty if all is well.
    unexpected: String,
}

impl Row {
    fn of(case: &Case, reply: &Reply, log: &[Value]) -> Self {
        let event = log.iter().find(|event| field(event, "to") == Some(case.to));
        let of = |name| event.and_then(|event| field(event, name)).unwrap_or("-");
        let policy = match of("level") {
            "undecided" => "undecided".to_owned(),
            level => format!("{level} ({})", of("policy")),
        };
        let tls = match of("tls") {
            "-" | "none" => "-".to_owned(),
            version => format!("{version} {}", of("authenticated")),
        };
        let reply = reply.to_string();
        let should = [(case.policy, policy.as_str()), (case.tls, tls.as_str())];
        let mut unexpected = should
            .iter()
            .filter(|(should, is)| should != is)
            .map(|(should, _)| *should)
            .collect::<Vec<_>>();
        if !reply.starts_with(&format!("{} ", case.reply)) {
            unexpected.push(case.reply);
        }
        Self {
            cells: [case.to.to_owned(), case.about.to_owned(), policy, tls],
            unexpected: unexpected.join(", "),
            reply,
        }
    }
}

/// The table, its last column cut to the terminal's usual width.
fn print(rows: &[Row]) {
    const REPLY: usize = 64;
    let head = ["destination", "what it is like", "policy", "TLS, proof"];
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row.cells[column].len());
        cells.max().unwrap_or(0).max(head[column].len())
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |cells: [&str; 4], reply: &str, verdict: &str| {
        for (cell, width) in cells.iter().zip(widths) {
            print!("{cell:width$}  ");
        }
        println!("{:REPLY$}  {verdict}", told(reply, REPLY));
    };
    line(head, "outcome", "");
    for row in rows {
        let verdict = match row.unexpected.as_str() {
            "" => "ok".to_owned(),
            should => format!("UNEXPECTED, should be {should}"),
        };
        let [to, about, policy, tls] = &row.cells;
        line([to, about, policy, tls], &row.reply, &verdict);
    }
}

/// Codes and reason without the host, which the first column tells; at most so many characters, of printable ASCII.
fn told(reply: &str, limit: usize) -> String {
    let codes = reply.match_indices(' ').nth(1).map_or(0, |(at, _)| at);
    let hosts = ["] said: ", "]: "].map(|end| reply.find(end).map(|at| at + end.len()));
    let text = match hosts.into_iter().flatten().min() {
        Some(at) => format!("{} {}", &reply[..codes], &reply[at..]),
        None => reply.to_owned(),
    };
    match text.get(..limit - 3) {
        Some(start) if text.len() > limit => format!("{start}..."),
        _ => text,
    }
}

/// Serves on until Ctrl-C.
async fn linger(net: &Internet, directory: &Path) -> Result<()> {
    println!("\nIt goes on until Ctrl-C:");
    println!("  status page    http://{}/", net.relay_admin());
    println!("  metrics        http://{}/metrics", net.relay_admin());
    println!(
        "  SMTP, LMTP     {}, {}",
        net.relay_smtp(),
        net.relay_lmtp()
    );
    println!(
        "  configuration  {}",
        directory.join("sealpost.toml").display()
    );
    println!("  log            {}", directory.join("log").display());
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await?;
    if std::io::stdout().is_terminal() {
        println!();
    }
    Ok(())
}

/// `sealpost run` as a child; killed when dropped.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(config: &str, directory: &Path) -> Result<Self> {
        std::fs::write(directory.join("sealpost.toml"), config)?;
        Ok(Self {
            child: Self::run(directory)?,
            log: directory.join("log"),
        })
    }

    fn run(directory: &Path) -> Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("log"))?;
        let child = Command::new(program()?)
            .args(["run", "--config"])
            .arg(directory.join("sealpost.toml"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(child)
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn start_again(&mut self) -> Result<()> {
        let directory = self.log.parent().ok_or("the log has a directory")?;
        self.child = Self::run(directory)?;
        Ok(())
    }

    async fn ready(&mut self, net: &Internet) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while SmtpClient::smtp(net.relay_smtp()).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log)?;
                return Err(format!("sealpost ended with {status}:\n{log}").into());
            }
            if Instant::now() > until {
                return Err("sealpost does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The `delivery` events, as soon as there are so many.
    async fn log(&self, count: usize) -> Result<Vec<Value>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.log)?;
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let events = lines
                .filter(|event| field(event, "message") == Some("delivery"))
                .collect::<Vec<Value>>();
            if events.len() >= count || Instant::now() > until {
                return Ok(events);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(&mut self) -> Result<()> {
        // After a Ctrl-C in a terminal it has had the signal itself, and may be gone.
        Command::new("kill")
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status()?;
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemon's program, built into the directory above that of the examples.
fn program() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example
        .parent()
        .and_then(Path::parent)
        .ok_or("the example has no directory")?;
    let program = profile.join("sealpost");
    match program.exists() {
        true => Ok(program),
        false => Err(format!(
            "{} is missing: start this with `make demo`",
            program.display()
        )
        .into()),
    }
}

/// A field of a log line, wherever the formatter has put it.
fn field<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    event
        .get(name)
        .or_else(|| event.get("fields")?.get(name))?
        .as_str()
}
