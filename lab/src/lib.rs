//! Sealpost's laboratory: everything outside the daemon, in one process, on loopback. It is an independent oracle: it
//! shares no code with Sealpost, so that a mistake there is not repeated here.
//!
//! | part | what it is |
//! |---|---|
//! | [`Internet`] | one of each of the following, put together, and the configuration of a relay in it |
//! | [`dns::DnsServer`] | answers as a recursive resolver, with faults per question; counts what was asked |
//! | [`dnssec::Zone`] | what a zone of it is like: signed or not, and what is wrong with it |
//! | [`world`] | zones in every state, and what a validator has to say about them |
//! | [`mx::Mx`] | an MX host that follows a [`mx::Script`] and records every octet |
//! | [`sts::PolicyHost`] | an MTA-STS policy host that follows a [`sts::PolicyScript`] and finds fault with its clients |
//! | [`sink::Sink`] | a lean one for benchmarks, which only counts |
//! | [`ca::Ca`] | certificates of every kind |
//! | [`dane::cases`] | TLSA records and certificates, and what must become of mail |
//! | [`client::SmtpClient`] | a raw SMTP and LMTP client that checks replies strictly |
//! | [`postfix::Postfix`] | a private instance of the machine's Postfix |
//! | [`Ports`] | addresses of 127.0.0.0/8 that share one free port |
//!
//! A scenario is the good case plus one change:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::Internet;
//! use lab::ca::Cert;
//! use lab::dns::{Fault, RecordType};
//! use lab::dnssec::Zone;
//! use lab::mx::{Act, Handshake, Script, Stage};
//!
//! let mut net = Internet::new().await?;
//! net.domain("good.test", Script::default()).await?;
//! net.domain("clear.test", Script::no_starttls()).await?;
//! net.domain("busy.test", Script { greeting: (421, "4.3.2 busy").into(), ..Script::default() }).await?;
//! net.domain("garbled.test", Script { handshake: Handshake::Stall, ..Script::default() }).await?;
//! let expired = net.ca.issue(&Cert::new(["mx.old.test"]).expired());
//! net.domain("old.test", Script::with_identity(expired)).await?;
//! net.domain("picky.test", Script::default().rcpt("no@picky.test", (550, "5.1.1 no"))).await?;
//! // A closure sees every moment: here the second message of a connection is refused.
//! net.domain("once.test", Script::default().on(|moment| match (moment.stage, moment.transaction) {
//!     (Stage::Mail, 1..) => Act::reply(421, "4.3.2 enough").then_close(),
//!     _ => Act::Normal,
//! })).await?;
//! // A signed zone with a TLSA record; in the other, the record was changed after it had been signed.
//! net.dns.secure("safe.test").zone("torn.test", Zone::secure().altered_only([RecordType::TLSA]));
//! for domain in ["safe.test", "torn.test"] {
//!     net.domain(domain, Script::default()).await?;
//!     net.tlsa(domain, "3 1 1");
//! }
//! // Two hosts: a backup that is never needed.
//! net.dns.mx("two.test", 10, "mx.good.test").mx("two.test", 20, "backup.two.test");
//! net.host("backup.two.test", Script::default()).await?;
//! net.dns.fault("broken.test", RecordType::MX, Fault::ServFail);
//!
//! // ... a relay configured with `net.config(..)` or `net.config_validating(..)` delivers something ...
//!
//! let mx = net.mx("good.test");
//! assert!(mx.wait_for_messages(1).await);
//! assert_eq!(mx.messages()[0].addresses(), ["someone@good.test"]);
//! assert!(!mx.mail_octets_in_clear() && !mx.wire_contains("a marker in the content"));
//! assert_eq!(mx.violations(), Vec::<String>::new());
//! # Ok(()) }
//! ```
//!
//! Everything stops when it is dropped. All waiting is bounded. Panics are for mistakes of the test's author only.

pub mod ca;
pub mod client;
pub mod dane;
pub mod dns;
pub mod dnssec;
mod fault;
mod internet;
pub mod mx;
mod name;
mod net;
pub mod postfix;
pub mod sink;
pub mod source;
pub mod sts;
mod tasks;
mod tls;
pub mod world;

pub use internet::Internet;
pub use net::Ports;
