//! The pages. They show values of [`super::facts`] and ask nobody.

mod destination;
mod destinations;
mod overview;
mod parts;
mod policies;
mod queue;
mod rules;

pub(super) use destination::destination;
pub(super) use destinations::destinations;
pub(super) use overview::overview;
pub(super) use policies::policies;
pub(super) use queue::queue;
pub(super) use rules::rules;

use super::request::escape;
use crate::html::{Frame, Markup, Script, document, html};
use jiff::Timestamp;
use parts::moment;

/// What is around the content of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) hostname: &'a str,
    pub(super) place: Place<'a>,
    pub(super) now: Timestamp,
}

/// Which page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Overview,
    Destinations,
    Destination(&'a str),
    Queue,
    Policies,
    Rules,
}

impl Place<'_> {
    fn path(self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Destinations => "/destinations".to_owned(),
            Self::Destination(name) => format!("/destinations/{}", escape(name)),
            Self::Queue => "/queue".to_owned(),
            Self::Policies => "/policies".to_owned(),
            Self::Rules => "/rules".to_owned(),
        }
    }

    fn api(self) -> String {
        match self {
            Self::Overview => "/api/v1/overview".to_owned(),
            Self::Destinations
            | Self::Destination(_)
            | Self::Queue
            | Self::Policies
            | Self::Rules => format!("/api/v1{}", self.path()),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Destinations | Self::Destination(_) => "Destinations",
            Self::Queue => "Queue",
            Self::Policies => "MTA-STS",
            Self::Rules => "Rules",
        }
    }
}

const PLACES: [Place<'static>; 5] = [
    Place::Overview,
    Place::Destinations,
    Place::Queue,
    Place::Policies,
    Place::Rules,
];

/// A page with its content; `query` is what the same is asked for by.
fn whole(around: Around<'_>, query: &str, content: &Markup) -> String {
    let Around {
        hostname,
        place,
        now,
    } = around;
    let what = match place {
        Place::Destination(name) => name,
        Place::Overview | Place::Destinations | Place::Queue | Place::Policies | Place::Rules => {
            place.title()
        }
    };
    let title = format!("{what} – {hostname} – Sealpost");
    let body = html! {
        header {
            h1 { a href="/" { "Sealpost" } }
            p { (hostname) }
            nav aria-label="Pages" { (navigation(place)) }
        }
        main {
            (content)
            p class="soft fresh" { "As of " (moment(now)) "." }
        }
        footer {
            "Times are UTC. The same as JSON: "
            a href=(format!("{}{query}", place.api())) { (place.api()) }
            ". For monitoring: " a href="/metrics" { "/metrics" } ", " a href="/readyz" { "/readyz" } ". Sealpost "
            (env!("CARGO_PKG_VERSION")) "."
        }
    };
    framed(&title, &body)
}

fn navigation(place: Place<'_>) -> Markup {
    html! {
        @for to in PLACES {
            @if to == place {
                a href=(to.path()) aria-current="page" { (to.title()) }
            } @else if to.title() == place.title() {
                a href=(to.path()) aria-current="true" { (to.title()) }
            } @else {
                a href=(to.path()) { (to.title()) }
            }
        }
    }
}

fn framed(title: &str, body: &Markup) -> String {
    let frame = Frame {
        title,
        script: Script::Refresh,
    };
    document(frame, body)
}

/// A sentence in place of a page.
pub(super) fn refusal(status: u16, words: &str) -> String {
    let body = html! {
        header { h1 { a href="/" { "Sealpost" } } }
        main {
            h2 { (status) }
            p class="notice" { (words) }
            p { a href="/" { "To the overview" } }
        }
    };
    framed(&format!("{status} – Sealpost"), &body)
}
