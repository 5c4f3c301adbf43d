//! Sealpost: an outbound SMTP relay that enforces TLS policy.
//!
//! **discover** what a destination publishes (I/O, facts) → **decide** what must be proven (pure) →
//! **deliver** (obey) → **record** (tell once).
//!
//! A module may use only modules of a lower rank; `tests/layers.rs` enforces it.
//!
//! | rank | modules | what they are |
//! |---|---|---|
//! | run | `cli` `daemon` `admin` `config` `socketmap` `server` `queue` | what an operator types; owns tasks; HTTP; the file; answers for Postfix; SMTP in; our custody |
//! | pipeline | `survey` `relay` `ledger` `delivery` `discovery` | what domains are like; the spine; what happened; one host; what is published |
//! | outside | `https` `message` `store` `tls` `dns` `clock` | hyper, content, SQL, rustls, hickory, time: one home each |
//! | core | `policy` `suggest` `dsn` `dane` `mta_sts` `tlsrpt` `maillog` `smtp` `html` `names` | pure: no await, no clock, no log |

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod dane;
pub mod delivery;
pub mod discovery;
pub mod dns;
pub mod dsn;
pub mod html;
pub mod https;
pub mod ledger;
pub mod maillog;
pub mod message;
pub mod mta_sts;
pub mod names;
pub mod policy;
pub mod queue;
pub mod relay;
pub mod server;
pub mod smtp;
pub mod socketmap;
pub mod store;
pub mod suggest;
pub mod survey;
pub mod tls;
pub mod tlsrpt;
