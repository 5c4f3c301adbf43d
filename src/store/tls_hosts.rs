//! Hosts that mail has gone to over TLS.

use super::{Store, StoreError, seconds};
use rusqlite::{Connection, params};

/// A host that had TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedTls {
    /// The MX host's name; of an address literal the address.
    pub host: String,
    /// UNIX seconds of the last delivery over TLS.
    pub last: u64,
}

impl Store {
    /// At most so many of them, the latest first.
    pub async fn tls_hosts(&self, most: u32) -> Result<Vec<RememberedTls>, StoreError> {
        self.read(move |connection| latest(connection, most)).await
    }

    /// Remembers hosts in place of what was known of them, and forgets those that had no TLS since `before`, in UNIX
    /// seconds.
    pub async fn remember_tls_hosts(
        &self,
        hosts: Vec<RememberedTls>,
        before: u64,
    ) -> Result<(), StoreError> {
        let written = self.write(move |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO tls_host (host, last) VALUES (?1, ?2)
                 ON CONFLICT (host) DO UPDATE SET last = ?2",
            )?;
            for host in &hosts {
                insert.execute(params![host.host, seconds(host.last)])?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM tls_host WHERE last < ?1")?;
            Ok(delete.execute(params![seconds(before)])? as u64)
        });
        written.await.map(drop)
    }
}

fn latest(connection: &Connection, most: u32) -> Result<Vec<RememberedTls>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT host, last FROM tls_host ORDER BY last DESC LIMIT ?1")?;
    let rows = statement.query_map([most], |row| {
        let last: i64 = row.get(1)?;
        Ok(RememberedTls {
            host: row.get(0)?,
            last: last.unsigned_abs(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
