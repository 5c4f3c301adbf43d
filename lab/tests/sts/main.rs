//! Policy hosts, talked to by a client that can do wrong.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod answers;
mod client;
mod requests;
mod running;

use lab::ca::Ca;
use lab::sts::{PolicyHost, PolicyScript};

async fn host(script: impl Into<PolicyScript>) -> PolicyHost {
    let good = Ca::default().identity(client::NAME);
    let any = "127.0.0.1:0".parse().unwrap();
    PolicyHost::start(client::NAME, any, good, script.into())
        .await
        .unwrap()
}
