//! Opening the file: durability, integrity, schema.
//!
//! At start only what costs nothing is checked, since reading all of a large file takes longer than mail
//! should wait: that it is a database, as long as it says, and its schema readable.

use super::lock::{self, Lock};
use super::{StoreError, directory};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another process may hold the lock, such as a command that looks into the store.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Each step brings the schema from its index to the next number (`user_version`). Steps are only added.
pub(super) const STEPS: [&str; 5] = [
    "
    CREATE TABLE tls_failure (
        mx    TEXT    NOT NULL,
        ip    TEXT    NOT NULL,
        first INTEGER NOT NULL, -- UNIX seconds
        last  INTEGER NOT NULL, -- UNIX seconds
        PRIMARY KEY (mx, ip)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tls_failure_last ON tls_failure (last);
",
    "
    CREATE TABLE sts_policy (
        number  INTEGER PRIMARY KEY,
        domain  TEXT    NOT NULL UNIQUE,
        id      TEXT    NOT NULL,
        mode    TEXT    NOT NULL,
        policy  TEXT    NOT NULL,
        fetched INTEGER NOT NULL, -- UNIX seconds, like those below
        expires INTEGER NOT NULL,
        used    INTEGER NOT NULL,
        refresh INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX sts_policy_due ON sts_policy (refresh, expires, used);
    CREATE INDEX sts_policy_expires ON sts_policy (expires);
    CREATE INDEX sts_policy_used ON sts_policy (used);
    CREATE TABLE preload (
        path      TEXT    NOT NULL PRIMARY KEY,
        timestamp INTEGER NOT NULL -- the highest that was seen
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE message (
        number   INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: an attempt may outlive its message
        id       TEXT    NOT NULL UNIQUE,
        sender   TEXT    NOT NULL, -- empty: the null reverse path
        size     INTEGER NOT NULL, -- octets
        received INTEGER NOT NULL, -- UNIX milliseconds, like all times of the queue
        expires  INTEGER NOT NULL,
        details  TEXT    NOT NULL  -- JSON
    ) STRICT;
    CREATE INDEX message_expires ON message (expires);
    CREATE TABLE content ( -- apart, so that messages are looked through without it
        message INTEGER PRIMARY KEY,
        octets  BLOB    NOT NULL
    ) STRICT;
    CREATE TABLE recipient (
        number      INTEGER PRIMARY KEY,
        message     INTEGER NOT NULL,
        address     TEXT    NOT NULL,
        destination TEXT    NOT NULL, -- what is scheduled together
        notify      TEXT,
        orcpt       TEXT,
        state       INTEGER NOT NULL, -- 0: waiting, 1: held
        next        INTEGER NOT NULL, -- when it may be attempted
        attempts    INTEGER NOT NULL, -- begun
        leased      INTEGER NOT NULL, -- the run that has begun an attempt whose end is not written; 0: none
        reached     INTEGER NOT NULL, -- 0: no host was reached by the last attempt
        last        INTEGER,          -- the last attempt
        reply       TEXT,             -- what came of it
        host        TEXT,             -- JSON: who said so
        warn        INTEGER           -- when its sender is due a warning
    ) STRICT;
    CREATE INDEX recipient_message ON recipient (message);
    CREATE INDEX recipient_due ON recipient (destination, state, next);
    CREATE INDEX recipient_warn ON recipient (warn) WHERE warn IS NOT NULL AND state = 0;
    CREATE INDEX recipient_held ON recipient (message) WHERE state = 1;
    CREATE TABLE identity (id TEXT NOT NULL) STRICT; -- one row: no other database has it
    INSERT INTO identity (id) VALUES (lower(hex(randomblob(8))));
    CREATE TABLE touched (times INTEGER NOT NULL) STRICT; -- one row
    INSERT INTO touched (times) VALUES (0);
",
    "
    CREATE TABLE tls_host (
        host TEXT    NOT NULL PRIMARY KEY,
        last INTEGER NOT NULL -- UNIX seconds
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tls_host_last ON tls_host (last);
",
    super::history::TABLES,
];

/// Size of a page, octets: a usual message takes two or three of them, and less than half of one is left free.
const PAGE: i64 = 8192;
/// What the log is cut back to, octets.
const LOG_LIMIT: i64 = 64 << 20;
/// Statements that are kept by each connection: more than there are.
const STATEMENTS: usize = 128;
/// What is kept in memory, KiB: the indexes of a long queue, mostly.
const CACHE: i64 = 32 * 1024;
/// `PRAGMA auto_vacuum`: free pages can be given back a few at a time.
const INCREMENTAL: i64 = 2;

/// Opens or makes the database at `path`, ready for use, and for this process alone.
pub(super) fn open(path: &Path) -> Result<(Connection, Lock), StoreError> {
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        make_directory(directory)?;
    }
    let lock = lock::take(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first page is written; what exists keeps its own.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?; // see [`super::checkpoint`]
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    plan_once(&connection)?;
    check_beginning(&connection)?;
    make_shrinkable(&connection)?;
    migrate(&mut connection)?;
    Ok((connection, lock))
}

/// A file of an earlier version is written anew, once.
fn make_shrinkable(connection: &Connection) -> Result<(), StoreError> {
    let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if mode != INCREMENTAL {
        connection.execute_batch("VACUUM")?;
    }
    Ok(())
}

/// A further connection to a database that [`open`] has opened, which copies its log.
pub(super) fn open_for_copying(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    Ok(connection)
}

/// Statements are kept, and their plans do not depend on the values that they are run with: otherwise SQLite would
/// plan anew each one in which a value decides whether a partial index is of use.
fn plan_once(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// A further connection to a database that [`open`] has opened, which cannot change it.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    plan_once(&connection)?;
    Ok(connection)
}

/// A connection of another process to a database that a daemon may have open or not, for its history.
pub(super) fn open_history(path: &Path) -> Result<Connection, StoreError> {
    /// The first version that had one.
    const LEAST: i64 = 5;
    let connection = match open_for_reading(path).and_then(begun) {
        Ok(connection) => connection,
        // Who may read the file but not write beside it can read what is in the file, if that is all there is.
        Err(_) if path.exists() && !log_of(path).exists() => begun(open_at_rest(path)?)?,
        Err(error) => return Err(error),
    };
    let known = STEPS.len() as i64;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        found if found < LEAST => Err(StoreError::Other(format!(
            "schema {found} is of an earlier version and has no history"
        ))),
        found if found > known => Err(StoreError::Newer { found, known }),
        _ => Ok(connection),
    }
}

fn begun(connection: Connection) -> Result<Connection, StoreError> {
    check_beginning(&connection)?;
    Ok(connection)
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// For a file that nobody has open: without a log, and without a lock.
pub(super) fn open_at_rest(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let encode = |octet: &u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(*octet).to_string()
        }
        _ => format!("%{octet:02X}"),
    };
    let encoded: String = path.as_os_str().as_bytes().iter().map(encode).collect();
    let connection = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags)?;
    plan_once(&connection)?;
    Ok(connection)
}

/// Whether what was remembered can be read.
pub(super) fn check_readable(path: &Path) -> Result<(), StoreError> {
    /// The first version that had all that is read where nothing can be written.
    const LEAST: i64 = 2;
    let connection = open_for_reading(path)?;
    check_beginning(&connection)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found >= LEAST {
        true => Ok(()),
        false => Err(StoreError::Other(format!("schema {found} is too old"))),
    }
}

/// Readable for the owner's group, not for everyone: the store knows who writes to whom.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    directory::make(path, 0o750).map_err(|error| StoreError::Directory {
        path: path.into(),
        reason: error.to_string(),
    })
}

/// SQLite looks at the header and at the file's length before it parses the schema.
pub(super) fn check_beginning(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(())
}

/// Everything, but that indexes and tables say the same.
pub(super) fn check_integrity(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt(answer))
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = STEPS.len() as i64;
    // Immediate: it finds out now, not at the first write, that the file cannot be written.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).map_err(|_| StoreError::Newer { found, known })?;
    if done > STEPS.len() {
        return Err(StoreError::Newer { found, known });
    }
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    if done < STEPS.len() {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}
