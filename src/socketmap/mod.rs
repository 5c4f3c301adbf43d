//! Answers Postfix's `smtp_tls_policy_maps` (socketmap_table(5)), for those whose Postfix delivers itself: what a
//! connection to a destination must prove, by the same discovery and the same policy engine as for a delivery.
//!
//! `wire` reads requests and `key` what they ask; `lookup` finds the facts out, `standing` and
//! `answer` make of them what `reply` writes down. `service` is the shell around it. `daemon` serves it.

mod answer;
mod key;
mod lookup;
mod reply;
mod service;
mod standing;
mod wire;

pub use answer::Reports;
pub use service::{BoundMap, Ending, MAX_CONNECTIONS, MapSettings, Socketmap};
