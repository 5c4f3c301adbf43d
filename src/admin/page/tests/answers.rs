//! The right figures, on the pages and in JSON.

use super::*;

#[tokio::test]
async fn the_overview_counts_what_was_recorded() {
    let served = Served::new().await;
    for (name, way, count) in [
        ("a.test", Way::Verified, 4),
        ("b.test", Way::Encrypted, 2),
        ("c.test", Way::Plaintext, 1),
        ("d.test", Way::Blocked, 5),
        ("e.test", Way::Deferred, 3),
        ("e.test", Way::Refused, 6),
        ("f.test", Way::Encrypted, 1),
        ("f.test", Way::Plaintext, 1),
    ] {
        served.record(seen(name, way, count)).await;
    }
    served.health.note("store", Some("no space left".into()));
    let overview = served.json("/api/v1/overview").await;
    let history = &overview["history"];
    for period in ["day", "month"] {
        let period = &history[period];
        let expected = [
            ("dane", 4),
            ("webpki", 0),
            ("encrypted", 3),
            ("plaintext", 2),
            ("blocked", 5),
            ("deferred", 3),
            ("refused", 6),
        ];
        for (what, count) in expected {
            assert_eq!(period[what], count, "{what}: {period}");
        }
        let slots = period["slots"].as_array().unwrap();
        assert_eq!(slots.last().unwrap()["dane"], 4);
        assert_eq!(
            period["shares"]["tls_version"],
            serde_json::json!([{"label": "1.3", "count": 7}, {"label": "none", "count": 2}])
        );
        assert_eq!(
            period["shares"]["blocked_reason"][0]["label"],
            "certificate-expired"
        );
    }
    assert_eq!(history["day"]["slots"].as_array().unwrap().len(), 24);
    assert_eq!(history["month"]["slots"].as_array().unwrap().len(), 30);
    let now = ["destinations", "blocked", "plaintext", "downgraded"].map(|what| &history[what]);
    assert_eq!(now, [6, 1, 2, 1]);
    assert_eq!(history["blocked_now"][0]["name"], "d.test");
    assert_eq!(history["downgraded_now"][0]["name"], "f.test");
    assert_eq!(
        (&overview["ready"], &overview["node"]["hostname"]),
        (&true.into(), &"relay.example.net".into())
    );
    shown_on_the_page(&served.get("/").await.body);
    served.end().await;
}

