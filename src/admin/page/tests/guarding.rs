//! Who is answered, what cannot become HTML, and what happens when the store does not answer.

use super::*;
use futures_util::FutureExt as _;

const PAGES: [&str; 5] = ["/", "/destinations", "/queue", "/policies", "/rules"];
const JSON: [&str; 5] = [
    "/api/v1/overview",
    "/api/v1/destinations",
    "/api/v1/queue",
    "/api/v1/policies",
    "/api/v1/rules",
];

#[tokio::test]
async fn nothing_from_strangers_becomes_html() {
    let mut named = rule(HOSTILE, Some(HOSTILE));
    named.enforce = Enforce::Yes;
    let served = Served::with(vec![("a.test", named)]).await;
    for way in Way::ALL {
        let mut sighting = seen(&format!("{}{HOSTILE}", way.as_str()), way, 1);
        let label: crate::store::history::Label = HOSTILE.into();
        for facet in [&mut sighting.counts[0].facet, &mut sighting.attempt.facet] {
            facet.authenticated = label.clone();
            facet.version = label.clone();
            facet.cipher = label.clone();
            facet.group = label.clone();
            facet.problem = label.clone();
            facet.key = label.clone();
            facet.policy = label.clone();
            facet.level = label.clone();
            facet.why = label.clone();
        }
        if let Some(delivery) = &mut sighting.delivery {
            delivery.facet = sighting.attempt.facet.clone();
            delivery.mx = HOSTILE.into();
        }
        sighting.attempt.rule = Some(HOSTILE.into());
        served.record(sighting).await;
    }
    let mut hostile = policy("a.test");
    (hostile.id, hostile.mode) = (HOSTILE.into(), HOSTILE.into());
    served.store.put_sts_policy(hostile).await.unwrap();
    let message = mail(HOSTILE, &format!("x@{HOSTILE}"), HOSTILE);
    served.store.keep(vec![message]).await.unwrap();
    served.health.note("store", Some(HOSTILE.into()));
    served.page.reload_failed(HOSTILE);
    let escaped = request::escape(HOSTILE);
    let blocked = format!("/destinations/blocked{escaped}");
    let verified = format!("/destinations/verified{escaped}");
    let searched = format!("/destinations?q={escaped}");
    let missing = format!("/{escaped}");
    let pages = PAGES
        .into_iter()
        .chain([&*blocked, &*verified, &*searched, &*missing]);
    for path in pages.chain(["/?period=month"]) {
        let answer = served.get(path).await;
        assert!(
            answer
                .head
                .contains("content-type: text/html; charset=utf-8"),
            "{path}"
        );
        let body = answer.body.to_ascii_lowercase();
        assert!(!body.contains("<x"), "{path}: {body}");
        for (tag, times) in [("</script>", 1), ("</style>", 1), ("onload=\"", 0)] {
            assert_eq!(body.matches(tag).count(), times, "{path}: {tag}");
        }
        assert!(
            path == missing || body.contains("&lt;x onload=") || path == "/policies",
            "{path}: {body}"
        );
    }
    let found = served.get(&blocked).await;
    assert_eq!(found.status, 200, "{}", found.body);
    served.end().await;
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let served = Served::new().await;
    let others = [
        "/missing",
        "/destinations?sort=x",
        "/destinations/none.test",
        "/api/v1/x",
    ];
    for path in PAGES.into_iter().chain(JSON).chain(others) {
        let head = served.get(path).await.head;
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(header), "{path}: {header}: {head}");
        }
        assert!(!head.contains("unsafe-inline"), "{path}: {head}");
    }
    served.end().await;
}

#[tokio::test]
async fn what_is_asked_for_in_a_wrong_way_is_refused_in_words() {
    let served = Served::new().await;
    for (method, path, status, words) in [
        (
            "GET",
            "/destinations?sort=size",
            400,
            "sort is one of: name, last, deliveries, blocked",
        ),
        (
            "GET",
            "/api/v1/destinations?page=0",
            400,
            "{\"error\":\"page is not 1 to 1000000\"}",
        ),
        ("GET", "/destinations/%ff", 400, ""),
        ("GET", "/nothing", 404, "there is nothing of this name"),
        (
            "GET",
            "/api/v2/overview",
            404,
            "{\"error\":\"there is nothing of this name\"}",
        ),
        ("POST", "/", 405, "this can only be read"),
        (
            "DELETE",
            "/api/v1/queue",
            405,
            "{\"error\":\"this can only be read\"}",
        ),
        ("HEAD", "/", 200, ""),
        ("GET", "/?utm=1&x", 200, "relay.example.net"),
    ] {
        let answer = served.ask(method, path, "127.0.0.1").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(
            answer.body.contains(words),
            "{method} {path}: {}",
            answer.body
        );
    }
    served.end().await;
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_answered_with_metrics_only() {
    let served = Served::new().await;
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:9825", 421),
        ("localhost:9825", 200),
        ("[::1]:1", 200),
        ("relay.example.net", 200),
        ("status.example.net:443", 200),
    ] {
        for path in ["/", "/api/v1/overview", "/destinations"] {
            let answer = served.ask("GET", path, host).await;
            assert_eq!(answer.status, status, "{host} {path}");
            assert_eq!(
                answer.body.contains("admin.hosts"),
                status == 421,
                "{host} {path}"
            );
        }
        for path in ["/metrics", "/healthz", "/readyz"] {
            assert_eq!(
                served.ask("GET", path, host).await.status,
                200,
                "{host} {path}"
            );
        }
    }
    // Not even whether there is something.
    assert_eq!(
        served.ask("GET", "/nothing", "evil.example").await.status,
        421
    );
    served.end().await;
}

#[tokio::test]
async fn the_page_can_be_switched_off_and_waits_for_the_start() {
    let served = Served::new().await;
    served.page.configure(settings(vec![], Offered::No));
    for path in PAGES.into_iter().chain(JSON) {
        let answer = served.get(path).await;
        assert_eq!((answer.status, &*answer.body), (404, ""), "{path}");
    }
    assert_eq!(served.get("/metrics").await.status, 200);
    served.page.configure(settings(vec![], Offered::Yes));
    served.page.close();
    for path in PAGES.into_iter().chain(JSON) {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.contains("Sealpost is starting"), "{path}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_the_rest() {
    let served = Served::new().await;
    served.health.note("dns", Some("time-out".into()));
    served.store.clone().close().await;
    let overview = served.get("/").await;
    assert_eq!(overview.status, 503);
    for words in [
        "This page is not whole: ",
        "dns: time-out",
        "relay.example.net",
    ] {
        assert!(overview.body.contains(words), "{words}: {}", overview.body);
    }
    let json = served.get("/api/v1/overview").await;
    assert_eq!((json.status, &json.json()["history"]), (503, &Value::Null));
    for path in [
        "/destinations",
        "/queue",
        "/policies",
        "/rules",
        "/api/v1/destinations",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            answer.body.contains("the store cannot be read"),
            "{path}: {}",
            answer.body
        );
    }
    served.end().await;
}

#[tokio::test]
async fn few_ask_the_store_at_the_same_time() {
    let served = Served::new().await;
    let held = served
        .page
        .0
        .turns
        .acquire_many(TURNS as u32)
        .await
        .unwrap();
    let asked = request::Asked::default();
    assert!(served.page.destinations(&asked).now_or_never().is_none());
    drop(held);
    assert_eq!(served.get("/destinations").await.status, 200);
    served.end().await;
}
