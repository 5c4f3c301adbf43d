//! Part C: a very long queue, of which one destination in a hundred thousand, with a tenth of the mail, is dead.
//!
//! First nothing else of it is due; then everything is, at once.

use crate::Arguments;
use crate::acceptance::Silence;
use crate::common::measure::Surroundings;
use crate::common::peers::{Accepted, Load, SinkProcess};
use crate::common::sealpost::{Sealpost, Setup, database, new_directory};
use crate::fill::{DEAD, HOSTS, Long};
use crate::table::{Table, Target};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COLUMN: &str = "Sealpost";
/// What arrives meanwhile, to be accepted.
const ARRIVING: u64 = 5_000;
/// Messages to a host that answers, one after the other, while nothing else is due, and while everything is.
const SINGLE: u64 = 100;
const SINGLE_BUSY: u64 = 5;
/// How long the drain is looked at.
const DRAIN: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(60);
const ARRIVAL: Duration = Duration::from_secs(600);

pub async fn measure(arguments: &Arguments) -> io::Result<Table> {
    let messages = arguments.long_queue;
    let long = Long {
        messages,
        dead: messages / 10,
        destinations: messages / 10,
    };
    let title = format!(
        "C. {messages} messages in the queue, {} destinations, {} messages for one that is dead",
        long.destinations, long.dead
    );
    let around = Surroundings::new(HOSTS as u16, 0).await?;
    let alive = SinkProcess::start(1, 0).await?;
    let silence = Silence::new()?;
    let more = rules(&around, &alive, &silence)?;
    let setup = arguments.sealpost(&around, "5m", &more);
    let directory = new_directory(&setup)?;
    let path = database(directory.path());
    let mut scale = Scale {
        arguments,
        around,
        alive,
        sent: 0,
    };
    let begin = Instant::now();
    long.fill(&path).await?;
    let filled = messages as f64 / begin.elapsed().as_secs_f64();
    let size = fs::metadata(&path)?.len() as f64 / f64::from(1 << 20);

    let (sealpost, start) = start(&setup, directory).await?;
    let page = first_page(&setup, &sealpost)?;
    let after_start = peak_mib(&sealpost);
    let accepted = scale.accept(&sealpost).await?;
    let single = scale.single(&sealpost, SINGLE).await?;
    let at_work = peak_mib(&sealpost);
    let figures = [filled, size, start, page, after_start];
    let quiet = [accepted.as_slice(), &single, &[at_work]].concat();

    let directory = sealpost.stop()?;
    long.release(&path).await?;
    let (sealpost, start) = self::start(&setup, directory).await?;
    let rate = scale.rate(DRAIN).await?;
    let single = scale.single(&sealpost, SINGLE_BUSY).await?;
    let accepted = scale.accept(&sealpost).await?;
    let busy = [&[start, rate], accepted.as_slice(), &single].concat();
    let busy = [busy.as_slice(), &[peak_mib(&sealpost)]].concat();

    let mut table = table(title);
    table.add(COLUMN, &[figures.as_slice(), &quiet, &busy].concat());
    Ok(table)
}

fn table(title: String) -> Table {
    Table::new(title, &[COLUMN])
        .row("written, messages per second", 0, Target::None)
        .row("size of the file, MiB", 0, Target::None)
        .row("start to ready, s", 2, Target::Below(10.0))
        .row("first page of queue list, s", 3, Target::Below(1.0))
        .row("memory after start, MiB", 1, Target::Below(1024.0))
        .row("accepted, messages per second", 0, Target::None)
        .row("accepted in, median, ms", 2, Target::None)
        .row("accepted in, 99 %, ms", 2, Target::None)
        .row("to a living host, median, ms", 2, Target::None)
        .row("longest, ms", 2, Target::Below(1000.0))
        .row("memory at its peak, MiB", 1, Target::Below(1024.0))
        .row("all due: start to ready, s", 2, Target::Below(10.0))
        .row("delivered, messages per second", 0, Target::None)
        .row("accepted, messages per second", 0, Target::None)
        .row("accepted in, median, ms", 2, Target::None)
        .row("accepted in, 99 %, ms", 2, Target::None)
        .row("to a living host, median, ms", 2, Target::None)
        .row("longest, ms", 2, Target::None)
        .row("memory at its peak, MiB", 1, Target::Below(1024.0))
}

