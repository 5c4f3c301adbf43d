//! Charts: bars only, since that is what shares and counts over time are read from best.
//!
//! Words stand beside the drawings, never in them: a drawing is stretched to the width of the screen. Colour is never
//! all that tells two things apart: each has its words and number.

use super::number::{count, percent};
use maud::{Markup, html};

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Encrypted, and the host was authenticated.
    Verified,
    /// The same by one of several means, which are told apart.
    VerifiedBy(usize),
    /// Encrypted.
    Encrypted,
    /// Encrypted with something that should go.
    Weak,
    /// In the clear.
    Plaintext,
    /// Held back, failed, broken.
    Bad,
    /// Neither good nor bad: refused by the receiver, not tested, nothing to say.
    Neutral,
    /// Likewise, and nothing has come of it yet.
    Faint,
    /// One of several kinds without a rank among them: the eighth looks like the first.
    Kind(usize),
}

impl Tone {
    /// The name of its class in the style.
    fn class(self) -> &'static str {
        const KINDS: [&str; 7] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6"];
        const MEANS: [&str; 4] = ["v0", "v1", "v2", "v3"];
        match self {
            Self::Verified => "verified",
            Self::VerifiedBy(number) => MEANS[number % MEANS.len()],
            Self::Encrypted => "encrypted",
            Self::Weak => "weak",
            Self::Plaintext => "plaintext",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
            Self::Faint => "faint",
            Self::Kind(number) => KINDS[number % KINDS.len()],
        }
    }
}

/// One share of a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub label: String,
    pub count: u64,
    pub tone: Tone,
}

/// One bar among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    pub label: String,
    pub count: u64,
    pub tone: Tone,
}

/// What is stacked in every column of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub label: String,
    pub tone: Tone,
}

/// A time, and how much of each series there was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// `14:00` or `26 Nov`
    pub label: String,
    /// As many as there are series.
    pub counts: Vec<u64>,
}

/// A square of a tone's colour.
pub fn swatch(tone: Tone) -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" { rect class=(tone.class()) width="10" height="10" rx="2" {} }
    }
}

/// A whole as one bar, with a line of words and numbers for each part. Parts of nothing are left out of the bar.
pub fn shares(title: &str, parts: &[Part]) -> Markup {
    let whole = sum(parts);
    html! {
        figure class="shares" {
            figcaption { (title) }
            @if whole == 0 {
                p class="nothing" { "nothing yet" }
            } @else {
                (whole_bar(title, parts))
                table class="legend" {
                    @for part in parts {
                        tr {
                            th scope="row" { (swatch(part.tone)) (part.label) }
                            td { (count(part.count)) }
                            td { (percent(part.count, whole)) }
                        }
                    }
                }
            }
        }
    }
}

fn sum(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.count).sum()
}

fn whole_bar(title: &str, parts: &[Part]) -> Markup {
    let whole = sum(parts);
    let mut left = 0;
    html! {
        svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(spoken(title, parts, whole)) {
            @for part in parts.iter().filter(|part| part.count > 0) {
                @let begin = left;
                @let () = left += part.count;
                rect class=(part.tone.class()) x=(scaled(begin, whole)) y="0" height="10"
                    width=(scaled(left, whole) - scaled(begin, whole)) {
                    title { (part.label) ": " (count(part.count)) " (" (percent(part.count, whole)) ")" }
                }
            }
        }
    }
}

/// Several wholes of the same parts, each as one bar with its name and size; what the colours are is said once.
pub fn compared(title: &str, wholes: &[(String, Vec<Part>)]) -> Markup {
    let mut legend: Vec<&Part> = Vec::new();
    for part in wholes.iter().flat_map(|(_, parts)| parts) {
        if !legend.iter().any(|known| known.label == part.label) {
            legend.push(part);
        }
    }
    html! {
        figure class="compared" {
            figcaption { (title) }
            p class="key" {
                @for part in legend { span { (swatch(part.tone)) (part.label) } " " }
            }
            table class="legend" {
                @for (name, parts) in wholes {
                    tr {
                        th scope="row" { (name) }
                        td class="drawn" { (whole_bar(name, parts)) }
                        td { (count(sum(parts))) }
                    }
                }
            }
        }
    }
}

