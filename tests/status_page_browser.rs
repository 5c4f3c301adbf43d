//! The status page in a real browser: the right figures, on a phone and on a desk, light and dark, with scripts and
//! without.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use sealpost::store::Store;
use std::path::Path;
use std::time::UNIX_EPOCH;
use support::browser::{Browser, Scripts, skipped};
use support::past::{self, Past, Written};
use support::{Act, CONTENT, Daemon, Script, SmtpClient, Stage, World};

const DESTINATIONS: u64 = 400;

/// A daemon that looks back on a busy month.
async fn busy() -> (Daemon, lab::Internet, Written) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("sealpost.db")).unwrap();
    let now = sealpost::clock::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let past = Past {
        destinations: DESTINATIONS,
        hours: 60,
        days: 30,
        now,
    };
    let written = past.write(&store).await;
    past::policies(&store, DESTINATIONS, now).await;
    store.close().await;
    let rules = "[[rule]]\nname = 'partner-bank'\ndomains = ['bank.example', '*.bank.example']\nrequire = 'secure'\n\
        [[rule]]\ndomains = ['*.gov.example']\nrequire = 'verify'\nenforce = 'dry-run'\n\
        [[rule]]\ndomains = ['legacy.example']\nrequire = 'may'\npublished = 'ignore'\n";
    let busy = Script::default().on(|moment| {
        if moment.stage == Stage::Rcpt {
            return Act::reply(
                451,
                "4.7.1 <someone@busy.test>: greylisted, try again later",
            );
        }
        Act::Normal
    });
    let (net, config) = World::new()
        .domain("busy.test", busy)
        .config(rules)
        .config("[relay]\ncustody = 'queue'")
        .prepare()
        .await;
    let daemon = Daemon::start_in(directory, &config).await;
    for number in 0..4 {
        let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
        let to = format!("someone{number}@busy.test");
        let reply = client
            .mail("sender@client.test", &[&to], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    daemon
        .wait_metric("deliveries_total", &[("result", "deferred")], 4.0)
        .await;
    (daemon, net, written)
}

/// The page of a list and its rows' first cells.
fn names(browser: &Browser) -> Vec<String> {
    browser.texts("table.list tbody th")
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_right_and_lists_are_searched_and_sorted() {
    if skipped() {
        return;
    }
    let (daemon, _net, written) = busy().await;
    let browser = Browser::start();
    let at = format!("http://{}", daemon.admin);
    for scripts in [Scripts::On, Scripts::Off] {
        browser.scripts(scripts);
        browser.screen(1280, "light");
        browser.go(&format!("{at}/"));
        figures(&browser, written);
        browser.go(&format!("{at}/destinations"));
        browser.follow("thead th:first-child a");
        let sorted = names(&browser);
        let mut expected: Vec<_> = (0..DESTINATIONS).map(past::name).collect();
        expected.sort();
        assert_eq!(sorted, expected[..50], "{scripts:?}");
        browser.follow("a[rel=next]");
        assert_eq!(names(&browser), expected[50..100], "{scripts:?}");
        browser.write("input[name=q]", "Bank");
        browser.follow("form.search button");
        expected.retain(|name| name.contains("bank"));
        assert_eq!(names(&browser), expected, "{scripts:?}");
        assert!(
            browser
                .url()
                .ends_with("/destinations?q=Bank&state=all&sort=name&order=asc")
        );
        // The most first, and the other way round.
        browser.go(&format!("{at}/destinations?q=bank"));
        browser.follow("thead th:nth-child(5) a");
        let deliveries = || -> Vec<u64> {
            let cells = browser.texts("tbody td:nth-child(5)");
            let number = |cell: &String| cell.replace('\u{202f}', "").parse().unwrap();
            cells.iter().map(number).collect()
        };
        let most = deliveries();
        assert!(
            most.is_sorted_by(|a, b| a >= b) && most[0] > most[most.len() - 1],
            "{most:?}"
        );
        browser.follow("thead th:nth-child(5) a");
        assert!(deliveries().is_sorted());
        // Into one of them, and to what it publishes.
        browser.follow("tbody th a");
        assert_eq!(browser.texts("h2.name").len(), 1);
    }
    assert_eq!(browser.console(), Vec::<String>::new());
}

fn figures(browser: &Browser, written: Written) {
    let [verified, encrypted, plaintext, blocked, ..] = written.day;
    let tiles = browser.texts(".tile b");
    let number = |at: usize| -> u64 { tiles[at].replace('\u{202f}', "").parse().unwrap() };
    assert_eq!(number(0), verified + encrypted + plaintext, "{tiles:?}");
    assert_eq!(number(3), plaintext, "{tiles:?}");
    assert_eq!(number(4), written.blocked, "{tiles:?}");
    assert_eq!(number(5), 4, "mail that waits: {tiles:?}");
    let legend = browser.texts("figure.timeline:first-child tr");
    let line = legend
        .iter()
        .find(|line| line.starts_with("Blocked"))
        .unwrap();
    let digits: String = line
        .chars()
        .filter(|c| c.is_ascii_digit() || c.is_ascii_whitespace())
        .collect();
    assert_eq!(
        digits.split_whitespace().next().unwrap(),
        blocked.to_string(),
        "{line}"
    );
    let downgraded = browser.texts(".notice")[0].clone();
    let expected = format!("{} destinations had TLS", written.downgraded);
    assert!(downgraded.starts_with(&expected), "{downgraded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_on_a_phone_and_a_desk_by_day_and_by_night() {
    if skipped() {
        return;
    }
    let (daemon, _net, _) = busy().await;
    let browser = Browser::start();
    let at = format!("http://{}", daemon.admin);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    let one = past::name(94);
    let mut backs = std::collections::BTreeSet::new();
    for (name, path) in [
        ("overview", "/".to_owned()),
        ("destinations", "/destinations".to_owned()),
        ("long", "/destinations?q=department".to_owned()),
        ("destination", format!("/destinations/{one}")),
        ("queue", "/queue".to_owned()),
        ("policies", "/policies".to_owned()),
        ("rules", "/rules".to_owned()),
        ("refused", "/destinations?sort=size".to_owned()),
    ] {
        for (width, scheme) in [
            (1280, "light"),
            (390, "dark"),
            (1280, "dark"),
            (390, "light"),
        ] {
            browser.screen(width, scheme);
            browser.go(&format!("{at}{path}"));
            let wide = browser.run("return document.documentElement.scrollWidth");
            assert_eq!(wide, width, "{name} is wider than the screen");
            let back = browser.run("return getComputedStyle(document.body).backgroundColor");
            backs.insert((scheme, back.to_string()));
            browser.screenshot(&directory.join(format!("{name}-{width}-{scheme}.png")));
        }
    }
    assert_eq!(backs.len(), 2, "one for each scheme: {backs:?}");
    let complaints = browser.console();
    let refused = |line: &&String| line.contains("sort=size") && line.contains("400");
    assert_eq!(
        complaints.iter().filter(refused).count(),
        complaints.len(),
        "{complaints:?}"
    );
}
