//! MTA-STS policies, as they were fetched.

use super::{Store, StoreError, changed, seconds};
use rusqlite::{Connection, Params, Row, params};

/// Rows that one transaction forgets at most: others wait for it as long as for any other write.
pub(super) const PRUNE_STEP: u64 = 500;

pub(super) const ONE: &str = "SELECT domain, id, mode, policy, fetched, expires, used, refresh
    FROM sts_policy WHERE domain = ?1";

pub(super) const IN_ORDER: &str = "SELECT domain, id, mode, policy, fetched, expires, used, refresh
    FROM sts_policy WHERE domain > ?1 ORDER BY domain LIMIT ?2";

/// In the order of the index, so that no more is read than is asked for.
pub(super) const DUE: &str = "SELECT domain, id, mode, policy, fetched, expires, used, refresh
    FROM sts_policy INDEXED BY sts_policy_due
    WHERE refresh <= ?1 AND expires > ?1 ORDER BY refresh LIMIT ?2";

const MATCHING: &str = "SELECT domain, id, mode, policy, fetched, expires, used, refresh
    FROM sts_policy WHERE instr(domain, ?1) > 0 ORDER BY domain LIMIT ?2 OFFSET ?3";

const COUNT_MATCHING: &str = "SELECT count(*) FROM sts_policy WHERE instr(domain, ?1) > 0";

pub(super) const COUNT: &str = "SELECT count(*) FROM sts_policy";

pub(super) const PUT: &str =
    "INSERT INTO sts_policy (domain, id, mode, policy, fetched, expires, used, refresh)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (domain) DO UPDATE SET
    id = ?2, mode = ?3, policy = ?4, fetched = ?5, expires = ?6, used = ?7, refresh = ?8";

pub(super) const FORGET: &str = "DELETE FROM sts_policy WHERE domain = ?1";

pub(super) const USED: &str = "UPDATE sts_policy SET used = ?2 WHERE domain = ?1";

pub(super) const POSTPONE: &str = "UPDATE sts_policy SET refresh = ?2 WHERE domain = ?1";

pub(super) const FORGET_EXPIRED: &str = "DELETE FROM sts_policy WHERE number IN (
        SELECT number FROM sts_policy WHERE expires < ?1 ORDER BY expires LIMIT ?2)";

pub(super) const FORGET_UNUSED: &str = "DELETE FROM sts_policy WHERE number IN (
        SELECT number FROM sts_policy ORDER BY used LIMIT ?1)";

pub(super) const NOTE_PRELOAD: &str = "INSERT INTO preload (path, timestamp) VALUES (?1, ?2)
    ON CONFLICT (path) DO UPDATE SET timestamp = max(timestamp, ?2)
    RETURNING timestamp";

/// A policy as it was fetched, by policy domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// A-labels, lower case.
    pub domain: String,
    /// The `id` of the TXT record at the time of the fetch (RFC 8461 §3.1).
    pub id: String,
    /// `enforce`, `testing` or `none`: beside the policy, so that lists need not parse it.
    pub mode: String,
    /// The policy's text in canonical form.
    pub policy: String,
    /// UNIX seconds of the last successful fetch.
    pub fetched: u64,
    /// UNIX seconds; `fetched` and `max_age`.
    pub expires: u64,
    /// UNIX seconds of the last use, coarse.
    pub used: u64,
    /// UNIX seconds; not to be refreshed before.
    pub refresh: u64,
}

impl Store {
    /// The policy of a domain, whether it has expired or not.
    pub async fn sts_policy(&self, domain: &str) -> Result<Option<StoredPolicy>, StoreError> {
        let domain = domain.to_owned();
        self.read(move |connection| Ok(policies(connection, ONE, params![domain])?.pop()))
            .await
    }

    /// Keeps a policy in place of what was known of its domain.
    pub async fn put_sts_policy(&self, policy: StoredPolicy) -> Result<(), StoreError> {
        let written = self.write(move |transaction| {
            changed(
                transaction,
                PUT,
                params![
                    policy.domain,
                    policy.id,
                    policy.mode,
                    policy.policy,
                    seconds(policy.fetched),
                    seconds(policy.expires),
                    seconds(policy.used),
                    seconds(policy.refresh),
                ],
            )
        });
        written.await.map(drop)
    }

    /// Forgets the policy of a domain; whether there was one.
    pub async fn forget_sts_policy(&self, domain: &str) -> Result<bool, StoreError> {
        let domain = domain.to_owned();
        let forgotten =
            self.write(move |transaction| changed(transaction, FORGET, params![domain]));
        Ok(forgotten.await? > 0)
    }

