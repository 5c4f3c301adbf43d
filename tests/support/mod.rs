//! The real binary in the laboratory: a [`World`] is an Internet of scripted hosts with a running daemon in it.
//!
//! ```ignore
//! mod support;
//! use support::{Script, World};
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn a_required_starttls_that_is_missing_defers() {
//!     let world = World::new()
//!         .domain("a.test", Script::no_starttls())
//!         .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
//!         .start()
//!         .await;
//!     let reply = world.send("x@a.test").await;
//!     assert_eq!((reply.code, reply.enhanced()), (451, Some("4.7.4")), "{reply}");
//!     assert!(!world.mx("a.test").mail_octets_in_clear());
//!     assert_eq!(world.daemon.metric("deliveries_total", &[("result", "deferred")]).await, 1.0);
//! }
//! ```
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod bench;
pub mod browser;
mod config;
mod daemon;
pub mod dane;
mod metrics;
pub mod monitoring;
pub mod past;
pub mod postfix;
pub mod power;
pub mod prometheus;
pub mod promql;
pub mod socketmap;
pub mod sts;
pub mod traffic;
mod world;

pub use bench::Bench;
pub use config::merge;
pub use daemon::{Daemon, Exit, Log};
pub use lab::client::{Reply, SmtpClient};
pub use lab::mx::{Act, Mx, Script, Stage};
pub use lab::sts::{Answer, PolicyScript, policy};
pub use metrics::Metrics;
pub use world::{CONTENT, World, WorldBuilder, ipv6};
