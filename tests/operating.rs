//! What an operator does to it: start, reload, stop, kill, and limits of the machine.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::ca::Cert;
use sealpost::store::{RememberedFailure, Store};
use support::{Act, CONTENT, Daemon, Script, SmtpClient, World, WorldBuilder, merge};
use tempfile::tempdir;

const SOON: Duration = Duration::from_secs(5);
const RELOADED: &str = "configuration reloaded";

fn usual() -> WorldBuilder {
    World::new().domain("a.test", Script::default())
}

/// Waits until so many reloads have been tried.
async fn reloads(world: &World, n: usize) {
    let until = Instant::now() + SOON;
    while world.daemon.stderr().matches("\"configuration ").count()
        + world.daemon.stderr().matches(RELOADED).count()
        < n
    {
        assert!(
            Instant::now() < until,
            "no reload: {}",
            world.daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn last_reload(world: &World) -> f64 {
    world
        .daemon
        .metric("config_last_reload_successful", &[])
        .await
}

async fn is_open(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn config_check_says_yes_or_where_and_how_to_mend() {
    let (_net, config) = usual().prepare().await;
    let directory = tempdir().unwrap();
    let file = directory.path().join("s.toml");
    let path = file.display().to_string();
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Daemon::command(&["config", "check", "--config", &path])
    };
    let good = config.replace("STATE", &directory.path().display().to_string());
    let said = check(&good);
    assert_eq!(said.code, Some(0), "{said:?}");
    for (text, expected) in [
        (
            "hostname = 'relay'\n",
            "1:12: hostname: \"relay\" is not fully qualified; write it with its domain",
        ),
        (
            "hostname = 'r.test'\n[client]\nmax_sesions = 1\n",
            "3:1: client.max_sesions: there is no key \"max_sesions\"; did you mean \"max_sessions\"?",
        ),
        ("hostname = 'r.test'\n[client\n", "2:"),
        (
            "hostname = 'r.test'\n[relay]\ncustody = 'atuo'\n",
            "3:11: relay.custody: cannot be \"atuo\"",
        ),
    ] {
        let said = check(text);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(
            said.stderr.contains(&format!("{path}:{expected}")),
            "{expected}: {said:?}"
        );
    }
    let missing = Daemon::command(&["config", "check", "--config", "/nonexistent/s.toml"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(
        missing.stderr.contains("/nonexistent/s.toml"),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_keeps_it_from_starting_and_says_why() {
    let (_net, config) = usual()
        .config("[client]\nidle_timeout = 'soon'")
        .prepare()
        .await;
    let mut daemon = Daemon::spawn_in(tempdir().unwrap(), &config);
    let exit = daemon.wait_exit(SOON).await.expect("it ends");
    assert_ne!(exit.code, Some(0));
    assert!(
        exit.stderr.contains("sealpost.toml:") && exit.stderr.contains("client.idle_timeout"),
        "{}",
        exit.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_port_are_told_so() {
    let world = usual().start().await;
    for (what, extra) in [
        ("admin.listen", String::new()),
        (
            "cannot listen on",
            format!("[admin]\nlisten = '{}'", world.net.ports.at(249)),
        ),
    ] {
        let config = merge(world.config(), &extra);
        let mut second = Daemon::spawn_in(tempdir().unwrap(), &config);
        let exit = second.wait_exit(SOON).await.expect("it ends");
        assert_eq!(exit.code, Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains(what), "{}", exit.stderr);
        assert!(
            exit.stderr.to_lowercase().contains("in use"),
            "{}",
            exit.stderr
        );
    }
    assert_eq!(world.send("x@a.test").await.code, 250, "the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_puts_rules_in_force_for_what_comes_next() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .start()
        .await;
    let mut client = world.smtp().await;
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    world.reload("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'");
    world.daemon.wait_log(|l| l["message"] == RELOADED).await;
    // The same session, a new transaction; a kept connection to the MX is of no use.
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.7.4")),
        "{reply}"
    );
    assert_eq!(world.mx("a.test").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reaches_open_sessions_between_transactions() {
    let world = usual().start().await;
    let mut client = world.smtp().await;
    client
        .command("MAIL FROM:<s@client.test> SIZE=1000")
        .await
        .unwrap()
        .expect(250)
        .unwrap();
    world.reload("[client]\nmax_message_size = 100");
    world.daemon.wait_log(|l| l["message"] == RELOADED).await;
    client
        .command("RCPT TO:<x@a.test>")
        .await
        .unwrap()
        .expect(250)
        .unwrap();
    let reply = client.bdat(CONTENT, " LAST").await.unwrap();
    assert_eq!(reply.code, 250, "what has begun keeps its limits: {reply}");
    let reply = client
        .command("MAIL FROM:<s@client.test> SIZE=1000")
        .await
        .unwrap();
    assert_eq!(reply.code, 552, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_refused_as_a_whole() {
    let world = usual().start().await;
    assert_eq!(last_reload(&world).await, 1.0);
    let taken = world.mx("a.test").address();
    let cannot_listen = format!(
        "[client]\nmax_message_size = 100\n[[listen]]\naddress = '{taken}'\nprotocol = 'smtp'\n"
    );
    for (nth, broken) in [
        "[client]\nmax_message_size = 100\n[relay]\nhop_limt = 3",
        "[client]\nmax_message_size = 100\n[tls]\nroots = ['/nonexistent.pem']",
        &cannot_listen,
    ]
    .into_iter()
    .enumerate()
    {
        world.reload(broken);
        let refused = |world: &World| {
            world
                .daemon
                .stderr()
                .matches("configuration not reloaded")
                .count()
        };
        let until = Instant::now() + SOON;
        while refused(&world) <= nth {
            assert!(Instant::now() < until, "{broken}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(last_reload(&world).await, 0.0, "{broken}");
        assert_eq!(world.send("x@a.test").await.code, 250, "{broken}");
        let mut client = world.smtp().await;
        let hello = client.command("EHLO x").await.unwrap();
        assert!(hello.contains("SIZE 52428800"), "{hello}");
    }
    let problems: Vec<String> = world
        .daemon
        .log()
        .iter()
        .filter_map(|l| Some(l.get("problem")?.as_str()?.to_owned()))
        .collect();
    assert!(
        problems[0].contains("sealpost.toml:")
            && problems[0].contains("did you mean \"hop_limit\""),
        "{problems:?}"
    );
    world.reload("[client]\nmax_message_size = 100");
    world.daemon.wait_log(|l| l["message"] == RELOADED).await;
    assert_eq!(last_reload(&world).await, 1.0);
    assert_eq!(world.send("x@a.test").await.code, 552);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_and_the_others_are_not_disturbed() {
    let world = usual().start().await;
    let (smtp, lmtp) = (world.daemon.smtp.unwrap(), world.daemon.lmtp.unwrap());
    let third = world.net.ports.at(250);
    let mut stays = world.smtp().await;
    stays.command("MAIL FROM:<s@client.test>").await.unwrap();
    let mut goes = world.lmtp().await;
    let unix = world.daemon.directory().join("new.sock");
    world.reload(&format!(
        "[[listen]]\naddress = '{smtp}'\nprotocol = 'smtp'\n\
         [[listen]]\naddress = '{third}'\nprotocol = 'lmtp'\n\
         [[listen]]\naddress = 'unix:{}'\nprotocol = 'lmtp'\n",
        unix.display()
    ));
    world.daemon.wait_log(|l| l["message"] == RELOADED).await;
    // A session of the one that is gone is told so, not dropped.
    let said = String::from_utf8(goes.until_closed().await.unwrap()).unwrap();
    assert!(said.starts_with("421 4.3.2 "), "{said}");
    assert!(!is_open(lmtp).await);
    for mut client in [SmtpClient::lmtp(third).await.unwrap(), {
        let mut client = SmtpClient::connect_unix(&unix).await.unwrap();
        client.reply().await.unwrap().expect(220).unwrap();
        client.command("LHLO x").await.unwrap().expect(250).unwrap();
        client
    }] {
        let replies = client
            .lmtp_mail("s@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(replies[0].code, 250);
    }
    stays
        .command("RCPT TO:<x@a.test>")
        .await
        .unwrap()
        .expect(250)
        .unwrap();
    assert_eq!(stays.bdat(CONTENT, " LAST").await.unwrap().code, 250);
    // And back again: the file of the unix socket goes with its listener.
    world.reload("");
    reloads(&world, 2).await;
    let until = Instant::now() + SOON;
    while !is_open(lmtp).await || is_open(third).await || unix.exists() {
        assert!(Instant::now() < until, "{lmtp} {third} {}", unix.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stays.command("NOOP").await.unwrap().code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_a_listener_that_is_replaced_is_served_by_the_new_one() {
    let world = usual().config("[client]\nmax_sessions = 1").start().await;
    let smtp = world.daemon.smtp.unwrap();
    let mut first = world.smtp().await;
    let mut waits = SmtpClient::connect(smtp).await.unwrap();
    world.reload(&format!(
        "[client]\nmax_sessions = 1\n\
         [[listen]]\naddress = '{smtp}'\nprotocol = 'smtp'\nhostname = 'new.test'\n"
    ));
    let said = String::from_utf8(first.until_closed().await.unwrap()).unwrap();
    assert!(said.starts_with("421 4.3.2 "), "{said}");
    let greeting = waits.reply().await.unwrap();
    assert_eq!(greeting.code, 220, "{greeting}");
    assert!(greeting.contains("new.test"), "{greeting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_a_sockets_permissions_and_a_refused_one_does_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let listen = |mode: &str| {
        format!("[[listen]]\naddress = 'unix:STATE/s'\nprotocol = 'lmtp'\nmode = '{mode}'\n")
    };
    let world = usual().config(&listen("0600")).start().await;
    let socket = world.daemon.directory().join("s");
    let mode = || std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let taken = world.mx("a.test").address();
    let also_taken = format!("[[listen]]\naddress = '{taken}'\nprotocol = 'smtp'\n");
    world.reload(&(listen("0666") + &also_taken));
    let refused = |l: &serde_json::Value| l["problem"].is_string();
    world.daemon.wait_log(refused).await;
    assert_eq!(mode(), 0o600);
    world.reload(&listen("0666"));
    world.daemon.wait_log(|l| l["message"] == RELOADED).await;
    assert_eq!(mode(), 0o666);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_systemd_passed_are_found_by_name_and_again_after_reloads() {
    let passed = |name: &str, protocol: &str| {
        format!("[[listen]]\naddress = 'systemd:{name}'\nprotocol = '{protocol}'\n")
    };
    let both = passed("one", "smtp") + &passed("two", "lmtp");
    let (net, config) = usual().config(&both).prepare().await;
    let sockets = ["one", "two"].map(|name| {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        (name, socket)
    });
    let [one, two] = [0, 1].map(|at: usize| sockets[at].1.local_addr().unwrap());
    let mut daemon = Daemon::spawn_passing(sockets, tempdir().unwrap(), &config);
    daemon.wait_until_ready().await;
    let mut sent = 0;
    let mut expect = async |smtp: SocketAddr, lmtp: Option<SocketAddr>| {
        let mut clients = vec![SmtpClient::smtp(smtp).await.unwrap()];
        if let Some(lmtp) = lmtp {
            clients.push(SmtpClient::lmtp(lmtp).await.unwrap());
        }
        for mut client in clients {
            let reply = client.mail("s@client.test", &["x@a.test"], CONTENT).await;
            assert_eq!(reply.unwrap().code, 250);
            sent += 1;
        }
        assert_eq!(net.mx("a.test").messages().len(), sent);
    };
    expect(one, Some(two)).await;
    for (nth, (listeners, smtp, lmtp)) in [
        (passed("one", "smtp"), one, None),
        (both.clone(), one, Some(two)),
        // The protocols change places.
        (
            passed("one", "lmtp") + &passed("two", "smtp"),
            two,
            Some(one),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        daemon.reload(&merge(&config, &listeners));
        let until = Instant::now() + SOON;
        while daemon.stderr().matches(RELOADED).count() <= nth {
            assert!(Instant::now() < until, "{}", daemon.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        expect(smtp, lmtp).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_after_a_reload_and_a_broken_one_is_not() {
    let directory = tempdir().unwrap();
    let (cert, key) = (
        directory.path().join("relay.pem"),
        directory.path().join("relay.key"),
    );
    let place = |world: &lab::Internet| {
        let files = world.ca.files(&world.ca.issue(&Cert::new(["relay.test"])));
        std::fs::copy(files.cert, &cert).unwrap();
        std::fs::copy(files.key, &key).unwrap();
    };
    let (net, config) = usual().prepare().await;
    place(&net);
    let listen = format!(
        "[[listen]]\naddress = '{}'\nprotocol = 'smtp'\ntls = {{ cert = '{}', key = '{}' }}\n",
        net.relay_smtp(),
        cert.display(),
        key.display()
    );
    let config = merge(&config, &listen);
    let daemon = Daemon::start(config.clone()).await;
    let leaf = async || {
        let client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
        client
            .starttls("relay.test")
            .await
            .unwrap()
            .server_chain
            .remove(0)
    };
    let first = leaf().await;
    place(&net);
    assert_eq!(leaf().await, first, "not before it is told");
    daemon.signal("HUP");
    daemon.wait_log(|l| l["message"] == RELOADED).await;
    let second = leaf().await;
    assert_ne!(second, first);
    std::fs::write(&cert, "not a certificate").unwrap();
    daemon.signal("HUP");
    let problem = daemon
        .wait_log(|l| {
            l["message"]
                .as_str()
                .is_some_and(|m| m.starts_with("configuration not"))
        })
        .await;
    assert!(
        problem["problem"].as_str().unwrap().contains("relay.pem"),
        "{problem}"
    );
    assert_eq!(
        daemon.metric("config_last_reload_successful", &[]).await,
        0.0
    );
    assert_eq!(leaf().await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_quick_polite_and_counts_as_success() {
    let mut world = usual().start().await;
    world.send("x@a.test").await;
    let mut idle = world.smtp().await;
    let mut fresh = SmtpClient::connect(world.daemon.lmtp.unwrap())
        .await
        .unwrap();
    fresh.reply().await.unwrap();
    let began = Instant::now();
    world.daemon.signal("TERM");
    for client in [&mut idle, &mut fresh] {
        let said = String::from_utf8(client.until_closed().await.unwrap()).unwrap();
        assert!(said.starts_with("421 4.3.2 "), "{said}");
    }
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(!is_open(world.daemon.smtp.unwrap()).await);
    let mx = world.mx("a.test").connections();
    assert!(
        mx.iter().all(|c| c.quit),
        "kept connections are left with QUIT"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_ends_with_its_reply_before_the_daemon_does() {
    let slow = Script {
        dot: Act::reply(250, "2.0.0 ok").after(Duration::from_secs(2)),
        ..Script::default()
    };
    let mut world = World::new().domain("slow.test", slow).start().await;
    let mut client = world.smtp().await;
    let lines = ["MAIL FROM:<s@client.test>", "RCPT TO:<x@slow.test>", "DATA"];
    client.pipeline(&lines).await.unwrap();
    let mut half = world.lmtp().await;
    half.pipeline(&lines).await.unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    assert!(world.mx("slow.test").wait_for_messages(1).await);
    world.daemon.signal("TERM");
    world.daemon.wait_log(|l| l["message"] == "stopping").await;
    let until = Instant::now() + SOON;
    while is_open(world.daemon.smtp.unwrap()).await {
        assert!(Instant::now() < until, "listeners are closed");
    }
    let (status, text) = world.daemon.get("/readyz").await.expect("still answered");
    assert_eq!((status, text.lines().next()), (503, Some("draining")));
    assert_eq!(world.daemon.get("/healthz").await.unwrap().0, 200);
    // The one that was still sending may go on.
    half.send(lab::client::stuffed(CONTENT)).await.unwrap();
    for client in [&mut client, &mut half] {
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        let rest = String::from_utf8(client.until_closed().await.unwrap()).unwrap();
        assert!(rest.starts_with("421 4.3.2 "), "{rest}");
    }
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert_eq!(world.mx("slow.test").messages().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_what_has_not_gone_out_is_given_back() {
    let mut world = World::new()
        .domain("silent.test", Script::silent())
        .start()
        .await;
    let mut waits = world.smtp().await;
    let lines = [
        "MAIL FROM:<s@client.test>",
        "RCPT TO:<x@silent.test>",
        "DATA",
    ];
    waits.pipeline(&lines).await.unwrap();
    waits.send(lab::client::stuffed(CONTENT)).await.unwrap();
    let mut sends = world.smtp().await;
    sends.pipeline(&lines).await.unwrap();
    assert!(world.mx("silent.test").wait_for_connections(1).await);
    let began = Instant::now();
    world.daemon.signal("TERM");
    let reply = waits
        .patience(Duration::from_secs(40))
        .reply()
        .await
        .unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.3.2")),
        "{reply}"
    );
    assert!(
        began.elapsed() >= Duration::from_secs(29),
        "{:?}",
        began.elapsed()
    );
    let reply = sends.reply().await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (421, Some("4.3.2")),
        "{reply}"
    );
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut world = World::new()
        .domain("silent.test", Script::silent())
        .start()
        .await;
    let mut client = world.smtp().await;
    client
        .pipeline(&[
            "MAIL FROM:<s@client.test>",
            "RCPT TO:<x@silent.test>",
            "DATA",
        ])
        .await
        .unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    assert!(world.mx("silent.test").wait_for_connections(1).await);
    world.daemon.signal("TERM");
    world.daemon.wait_log(|l| l["message"] == "stopping").await;
    world.daemon.signal("INT");
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_reply_to_a_final_dot_is_told_even_at_a_second_signal() {
    let slow = Script {
        dot: Act::reply(250, "2.0.0 ok").after(Duration::from_secs(60)),
        ..Script::default()
    };
    let mut world = World::new().domain("slow.test", slow).start().await;
    let mut client = world.smtp().await;
    let lines = ["MAIL FROM:<s@client.test>", "RCPT TO:<x@slow.test>", "DATA"];
    client.pipeline(&lines).await.unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    assert!(world.mx("slow.test").wait_for_messages(1).await);
    world.daemon.signal("TERM");
    world.daemon.wait_log(|l| l["message"] == "stopping").await;
    world.daemon.signal("TERM");
    let reply = client.patience(SOON).reply().await.unwrap();
    let expected = (451, Some("4.4.2"));
    assert_eq!((reply.code, reply.enhanced()), expected, "{reply}");
    let rest = String::from_utf8(client.until_closed().await.unwrap()).unwrap();
    assert!(rest.starts_with("421 4.3.2 "), "{rest}");
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let recorded = &world.daemon.deliveries()[0];
    assert_eq!(recorded["result"], "deferred", "{recorded}");
    assert_eq!(recorded["possible_duplicate"], "yes", "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_pauses_does_not_hold_up_the_end() {
    let mut world = usual().start().await;
    let mut client = world.lmtp().await;
    // Every write ends with the beginning of the next message, so that there is always something to read.
    let begin = "MAIL FROM:<s@client.test>\r\nRCPT TO:<x@a.test>\r\n";
    let message = format!(
        "BDAT {} LAST\r\n{}{begin}",
        CONTENT.len(),
        std::str::from_utf8(CONTENT).unwrap()
    );
    client.send(begin).await.unwrap();
    client.patience(Duration::from_secs(3));
    let busy = async {
        let mut sent = 0;
        while client.send(message.repeat(20)).await.is_ok() {
            for _ in 0..60 {
                match client.reply().await {
                    Ok(reply) if reply.code == 250 => {}
                    Ok(reply) => return (sent, reply.code),
                    Err(_) => return (sent, 0),
                }
            }
            sent += 20;
            if sent == 100 {
                world.daemon.signal("TERM");
            }
        }
        (sent, 0)
    };
    let (sent, last) = tokio::time::timeout(Duration::from_secs(10), busy)
        .await
        .expect("it is told to go");
    assert!(sent >= 100, "{sent}");
    assert_eq!(last, 421);
    let exit = world.daemon.wait_exit(SOON).await.expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_it_serves_as_before() {
    let mut world = usual()
        .config_with(|net| {
            format!(
                "[[listen]]\naddress = '{}'\nprotocol = 'smtp'\n\
                 [[listen]]\naddress = 'unix:STATE/lmtp.sock'\nprotocol = 'lmtp'\n",
                net.relay_smtp()
            )
        })
        .start()
        .await;
    for nth in 1..=3 {
        assert_eq!(world.send("x@a.test").await.code, 250);
        let socket = world.daemon.directory().join("lmtp.sock");
        let mut client = SmtpClient::connect_unix(&socket).await.unwrap();
        client.reply().await.unwrap();
        client.command("LHLO x").await.unwrap();
        let reply = client
            .mail("s@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        world.daemon.restart("KILL").await;
        assert!(Path::exists(&socket));
        assert_eq!(world.mx("a.test").messages().len(), nth * 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_is_on_its_way_in_the_state_directory() {
    let slow = Script {
        dot: Act::reply(250, "2.0.0 ok").after(Duration::from_secs(60)),
        ..Script::default()
    };
    let world = World::new().domain("slow.test", slow).start().await;
    let mut client = world.smtp().await;
    let lines = ["MAIL FROM:<s@client.test>", "RCPT TO:<x@slow.test>", "DATA"];
    client.pipeline(&lines).await.unwrap();
    let large = CONTENT.repeat(10_000);
    client.send(lab::client::stuffed(&large)).await.unwrap();
    assert!(world.mx("slow.test").wait_for_messages(1).await);
    let open = std::fs::read_dir(format!("/proc/{}/fd", world.daemon.pid())).unwrap();
    let unlinked: Vec<_> = open
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter(|path| path.to_string_lossy().ends_with(" (deleted)"))
        .collect();
    let directory = world.daemon.directory();
    assert!(
        unlinked.len() == 1 && unlinked[0].starts_with(directory),
        "{unlinked:?} in {}",
        directory.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_told_while_mail_flows() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("sealpost.db");
    let store = Store::open(&path).unwrap();
    let filler = RememberedFailure {
        mx: "x".repeat(100_000),
        ip: "192.0.2.1".parse().unwrap(),
        first: 0,
        last: u64::MAX, // too late ever to be forgotten
    };
    store.remember_tls_failure(filler).await.unwrap();
    store.close().await;
    let mut octets = std::fs::read(&path).unwrap();
    let end = octets.len();
    octets[end - 50_000..end - 30_000].fill(0xAA);
    std::fs::write(&path, octets).unwrap();

    let state = format!("state_dir = '{}'", directory.path().display());
    let (net, config) = usual().config(&state).prepare().await;
    let daemon = Daemon::start_in(tempdir().unwrap(), &config).await;
    daemon
        .wait_log(|l| l.to_string().contains("the store did not pass its check"))
        .await;
    let (status, text) = daemon.get("/readyz").await.unwrap();
    assert_eq!(status, 200);
    assert!(text.contains("store check: the file is damaged"), "{text}");
    let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(net.mx("a.test").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_writable_store_mail_flows_and_readyz_tells() {
    let (net, config) = usual()
        .config("state_dir = 'STATE/file/state'")
        .prepare()
        .await;
    let directory = tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "in the way").unwrap();
    let daemon = Daemon::start_in(directory, &config).await;
    let (status, text) = daemon.get("/readyz").await.unwrap();
    assert_eq!(status, 200);
    assert!(
        text.lines().any(|line| line.starts_with("store: ")),
        "{text}"
    );
    let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
    let reply = client
        .mail("s@client.test", &["x@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(net.mx("a.test").messages().len(), 1);
    assert!(
        daemon.log().iter().any(|l| l.to_string().contains("store")),
        "the log tells as well"
    );
    daemon
        .wait_log(|l| l.to_string().contains("state_dir cannot be written to"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_file_descriptors_lower_max_sessions_and_the_log_says_so() {
    let (net, config) = usual().prepare().await;
    let words = ["sh", "-c", "ulimit -n 256; exec \"$0\" \"$@\""];
    let mut daemon = Daemon::spawn_under(&words, tempdir().unwrap(), &config);
    daemon.wait_until_ready().await;
    let line = daemon
        .wait_log(|l| l.to_string().contains("max_sessions"))
        .await;
    assert_eq!(line["severity"], "WARN");
    assert_eq!(line["limit"], 256, "{line}");
    let lowered = line["max_sessions"].as_u64().unwrap();
    // Enough for an MTA to work with, and no more than there are descriptors for.
    assert!((20..156).contains(&lowered), "{line}");
    let mut clients = Vec::new();
    for _ in 0..lowered {
        clients.push(SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap());
    }
    for client in clients.iter_mut().take(5) {
        let reply = client
            .mail("s@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    assert_eq!(net.mx("a.test").messages().len(), 5);
}
