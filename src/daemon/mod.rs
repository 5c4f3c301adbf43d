//! Builds every part in order; owns every task and every shared value.
//!
//! **Start**: configuration → log → file descriptors → runtime → ledger → everything that can be
//! wrong ([`Program::start`]) → `/metrics` bound → listeners bound → served → `READY=1`. What cannot
//! work is known before anything is served.
//!
//! **Reload** (SIGHUP), as a whole or not at all: configuration → everything that can fail
//! (`plan`) → new listeners bound → *from here nothing fails* → adopted → listeners
//! changed → log level. A message keeps what it was begun with.
//!
//! **Shutdown** (SIGTERM, SIGINT): `STOPPING=1`, listeners close, idle sessions get 421; after the
//! grace, deliveries whose final dot has not gone out are given up; those past it are awaited, and in
//! the end given up as well, with a reply that says so. A second signal gives up everything at once.
//!
//! Tasks, all on one [`Tasks`], and what each waits on:
//!
//! | name | waits on |
//! |---|---|
//! | `signals` | signals, the end |
//! | `watchdog` | time, the end |
//! | `DNSSEC probe` | time, the DNS servers, the end |
//! | `MTA-STS policies` | time, the store, the end |
//! | `preload` | the store |
//! | `store check` | the disk, the end |
//! | `hosts with TLS` | time, the store, the end |
//! | `history` | time, the store, the end |
//! | `left behind` | the disk, the end |
//! | `queue`, `queue sweeps`, `room in the queue` | time, the store, the shutdown's beginning |
//! | `admin`, `admin socket` | HTTP connections, the end |
//! | those of the program | its listeners' stop, [`Shutdown`] |

mod control;
mod dnssec;
mod history;
pub mod limits;
pub mod listeners;
pub mod logging;
pub mod notify;
mod page;
mod policies;
mod program;
mod queue;
mod run;
mod serving;
pub mod shutdown;
pub mod signals;
mod store_check;
pub mod tasks;
mod tls_failures;
mod tls_hosts;

pub use listeners::Listen;
pub use logging::Format;
pub use program::{Plan, Sealpost, run};
pub use run::{Common, Context, Program, RestartKey, StartError};
pub use shutdown::{Patience, Shutdown};
pub use tasks::Tasks;
