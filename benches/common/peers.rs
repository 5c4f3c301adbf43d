//! Source and sink: this program again, each as a process of its own, told what to do line by line.

use super::processes::Tree;
use clap::Subcommand;
use lab::Ports;
use lab::ca::Ca;
use lab::sink::{Sink, SinkSettings};
use lab::source::{self, Protocol, SourceSettings};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest run that is waited for.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What this program is when it was started by itself.
#[derive(Debug, Clone, Subcommand)]
pub enum Role {
    #[command(hide = true)]
    Sink { hosts: u16, delay: u64 },
    #[command(hide = true)]
    Source,
}

impl Role {
    pub fn run(&self) -> io::Result<()> {
        match *self {
            Self::Sink { hosts, delay } => run_sink(hosts, delay),
            Self::Source => run_source(),
        }
    }
}

/// A process that answers each line with a line. It ends with this value, or when its input ends.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    input: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Peer {
    pub fn start(role: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C is for us
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a child without pipes"));
        };
        let (to, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output).lines();
            while let Some(Ok(line)) = output.next() {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            input,
            lines,
        })
    }

    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes())
    }

    pub async fn answer(&mut self) -> io::Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await?;
        line.ok_or_else(|| io::Error::other("source or sink has ended"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where all mail ends.
#[derive(Debug)]
pub struct SinkProcess {
    peer: Peer,
    /// A host each, all on one port.
    pub addresses: Vec<SocketAddr>,
}

/// What the sink has seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub messages: u64,
    pub handshakes: u64,
    pub resumed: u64,
}

impl SinkProcess {
    /// `delay` milliseconds pass before each flight of replies.
    pub async fn start(hosts: u16, delay: u64) -> io::Result<Self> {
        let mut peer = Peer::start(&["sink", &hosts.to_string(), &delay.to_string()])?;
        let addresses = peer.answer().await?;
        let addresses = addresses
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>();
        Ok(Self {
            peer,
            addresses: addresses.map_err(io::Error::other)?,
        })
    }

    pub async fn seen(&mut self) -> io::Result<Seen> {
        self.peer.tell("seen")?;
        let numbers = numbers(&self.peer.answer().await?)?;
        let &[messages, handshakes, resumed] = numbers.as_slice() else {
            return Err(io::Error::other("the sink does not count"));
        };
        Ok(Seen {
            messages,
            handshakes,
            resumed,
        })
    }

    /// Waits until it has so many messages in all; false if they do not come within `limit`.
    pub async fn wait(&mut self, messages: u64, limit: Duration) -> io::Result<bool> {
        let limit = limit.as_millis();
        self.peer.tell(&format!("wait {messages} {limit}"))?;
        Ok(self.peer.answer().await? == "reached")
    }

    pub fn tree(&self) -> Tree {
        Tree {
            root: self.peer.child.id(),
        }
    }
}

/// Where all mail comes from.
#[derive(Debug)]
pub struct SourceProcess {
    peer: Peer,
}

/// What the source sends.
#[derive(Debug, Clone)]
pub struct Load {
    pub to: SocketAddr,
    pub sessions: usize,
    pub messages: u64,
    pub size: usize,
    /// The numbers of the recipients' domains.
    pub domains: Range<u32>,
}

/// In what time messages were accepted, from the first octet of their content to the reply.
#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    pub half: Duration,
    /// 99 of 100.
    pub most: Duration,
    pub all: Duration,
}

impl SourceProcess {
    pub fn start() -> io::Result<Self> {
        let peer = Peer::start(&["source"])?;
        Ok(Self { peer })
    }

    /// Begins to send.
    pub fn begin(&mut self, load: &Load) -> io::Result<()> {
        let Load {
            to,
            sessions,
            messages,
            size,
            domains: Range { start, end },
        } = load;
        self.peer
            .tell(&format!("{to} {sessions} {messages} {size} {start} {end}"))
    }

