//! Part A: source -> relay -> sinks; Postfix and Sealpost in turn.

use crate::Arguments;
use crate::common::figures::{Figures, Relay};
use crate::common::measure::{Surroundings, Watch};
use crate::common::peers::Load;
use crate::common::postfix::{Intake, Postfix, Way};
use crate::common::processes::Tree;
use crate::common::sealpost::{Sealpost, Setup, Work};
use crate::figures::{Scenario, Table};
use std::io;
use std::net::SocketAddr;

/// Tables for each number of destinations.
pub async fn measure(arguments: &Arguments, relays: &[Relay]) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for &destinations in &arguments.destinations {
        let mut around = Surroundings::new(destinations.into(), 0).await?;
        let scenario = Scenario::Smarthost { destinations };
        let mut table = Table::new(scenario, arguments.messages, arguments.repeats);
        for repeat in 0..arguments.repeats {
            for &relay in relays {
                let figures = run(arguments, &mut around, relay, destinations).await?;
                println!("A, {destinations:3} to, {repeat}, {relay}: {figures}");
                table.add(relay, figures);
            }
        }
        tables.push(table);
    }
    Ok(tables)
}

async fn run(
    arguments: &Arguments,
    around: &mut Surroundings,
    relay: Relay,
    destinations: u8,
) -> io::Result<Figures> {
    let running = Running::start(arguments, around, relay).await?;
    let load = Load {
        to: running.address(),
        sessions: arguments.sessions,
        messages: arguments.messages,
        size: arguments.size,
        domains: 0..destinations.into(),
    };
    warm_up(around, &load).await?;
    let watch = Watch::begin(around, &[running.tree()]).await?;
    around.source.begin(&load)?;
    let figures = watch.end(around, load.messages).await?;
    around.source.end().await?;
    Ok(figures)
}

/// A tenth of the load, so that processes are there and tickets known.
async fn warm_up(around: &mut Surroundings, load: &Load) -> io::Result<()> {
    let messages = (load.messages / 10).max(load.domains.len() as u64);
    let before = around.sink.seen().await?.messages;
    let some = Load {
        messages,
        ..load.clone()
    };
    around.send(&some).await?;
    around
        .sink
        .wait(before + messages, crate::common::measure::LIMIT)
        .await?;
    Ok(())
}

enum Running {
    Postfix(Postfix),
    Sealpost(Sealpost),
}

impl Running {
    async fn start(arguments: &Arguments, around: &Surroundings, relay: Relay) -> io::Result<Self> {
        match relay {
            Relay::Postfix => {
                let way = Way::Direct(around.sink.addresses.clone());
                let postfix = Postfix::start(&arguments.postfix(), &way, Intake::Delivered).await?;
                Ok(Self::Postfix(postfix))
            }
            Relay::Sealpost => {
                let setup = Setup {
                    program: &arguments.sealpost,
                    directory: &arguments.directory,
                    work: Work::Smtp,
                    resolver: around.resolver(),
                    trust_anchor: around.trust_anchor(),
                    port: around.port(),
                    keep: arguments.keep,
                };
                Ok(Self::Sealpost(Sealpost::start(&setup).await?))
            }
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Postfix(postfix) => postfix.address,
            Self::Sealpost(sealpost) => sealpost.address,
        }
    }

    fn tree(&self) -> Tree {
        match self {
            Self::Postfix(postfix) => postfix.tree(),
            Self::Sealpost(sealpost) => sealpost.tree(),
        }
    }
}
