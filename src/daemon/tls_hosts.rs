//! Keeps over a restart which hosts have had TLS.

use super::tls_failures;
use crate::admin::Health;
use crate::clock;
use crate::ledger::{Ledger, TlsHost, TlsHosts};
use crate::store::{RememberedTls, Store};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// How often what is new is written; a crash forgets that much.
const INTERVAL: Duration = Duration::from_secs(60);
/// Hosts that are read, and that wait while the store cannot be written, at most.
const MOST: u32 = 50_000;

/// Tells the ledger what earlier runs knew.
pub(super) async fn restore(store: &Store, ledger: &Ledger) {
    match store.tls_hosts(MOST).await {
        Ok(known) => ledger
            .tls_hosts()
            .restore(known.into_iter().map(from_store)),
        // Nothing but a warning depends on it.
        Err(error) => tracing::warn!(%error, "which hosts had TLS is not known"),
    }
}

/// Writes what is new, also at the end.
pub(super) async fn keep((store, health): (Store, Health), ledger: Ledger, end: CancellationToken) {
    let mut unwritten: Vec<RememberedTls> = Vec::new();
    while !end.is_cancelled() {
        // Timed out or ended: what there is to write is the same.
        let _ = tokio::time::timeout(INTERVAL, end.cancelled()).await;
        unwritten.extend(ledger.tls_hosts().changed().into_iter().map(to_store));
        if unwritten.is_empty() {
            continue;
        }
        let before = seconds(TlsHosts::too_old(clock::now()));
        let written = store.remember_tls_hosts(unwritten.clone(), before).await;
        tls_failures::note(&health, written.as_ref().err());
        match written {
            Ok(()) => unwritten.clear(),
            Err(_) => unwritten.truncate(MOST as usize),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn to_store(known: TlsHost) -> RememberedTls {
    RememberedTls {
        host: known.host.to_string(),
        last: seconds(known.last),
    }
}

fn from_store(known: RememberedTls) -> TlsHost {
    TlsHost {
        host: known.host.into(),
        last: UNIX_EPOCH + Duration::from_secs(known.last.min(u64::from(u32::MAX))),
    }
}
