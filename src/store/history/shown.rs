//! Destinations for people: with the policy, what was last obtained, and what kept mail back.

use super::facet::Facets;
use super::list::{self, Destination, DestinationQuery};
use super::series::{SeenChannel, SeenRefusal};
use super::{Facet, Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::sync::Arc;

/// A destination with what its last attempt and its last delivery were like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDestination {
    pub destination: Destination,
    /// Of the last attempt.
    pub facet: Arc<Facet>,
    /// What the rule of the last attempt is called, or where it stands.
    pub rule: Option<String>,
    pub channel: Option<SeenChannel>,
    pub refusal: Option<SeenRefusal>,
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPage {
    /// How many match, on all pages.
    pub matching: u64,
    pub rows: Vec<ShownDestination>,
}

impl Store {
    /// A page of the destinations, with more of each.
    pub async fn destinations_shown(
        &self,
        query: DestinationQuery,
    ) -> Result<ShownPage, StoreError> {
        self.read_aside(move |connection| page(connection, &query))
            .await
    }
}

fn page(connection: &Connection, query: &DestinationQuery) -> Result<ShownPage, StoreError> {
    let page = list::page(connection, query)?;
    let facets = Facets::read(connection)?;
    let mut select = connection.prepare_cached(
        "SELECT facet, rule, channel, channel_at, mx, refusal, refusal_at, refusal_why
         FROM destination_detail WHERE destination = (SELECT number FROM destination WHERE name = ?1)",
    )?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for destination in page.rows {
        let more = select
            .query_row([&destination.name], |row| Ok(more(row, &facets)))
            .optional()?;
        // Without more of it the destination was forgotten in between.
        let Some(more) = more else { continue };
        let (facet, rule, channel, refusal) = more?;
        rows.push(ShownDestination {
            destination,
            facet,
            rule,
            channel,
            refusal,
        });
    }
    Ok(ShownPage {
        matching: page.matching,
        rows,
    })
}

type More = (
    Arc<Facet>,
    Option<String>,
    Option<SeenChannel>,
    Option<SeenRefusal>,
);

fn more(row: &Row<'_>, facets: &Facets) -> Result<More, StoreError> {
    let time = |column| -> Result<u64, StoreError> {
        Ok(row
            .get::<_, Option<i64>>(column)?
            .unwrap_or(0)
            .unsigned_abs())
    };
    let channel = match row.get::<_, Option<i64>>(2)? {
        Some(facet) => Some(SeenChannel {
            at: time(3)?,
            facet: facets.get(facet)?,
            mx: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        }),
        None => None,
    };
    let refusal = match row.get::<_, Option<String>>(5)? {
        Some(words) => Some(SeenRefusal {
            at: time(6)?,
            words,
            why: row.get(7)?,
        }),
        None => None,
    };
    Ok((facets.get(row.get(0)?)?, row.get(1)?, channel, refusal))
}
