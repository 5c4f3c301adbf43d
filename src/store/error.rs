//! Why the store cannot do what it was asked.

use rusqlite::{Error, ErrorCode};
use std::path::PathBuf;

/// Why the store cannot do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: cannot make the directory: {reason}")]
    Directory { path: PathBuf, reason: String },
    #[error("the database cannot be opened: {0}")]
    CannotOpen(String),
    #[error("the file is damaged or no database: {0}")]
    Corrupt(String),
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    #[error("the database is locked by another process")]
    Locked,
    #[error("no space left for the database")]
    Full,
    #[error("input/output error: {0}")]
    Io(String),
    #[error("the database has schema {found}, this version knows {known} at most")]
    Newer { found: i64, known: i64 },
    #[error(
        "another Sealpost has the database open; two daemons cannot share one, so give each a state_dir of its own"
    )]
    InUse,
    #[error("the database is closed")]
    Closed,
    #[error("no thread for the database: {0}")]
    Thread(String),
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether it would befall any other write as well.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Directory { .. }
            | Self::CannotOpen(_)
            | Self::ReadOnly(_)
            | Self::Locked
            | Self::Io(_)
            | Self::Newer { .. }
            | Self::InUse
            | Self::Closed
            | Self::Thread(_) => true,
            // A smaller one may fit, and damage may be elsewhere.
            Self::Full | Self::Corrupt(_) | Self::Other(_) => false,
        }
    }
}

impl From<Error> for StoreError {
    #[allow(clippy::wildcard_enum_match_arm)] // rusqlite's enum, non-exhaustive
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::Io(text),
            Some(ErrorCode::CannotOpen) => Self::CannotOpen(text),
            _ => Self::Other(text),
        }
    }
}
