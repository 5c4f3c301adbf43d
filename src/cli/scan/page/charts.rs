//! The statistics as charts.

use crate::html::{Bar, Markup, Part, bars, compared, count, html, shares};
use crate::survey::stats::{Chart, Counts, Group, Kind, Property, Subject};

/// Bars of one chart; what is rarer is counted as one.
const MAX_BARS: usize = 14;

/// Characters of a label that have no room beside a bar in a narrow chart.
const LONG_LABEL: usize = 24;

/// What groups are compared by, side by side.
const COMPARED: [Property; 6] = [
    Property::Starttls,
    Property::Protection,
    Property::BestVersion,
    Property::Verification,
    Property::Dane,
    Property::MtaSts,
];

/// Every chart of domains or of hosts, but the findings.
pub(super) fn subject(group: &Group, subject: Subject) -> Markup {
    let charts = group.charts().filter(|(chart, counts)| {
        chart.subject == subject
            && chart.property != Property::Findings
            && !counts.parts().is_empty()
    });
    html! {
        div class="grid" {
            @for (chart, counts) in charts { (one(chart, counts)) }
        }
    }
}

/// All that was found, one under the other.
pub(super) fn findings(group: &Group) -> Markup {
    match group.chart(Subject::Domains, Property::Findings) {
        Some(counts) => several("Domains with a finding", counts, usize::MAX),
        None => html! {},
    }
}

/// A bar for each group.
pub(super) fn by_group(all: &Group, groups: &[(&str, &Group)]) -> Markup {
    let of = |property| {
        let name_and_group = std::iter::once(("all", all)).chain(groups.iter().copied());
        let wholes = name_and_group.filter_map(move |(name, group)| {
            let counts = group.chart(Subject::Domains, property)?;
            Some((name.to_owned(), parts(counts)))
        });
        wholes.collect::<Vec<_>>()
    };
    html! {
        div class="charts" {
            @for property in COMPARED {
                @let wholes = of(property);
                @if !wholes.is_empty() { (compared(&title(property, Subject::Domains.plural()), &wholes)) }
            }
        }
    }
}

/// `DANE – domains that take mail`
fn title(property: Property, whole: &str) -> String {
    let title = format!("{} – {whole} {}", property.title(), property.of());
    title.trim_end().to_owned()
}

fn one(chart: Chart, counts: &Counts) -> Markup {
    let whole = format!("{} {}", count(counts.whole), chart.subject.plural());
    let title = title(chart.property, &whole);
    match chart.property.kind() {
        Kind::Shares => shares(&title, &parts(counts)),
        Kind::Several => several(&title, counts, MAX_BARS),
    }
}

fn parts(counts: &Counts) -> Vec<Part> {
    let parts = counts.parts().into_iter();
    parts
        .map(|(label, count)| Part {
            label: label.text.to_string(),
            count,
            tone: label.tone,
        })
        .collect()
}

fn several(title: &str, counts: &Counts, most: usize) -> Markup {
    let parts = counts.parts();
    let drawn: Vec<Bar> = parts
        .iter()
        .take(most)
        .map(|(label, count)| Bar {
            label: label.text.to_string(),
            count: *count,
            tone: label.tone,
        })
        .collect();
    let longest = drawn.iter().map(|bar| bar.label.len()).max().unwrap_or(0);
    let class = if longest > LONG_LABEL { "wide" } else { "" };
    html! {
        div class=(class) {
            (bars(title, &drawn, counts.whole))
            @if parts.len() > most { p class="soft" { "and " (parts.len() - most) " more" } }
        }
    }
}
