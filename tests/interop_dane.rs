//! DANE against real peers: zones signed by BIND, served and validated by Unbound; the verdicts of OpenSSL and of
//! Postfix on the same hosts; Postfix as the MX. Without their programs these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

mod interop_dane {
    mod by_certificate;
    mod by_dns;
    mod case;
    mod chains;
    mod daemon;
    mod isolation;
    mod peers;
    mod prepared;
    mod tools;
    mod unbound;
    mod verdicts;
    mod zones;
}