    /// Notes when a policy was used last, in UNIX seconds; no news for a domain without one.
    pub async fn sts_policy_used(&self, domain: &str, used: u64) -> Result<(), StoreError> {
        self.set(USED, domain, used).await
    }

    /// Puts off the refresh of a policy until then, in UNIX seconds; no news for a domain without one.
    pub async fn postpone_sts_refresh(&self, domain: &str, refresh: u64) -> Result<(), StoreError> {
        self.set(POSTPONE, domain, refresh).await
    }

    async fn set(&self, sql: &'static str, domain: &str, time: u64) -> Result<(), StoreError> {
        let domain = domain.to_owned();
        let written = self
            .write(move |transaction| changed(transaction, sql, params![domain, seconds(time)]));
        written.await.map(drop)
    }

    /// Policies that have not expired and whose refresh is due, the longest due first: whoever is put off stands
    /// behind all that are due by now. Times are UNIX seconds.
    pub async fn sts_policies_due(
        &self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<StoredPolicy>, StoreError> {
        let now = seconds(now);
        self.read_aside(move |connection| policies(connection, DUE, params![now, rows(limit)]))
            .await
    }

    /// Policies in the order of their domains, from the first one after `after`.
    pub async fn sts_policies(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StoredPolicy>, StoreError> {
        let after = after.to_owned();
        self.read_aside(move |connection| {
            policies(connection, IN_ORDER, params![after, rows(limit)])
        })
        .await
    }

    /// How many policies are of a domain with this in its name, and some of them in the order of their domains. An
    /// empty text is in every name.
    pub async fn sts_policies_matching(
        &self,
        search: &str,
        offset: usize,
        limit: usize,
    ) -> Result<(u64, Vec<StoredPolicy>), StoreError> {
        let search = search.to_ascii_lowercase();
        self.read_aside(move |connection| {
            let count = connection.query_row(COUNT_MATCHING, [&search], |row| row.get(0))?;
            let page = params![search, rows(limit), rows(offset)];
            Ok((unsigned(count)?, policies(connection, MATCHING, page)?))
        })
        .await
    }

    /// How many policies are kept, expired ones included.
    pub async fn count_sts_policies(&self) -> Result<u64, StoreError> {
        self.read_aside(|connection| {
            let count = connection.query_row(COUNT, [], |row| row.get::<_, i64>(0))?;
            unsigned(count)
        })
        .await
    }

    /// Forgets what had expired before `now`, in UNIX seconds, and of the rest the least recently used
    /// beyond `most`; how many are gone. Other writes have their turn in between.
    pub async fn prune_sts_policies(&self, now: u64, most: u64) -> Result<u64, StoreError> {
        let expired = self
            .forget_many(FORGET_EXPIRED, Some(now), u64::MAX)
            .await?;
        let excess = self.count_sts_policies().await?.saturating_sub(most);
        let unused = self.forget_many(FORGET_UNUSED, None, excess).await?;
        Ok(expired + unused)
    }

    /// Forgets up to `most` of what the statement finds, step by step; how many are gone.
    async fn forget_many(
        &self,
        sql: &'static str,
        before: Option<u64>,
        most: u64,
    ) -> Result<u64, StoreError> {
        let mut gone = 0;
        while gone < most {
            let step = PRUNE_STEP.min(most - gone);
            let forgotten = self.write(move |transaction| match before {
                Some(before) => changed(transaction, sql, params![seconds(before), seconds(step)]),
                None => changed(transaction, sql, params![seconds(step)]),
            });
            let forgotten = forgotten.await?;
            gone += forgotten;
            if forgotten < step {
                break;
            }
        }
        Ok(gone)
    }

    /// Notes the timestamp of a preloaded list; the highest that was ever noted under this name, this one
    /// included. A list below it was rolled back.
    pub async fn note_preload(&self, path: &str, timestamp: u64) -> Result<u64, StoreError> {
        let path = path.to_owned();
        self.write(move |transaction| {
            let highest = transaction
                .prepare_cached(NOTE_PRELOAD)?
                .query_row(params![path, seconds(timestamp)], |row| {
                    row.get::<_, i64>(0)
                })?;
            unsigned(highest)
        })
        .await
    }
}

fn policies(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<StoredPolicy>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(policy(row)?);
    }
    Ok(found)
}

fn policy(row: &Row<'_>) -> Result<StoredPolicy, StoreError> {
    let time = |column: usize| unsigned(row.get(column)?);
    Ok(StoredPolicy {
        domain: row.get(0)?,
        id: row.get(1)?,
        mode: row.get(2)?,
        policy: row.get(3)?,
        fetched: time(4)?,
        expires: time(5)?,
        used: time(6)?,
        refresh: time(7)?,
    })
}

/// A number that is never negative unless somebody else wrote it.
fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is no time")))
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
