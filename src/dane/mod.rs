//! TLSA records (RFC 6698, 7671, 7672 §3): which can be used, which count, and which certificate or key
//! they stand for. Pure; what a chain must look like besides is `tls`' business.

mod presented;
mod record;
mod set;

#[cfg(test)]
mod tests;

pub use presented::Presented;
pub use record::{Matching, Selector, Tlsa, TlsaRdata, Unusable, Usage};
pub use set::{Assessment, TlsaSet, assess, usable};
