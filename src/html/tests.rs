use super::*;

#[test]
fn numbers_are_grouped() {
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1000, "1\u{202f}000"),
        (1_234_567, "1\u{202f}234\u{202f}567"),
    ] {
        assert_eq!(count(number), expected);
    }
}

#[test]
fn a_share_is_all_only_if_it_is() {
    for (part, whole, expected) in [
        (0, 0, "–"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "<0.1 %"),
        (99_999, 100_000, ">99.9 %"),
        (1, u64::MAX, "<0.1 %"),
    ] {
        assert_eq!(percent(part, whole), expected, "{part} {whole}");
    }
}

/// What a stranger would write to become a part of the page.
const HOSTILE: &str = "</title></svg><script>alert(1)</script>\" onload=\"x' &";

fn every_element(hostile: &str) -> String {
    let part = |count| Part {
        label: hostile.into(),
        count,
        tone: Tone::Bad,
    };
    let bar = Bar {
        label: hostile.into(),
        count: 3,
        tone: Tone::Kind(9),
    };
    let series = Series {
        label: hostile.into(),
        tone: Tone::Plaintext,
    };
    let column = Column {
        label: hostile.into(),
        counts: vec![3],
    };
    let body = html! {
        p title=(hostile) { (hostile) }
        (shares(hostile, &[part(1), part(0)]))
        (bars(hostile, &[bar], 9))
        (timeline(hostile, &[series], &[column]))
        (compared(hostile, &[(hostile.to_owned(), vec![part(1), part(2)])]))
        (swatch(Tone::Weak))
    };
    let frame = Frame {
        title: hostile,
        script: Script::Search,
    };
    document(frame, &body)
}

#[test]
fn nothing_from_strangers_becomes_markup() {
    // Of the same shape, whatever the words are.
    let marks = |page: &str| page.matches(['<', '>', '"']).count();
    let (plain, hostile) = (every_element("x"), every_element(HOSTILE));
    assert_eq!(marks(&plain), marks(&hostile));
    assert!(!hostile.contains("<script>alert"), "{hostile}");
}

#[test]
fn a_page_refers_to_nothing_and_holds_no_inline_style() {
    for script in [Script::None, Script::Search, Script::Refresh] {
        let frame = Frame { title: "t", script };
        let page = document(frame, &html! { (bars("b", &[], 0)) });
        assert!(!page.contains("style=") && !page.contains("http:") && !page.contains("https:"));
        assert_eq!(page.contains("<script>"), script != Script::None);
        assert!(!page.contains("</script></body>") || script != Script::None);
        let policy = policy(script);
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(policy.contains("script-src 'none'"), script == Script::None);
        assert_eq!(
            policy.contains("connect-src 'self'"),
            script == Script::Refresh
        );
    }
}

#[test]
fn a_bar_is_as_long_as_its_share() {
    let part = |count, tone| Part {
        label: "p".into(),
        count,
        tone,
    };
    let drawn = shares(
        "s",
        &[
            part(1, Tone::Verified),
            part(0, Tone::Bad),
            part(3, Tone::Plaintext),
        ],
    )
    .into_string();
    assert!(
        drawn.contains(r#"<rect class="verified" x="0" y="0" height="10" width="250">"#),
        "{drawn}"
    );
    assert!(
        drawn.contains(r#"<rect class="plaintext" x="250" y="0" height="10" width="750">"#),
        "{drawn}"
    );
    // A part of nothing is told, not drawn.
    assert_eq!(
        drawn.matches(r#"rect class="bad""#).count(),
        1,
        "the legend's alone: {drawn}"
    );
    let huge = shares("s", &[part(u64::MAX, Tone::Bad)]).into_string();
    assert!(huge.contains(r#"width="1000""#), "{huge}");
}

#[test]
fn columns_are_stacked() {
    let series = [Tone::Verified, Tone::Plaintext].map(|tone| Series {
        label: format!("{tone:?}"),
        tone,
    });
    let columns: Vec<_> = (0..24u64)
        .map(|hour| Column {
            label: format!("{hour:02}:00"),
            counts: vec![hour, 1],
        })
        .collect();
    let drawn = timeline("t", &series, &columns).into_string();
    // The last column: 23 of 24 below, 1 above.
    assert!(
        drawn.contains(r#"<rect class="verified" x="231" width="8" y="42" height="958"></rect>"#),
        "{drawn}"
    );
    assert!(
        drawn.contains(r#"<rect class="plaintext" x="231" width="8" y="0" height="42"></rect>"#),
        "{drawn}"
    );
    assert!(drawn.contains(
        "<span>00:00</span><span>05:00</span><span>11:00</span><span>17:00</span><span>23:00</span>"
    ));
    assert!(
        timeline("t", &series, &[])
            .into_string()
            .contains("nothing yet")
    );
}

#[test]
fn few_columns_have_a_mark_each() {
    let series = [Series {
        label: "s".into(),
        tone: Tone::Neutral,
    }];
    for (columns, expected) in [
        (1, "<span>0</span></div>"),
        (2, "<span>0</span><span>1</span></div>"),
    ] {
        let columns: Vec<_> = (0..columns)
            .map(|at| Column {
                label: at.to_string(),
                counts: vec![1],
            })
            .collect();
        let drawn = timeline("t", &series, &columns).into_string();
        assert!(
            drawn.contains(&format!(r#"<div class="times">{expected}"#)),
            "{drawn}"
        );
    }
}

/// In SVG no element ends by itself: what follows one that is left open is drawn as a part of it, that is, not at all.
#[test]
fn every_drawn_element_is_ended() {
    let page = every_element("x");
    for element in ["rect", "svg", "g", "title"] {
        let begun = page.matches(&format!("<{element} ")).count()
            + page.matches(&format!("<{element}>")).count();
        assert_eq!(
            begun,
            page.matches(&format!("</{element}>")).count(),
            "{element}"
        );
        assert!(begun > 0, "{element}");
    }
}

#[test]
fn what_is_compared_has_one_legend() {
    let part = |label: &str, count| Part {
        label: label.into(),
        count,
        tone: Tone::Bad,
    };
    let wholes = [
        ("one".to_owned(), vec![part("a", 1), part("b", 3)]),
        ("two".to_owned(), vec![part("a", 1), part("c", 0)]),
        ("none".to_owned(), vec![]),
    ];
    let drawn = compared("t", &wholes).into_string();
    let key = &drawn[drawn.find("<p class=\"key\">").unwrap()..drawn.find("</p>").unwrap()];
    for label in ["a", "b", "c"] {
        assert_eq!(key.matches(&format!("{label}</span>")).count(), 1, "{key}");
    }
    for (width, times) in [("250", 1), ("750", 1), ("1000", 1)] {
        let bars = drawn.matches(&format!("width=\"{width}\"")).count();
        assert_eq!(bars, times, "{width}: {drawn}");
    }
    assert!(drawn.contains("<th scope=\"row\">none</th>"));
}
