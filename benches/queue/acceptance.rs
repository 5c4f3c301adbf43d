//! Part A: how fast mail is accepted that is kept, and in what time a single client's is.

use crate::Arguments;
use crate::common::figures::{Figures, Relay};
use crate::common::measure::{Surroundings, Watch};
use crate::common::peers::{Accepted, Load};
use crate::common::postfix::{Intake, Postfix, Way};
use crate::common::processes::Tree;
use crate::common::sealpost::Sealpost;
use crate::table::{Table, Target};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const DESTINATIONS: u16 = 100;
/// Messages of the single session.
const ALONE: u64 = 500;
/// The daemon tells how often it has written once a second.
const TOLD: Duration = Duration::from_millis(1_300);

/// What takes calls and does not answer: mail for it waits. It ends with this value.
#[derive(Debug)]
pub struct Silence {
    listener: TcpListener,
}

impl Silence {
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { listener })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub async fn measure(arguments: &Arguments, relays: &[Relay]) -> io::Result<Table> {
    let mut around = Surroundings::new(DESTINATIONS, 0).await?;
    let Arguments {
        messages,
        sessions,
        repeats,
        size,
        ..
    } = arguments;
    let title = format!(
        "A. Acceptance into the queue, deliveries held: {messages} messages of {size} octets, {sessions} sessions, \
         medians of {repeats} (range)"
    );
    let mut table = Table::new(title, &["Postfix", "Sealpost"])
        .row("messages per second", 0, Target::RatioAtLeast(8.0))
        .row("CPU of the relay, ms/message", 3, Target::None)
        .row("CPU of the source, ms/message", 3, Target::None)
        .row("PSS of the relay at peak, MiB", 1, Target::None)
        .row("commits (fsync) per message", 3, Target::None)
        .row("accepted in, median, ms", 2, Target::None)
        .row("accepted in, 99 %, ms", 2, Target::None)
        .row("1 session: median, ms", 2, Target::None)
        .row("1 session: 99 %, ms", 2, Target::None);
    for _ in 0..*repeats {
        for &relay in relays {
            let run = run(arguments, &mut around, relay).await?;
            table.add(relay.to_string().trim(), &run.figures());
        }
    }
    Ok(table)
}

struct Run {
    usage: Figures,
    commits: f64,
    all: Accepted,
    alone: Accepted,
}

impl Run {
    fn figures(&self) -> [f64; 9] {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        [
            self.usage.rate,
            self.usage.relay_cpu,
            self.usage.source_cpu,
            self.usage.pss_mib,
            self.commits,
            millis(self.all.half),
            millis(self.all.most),
            millis(self.alone.half),
            millis(self.alone.most),
        ]
    }
}

async fn run(arguments: &Arguments, around: &mut Surroundings, relay: Relay) -> io::Result<Run> {
    match relay {
        Relay::Postfix => {
            let way = Way::Direct(around.sink.addresses.clone());
            let setup = arguments.postfix(&arguments.postfix);
            let postfix = Postfix::start(&setup, &way, Intake::Held).await?;
            warm_up(arguments, around, postfix.address).await?;
            let (usage, all) = load(arguments, around, (postfix.tree(), postfix.address)).await?;
            let alone = alone(arguments, around, postfix.address).await?;
            Ok(Run {
                usage,
                commits: f64::NAN,
                all,
                alone,
            })
        }
        Relay::Sealpost => {
            let silence = Silence::new()?;
            let rule = format!(
                "[[rule]]\ndomains = [\"*.bench.test\"]\nnext_hop = \"[127.0.0.1]:{}\"\n",
                silence.address()?.port()
            );
            let setup = arguments.sealpost(around, "1h", &rule);
            let sealpost = Sealpost::start(&setup).await?;
            warm_up(arguments, around, sealpost.address).await?;
            let before = commits(&sealpost).await;
            let whom = (sealpost.tree(), sealpost.address);
            let (usage, all) = load(arguments, around, whom).await?;
            let commits = commits(&sealpost).await - before;
            let alone = alone(arguments, around, sealpost.address).await?;
            Ok(Run {
                usage,
                commits: commits / arguments.messages as f64,
                all,
                alone,
            })
        }
    }
}

async fn commits(sealpost: &Sealpost) -> f64 {
    tokio::time::sleep(TOLD).await;
    let value = sealpost.metric("sealpost_store_commits_total");
    value.unwrap_or(f64::NAN)
}

/// So that processes are there, and every destination has its few calls under way.
async fn warm_up(
    arguments: &Arguments,
    around: &mut Surroundings,
    to: SocketAddr,
) -> io::Result<()> {
    let messages = (arguments.messages / 10).max(10 * u64::from(DESTINATIONS));
    around
        .send(&Load {
            to,
            sessions: arguments.sessions,
            messages,
            size: arguments.size,
            domains: 0..DESTINATIONS.into(),
        })
        .await?;
    Ok(())
}

async fn load(
    arguments: &Arguments,
    around: &mut Surroundings,
    (tree, to): (Tree, SocketAddr),
) -> io::Result<(Figures, Accepted)> {
    let load = Load {
        to,
        sessions: arguments.sessions,
        messages: arguments.messages,
        size: arguments.size,
        domains: 0..DESTINATIONS.into(),
    };
    let watch = Watch::begin(around, &[tree]).await?;
    let accepted = around.send(&load).await?;
    let usage = watch.end_now(around, load.messages).await?;
    Ok((usage, accepted))
}

async fn alone(
    arguments: &Arguments,
    around: &mut Surroundings,
    to: SocketAddr,
) -> io::Result<Accepted> {
    around
        .send(&Load {
            to,
            sessions: 1,
            messages: ALONE,
            size: arguments.size,
            domains: 0..DESTINATIONS.into(),
        })
        .await
}
