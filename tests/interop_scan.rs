//! `sealpost scan` of real servers: Postfix, Exim and OpenSMTPD from Debian's packages with different certificates and
//! TLS settings. What it finds is compared, field by field, with `openssl s_client` and `posttls-finger`; where they
//! differ, a rule says why. Without root or their programs this says SKIPPED and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

mod interop_scan {
    mod cases;
    mod compare;
    mod fields;
    mod fingers;
    #[path = "../interop_dane/isolation.rs"]
    mod isolation;
    mod openssl;
    mod rules;
    mod servers;
    mod table;
    #[path = "../interop_dane/tools.rs"]
    #[allow(dead_code, reason = "the other test needs the rest")]
    mod tools;
}
