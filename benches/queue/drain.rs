//! Part B: a full queue, released at once.
//!
//! Postfix has it on hold, puts it into the deferred queue, and is told to flush that. Sealpost has accepted it while
//! the port of every next hop was closed, and is started again with the real hosts; the time of its start counts.

use crate::Arguments;
use crate::common::figures::{Figures, Relay};
use crate::common::measure::{Surroundings, Watch};
use crate::common::peers::Load;
use crate::common::postfix::{Intake, Postfix, Way};
use crate::common::sealpost::{Sealpost, free_address};
use crate::table::{Table, Target};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// `queue.retry` while it fills; by then all is due.
const RETRY: &str = "1s";
const DUE: Duration = Duration::from_millis(1_200);

pub async fn measure(arguments: &Arguments, relays: &[Relay]) -> io::Result<Table> {
    let Arguments {
        queue,
        destinations,
        delay,
        repeats,
        ..
    } = arguments;
    let mut around = Surroundings::new(*destinations, *delay).await?;
    let limits = &arguments.process_limits;
    let mut columns: Vec<String> = limits.iter().map(|limit| column(*limit)).collect();
    columns.push("Sealpost".to_owned());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let title = format!(
        "B. Drain of {queue} messages to {destinations} destinations, {delay} ms per flight of replies, medians of \
         {repeats} (range)"
    );
    let mut table = Table::new(title, &columns)
        .row("messages per second", 0, Target::RatioAtLeast(5.0))
        .row("CPU of the relay, ms/message", 3, Target::None)
        .row("CPU of the sink, ms/message", 3, Target::None)
        .row("PSS of the relay at peak, MiB", 1, Target::None)
        .row("processes", 0, Target::None)
        .row("TLS handshakes", 0, Target::None)
        .row("of them resumed", 0, Target::None);
    for _ in 0..*repeats {
        if relays.contains(&Relay::Postfix) {
            for &limit in limits {
                let usage = postfix(arguments, &mut around, limit).await?;
                table.add(&column(limit), &figures(&usage));
            }
        }
        if relays.contains(&Relay::Sealpost) {
            let usage = sealpost(arguments, &mut around).await?;
            table.add("Sealpost", &figures(&usage));
        }
    }
    Ok(table)
}

fn column(limit: u16) -> String {
    format!("Postfix, {limit} processes")
}

fn figures(usage: &Figures) -> [f64; 7] {
    [
        usage.rate,
        usage.relay_cpu,
        usage.sink_cpu,
        usage.pss_mib,
        usage.processes,
        usage.handshakes,
        usage.resumed,
    ]
}

fn load(arguments: &Arguments, to: SocketAddr) -> Load {
    Load {
        to,
        sessions: arguments.sessions,
        messages: arguments.queue,
        size: arguments.size,
        domains: 0..arguments.destinations.into(),
    }
}

async fn postfix(
    arguments: &Arguments,
    around: &mut Surroundings,
    limit: u16,
) -> io::Result<Figures> {
    let mut further = vec![format!("default_process_limit = {limit}")];
    further.extend_from_slice(&arguments.postfix);
    let way = Way::Direct(around.sink.addresses.clone());
    let setup = arguments.postfix(&further);
    let postfix = Postfix::start(&setup, &way, Intake::Held).await?;
    let load = load(arguments, postfix.address);
    around.send(&load).await?;
    postfix.unhold()?;
    let watch = Watch::begin(around, &[postfix.tree()]).await?;
    postfix.flush()?;
    watch.end(around, load.messages).await
}

async fn sealpost(arguments: &Arguments, around: &mut Surroundings) -> io::Result<Figures> {
    let closed = free_address()?.port();
    let rule =
        format!("[[rule]]\ndomains = [\"*.bench.test\"]\nnext_hop = \"[127.0.0.1]:{closed}\"\n");
    let filled = Sealpost::start(&arguments.sealpost(around, RETRY, &rule)).await?;
    let load = load(arguments, filled.address);
    around.send(&load).await?;
    let directory = filled.stop()?;
    tokio::time::sleep(DUE).await;
    let setup = arguments.sealpost(around, "1h", "");
    let mut watch = Watch::begin(around, &[]).await?;
    let sealpost = Sealpost::spawn(&setup, directory)?;
    watch.also(sealpost.tree());
    watch.end(around, load.messages).await
}