fn spoken(title: &str, parts: &[Part], whole: u64) -> String {
    let parts = parts.iter();
    let words: Vec<_> = parts
        .map(|part| format!("{} {}", part.label, percent(part.count, whole)))
        .collect();
    format!("{title}: {}", words.join(", "))
}

/// Thousandths of a whole.
fn scaled(part: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(1000)
}

/// Counts beside each other, as bars of one scale. `whole` is what their percentages are of.
pub fn bars(title: &str, bars: &[Bar], whole: u64) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    html! {
        figure class="bars" {
            figcaption { (title) }
            @if most == 0 {
                p class="nothing" { "nothing yet" }
            } @else {
                table class="legend" {
                    @for bar in bars {
                        tr {
                            th scope="row" { (bar.label) }
                            td class="drawn" { (meter(bar.count, most, bar.tone)) }
                            td { (count(bar.count)) }
                            td { (percent(bar.count, whole)) }
                        }
                    }
                }
            }
        }
    }
}

/// A bar that fills so much of its place.
pub fn meter(part: u64, whole: u64, tone: Tone) -> Markup {
    html! {
        svg class="meter" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect class="track" width="1000" height="10" {}
            rect class=(tone.class()) width=(scaled(part, whole)) height="10" {}
        }
    }
}

/// Height of a timeline's drawing, and width of a column, in its own units.
const HEIGHT: u64 = 1000;
const COLUMN: usize = 10;

/// What there was over time, a column each, oldest first.
pub fn timeline(title: &str, series: &[Series], columns: &[Column]) -> Markup {
    let sum = |column: &Column| column.counts.iter().sum::<u64>();
    let most = columns.iter().map(sum).max().unwrap_or(0);
    let totals: Vec<u64> = (0..series.len())
        .map(|at| {
            columns
                .iter()
                .filter_map(|column| column.counts.get(at))
                .sum()
        })
        .collect();
    let whole = totals.iter().sum();
    html! {
        figure class="timeline" {
            figcaption { (title) }
            @if most == 0 {
                p class="nothing" { "nothing yet" }
            } @else {
                div class="plot" {
                    span class="most" { (count(most)) }
                    svg viewBox=(format!("0 0 {} {HEIGHT}", columns.len() * COLUMN)) preserveAspectRatio="none"
                        role="img" aria-label=(format!("{title}: at most {most}, {whole} in all")) {
                        @for (at, column) in columns.iter().enumerate() { (stack(at, column, series, most)) }
                    }
                    div class="times" {
                        @for label in marks(columns) { span { (label) } }
                    }
                }
                table class="legend" {
                    @for (series, total) in series.iter().zip(&totals) {
                        tr {
                            th scope="row" { (swatch(series.tone)) (series.label) }
                            td { (count(*total)) }
                            td { (percent(*total, whole)) }
                        }
                    }
                }
            }
        }
    }
}

fn stack(at: usize, column: &Column, series: &[Series], most: u64) -> Markup {
    let height = |count: u64| u128::from(count) * u128::from(HEIGHT) / u128::from(most.max(1));
    let words = series
        .iter()
        .zip(&column.counts)
        .filter(|(_, count)| **count > 0);
    let words: Vec<_> = words
        .map(|(series, n)| format!("{} {}", series.label, count(*n)))
        .collect();
    let mut below = 0;
    html! {
        g {
            title { (column.label) ": " @if words.is_empty() { "nothing" } @else { (words.join(", ")) } }
            // The whole column answers the pointer, not the drawn part alone.
            rect class="hit" x=(at * COLUMN) width=(COLUMN) y="0" height=(HEIGHT) {}
            @for (series, n) in series.iter().zip(&column.counts).filter(|(_, n)| **n > 0) {
                @let from = below;
                @let () = below += n;
                rect class=(series.tone.class()) x=(at * COLUMN + 1) width=(COLUMN - 2)
                    y=(u128::from(HEIGHT) - height(below)) height=(height(below) - height(from)) {}
            }
        }
    }
}

/// The first time, some between, and the last.
fn marks(columns: &[Column]) -> Vec<&str> {
    const MOST: usize = 5;
    let last = columns.len().saturating_sub(1);
    let steps = (MOST - 1).min(last);
    (0..=steps)
        .filter_map(|step| columns.get(last * step / steps.max(1)))
        .map(|column| &*column.label)
        .collect()
}
