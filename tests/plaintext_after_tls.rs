//! Plaintext to a host that had TLS before is counted and told, also after a restart; other plaintext is not.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use support::{Script, World};

const METRIC: &str = "plaintext_after_tls_total";

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_to_a_host_that_had_tls_is_told() {
    let mut world = World::new()
        .domain("a.test", Script::default())
        .domain("never.test", Script::no_starttls())
        .domain("wanted.test", Script::default())
        .dns(|dns| {
            dns.mx("other.test", 10, "mx.a.test");
            dns.mx("unwanted.test", 10, "mx.wanted.test");
        })
        .config("[outbound]\nmessages_per_connection = 1\n[[rule]]\ndomains = ['unwanted.test']\nrequire = 'none'")
        .start()
        .await;
    for to in [
        "x@a.test",
        "x@never.test",
        "x@wanted.test",
        "x@unwanted.test",
    ] {
        assert_eq!(world.send(to).await.code, 250, "{to}");
    }
    assert_eq!(world.daemon.metric(METRIC, &[]).await, 0.0);
    assert_eq!(world.daemon.metric("plaintext_total", &[]).await, 2.0);

    world.mx("a.test").set_script(Script::no_starttls());
    let no_starttls = [("cause", "no_starttls")];
    for (nth, to) in ["x@a.test", "x@other.test"].into_iter().enumerate() {
        assert_eq!(world.send(to).await.code, 250, "{to}");
        let counted = world.daemon.metric(METRIC, &no_starttls).await;
        assert_eq!(counted, (nth + 1) as f64, "{to}");
    }
    let told = |world: &World| {
        let log = world.daemon.log();
        let told = log.into_iter().filter(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("plaintext after TLS")
        });
        told.collect::<Vec<_>>()
    };
    let lines = told(&world);
    assert_eq!(lines.len(), 1, "once an hour: {lines:?}");
    for (field, value) in [
        ("severity", "WARN"),
        ("mx", "mx.a.test"),
        ("domain", "a.test"),
        ("cause", "no_starttls"),
    ] {
        assert_eq!(lines[0][field], value, "{field} in {}", lines[0]);
    }

    world.daemon.restart("TERM").await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(world.send("x@never.test").await.code, 250);
    assert_eq!(world.daemon.metric(METRIC, &[]).await, 1.0);
    assert_eq!(told(&world).len(), 2);
}
