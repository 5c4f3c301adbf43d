//! Hosts that each have a fault of their own; who has no luck at first has it later.

use std::time::Duration;

use fastrand::Rng;
use lab::mx::{Act, Moment, Offer, Script, Stage};

use super::super::world::WorldBuilder;
use super::strike::{Phase, Strike};

/// Where senders live. Their notices go to the host of [`HOME`].
pub const SENDERS: &str = "client.test";
/// Whose host gets the notices.
pub const HOME: &str = "home.test";
/// Whose host refuses every recipient.
pub const REFUSING: &str = "refusing.test";
/// Who take mail, sooner or later.
pub const TAKING: [&str; 6] = [
    "good.test",
    "slow.test",
    "grey.test",
    "busy.test",
    "lost.test",
    "tls.test",
];

/// Adds them to a world, and sends notices there.
pub fn hosts(world: WorldBuilder, strike: &Strike) -> WorldBuilder {
    let mut world = world;
    for domain in TAKING.into_iter().chain([REFUSING]) {
        world = world.domain(domain, script(domain, strike.clone()));
    }
    world.domain(HOME, home(strike.clone())).config_with(|net| {
        let home = net.mx(HOME).address();
        format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
    })
}

/// To whom a message goes: to one, or to three whose outcomes differ.
pub(super) fn recipients(number: u64, random: &mut Rng) -> Vec<String> {
    let one = |random: &mut Rng, of: &[&'static str]| random.choice(of.to_vec()).unwrap();
    let domains = match random.u8(..10) {
        0..5 => vec![one(random, &TAKING)],
        5 => vec![REFUSING],
        _ => vec![
            one(random, &["good.test", "slow.test", "lost.test", "tls.test"]),
            one(random, &["grey.test", "busy.test"]),
            REFUSING,
        ],
    };
    let address = |domain| format!("m{number}@{domain}");
    domains.into_iter().map(address).collect()
}

fn script(domain: &'static str, strike: Strike) -> Script {
    let offer = match domain {
        "tls.test" => Offer::StartTls,
        _ => Offer::NoStartTls,
    };
    let script = Script {
        offer,
        ..Script::default()
    };
    script.on(move |moment| {
        match (moment.stage, moment.nth) {
            (Stage::Rcpt, 1) => strike.reached(Phase::Attempt),
            (Stage::Rcpt, _) => strike.reached(Phase::Retry),
            (Stage::Dot, _) => strike.reached(Phase::Taken),
            _ => {}
        }
        act(domain, moment)
    })
}

fn act(domain: &str, moment: &Moment<'_>) -> Act {
    match (domain, moment.stage, moment.nth) {
        ("grey.test", Stage::Rcpt, 1) => Act::reply(450, "4.2.0 greylisted, try again"),
        ("busy.test", Stage::Dot, 1) => Act::reply(451, "4.3.0 not now"),
        // Whether it has the message is not for the client to know.
        ("lost.test", Stage::Dot, 1) => Act::Close,
        ("slow.test", Stage::Dot | Stage::Rcpt, _) => {
            Act::Normal.after(Duration::from_millis(fastrand::u64(..60)))
        }
        (REFUSING, Stage::Rcpt, _) => Act::reply(550, "5.1.1 no such user"),
        _ => Act::Normal,
    }
}

/// Notices have no better luck.
fn home(strike: Strike) -> Script {
    Script::no_starttls().on(move |moment| {
        if matches!(moment.stage, Stage::Rcpt | Stage::Dot) {
            strike.reached(Phase::Notice);
        }
        match (moment.stage, moment.nth % 7) {
            (Stage::Dot, 2) => Act::reply(451, "4.3.0 not now"),
            (Stage::Dot, 4) => Act::Close,
            (Stage::Dot, 6) => Act::Normal.after(Duration::from_millis(fastrand::u64(..40))),
            _ => Act::Normal,
        }
    })
}