fn shown_on_the_page(page: &str) {
    for expected in [
        "<b>9</b><span>delivered in 24 hours</span>",
        "<b>77.8 %</b><span>of them encrypted</span>",
        "<b>44.4 %</b><span>of them verified</span>",
        "<b>2</b><span>in the clear in 24 hours</span>",
        "<b>1</b><span>destinations blocked now</span>",
        "store: no space left",
        "1 destination</a> had TLS within 30 days",
        "DNSSEC</dt><dd>off",
        "451 4.7.5 d.test will not: (address)",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

#[tokio::test]
async fn nothing_yet_is_said() {
    let served = Served::new().await;
    for (path, words) in [
        ("/", "nothing yet"),
        ("/", "Ready. Nothing is wrong."),
        ("/destinations", "No mail was sent yet."),
        ("/destinations?q=x", "No destination is like that."),
        ("/queue", "The queue is empty."),
        ("/policies", "No policy was fetched yet."),
        ("/policies?q=x", "No domain with a policy is called so."),
        ("/rules", "There are no rules."),
        ("/rules?q=x", "No rule is like that."),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(words), "{path}: {}", answer.body);
    }
    served.end().await;
}

#[tokio::test]
async fn destinations_are_searched_sorted_and_turned_over() {
    let served = Served::new().await;
    for number in 0..120u64 {
        let way = if number % 10 == 0 {
            Way::Blocked
        } else {
            Way::Encrypted
        };
        served
            .record(seen(
                &format!("d{number:03}.test"),
                way,
                1 + number * 7 % 120,
            ))
            .await;
    }
    let names = async |path: &str| {
        let list = served.json(&format!("/api/v1/destinations{path}")).await;
        let names = list["destinations"].as_array().unwrap().iter();
        let names: Vec<String> = names
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect();
        (list["matching"].as_u64().unwrap(), names)
    };
    let (matching, all) = names("?sort=name").await;
    assert_eq!((matching, all.len(), &*all[0]), (120, 50, "d000.test"));
    let (_, second) = names("?sort=name&page=2").await;
    assert_eq!((&*second[0], second.len()), ("d050.test", 50));
    let (_, back) = names("?sort=name&order=desc&limit=2").await;
    assert_eq!(back, ["d119.test", "d118.test"]);
    let (_, most) = names("?sort=deliveries&limit=2").await;
    assert_eq!(most, ["d017.test", "d034.test"]); // 119 * 7 % 120
    let (matching, blocked) = names("?state=blocked&sort=blocked&limit=1").await;
    assert_eq!((matching, &*blocked[0]), (12, "d050.test"));
    let (matching, found) = names("?q=D01&sort=name").await;
    assert_eq!((matching, &*found[9]), (10, "d019.test"));
    let (matching, beyond) = names("?page=9").await;
    assert_eq!((matching, beyond.len()), (120, 0));
    let page = served.get("/destinations?sort=name&page=2").await.body;
    for expected in [
        "51–100 of 120",
        "href=\"/destinations?sort=name\">Previous",
        "href=\"/destinations?sort=name&amp;page=3\">Next",
        "aria-sort=\"ascending\"><a href=\"/destinations?sort=name&amp;order=desc\">Destination",
        "<a href=\"/destinations/d051.test\">d051.test</a>",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    served.end().await;
}

#[tokio::test]
async fn one_destination_is_explained() {
    let mut partner = rule("/etc/sealpost.toml:7", Some("partner"));
    partner.enforce = Enforce::Yes;
    let served = Served::with(vec![("a.test", partner)]).await;
    served.store.put_sts_policy(policy("a.test")).await.unwrap();
    served.record(seen("a.test", Way::Encrypted, 3)).await;
    served.record(seen("a.test", Way::Blocked, 2)).await;
    served.record(seen("[192.0.2.1]", Way::Plaintext, 1)).await;
    let shown = served.json("/api/v1/destinations/A.test").await;
    assert_eq!(
        (&shown["state"], &shown["delivered"]),
        (&"blocked".into(), &3.into())
    );
    assert_eq!(
        shown["refusal"]["reason"],
        "451 4.7.5 a.test will not: (address)"
    );
    assert_eq!(shown["refusal"]["result"], "certificate-expired");
    assert_eq!(shown["obtained"]["mx"], "mx.a.test");
    assert_eq!(shown["configured"]["name"], "partner");
    assert_eq!(shown["mta_sts"]["mode"], "enforce");
    assert_eq!(shown["hours"].as_array().unwrap().len(), 72);
    let weeks = shown["weeks"].as_array().unwrap();
    assert_eq!(
        (weeks.len(), &weeks[52]["encrypted"], &weeks[52]["blocked"]),
        (53, &3.into(), &2.into())
    );
    let monday: jiff::Timestamp = weeks[0]["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(monday.strftime("%A %H:%M").to_string(), "Monday 00:00");
    let page = served.get("/destinations/a.test").await.body;
    for expected in [
        "Held back by a TLS policy: 451",
        "partner: verify",
        "mx.a.test",
        "enforce, fetched",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let literal = served.get("/destinations/%5B192.0.2.1%5D").await;
    assert!(
        literal.status == 200 && literal.body.contains("no STARTTLS"),
        "{}",
        literal.body
    );
    for path in ["/destinations/b.test", "/api/v1/destinations/b.test"] {
        let missing = served.get(path).await;
        assert!(
            missing.status == 404 && missing.body.contains("nothing is known"),
            "{path}"
        );
    }
    served.end().await;
}

#[tokio::test]
async fn rules_say_what_they_caught() {
    let served = Served::with(vec![
        ("a.test", rule("sealpost.toml:10", None)),
        ("b.test", rule("sealpost.toml:9", Some("partner"))),
    ])
    .await;
    let mut caught = seen("b.test", Way::Encrypted, 5);
    caught.counts[0].rule = Some("partner".into());
    caught.counts[0].facet.dry_run = "block".into();
    caught.attempt.rule = Some("partner".into());
    served.record(caught).await;
    let list = served.json("/api/v1/rules").await;
    assert_eq!(
        (&list["matching"], &list["default"]),
        (&2.into(), &"may".into())
    );
    let [first, second] = [0, 1].map(|at| &list["rules"][at]);
    assert_eq!(
        (&first["name"], &first["enforce"]),
        (&"partner".into(), &"dry-run".into())
    );
    let numbers =
        ["destinations", "delivered", "blocked", "would_block"].map(|what| &first["caught"][what]);
    assert_eq!(numbers, [1, 5, 0, 5]);
    assert_eq!(
        (&second["origin"], &second["caught"]),
        (&"sealpost.toml:10".into(), &Value::Null)
    );
    let found = served.json("/api/v1/rules?q=A.test").await;
    assert_eq!(
        (&found["matching"], &found["rules"][0]["origin"]),
        (&1.into(), &"sealpost.toml:10".into())
    );
    served.end().await;
}

#[tokio::test]
async fn policies_and_queue_are_listed_without_addresses() {
    let served = Served::new().await;
    for domain in ["a.test", "b.test", "ab.test"] {
        served.store.put_sts_policy(policy(domain)).await.unwrap();
    }
    let list = served
        .json("/api/v1/policies?q=B.test&limit=1&page=2")
        .await;
    assert_eq!(
        (
            &list["matching"],
            &list["pages"],
            &list["policies"][0]["domain"]
        ),
        (&2.into(), &2.into(), &"b.test".into())
    );
    let page = served.get("/policies").await.body;
    assert!(
        page.contains("2 h ago") && page.contains("1–3 of 3"),
        "{page}"
    );
    let reply = "450 4.1.1 <bob@a.test>: unknown, from alice@example.test";
    served
        .store
        .keep(vec![mail("M1", "bob@a.test", reply)])
        .await
        .unwrap();
    let queue = served.json("/api/v1/queue").await;
    assert_eq!((&queue["messages"], &queue["held"]), (&1.into(), &0.into()));
    let recipient = &queue["mail"][0]["recipients"][0];
    assert_eq!(
        (&recipient["domain"], &recipient["attempts"]),
        (&"a.test".into(), &2.into())
    );
    assert_eq!(
        recipient["reply"],
        "450 4.1.1 <(address)>: unknown, from (address)"
    );
    for path in ["/queue", "/api/v1/queue", "/", "/api/v1/overview"] {
        let body = served.get(path).await.body;
        // The style has rules that begin so.
        let body = body
            .rsplit_once("</style>")
            .map_or(&*body, |(_, body)| body);
        assert!(
            !body.contains("bob") && !body.contains("alice") && !body.contains('@'),
            "{path}: {body}"
        );
    }
    let page = served.get("/queue").await.body;
    assert!(
        page.contains("M1") && page.contains("unknown, from (address)"),
        "{page}"
    );
    served.end().await;
}
