//! DANE against real peers: zones signed by BIND, served and validated by Unbound; Postfix as the MX. Without their
//! programs these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

mod interop_dane {
    mod daemon;
    mod tools;
    mod unbound;
    mod zones;
}