/// Where everybody is.
fn rules(around: &Surroundings, alive: &SinkProcess, silence: &Silence) -> io::Result<String> {
    let mut rules = String::new();
    let mut rule = |domains: &str, address: std::net::SocketAddr| {
        let _ = writeln!(
            rules,
            "[[rule]]\ndomains = [\"{domains}\"]\nnext_hop = \"[{}]:{}\"",
            address.ip(),
            address.port()
        );
    };
    for (number, host) in (0..).zip(&around.sink.addresses) {
        rule(&format!("*.{}", Long::zone(number)), *host);
    }
    for host in &alive.addresses {
        rule("*.bench.test", *host);
    }
    rule(DEAD, silence.address()?);
    Ok(rules)
}

/// Until it says that it is ready, in seconds.
async fn start(setup: &Setup<'_>, directory: tempfile::TempDir) -> io::Result<(Sealpost, f64)> {
    let begin = Instant::now();
    let sealpost = Sealpost::spawn(setup, directory)?;
    while sealpost.page("/readyz").is_none() {
        if begin.elapsed() > START {
            return Err(io::Error::other("Sealpost is not ready"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((sealpost, begin.elapsed().as_secs_f64()))
}

/// How long an administrator waits for the first page, in seconds.
fn first_page(setup: &Setup<'_>, sealpost: &Sealpost) -> io::Result<f64> {
    let begin = Instant::now();
    let listed = Command::new(setup.program)
        .args(["queue", "list", "--limit", "100", "--json", "--config"])
        .arg(sealpost.directory().join("sealpost.toml"))
        .stderr(Stdio::null())
        .output()?;
    let took = begin.elapsed().as_secs_f64();
    let lines = listed.stdout.split(|octet| *octet == b'\n').count();
    // NaN: this build has no such command.
    Ok(match listed.status.success() && lines >= 100 {
        true => took,
        false => f64::NAN,
    })
}

/// The most memory that it had so far.
fn peak_mib(sealpost: &Sealpost) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", sealpost.tree().root));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Who sends and receives meanwhile.
struct Scale<'a> {
    arguments: &'a Arguments,
    around: Surroundings,
    alive: SinkProcess,
    /// To the host that is alive, so far.
    sent: u64,
}

impl Scale<'_> {
    async fn send(
        &mut self,
        sealpost: &Sealpost,
        sessions: usize,
        messages: u64,
    ) -> io::Result<Accepted> {
        let load = Load {
            to: sealpost.address,
            sessions,
            messages,
            size: self.arguments.size,
            domains: 0..100,
        };
        self.sent += messages;
        self.around.send(&load).await
    }

    /// Mail comes in: messages a second, and in what time, median and 99 of 100, they are accepted, in milliseconds.
    async fn accept(&mut self, sealpost: &Sealpost) -> io::Result<[f64; 3]> {
        let begin = Instant::now();
        let accepted = self
            .send(sealpost, self.arguments.sessions, ARRIVING)
            .await?;
        let rate = ARRIVING as f64 / begin.elapsed().as_secs_f64();
        Ok([rate, millis(accepted.half), millis(accepted.most)])
    }

    /// From sending to arrival at the host that answers: the median and the longest, in milliseconds.
    async fn single(&mut self, sealpost: &Sealpost, messages: u64) -> io::Result<[f64; 2]> {
        self.alive.wait(self.sent, ARRIVAL).await?;
        let mut times = Vec::new();
        for _ in 0..messages {
            let begin = Instant::now();
            self.send(sealpost, 1, 1).await?;
            if !self.alive.wait(self.sent, ARRIVAL).await? {
                return Ok([f64::NAN, f64::INFINITY]);
            }
            times.push(millis(begin.elapsed()));
        }
        times.sort_by(f64::total_cmp);
        let at = |place: usize| times.get(place).copied().unwrap_or(f64::NAN);
        Ok([at(times.len() / 2), at(times.len().saturating_sub(1))])
    }

    /// What the other hosts get, messages a second.
    async fn rate(&mut self, time: Duration) -> io::Result<f64> {
        let before = self.around.sink.seen().await?.messages;
        let begin = Instant::now();
        tokio::time::sleep(time).await;
        let arrived = self.around.sink.seen().await?.messages - before;
        Ok(arrived as f64 / begin.elapsed().as_secs_f64())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
