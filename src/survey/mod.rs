//! Surveys domains: the same discovery, decision and connection as in delivery, and never a MAIL command.
//!
//! What is found out about one domain is a [`record::Record`]: a line of `sealpost scan --format json`. What many of
//! them come to is a [`stats::Survey`].

pub mod compare;
pub mod lines;
pub mod record;
pub mod stats;
