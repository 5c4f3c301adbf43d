//! A mail log of a million lines: how long `sealpost maillog` takes, beside `grep -c` and, where it is installed,
//! pflogsumm, which read the same file in the same run.
//!
//!     cargo bench --bench maillog [-- LINES]

#![allow(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const LINES: u64 = 1_000_000;
/// A reader of logs has to take less.
const TARGET: Duration = Duration::from_secs(5);
const DOMAINS: u64 = 20_000;
const RUNS: usize = 3;

/// Messages that come in and go out as Postfix logs them, ten lines each, with other programs' lines between.
fn write_log(path: &Path, lines: u64) {
    let mut log = BufWriter::new(File::create(path).unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    for message in 0..lines / 10 {
        let second = message * 86_400 * 10 / lines;
        let stamp = format!(
            "Nov 25 {:02}:{:02}:{:02} mail",
            second / 3600 % 24,
            second / 60 % 60,
            second % 60
        );
        let id = format!("4{:09X}", message * 7919);
        let (domain, client) = (random.u64(0..DOMAINS), random.u8(1..=254));
        let (out, inn) = (random.u32(1000..1100), random.u32(2000..2100));
        let mx = format!("mx.d{domain}.example[192.0.2.{}]:25", domain % 250 + 1);
        let from = format!("client{client}.example[198.51.100.{client}]");
        let session = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256";
        writeln!(log, "{stamp} postfix/smtpd[{inn}]: connect from {from}").unwrap();
        writeln!(log, "{stamp} postfix/smtpd[{inn}]: Anonymous TLS connection established from {from}: TLSv1.3 {session}").unwrap();
        writeln!(log, "{stamp} postfix/smtpd[{inn}]: {id}: client={from}").unwrap();
        writeln!(
            log,
            "{stamp} postfix/cleanup[77]: {id}: message-id=<{message}.{domain}@client.example>"
        )
        .unwrap();
        writeln!(log, "{stamp} postfix/qmgr[78]: {id}: from=<someone@client.example>, size=4711, nrcpt=1 (queue active)").unwrap();
        writeln!(log, "{stamp} postfix/smtpd[{inn}]: disconnect from {from} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7").unwrap();
        if random.u8(..) < 220 {
            writeln!(log, "{stamp} postfix/smtp[{out}]: Trusted TLS connection established to {mx}: TLSv1.3 {session}").unwrap();
        } else {
            writeln!(
                log,
                "{stamp} dovecot: imap-login: Login: user=<u>, method=PLAIN, rip=192.0.2.1, TLS"
            )
            .unwrap();
        }
        writeln!(log, "{stamp} postfix/smtp[{out}]: {id}: to=<someone@d{domain}.example>, relay={mx}, delay=0.9, delays=0.1/0/0.5/0.3, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1234)").unwrap();
        writeln!(log, "{stamp} postfix/qmgr[78]: {id}: removed").unwrap();
        writeln!(
            log,
            "{stamp} opendkim[99]: {id}: DKIM-Signature field added (s=a, d=client.example)"
        )
        .unwrap();
    }
    log.flush().unwrap();
}

/// CPU time of all programs that have been run.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |of: TimeVal| Duration::from_micros(u64::try_from(of.num_microseconds()).unwrap());
    time(usage.user_time()) + time(usage.system_time())
}

/// One line of the result.
fn tell(what: &str, (took, cpu): (Duration, Duration)) {
    println!(
        "{what:20} {:7.3} s, {:7.3} s of CPU",
        took.as_secs_f64(),
        cpu.as_secs_f64()
    );
}

/// The shortest of some runs, by the clock and by CPU time, and what the program said.
fn measure(program: &str, arguments: &[&str]) -> Option<((Duration, Duration), String)> {
    let mut best: Option<((Duration, Duration), String)> = None;
    for _ in 0..RUNS {
        let (began, before) = (Instant::now(), used());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let output = command.output().ok()?;
        let took = (began.elapsed(), used() - before);
        if !output.status.success() {
            return None;
        }
        if best.as_ref().is_none_or(|(shortest, _)| took < *shortest) {
            best = Some((took, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
    }
    best
}

fn main() -> ExitCode {
    let lines = std::env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(LINES);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("mail.log");
    write_log(&log, lines);
    let path = log.display().to_string();
    let size = std::fs::metadata(&log).unwrap().len();
    println!(
        "{lines} lines, {:.0} MB, the shortest of {RUNS} runs:",
        size as f64 / 1e6
    );

    let sealpost = env!("CARGO_BIN_EXE_sealpost");
    let (took, said) = measure(sealpost, &["maillog", "--format", "json", &path]).unwrap();
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    tell("sealpost maillog", took);
    let gzip = Command::new("gzip").args(["-1", "-k", &path]).status();
    if gzip.is_ok_and(|status| status.success()) {
        let (again, compressed) = measure(
            sealpost,
            &["maillog", "--format", "json", &format!("{path}.gz")],
        )
        .unwrap();
        tell("  the same as .gz", again);
        assert_eq!(compressed, said);
    }
    let phrase = "TLS connection established";
    match measure("grep", &["-c", phrase, &path]) {
        Some((took, said)) => {
            tell("grep -c", took);
            let counted: u64 = said.trim().parse().unwrap();
            let tls = |side: &str| report[side]["connections"]["tls"].as_u64().unwrap();
            assert_eq!(tls("outbound") + tls("inbound"), counted, "sessions");
        }
        None => println!("grep -c             not installed"),
    }
    match measure("pflogsumm", &["-q", &path]) {
        Some((took, _)) => tell("pflogsumm", took),
        None => println!("pflogsumm           not installed"),
    }
    assert_eq!(report["outbound"]["messages"]["total"], lines / 10);
    println!("target: {:.1} s", TARGET.as_secs_f64());
    if took.0 > TARGET {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
