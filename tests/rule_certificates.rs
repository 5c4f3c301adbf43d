//! When the certificates of a partner expire: `rule_certificate_expiry_timestamp_seconds`.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use std::time::UNIX_EPOCH;
use support::{Script, World};

const METRIC: &str = "sealpost_rule_certificate_expiry_timestamp_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_certificate_to_expire_under_a_named_rule_is_told() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).expired()))
        })
        .domain("b.test", Script::default())
        .config(
            "[outbound]\nmessages_per_connection = 1\n\
             [[rule]]\ndomains = ['a.test', 'b.test']\nrequire = 'encrypt'\nname = 'partner'",
        )
        .start()
        .await;
    let there = async || world.daemon.metrics().await.names().contains(&METRIC);
    let expires = async || {
        let value = world.daemon.metric(METRIC, &[("rule", "partner")]).await;
        value
            - sealpost::clock::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs_f64()
    };
    assert!(!there().await, "nothing is known yet");
    assert_eq!(world.send("x@b.test").await.code, 250);
    assert!(expires().await > 0.0);
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(expires().await < 0.0, "one of two hosts has an old one");
    let renewed = Script::with_identity(world.net.ca.identity("mx.a.test"));
    world.mx("a.test").set_script(renewed);
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(expires().await > 0.0, "it was renewed");

    let renamed = world.config().replace("partner", "somebody");
    world.daemon.reload(&renamed);
    let reloaded = |line: &support::Log| line["message"] == "configuration reloaded";
    world.daemon.wait_log(reloaded).await;
    assert!(!there().await, "the rule is gone");
}