    /// Waits until all is sent; an error unless all was accepted.
    pub async fn end(&mut self) -> io::Result<Accepted> {
        let answer = self.peer.answer().await?;
        let Some(times) = answer.strip_prefix("accepted ") else {
            return Err(io::Error::other(format!("the relay refused: {answer}")));
        };
        let &[half, most, all] = numbers(times)?.as_slice() else {
            return Err(io::Error::other("the source does not count"));
        };
        let [half, most, all] = [half, most, all].map(Duration::from_micros);
        Ok(Accepted { half, most, all })
    }

    pub fn tree(&self) -> Tree {
        Tree {
            root: self.peer.child.id(),
        }
    }
}

/// The domain with this number, from 0.
pub fn domain(number: u32) -> String {
    format!("d{number}.bench.test")
}

/// The sink's process.
fn run_sink(hosts: u16, delay: u64) -> io::Result<()> {
    let runtime = runtime()?;
    let ports = runtime.block_on(async { Ports::new() })?;
    let addresses = (0..hosts).map(|n| address(&ports, n)).collect::<Vec<_>>();
    let settings = SinkSettings {
        identity: Some(Ca::default().identity("sink.test")),
        delay: Duration::from_millis(delay),
    };
    let sink = runtime.block_on(Sink::start(&addresses, settings))?;
    let text = addresses.iter().map(ToString::to_string);
    println!("{}", text.collect::<Vec<_>>().join(" "));
    let mut lines = lines();
    runtime.block_on(async {
        while let Some(line) = lines.recv().await {
            match line.strip_prefix("wait ") {
                Some(wanted) => {
                    let &[messages, limit] = numbers(wanted)?.as_slice() else {
                        return Err(io::Error::other("wait MESSAGES MILLISECONDS"));
                    };
                    let limit = Duration::from_millis(limit);
                    match sink.wait_for_messages(messages, limit).await {
                        Some(_) => println!("reached"),
                        None => println!("timeout"),
                    }
                }
                None => {
                    let seen = sink.counts();
                    println!("{} {} {}", seen.messages, seen.handshakes, seen.resumed);
                }
            }
        }
        Ok(())
    })
}

/// One network has room for 250; the neighbouring ones are most probably free at the same port.
pub fn address(ports: &Ports, number: u16) -> SocketAddr {
    let [network, host] = [number / 250, number % 250];
    let mut address = ports.at(host as u8 + 1);
    if let IpAddr::V4(v4) = address.ip() {
        let [a, b, c, d] = v4.octets();
        address.set_ip([a, b, c.wrapping_add(network as u8), d].into());
    }
    address
}

/// The source's process.
fn run_source() -> io::Result<()> {
    let mut lines = lines();
    runtime()?.block_on(async {
        while let Some(line) = lines.recv().await {
            let (to, rest) = line
                .split_once(' ')
                .ok_or_else(|| io::Error::other("no address"))?;
            let &[sessions, messages, size, start, end] = numbers(rest)?.as_slice() else {
                return Err(io::Error::other("five numbers are needed"));
            };
            let settings = SourceSettings {
                to: to.parse().map_err(io::Error::other)?,
                protocol: Protocol::Smtp,
                sessions: sessions as usize,
                messages,
                size: size as usize,
                domains: (start as u32..end as u32).map(domain).collect(),
            };
            match source::send(settings).await {
                Ok(sent) if sent.refused == 0 => println!("accepted {}", times(sent.times)),
                Ok(sent) => {
                    let text = sent.refusal.unwrap_or_default().replace("\r\n", " / ");
                    println!("{} messages, such as: {text}", sent.refused);
                }
                Err(problem) => println!("{problem}"),
            }
        }
        Ok(())
    })
}

/// Of half, of 99 of 100 and of all, in microseconds.
fn times(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| {
        let place = (times.len() * part).div_ceil(100).saturating_sub(1);
        times.get(place).map_or(0, Duration::as_micros)
    };
    format!("{} {} {}", at(50), at(99), at(100))
}

/// One thread: the fewer there are, the less source and sink take from the relay.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// The lines of standard input, read by a thread.
pub fn lines() -> mpsc::UnboundedReceiver<String> {
    let (to, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

pub fn numbers(text: &str) -> io::Result<Vec<u64>> {
    text.split(' ')
        .map(|number| number.parse().map_err(io::Error::other))
        .collect()
}
