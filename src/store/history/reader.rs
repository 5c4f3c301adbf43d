//! Reading the history from another process, whether a daemon runs or not.

use super::list::{self, DestinationPage, DestinationQuery};
use super::series::{self, DestinationDetail, DestinationUse, HistorySize, RuleUse, Slot, Total};
use crate::store::{Store, StoreError, schema};
use rusqlite::Connection;
use std::path::Path;

/// The history of a store that somebody else may have open. Everything blocks.
#[derive(Debug)]
pub struct HistoryReader(Connection);

impl Store {
    /// Opens the history for reading, and nothing but the history; changes nothing.
    pub fn open_history_for_reading(path: &Path) -> Result<HistoryReader, StoreError> {
        schema::open_history(path).map(HistoryReader)
    }
}

impl HistoryReader {
    /// What was delivered in all, from `from` until before `to`.
    pub fn totals(&self, slot: Slot, from: u64, to: u64) -> Result<Vec<Total>, StoreError> {
        series::totals(&self.0, slot, from, to)
    }

    /// A page of the destinations.
    pub fn destinations(&self, query: &DestinationQuery) -> Result<DestinationPage, StoreError> {
        list::page(&self.0, query)
    }

    /// All that is known of a destination.
    pub fn destination(&self, name: &str) -> Result<Option<DestinationDetail>, StoreError> {
        series::destination(&self.0, name)
    }

    /// What each rule has caught, the most caught first; at most so many.
    pub fn rules_caught(&self, most: u32) -> Result<Vec<RuleUse>, StoreError> {
        series::rules(&self.0, most)
    }

    /// How each destination was reached since a time, which counts from the beginning of its day.
    pub fn ways(&self, since: u64) -> Result<Vec<DestinationUse>, StoreError> {
        series::ways(&self.0, since)
    }

    /// How much there is.
    pub fn size(&self) -> Result<HistorySize, StoreError> {
        series::size(&self.0)
    }
}
