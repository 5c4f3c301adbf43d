//! What changed since an older survey.

use crate::cli::scan::table::tone;
use crate::html::{Bar, Markup, bars, count, html, swatch};
use crate::survey::compare::Changes;

/// Changes that have a row.
const MAX_ROWS: usize = 5_000;

pub(super) fn section(changes: &Changes) -> Markup {
    let counts = changes.counts();
    let drawn: Vec<Bar> = counts
        .iter()
        .map(|(what, count)| Bar {
            label: what.title().to_owned(),
            count: *count,
            tone: tone(what.grade()),
        })
        .collect();
    let rows: Vec<_> = changes.kept().take(MAX_ROWS).collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    html! {
        section id="changes" {
            h2 { "Changes since the old survey" }
            p {
                "Of " (count(changes.compared)) " domains that both surveys have, " (count(changes.changed)) " changed."
            }
            @if counts.is_empty() {
                p class="notice well" { "Nothing changed." }
            } @else {
                (bars("Changes", &drawn, all))
                @if (rows.len() as u64) < all {
                    p class="notice mild" { "The table is cut to the worst " (count(rows.len() as u64)) " changes." }
                }
                details {
                summary { h3 { "Every change" } " " span class="soft" { (count(rows.len() as u64)) " rows, the worst first" } }
                div class="scroll" {
                    table class="list stack searched" {
                        thead {
                            tr { th { "Domain" } th { "Change" } th { "MX host" } th { "Before" } th { "Now" } }
                        }
                        tbody {
                            @for change in rows {
                                tr {
                                    th scope="row" { (change.domain) }
                                    td data-label="Change" { (swatch(tone(change.grade))) (change.change.title()) }
                                    td data-label="MX host" { (change.host.as_deref().unwrap_or("")) }
                                    td data-label="Before" class="mono" { (change.old.as_deref().unwrap_or("")) }
                                    td data-label="Now" class="mono" { (change.new.as_deref().unwrap_or("")) }
                                }
                            }
                        }
                    }
                }
                }
            }
        }
    }
}
