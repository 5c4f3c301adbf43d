//! The thread that owns the connection. It ends with `Close`, or when the last handle is gone.

use super::{RememberedFailure, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::net::IpAddr;
use tokio::sync::{mpsc, oneshot};

/// Writes that share one transaction at most.
const MAX_BATCH: usize = 128;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a handle asks for. A reply that nobody waits for any more is dropped.
#[derive(Debug)]
pub(super) enum Command {
    TlsFailures(Reply<Vec<RememberedFailure>>),
    Write(Write, Reply<()>),
    Close(oneshot::Sender<()>),
}

/// What changes the store.
#[derive(Debug)]
pub(super) enum Write {
    Remember(RememberedFailure),
    Forget { mx: String, ip: IpAddr },
    Prune { before: u64 },
}

pub(super) fn run(mut connection: Connection, mut queue: mpsc::Receiver<Command>) {
    let mut next = queue.blocking_recv();
    while let Some(command) = next.take() {
        match command {
            Command::TlsFailures(reply) => {
                let _ = reply.send(tls_failures(&connection));
            }
            Command::Write(write, reply) => {
                let mut batch = vec![(write, reply)];
                next = gather(&mut batch, &mut queue);
                write_batch(&mut connection, batch);
            }
            Command::Close(reply) => {
                // Closing copies the log into the file; if it cannot, the log is read at the next start.
                let _ = connection.close();
                let _ = reply.send(());
                return;
            }
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
}

/// Takes further writes that wait already. The command that ends the batch, if any, is handed back.
fn gather(
    batch: &mut Vec<(Write, Reply<()>)>,
    queue: &mut mpsc::Receiver<Command>,
) -> Option<Command> {
    while batch.len() < MAX_BATCH {
        match queue.try_recv().ok()? {
            Command::Write(write, reply) => batch.push((write, reply)),
            other @ (Command::TlsFailures(_) | Command::Close(_)) => return Some(other),
        }
    }
    None
}

/// All or nothing: everybody in the batch gets the same answer, after the commit.
fn write_batch(connection: &mut Connection, batch: Vec<(Write, Reply<()>)>) {
    let (writes, replies): (Vec<Write>, Vec<Reply<()>>) = batch.into_iter().unzip();
    let result = commit(connection, &writes);
    for reply in replies {
        let _ = reply.send(result.clone());
    }
}

fn commit(connection: &mut Connection, writes: &[Write]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in writes {
        apply(&transaction, write)?;
    }
    transaction.commit()?;
    Ok(())
}

fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Remember(failure) => transaction
            .prepare_cached(
                "INSERT INTO tls_failure (mx, ip, first, last) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (mx, ip) DO UPDATE SET first = ?3, last = ?4",
            )?
            .execute(params![
                failure.mx,
                failure.ip.to_string(),
                seconds(failure.first),
                seconds(failure.last),
            ])?,
        Write::Forget { mx, ip } => transaction
            .prepare_cached("DELETE FROM tls_failure WHERE mx = ?1 AND ip = ?2")?
            .execute(params![mx, ip.to_string()])?,
        Write::Prune { before } => transaction
            .prepare_cached("DELETE FROM tls_failure WHERE last < ?1")?
            .execute(params![seconds(*before)])?,
    };
    Ok(())
}

/// SQLite's integers are signed.
fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}

fn tls_failures(connection: &Connection) -> Result<Vec<RememberedFailure>, StoreError> {
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
