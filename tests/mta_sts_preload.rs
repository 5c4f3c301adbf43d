//! `policy.preload`: lists of STARTTLS Everywhere protect the first contact with a domain, and nothing else.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::dns::{Fault, RecordType};
use support::dane::{said, saw_nothing};
use support::sts::WEEK;
use support::{Answer, Daemon, PolicyScript, Script, World, WorldBuilder, merge, policy};

const LONG_AGO: u64 = 1_500_000_000;
const FAR_OFF: u64 = 4_000_000_000;

/// A list for a.test and b.test.
fn list(timestamp: u64, expires: u64, mode: &str, mx: &str) -> String {
    format!(
        r#"{{"timestamp": {timestamp}, "expires": {expires}, "version": "0.1", "author": "lab",
           "policy-aliases": {{"hosted": {{"mode": "{mode}", "mxs": ["{mx}"]}}}},
           "policies": {{"a.test": {{"policy-alias": "hosted"}}}}}}"#
    )
}

/// a.test without TLS, and a list in a file that the test may change.
struct Listed {
    directory: tempfile::TempDir,
}

impl Listed {
    fn new(list: &str) -> Self {
        let listed = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        listed.write(list);
        listed
    }

    fn write(&self, list: &str) {
        std::fs::write(self.path(), list).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("list.json")
    }

    fn config(&self) -> String {
        format!("[policy]\npreload = ['{}']", self.path().display())
    }

    fn world(&self, script: Script) -> WorldBuilder {
        World::new().domain("a.test", script).config(&self.config())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_domain_is_protected_at_the_first_contact() {
    for (mode, mx, script, code, words) in [
        ("enforce", "mx.a.test", Script::default(), 250, "webpki)"),
        ("enforce", ".a.test", Script::default(), 250, "webpki)"),
        (
            "enforce",
            "mx.a.test",
            Script::no_starttls(),
            451,
            "mta-sts policy of a.test",
        ),
        (
            "enforce",
            "other.test",
            Script::default(),
            451,
            "policy lists",
        ),
        ("enforce", ".test", Script::default(), 451, "policy lists"), // one label, no more
        (
            "testing",
            "other.test",
            Script::no_starttls(),
            250,
            "plaintext",
        ),
    ] {
        let listed = Listed::new(&list(LONG_AGO, FAR_OFF, mode, mx));
        let world = listed.world(script).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{mode} {mx}: {reply}");
        assert!(reply.contains(words), "{mode} {mx}: {reply}");
        assert_eq!(world.sts_lookups("preloaded").await, 1.0);
        assert_eq!(saw_nothing(world.mx("a.test")), code != 250);
    }
}

/// Blocking DNS or the policy host does not get around it.
#[tokio::test(flavor = "multi_thread")]
async fn it_holds_where_nothing_can_be_fetched() {
    let listed = Listed::new(&list(LONG_AGO, FAR_OFF, "enforce", "mx.a.test"));
    let dead = listed
        .world(Script::no_starttls())
        .dns(|dns| {
            dns.fault("_mta-sts.a.test", RecordType::TXT, Fault::ServFail);
        })
        .start()
        .await;
    assert_eq!(said(&dead.send("x@a.test").await), (451, "4.7.4"));
    let failing = listed
        .world(Script::no_starttls())
        .net(|net| {
            net.sts_record("a.test", "v=STSv1; id=1;");
        })
        .policy_host("a.test", PolicyScript::with(Answer::Status(500)))
        .start()
        .await;
    assert_eq!(said(&failing.send("x@a.test").await), (451, "4.7.4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_policy_beats_the_list() {
    let listed = Listed::new(&list(LONG_AGO, FAR_OFF, "enforce", "other.test"));
    let world = listed
        .world(Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .start()
        .await;
    world.make_contact().await;
    world.make_contact().await;
    assert_eq!(world.sts_lookups("preloaded").await, 0.0);
    let none = listed
        .world(Script::no_starttls())
        .sts("a.test", "1", policy("none", &[], WEEK))
        .start()
        .await;
    assert_eq!(none.send("x@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_list_is_ignored_with_a_warning() {
    let listed = Listed::new(&list(LONG_AGO, LONG_AGO + 10, "enforce", "other.test"));
    let world = listed.world(Script::no_starttls()).start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let warned = |line: &support::Log| {
        let notice = Daemon::field(line, "notice").and_then(|notice| notice.as_str());
        notice.is_some_and(|notice| notice.contains("list.json has expired"))
    };
    world.daemon.wait_log(warned).await;
}

/// Its timestamp never goes back, over restarts and reloads: else an old edition would undo what was added since.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_list_is_ignored_with_a_warning() {
    let listed = Listed::new(&list(LONG_AGO + 1, FAR_OFF, "enforce", "mx.a.test"));
    let mut world = listed.world(Script::no_starttls()).start().await;
    assert_eq!(world.send("x@a.test").await.code, 451);
    // The same edition again is none that goes back.
    world.daemon.restart("TERM").await;
    assert_eq!(world.send("x@a.test").await.code, 451);
    listed.write(&list(LONG_AGO, FAR_OFF, "enforce", "mx.a.test"));
    world.daemon.restart("KILL").await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let warned = |line: &support::Log| line["path"].as_str() == listed.path().to_str();
    let line = world.daemon.wait_log(warned).await;
    assert_eq!(line["severity"], "WARN", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_it_anew_and_refuses_a_broken_one() {
    let listed = Listed::new(&list(LONG_AGO, FAR_OFF, "testing", "mx.a.test"));
    let world = listed.world(Script::no_starttls()).start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    listed.write("{");
    world.reload("");
    let refused = |line: &support::Log| {
        let problem = Daemon::field(line, "problem").and_then(|problem| problem.as_str());
        problem.is_some_and(|problem| problem.contains("list.json is no list of policies"))
    };
    world.daemon.wait_log(refused).await;
    let successful = "config_last_reload_successful";
    assert_eq!(world.daemon.metric(successful, &[]).await, 0.0);
    assert_eq!(world.send("x@a.test").await.code, 250);
    listed.write(&list(LONG_AGO + 5, FAR_OFF, "enforce", "mx.a.test"));
    world.reload("");
    world.daemon.wait_metric(successful, &[], 1.0).await;
    world.send_until_deferred().await;
}

impl World {
    /// The lists come into force a moment after the rest of the configuration.
    async fn send_until_deferred(&self) {
        for _ in 0..100 {
            if self.send("x@a.test").await.code == 451 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the list is not in force");
    }
}

#[test]
fn config_check_says_what_is_wrong() {
    let listed = Listed::new(&list(LONG_AGO, FAR_OFF, "enforce", "192.0.2.1"));
    let config = merge("hostname = 'relay.test'", &listed.config());
    let file = listed.directory.path().join("sealpost.toml");
    std::fs::write(&file, config).unwrap();
    let check = || Daemon::command(&["config", "check", "--config", file.to_str().unwrap()]);
    let exit = check();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(exit.stderr.contains("policy.preload: "), "{}", exit.stderr);
    assert!(
        exit.stderr.contains("policy of hosted: mxs: \"192.0.2.1\""),
        "{}",
        exit.stderr
    );
    listed.write(&list(LONG_AGO, LONG_AGO, "enforce", "a.test"));
    let exit = check();
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let said = exit.stdout + &exit.stderr;
    assert!(said.contains("has expired and is ignored"), "{said}");
}
