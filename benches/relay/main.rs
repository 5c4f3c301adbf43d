//! Sealpost against Postfix, both delivering over STARTTLS to the same sink, in one run and in turn.
//!
//! A: each as smarthost, for 1 and for 100 destinations. B: a held queue in Postfix, released at once,
//! delivered by Postfix itself and through Sealpost with the shipped settings. Source, sink and relay are
//! processes of their own, so that the CPU of each is known. `make bench ARGS="--quick"` takes a few
//! minutes; without root or Postfix, Sealpost is measured alone.

// A program of several files: `pub` is for the neighbours.
#![allow(unreachable_pub)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "the other benchmark needs the rest")]
mod common;
mod figures;
mod queue;
mod smarthost;

use clap::{Parser, ValueEnum};
use common::figures::{self as machine, Relay};
use common::peers::Role;
use common::postfix::{self, PostfixSetup};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Measures Sealpost and Postfix in turn, and prints a table.
#[derive(Debug, Parser)]
#[command(name = "bench")]
#[allow(clippy::struct_excessive_bools)] // the flags of a command line
struct Arguments {
    /// Messages of each run of part A.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Runs of each relay and number of destinations in part A.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Sessions of the source.
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 10_240)]
    size: usize,
    /// Messages of the held queue of part B.
    #[arg(long, default_value_t = 20_000)]
    queue: u64,
    /// Runs of each way out of the held queue.
    #[arg(long, default_value_t = 1)]
    queue_repeats: usize,
    /// Milliseconds that the sinks of part B take for each flight of replies.
    #[arg(long, value_delimiter = ',', default_value = "0,20")]
    delays: Vec<u64>,
    /// Numbers of destinations of part A.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    destinations: Vec<u8>,
    /// The parts to run.
    #[arg(long, value_delimiter = ',', default_value = "a,b")]
    parts: Vec<Part>,
    /// The relays to run.
    #[arg(long, value_delimiter = ',', default_value = "postfix,sealpost")]
    relays: Vec<Relay>,
    /// Fewer messages and repeats: a first impression, not a result.
    #[arg(long)]
    quick: bool,
    /// Where queues and logs are kept meanwhile.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Leaves logs and configurations there.
    #[arg(long)]
    keep: bool,
    /// A further line for Postfix's main.cf, NAME=VALUE; may be repeated.
    #[arg(long)]
    postfix: Vec<String>,
    /// The program to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_sealpost"))]
    sealpost: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Each as smarthost.
    A,
    /// In front of Postfix.
    B,
}

impl Arguments {
    fn postfix(&self) -> PostfixSetup<'_> {
        PostfixSetup {
            directory: &self.directory,
            keep: self.keep,
            further: &self.postfix,
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.messages = arguments.messages.min(2_000);
        arguments.repeats = arguments.repeats.min(2);
        arguments.queue = arguments.queue.min(2_000);
    }
    let result = match &arguments.role {
        Some(role) => role.run(),
        None => bench(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: Arguments) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whatever was started ends with the future that owns it.
        tokio::select! {
            done = all(&arguments) => done,
            _ = interrupt.recv() => Err(io::Error::other("interrupted")),
            _ = terminate.recv() => Err(io::Error::other("terminated")),
        }
    })
}

/// Both parts, and the table.
async fn all(arguments: &Arguments) -> io::Result<()> {
    let obstacle = postfix::obstacle();
    let relays = arguments
        .relays
        .iter()
        .copied()
        .filter(|relay| *relay == Relay::Sealpost || obstacle.is_none())
        .collect::<Vec<_>>();
    if let Some(obstacle) = obstacle {
        println!("Postfix is not measured: {obstacle}. Sealpost runs alone.");
    }
    machine::print_machine();
    let mut tables = Vec::new();
    if arguments.parts.contains(&Part::A) {
        tables.extend(smarthost::measure(arguments, &relays).await?);
    }
    if arguments.parts.contains(&Part::B) && relays.contains(&Relay::Postfix) {
        tables.extend(queue::measure(arguments, &relays).await?);
    }
    for table in tables {
        println!("\n{table}");
    }
    Ok(())
}
