//! Part B: Postfix with a held queue that is released at once; it delivers by itself, then through Sealpost.

use crate::Arguments;
use crate::common::figures::{Figures, Relay};
use crate::common::measure::{Surroundings, Watch};
use crate::common::peers::Load;
use crate::common::postfix::{Intake, Postfix, Way};
use crate::common::sealpost::{Sealpost, Setup, Work};
use crate::figures::{Scenario, Table};
use std::io;

const DESTINATIONS: u8 = 100;

/// Tables for each delay. Here "Sealpost" is Postfix and Sealpost together.
pub async fn measure(arguments: &Arguments, relays: &[Relay]) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for &delay in &arguments.delays {
        let mut around = Surroundings::new(DESTINATIONS.into(), delay).await?;
        let scenario = Scenario::Queue { delay };
        let mut table = Table::new(scenario, arguments.queue, arguments.queue_repeats);
        for repeat in 0..arguments.queue_repeats {
            for &relay in relays {
                let figures = run(arguments, &mut around, relay).await?;
                println!("B, {delay:3} ms, {repeat}, {relay}: {figures}");
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
) -> io::Result<Figures> {
    let setup = Setup {
        program: &arguments.sealpost,
        directory: &arguments.directory,
        work: Work::Lmtp,
        resolver: around.resolver(),
        trust_anchor: around.trust_anchor(),
        port: around.port(),
        keep: arguments.keep,
    };
    let sealpost = match relay {
        Relay::Postfix => None,
        Relay::Sealpost => Some(Sealpost::start(&setup).await?),
    };
    let way = match &sealpost {
        None => Way::Direct(around.sink.addresses.clone()),
        Some(sealpost) => Way::Through(sealpost.address),
    };
    let postfix = Postfix::start(&arguments.postfix(), &way, Intake::Held).await?;
    let load = Load {
        to: postfix.address,
        sessions: arguments.sessions,
        messages: arguments.queue,
        size: arguments.size,
        domains: 0..DESTINATIONS.into(),
    };
    around.send(&load).await?;
    postfix.unhold()?;
    let mut trees = vec![postfix.tree()];
    trees.extend(sealpost.as_ref().map(Sealpost::tree));
    let watch = Watch::begin(around, &trees).await?;
    postfix.flush()?;
    watch.end(around, load.messages).await
}
