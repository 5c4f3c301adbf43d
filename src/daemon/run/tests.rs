use super::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

/// What happened, in order.
type Record = Arc<Mutex<Vec<String>>>;

/// A program that records what is asked of it.
struct Fake {
    record: Record,
    context: Context,
}

#[derive(Clone)]
struct Plan {
    name: &'static str,
    record: Record,
    common: Common<&'static str>,
}

impl Fake {
    fn note(&self, what: impl Into<String>) {
        self.record.lock().unwrap().push(what.into());
    }
}

impl Listen for Fake {
    type Settings = &'static str;
    type Address = &'static str;
    type Socket = &'static str;

    fn address(settings: &&'static str) -> &'static str {
        settings
    }

    fn bind(&self, settings: &&'static str, _: Option<&&'static str>) -> io::Result<&'static str> {
        self.note(format!("bind {settings}"));
        if *settings == "in use" {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(settings)
    }

    fn serve(&self, settings: &&'static str, _: &'static str, stop: CancellationToken) {
        self.note(format!("serve {settings}"));
        let record = self.record.clone();
        let draining = self.context.shutdown.draining.clone();
        self.context.tasks.spawn(*settings, async move {
            stop.cancelled().await;
            record.lock().unwrap().push("listener ends".into());
            draining.cancelled().await;
            record.lock().unwrap().push("session ends".into());
        });
    }
}

impl Program for Fake {
    type Plan = Plan;

    fn common(plan: &Plan) -> &Common<&'static str> {
        &plan.common
    }

    fn lower(plan: &mut Plan, limits: limits::Lowered) {
        plan.common.max_sessions = limits.max_sessions;
    }

    async fn start(plan: &Plan, context: Context) -> Result<Self, StartError> {
        let program = Self {
            record: plan.record.clone(),
            context,
        };
        program.note("start");
        Ok(program)
    }

    fn adopt(&self, plan: Plan) {
        self.note(format!("adopt {}", plan.name));
    }

    fn pulse(&self) -> Pulse {
        Pulse::default()
    }

    async fn close(self) {
        let rendered = self.context.ledger.render();
        let reloaded = rendered
            .lines()
            .find_map(|line| line.strip_prefix("sealpost_config_last_reload_successful "));
        self.note(format!("close, last reload {}", reloaded.unwrap()));
        self.note(self.context.health.report().text());
    }
}

fn plan(record: &Record, name: &'static str, listeners: &[&'static str]) -> Plan {
    Plan {
        name,
        record: record.clone(),
        common: Common {
            listeners: listeners.to_vec(),
            max_sessions: 1000,
            max_connections: 500,
            other_clients: 0,
            admin: None,
            level: LevelFilter::INFO,
            format: Format::Text,
            addresses: LogAddresses::Plain,
            rule_names: Vec::new(),
            restart_keys: Vec::new(),
            notices: Vec::new(),
        },
    }
}

/// Starts with `first`, reloads once for each of `next`, stops; returns what happened.
async fn life(record: Record, first: Plan, next: Vec<Result<Plan, String>>) -> Vec<String> {
    let (to, requests) = mpsc::channel(16);
    for _ in &next {
        to.send(Request::Reload).await.unwrap();
    }
    to.send(Request::Stop).await.unwrap();
    let next = RefCell::new(VecDeque::from(next));
    let again = || next.borrow_mut().pop_front().unwrap();
    let daemon = Daemon::<Fake>::start(first, None, Tasks::default())
        .await
        .unwrap();
    daemon.live(&again, requests, Patience::DEFAULT).await;
    drop(to);
    let record = record.lock().unwrap();
    record.clone()
}

#[tokio::test]
async fn listeners_are_bound_before_anything_is_served_and_closed_first() {
    let record = Record::default();
    let happened = life(record.clone(), plan(&record, "one", &["a"]), vec![]).await;
    let expected = [
        "start",
        "bind a",
        "adopt one",
        "serve a",
        "listener ends",
        "session ends",
        "close, last reload 1",
        "draining\n",
    ];
    assert_eq!(happened, expected);
}

#[tokio::test]
async fn a_reload_is_whole_or_nothing() {
    for (what, next, expected, successful) in [
        ("broken file", Err("a.toml:1:2: no".to_owned()), &[][..], 0),
        (
            "port in use",
            Ok(["b", "in use"]),
            &["bind b", "bind in use"],
            0,
        ),
        (
            "good",
            Ok(["a", "b"]),
            &["bind b", "adopt two", "serve b"],
            1,
        ),
    ] {
        let record = Record::default();
        let next = next.map(|listeners| plan(&record, "two", &listeners));
        let first = plan(&record, "one", &["a"]);
        let happened = life(record.clone(), first, vec![next]).await;
        let reloaded = &happened[4..4 + expected.len()];
        assert_eq!(reloaded, expected, "{what}");
        assert_eq!(happened[4 + expected.len()], "listener ends", "{what}");
        let close = format!("close, last reload {successful}");
        assert!(happened.contains(&close), "{what}: {happened:?}");
    }
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_anybody() {
    let record = Record::default();
    let (to, requests) = mpsc::channel(16);
    for request in [Request::Stop, Request::Reload, Request::Stop] {
        to.send(request).await.unwrap();
    }
    let first = plan(&record, "one", &["a"]);
    let daemon = Daemon::<Fake>::start(first, None, Tasks::default())
        .await
        .unwrap();
    let Context {
        tasks, shutdown, ..
    } = daemon.context.clone();
    tasks.spawn("never ends", std::future::pending());
    let broken = || Err("not asked for while stopping".to_owned());
    let hurried = Patience {
        farewell: Duration::from_millis(20),
        ..Patience::DEFAULT
    };
    daemon.live(&broken, requests, hurried).await;
    assert_eq!(tasks.running(), "never ends");
    assert!(shutdown.expired.is_cancelled());
    assert!(
        record
            .lock()
            .unwrap()
            .contains(&"close, last reload 1".to_owned())
    );
}

#[tokio::test]
async fn a_port_in_use_at_start_is_an_error_that_names_it() {
    let record = Record::default();
    let first = plan(&record, "one", &["in use"]);
    let problem = Daemon::<Fake>::start(first, None, Tasks::default())
        .await
        .err();
    let message = "cannot listen on in use: address in use";
    assert_eq!(problem, Some(StartError::failure(message)));
}

#[test]
fn keys_that_need_a_restart_are_named() {
    let record = Record::default();
    let running = plan(&record, "one", &[]).common;
    let key = |value: &str| RestartKey {
        key: "state_dir",
        value: value.into(),
    };
    let running = Common {
        restart_keys: vec![key("/var/lib/sealpost")],
        ..running
    };
    for (what, wanted, expected) in [
        ("nothing", running.clone(), &[][..]),
        (
            "level",
            Common {
                level: LevelFilter::DEBUG,
                ..running.clone()
            },
            &[],
        ),
        (
            "format",
            Common {
                format: Format::Json,
                ..running.clone()
            },
            &["log.format"],
        ),
        (
            "admin",
            Common {
                admin: Some(([127, 0, 0, 1], 1).into()),
                ..running.clone()
            },
            &["admin.listen"],
        ),
        (
            "other",
            Common {
                restart_keys: vec![key("/srv")],
                ..running.clone()
            },
            &["state_dir"],
        ),
    ] {
        assert_eq!(needs_restart(&running, &wanted), expected, "{what}");
    }
}
