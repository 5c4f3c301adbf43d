//! Sealpost's queue against Postfix's, on the same disk, in one run and in turn.
//!
//! A: how fast each accepts mail that it keeps. Deliveries are held: Postfix puts what it accepts on hold, Sealpost
//! finds hosts that take its calls and stay silent, so that all but a few hundred messages wait. B: how fast a full
//! queue gets to 1,000 destinations whose hosts take 20 ms for each flight of replies. C: Sealpost with a million
//! messages in its queue. Source, sink and relay are processes of their own. `make bench ARGS="--quick"` takes a few
//! minutes; without root or Postfix, Sealpost is measured alone.

// A program of several files: `pub` is for the neighbours.
#![allow(unreachable_pub)]

mod acceptance;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "the other benchmark needs the rest")]
mod common;
mod drain;
mod fill;
mod scale;
mod table;

use clap::{Parser, ValueEnum};
use common::figures::{Relay, print_machine};
use common::measure::Surroundings;
use common::peers::Role;
use common::postfix::{self, PostfixSetup};
use common::sealpost::{Setup, Work};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Measures the queues of Sealpost and Postfix in turn, and prints tables.
#[derive(Debug, Parser)]
#[command(name = "bench")]
#[allow(clippy::struct_excessive_bools)] // the flags of a command line
struct Arguments {
    /// Messages of each run of part A.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Messages in the queue of part B.
    #[arg(long, default_value_t = 10_000)]
    queue: u64,
    /// Messages in the queue of part C.
    #[arg(long, default_value_t = 1_000_000)]
    long_queue: u64,
    /// Runs of each relay.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Sessions of the source.
    #[arg(long, default_value_t = 50)]
    sessions: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 10_240)]
    size: usize,
    /// Destinations of part B.
    #[arg(long, default_value_t = 1_000)]
    destinations: u16,
    /// Milliseconds that the sinks of part B take for each flight of replies.
    #[arg(long, default_value_t = 20)]
    delay: u64,
    /// Postfix's default_process_limit in part B.
    #[arg(long, value_delimiter = ',', default_value = "100,500")]
    process_limits: Vec<u16>,
    /// The parts to run.
    #[arg(long, value_delimiter = ',', default_value = "a,b,c")]
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
    /// Acceptance.
    A,
    /// Drain.
    B,
    /// Scale.
    C,
}

impl Arguments {
    fn postfix<'a>(&'a self, further: &'a [String]) -> PostfixSetup<'a> {
        PostfixSetup {
            directory: &self.directory,
            keep: self.keep,
            further,
        }
    }

    fn sealpost<'a>(&'a self, around: &Surroundings, retry: &'static str, more: &str) -> Setup<'a> {
        Setup {
            program: &self.sealpost,
            directory: &self.directory,
            work: Work::Queue {
                retry,
                more: more.to_owned(),
            },
            resolver: around.resolver(),
            trust_anchor: around.trust_anchor(),
            port: around.port(),
            keep: self.keep,
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.messages = arguments.messages.min(2_000);
        arguments.queue = arguments.queue.min(4_000);
        arguments.long_queue = arguments.long_queue.min(100_000);
        arguments.repeats = arguments.repeats.min(2);
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

/// All parts, and their tables.
async fn all(arguments: &Arguments) -> io::Result<()> {
    let mut relays = arguments.relays.clone();
    if let Some(obstacle) = postfix::obstacle() {
        println!("Postfix is not measured: {obstacle}. Sealpost runs alone.");
        relays.retain(|relay| *relay == Relay::Sealpost);
    }
    print_machine();
    let mut tables = Vec::new();
    if arguments.parts.contains(&Part::A) {
        tables.push(acceptance::measure(arguments, &relays).await?);
    }
    if arguments.parts.contains(&Part::B) {
        tables.push(drain::measure(arguments, &relays).await?);
    }
    if arguments.parts.contains(&Part::C) && relays.contains(&Relay::Sealpost) {
        tables.push(scale::measure(arguments).await?);
    }
    for table in tables {
        println!("\n{table}");
    }
    Ok(())
}
