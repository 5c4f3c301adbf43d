//! Remembered TLS failures.

use super::{Store, StoreError, changed, seconds};
use rusqlite::{Connection, params};
use std::net::IpAddr;

/// A TLS handshake with a host at an address failed, and none has succeeded since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedFailure {
    /// The MX host's name, unexpanded; empty for an address literal.
    pub mx: String,
    pub ip: IpAddr,
    /// UNIX seconds of the first failure.
    pub first: u64,
    /// UNIX seconds of the last failure.
    pub last: u64,
}

impl Store {
    /// All remembered TLS failures, in no order.
    pub async fn tls_failures(&self) -> Result<Vec<RememberedFailure>, StoreError> {
        self.read(all).await
    }

    /// Remembers a failure in place of what was known of this host and address.
    pub async fn remember_tls_failure(&self, failure: RememberedFailure) -> Result<(), StoreError> {
        let written = self.write(move |transaction| {
            changed(
                transaction,
                "INSERT INTO tls_failure (mx, ip, first, last) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (mx, ip) DO UPDATE SET first = ?3, last = ?4",
                params![
                    failure.mx,
                    failure.ip.to_string(),
                    seconds(failure.first),
                    seconds(failure.last),
                ],
            )
        });
        written.await.map(drop)
    }

    /// Forgets the failures of a host at an address.
    pub async fn forget_tls_failure(&self, mx: &str, ip: IpAddr) -> Result<(), StoreError> {
        let mx = mx.to_owned();
        let written = self.write(move |transaction| {
            changed(
                transaction,
                "DELETE FROM tls_failure WHERE mx = ?1 AND ip = ?2",
                params![mx, ip.to_string()],
            )
        });
        written.await.map(drop)
    }

    /// Forgets failures whose last one was before this time, in UNIX seconds.
    pub async fn prune(&self, before: u64) -> Result<(), StoreError> {
        let written = self.write(move |transaction| {
            changed(
                transaction,
                "DELETE FROM tls_failure WHERE last < ?1",
                params![seconds(before)],
            )
        });
        written.await.map(drop)
    }
}

fn all(connection: &Connection) -> Result<Vec<RememberedFailure>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT mx, ip, first, last FROM tls_failure")?;
    let mut rows = statement.query([])?;
    let mut failures = Vec::new();
    while let Some(row) = rows.next()? {
        let ip: String = row.get(1)?;
        failures.push(RememberedFailure {
            mx: row.get(0)?,
            ip: ip
                .parse()
                .map_err(|_| StoreError::Corrupt(format!("no address: {ip}")))?,
            first: row.get::<_, i64>(2)?.unsigned_abs(),
            last: row.get::<_, i64>(3)?.unsigned_abs(),
        });
    }
    Ok(failures)
}
