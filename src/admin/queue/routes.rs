//! What the admin socket answers about the queue.
//!
//! | request | answer |
//! |---|---|
//! | `GET /queue?SELECTION&after=N&limit=N` | [`QueuePage`] |
//! | `GET /queue/ID` | [`QueueEntry`], 404 [`QueueMissing`] |
//! | `POST /queue/{hold,release,retry,drop}?SELECTION` | [`QueueChanged`], 404 [`QueueMissing`] |
//!
//! SELECTION is made of `id`, `domain`, `sender`, `state`, `older` and `newer` (seconds); all that is given must hold.
//! Whoever changes everything says `all=yes`. A change that takes long is answered before it is done: the rest is asked
//! for with the `after` and `until` of the answer.

use super::super::control::{Caller, Control, QUICK, problem, within};
use super::query::{Everything, Query, QueueSelection, queue_id};
use super::{QueueChanged, QueueEntry, QueueMissing, QueuePage, done};
use crate::clock;
use crate::queue::{Act, Desk, Order, Rest, Tally};
use crate::store::StoreError;
use crate::store::queue::Millis;
use axum::extract::{ConnectInfo, Path as InPath, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::time::UNIX_EPOCH;

pub(in crate::admin) fn routes() -> Router<Control> {
    Router::new()
        .route("/queue", get(list))
        .route("/queue/{id}", get(show))
        .route("/queue/hold", post(hold))
        .route("/queue/release", post(release))
        .route("/queue/retry", post(retry))
        .route("/queue/drop", post(drop_mail))
}

/// Why there is no answer.
enum Refusal {
    Wrong(String),
    Unavailable(String),
    Missing(String),
}

impl Refusal {
    fn unreadable(error: StoreError) -> Self {
        Self::Unavailable(format!("the store cannot be read: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong(wrong) => problem(StatusCode::BAD_REQUEST, wrong),
            Self::Unavailable(why) => problem(StatusCode::SERVICE_UNAVAILABLE, why),
            Self::Missing(id) => {
                (StatusCode::NOT_FOUND, Json(QueueMissing::of(&id))).into_response()
            }
        }
    }
}

async fn list(State(control): State<Control>, RawQuery(query): RawQuery) -> Response {
    let listing = async {
        let (query, desk) = (parse(query)?, desk(&control)?);
        let everything = query.selection.is_everything();
        let selection = query.selection.at(millis());
        let after = query.after.unwrap_or(0);
        let total = match everything && query.after.is_none() {
            true => Some(desk.length().await.map_err(Refusal::unreadable)?),
            false => None,
        };
        let page = desk.page(selection, after, query.limit).await;
        let page = page.map_err(Refusal::unreadable)?;
        let answer = QueuePage {
            messages: page.messages.into_iter().map(QueueEntry::of).collect(),
            next: page.next,
            total,
        };
        Ok(Json(answer).into_response())
    };
    within(QUICK, answered(listing)).await
}

async fn show(State(control): State<Control>, InPath(id): InPath<String>) -> Response {
    let showing = async {
        let id = queue_id(&id).map_err(Refusal::Wrong)?;
        match desk(&control)?
            .show(&id)
            .await
            .map_err(Refusal::unreadable)?
        {
            Some(seen) => Ok(Json(QueueEntry::of(seen)).into_response()),
            None => Err(Refusal::Missing(id)),
        }
    };
    within(QUICK, answered(showing)).await
}

async fn hold(
    State(control): State<Control>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    change(&control, caller, Act::Hold, query).await
}

async fn release(
    State(control): State<Control>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    change(&control, caller, Act::Release, query).await
}

async fn retry(
    State(control): State<Control>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    change(&control, caller, Act::Retry, query).await
}

async fn drop_mail(
    State(control): State<Control>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    change(&control, caller, Act::Drop, query).await
}

async fn change(control: &Control, caller: Caller, act: Act, query: Option<String>) -> Response {
    let changing = async {
        let (query, desk) = (parse(query)?, desk(control)?);
        if query.selection.is_everything() && query.everything == Everything::Unsaid {
            let wrong = "nothing is selected; all=yes selects everything";
            return Err(Refusal::Wrong(wrong.to_owned()));
        }
        exists(desk, &query.selection).await?;
        let rest = query.rest().map(|rest| Rest {
            after: rest.after,
            until: rest.until,
        });
        let order = Order {
            act,
            selection: query.selection.at(millis()),
            rest,
        };
        let ledger = control.ledger.clone();
        let tell = move |tally: Tally| {
            if tally.recipients > 0 {
                ledger.queue_changed(done(act), tally.messages, tally.recipients, caller.uid);
            }
        };
        match desk.change(order, tell).await {
            Ok(tally) => Ok(Json(QueueChanged::from(tally)).into_response()),
            Err(broken) => {
                let wrong = format!("the store cannot be changed: {broken}");
                Err(Refusal::Unavailable(wrong))
            }
        }
    };
    within(QUICK, answered(changing)).await
}

/// Whoever names a message that is not there is told so.
async fn exists(desk: &Desk, selection: &QueueSelection) -> Result<(), Refusal> {
    let Some(id) = &selection.id else {
        return Ok(());
    };
    match desk.show(id).await.map_err(Refusal::unreadable)? {
        Some(_) => Ok(()),
        None => Err(Refusal::Missing(id.clone())),
    }
}

async fn answered(answer: impl Future<Output = Result<Response, Refusal>>) -> Response {
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// A message may have come this very second.
fn millis() -> Millis {
    let since = clock::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn parse(query: Option<String>) -> Result<Query, Refusal> {
    Query::parse(query.as_deref().unwrap_or_default()).map_err(Refusal::Wrong)
}

fn desk(control: &Control) -> Result<&Desk, Refusal> {
    control.desk.as_ref().ok_or_else(|| {
        let why = "there is no queue: its store could not be opened, see the daemon's log";
        Refusal::Unavailable(why.to_owned())
    })
}
