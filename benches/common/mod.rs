//! What the benchmarks against Postfix share: both relays, source and sink, and how a run is measured.

pub mod figures;
pub mod measure;
pub mod peers;
pub mod postfix;
pub mod processes;
pub mod sealpost;
