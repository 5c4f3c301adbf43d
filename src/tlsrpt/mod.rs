//! TLS reporting (RFC 8460): the record that says where reports go. Pure.

mod record;

pub use record::{RecordFault, ReportRecord, is_candidate, read_records};

/// The labels below a domain at which its TXT record is (RFC 8460 §3).
pub const RECORD_LABELS: &str = "_smtp._tls";
