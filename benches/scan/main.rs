//! `sealpost scan` beside a shell loop of `openssl s_client`, at the same hosts in one run.
//!
//! Every domain has an MX host of its own, with an address and a certificate of its own, that takes 20 ms for each flight
//! of replies. Sealpost, built for release and with its shipped settings, surveys them all; then a shell makes as many
//! connections to some of them, one after another and with `xargs -P`. The hosts and their DNS are a process of their
//! own on the same cores. `make bench ARGS="--quick"` takes seconds.

// A program of several files: `pub` is for the neighbours.
#![allow(unreachable_pub)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "the other benchmarks need the rest")]
mod common;
mod hosts;
mod shell;
mod survey;

use clap::{Parser, Subcommand};
use common::figures;
use hosts::{Hosts, run};
use shell::{Loop, openssl};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use survey::{Surveyed, survey};

/// What a survey of 2,000 domains may take.
const GOAL: Duration = Duration::from_secs(20);

/// Measures a survey and a shell loop, and prints how they compare.
#[derive(Debug, Parser)]
#[command(name = "bench")]
#[allow(clippy::struct_excessive_bools, reason = "the flags of a command line")]
struct Arguments {
    /// Domains, each with an MX host of its own.
    #[arg(long, default_value_t = 2000)]
    domains: u16,
    /// Hosts that the shell loop is run at.
    #[arg(long, default_value_t = 100)]
    shell: u16,
    /// Processes at a time of xargs.
    #[arg(long, default_value_t = 16)]
    processes: u16,
    /// Milliseconds that a host takes for each flight of replies.
    #[arg(long, default_value_t = 20)]
    delay: u64,
    /// Surveys; the best and the worst are told.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Fewer of all: a first impression, not a result.
    #[arg(long)]
    quick: bool,
    /// The program to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_sealpost"))]
    sealpost: PathBuf,
    /// Further words for `sealpost scan`.
    #[arg(long, allow_hyphen_values = true, value_delimiter = ' ')]
    scan: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Hosts { hosts: u16, delay: u64 },
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.domains = arguments.domains.min(300);
        arguments.shell = arguments.shell.min(20);
        arguments.repeats = 1;
    }
    let result = match arguments.role {
        Some(Role::Hosts { hosts, delay }) => run(hosts, delay),
        None => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> io::Result<()> {
    figures::print_machine();
    let runtime = common::peers::runtime()?;
    let directory = tempfile::tempdir()?;
    let mut hosts = runtime.block_on(Hosts::start(arguments.domains, arguments.delay))?;
    hosts.write_configuration(directory.path())?;
    println!(
        "{} domains with an MX host, an address and a certificate each; {} ms per flight of replies",
        arguments.domains, arguments.delay
    );
    let mut surveys = Vec::new();
    for _ in 0..arguments.repeats.max(1) {
        let before = runtime.block_on(hosts.seen())?;
        let surveyed = survey(arguments, directory.path())?;
        let seen = runtime.block_on(hosts.seen())?.since(&before);
        surveyed.check(arguments.domains, &seen)?;
        println!("sealpost scan: {surveyed}; the hosts saw {seen}");
        surveys.push(surveyed);
    }
    surveys.sort_by_key(|surveyed| surveyed.wall);
    let (Some(best), Some(worst)) = (surveys.first(), surveys.last()) else {
        return Ok(());
    };
    let within = if worst.wall < GOAL {
        "within"
    } else {
        "NOT within"
    };
    println!("all of them {within} {} s", GOAL.as_secs());
    println!(
        "best {:.2} s, worst {:.2} s",
        best.wall.as_secs_f64(),
        worst.wall.as_secs_f64()
    );
    if let Some(obstacle) = openssl() {
        println!("openssl s_client is not measured: {obstacle}");
        return Ok(());
    }
    let loops = [Loop::Plain, Loop::Xargs(arguments.processes)];
    for how in loops {
        let before = runtime.block_on(hosts.seen())?;
        let made = how.run(&hosts, arguments.shell, worst.per_host())?;
        let seen = runtime.block_on(hosts.seen())?.since(&before);
        println!("{made}; the hosts saw {seen}");
        if seen.handshakes != u64::from(made.connections) {
            return Err(io::Error::other(
                "the shell has not made all its connections",
            ));
        }
        compare(&made, worst);
    }
    Ok(())
}

/// Time and CPU per connection, beside the slowest survey.
fn compare(shell: &shell::Made, survey: &Surveyed) {
    let wall = shell.wall.as_secs_f64() / f64::from(shell.connections);
    let cpu = shell.cpu.as_secs_f64() / f64::from(shell.connections);
    let connections = f64::from(survey.connections);
    let own_wall = survey.wall.as_secs_f64() / connections;
    let own_cpu = survey.cpu.as_secs_f64() / connections;
    println!(
        "  per connection {:.2} ms, CPU {:.2} ms; sealpost {:.2} ms, CPU {:.2} ms: {:.1} times as fast, {:.1} times \
         less CPU",
        wall * 1000.0,
        cpu * 1000.0,
        own_wall * 1000.0,
        own_cpu * 1000.0,
        wall / own_wall,
        cpu / own_cpu,
    );
}
