//! The history: by destination and over time, at which level mail was delivered.
//!
//! A destination is a recipient's domain in A-labels, or an address literal as it is written. One recipient's attempt
//! counts once. The ledger gathers, the daemon hands over what has come together ([`Store::record_history`]), and
//! whoever shows or suggests something reads. There are no addresses in it.

mod facet;
mod list;
mod prune;
mod reader;
mod record;
mod series;
mod shown;
mod sighting;
mod tables;

pub use facet::{Facet, Label, OTHER, Way};
pub use list::{
    Destination, DestinationFilter, DestinationPage, DestinationQuery, Direction, Sort,
};
pub use prune::{HistoryLimits, Pruned};
pub use reader::HistoryReader;
pub use series::{
    DestinationDetail, DestinationUse, HistorySize, RuleUse, SeenChannel, SeenRefusal, Slot, Total,
};
pub use shown::{ShownDestination, ShownPage};
pub use sighting::{
    Clear, Downgrade, HourCount, LastAttempt, LastDelivery, LastRefusal, MOST_AT_ONCE, Recorded,
    Sighting, Stands,
};
pub(super) use tables::TABLES;

use super::{Store, StoreError};

/// Seconds of an hour and a day.
pub const HOUR: u64 = 60 * 60;
pub const DAY: u64 = 24 * HOUR;

/// How long hours are kept, seconds.
pub const HOURS_KEPT: u64 = 3 * DAY;

/// Plaintext is a downgrade for so long after the last delivery over TLS, seconds.
pub const DOWNGRADE_MEMORY: u64 = 30 * DAY;

impl Store {
    /// What was delivered in all, by the hour, from `from` until before `to`.
    pub async fn totals_by_hour(&self, from: u64, to: u64) -> Result<Vec<Total>, StoreError> {
        self.read_aside(move |c| series::totals(c, Slot::Hour, from, to))
            .await
    }

    /// The same by the day.
    pub async fn totals_by_day(&self, from: u64, to: u64) -> Result<Vec<Total>, StoreError> {
        self.read_aside(move |c| series::totals(c, Slot::Day, from, to))
            .await
    }

    /// A page of the destinations.
    pub async fn destinations_seen(
        &self,
        query: DestinationQuery,
    ) -> Result<DestinationPage, StoreError> {
        self.read_aside(move |c| list::page(c, &query)).await
    }

    /// All that is known of a destination.
    pub async fn destination_seen(
        &self,
        name: &str,
    ) -> Result<Option<DestinationDetail>, StoreError> {
        let name = name.to_owned();
        self.read_aside(move |c| series::destination(c, &name))
            .await
    }

    /// What each rule has caught, the most caught first; at most so many.
    pub async fn rules_caught(&self, most: u32) -> Result<Vec<RuleUse>, StoreError> {
        self.read_aside(move |c| series::rules(c, most)).await
    }

    /// How each destination was reached since a time, which counts from the beginning of its day.
    pub async fn ways(&self, since: u64) -> Result<Vec<DestinationUse>, StoreError> {
        self.read_aside(move |c| series::ways(c, since)).await
    }

    /// How much there is.
    pub async fn history_size(&self) -> Result<HistorySize, StoreError> {
        self.read(series::size).await
    }

    /// Adds what has come together, at most [`MOST_AT_ONCE`] destinations; `now` in UNIX seconds.
    pub async fn record_history(
        &self,
        sightings: Vec<Sighting>,
        now: u64,
    ) -> Result<Recorded, StoreError> {
        self.change(move |transaction| record::record(transaction, &sightings, now))
            .await
    }

    /// Forgets some of what is too old or too much, in small writes.
    pub async fn prune_history(
        &self,
        limits: HistoryLimits,
        now: u64,
    ) -> Result<Pruned, StoreError> {
        // Who was not seen the longest is looked up beside the writes.
        let unseen = self
            .read_aside(move |c| prune::unseen(c, limits, now))
            .await?;
        for unseen in unseen.chunks(prune::DESTINATIONS_AT_ONCE) {
            let unseen = unseen.to_vec();
            self.change(move |transaction| prune::forget(transaction, &unseen))
                .await?;
        }
        let stepped = self.change(move |transaction| prune::step(transaction, limits, now));
        Ok(match (unseen.is_empty(), stepped.await?) {
            (true, Pruned::Done) => Pruned::Done,
            (false, _) | (_, Pruned::More) => Pruned::More,
        })
    }
}

#[cfg(test)]
mod tests;
