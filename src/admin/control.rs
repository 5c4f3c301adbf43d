//! HTTP on `admin.socket`, for what changes things or is not everybody's business: who may open the file may
//! ask. `sealpost policy` and `sealpost queue` do, see [`super::client`].
//!
//! | request | answer |
//! |---|---|
//! | `GET /policies?after=DOMAIN&limit=N` | [`PolicyPage`] |
//! | `GET /policies/DOMAIN` | [`PolicyShown`], 404 [`PolicyMissing`] |
//! | `POST /policies/DOMAIN/refresh` | [`PolicyRefreshed`], whatever came of it |
//! | `DELETE /policies/DOMAIN` | [`PolicyForgotten`], 404 [`PolicyMissing`] |
//! | `/queue...` | see [`super::queue`] |
//!
//! All else is answered with [`Problem`]. Bodies of requests are not read.

use super::connections::{Bounded, Bounds};
use super::policies::{
    PolicyEntry, PolicyForgotten, PolicyMissing, PolicyPage, PolicyRefreshed, PolicyShown, Problem,
};
use super::queue;
use crate::clock;
use crate::discovery::Sts;
use crate::ledger::Ledger;
use crate::names::{DomainName, PolicyDomain};
use crate::queue::Desk;
use crate::server::{BindError, SocketFile, unix_listener};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts, Path as InPath, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// A refresh takes a little more than a minute at most.
const BOUNDS: Bounds = Bounds {
    connections: 32,
    lifetime: Duration::from_secs(120),
};
/// For what asks the store only.
pub(super) const QUICK: Duration = Duration::from_secs(15);
/// For a refresh: the record, the fetch, and the store.
pub(super) const REFRESH: Duration = Duration::from_secs(90);

/// Policies in one answer at most.
pub(super) const MAX_PAGE: usize = 1000;
/// Octets of policies after which an answer takes no further one: one policy may have 64 KiB.
const PAGE_WEIGHT: usize = 1 << 20;
/// Policies that are read from the store at once.
const STEP: usize = 250;

/// Where each program has a directory of its own that is gone after a reboot.
const RUN: [&str; 2] = ["/run", "/var/run"];
/// As systemd makes it for `RuntimeDirectory=`: sockets in it have permissions of their own.
const RUN_MODE: u32 = 0o755;

/// The socket, bound and not yet served. Its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl ControlSocket {
    /// Binds `admin.socket`, in place of one that was left behind. A program's directory below `/run` is made
    /// if need be. Needs a runtime.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        RUN.iter()
            .for_each(|run| make_directory_in(run.as_ref(), path));
        let (listener, file) = unix_listener(path)?;
        let listener = UnixListener::from_std(listener).map_err(|source| BindError::Io {
            address: path.display().to_string(),
            source,
        })?;
        Ok(Self {
            listener,
            _file: file,
        })
    }

    /// Answers until `stop`; then the file is removed. Without a `desk` there is no queue to ask for.
    pub async fn serve(
        self,
        sts: Sts,
        desk: Option<Desk>,
        ledger: Ledger,
        stop: CancellationToken,
    ) {
        let listener = Bounded::new(self.listener, BOUNDS, stop);
        serve_bounded(listener, router(Control { sts, desk, ledger })).await;
    }
}

/// Makes `run/NAME` if the socket is to be in it. What goes wrong is seen when the socket is bound.
fn make_directory_in(run: &Path, socket: &Path) {
    let Some(directory) = socket.parent().filter(|at| at.parent() == Some(run)) else {
        return;
    };
    if DirBuilder::new().mode(RUN_MODE).create(directory).is_ok() {
        // The umask may have taken something away.
        let _ = fs::set_permissions(directory, Permissions::from_mode(RUN_MODE));
    }
}

async fn serve_bounded(listener: Bounded<UnixListener>, router: Router) {
    let stop = listener.stop().cancelled_owned();
    let service = router.into_make_service_with_connect_info::<Caller>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop);
    if let Err(problem) = serving.await {
        tracing::error!(%problem, "the admin socket ended");
    }
}

/// What requests are answered with.
#[derive(Debug, Clone)]
pub(super) struct Control {
    sts: Sts,
    pub(super) desk: Option<Desk>,
    pub(super) ledger: Ledger,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) uid: Option<u32>,
}

impl Connected<IncomingStream<'_, Bounded<UnixListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Bounded<UnixListener>>) -> Self {
        let credentials = stream.io().inner().peer_cred();
        Self {
            uid: credentials.ok().map(|credentials| credentials.uid()),
        }
    }
}

fn router(control: Control) -> Router {
    Router::new()
        .route("/policies", get(list))
        .route("/policies/{domain}", get(show).delete(forget))
        .route("/policies/{domain}/refresh", post(refresh))
        .merge(queue::routes())
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing of this name"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here")
        })
        .with_state(control)
}

async fn list(State(control): State<Control>, RawQuery(query): RawQuery) -> Response {
    let query = match Query::parse(query.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, wrong),
    };
    within(QUICK, control.page(query)).await
}

async fn show(State(control): State<Control>, Target(domain): Target) -> Response {
    let showing = async {
        match control.sts.show(&domain).await {
            Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Ok(shown) => match PolicyShown::of(&domain, shown, now()) {
                Ok(shown) => Json(shown).into_response(),
                Err(missing) => absent(missing),
            },
        }
    };
    within(QUICK, showing).await
}

async fn refresh(State(control): State<Control>, Target(domain): Target) -> Response {
    let refreshing = async {
        let looked = control.sts.refresh(&domain).await;
        let shown = control.sts.show(&domain).await;
        let known = shown.ok().and_then(|shown| shown.known);
        let refreshed = PolicyRefreshed::of(&domain, &looked, known.as_deref(), now());
        Json(refreshed).into_response()
    };
    within(REFRESH, refreshing).await
}

async fn forget(
    State(control): State<Control>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Target(domain): Target,
) -> Response {
    let forgetting = async {
        match control.sts.forget(&domain).await {
            Ok(true) => {
                control.ledger.sts_forgotten(&domain, caller.uid);
                let domain = domain.to_string();
                let forgotten = true;
                Json(PolicyForgotten { domain, forgotten }).into_response()
            }
            Ok(false) => absent(PolicyMissing::of(&domain)),
            Err(error) => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the store may still have it: {error}"),
            ),
        }
    };
    within(QUICK, forgetting).await
}

impl Control {
    async fn page(&self, query: Query) -> Response {
        let (mut policies, mut weight) = (Vec::new(), 0);
        let mut after = query.after;
        let now = now();
        while policies.len() < query.limit && weight < PAGE_WEIGHT {
            let step = STEP.min(query.limit - policies.len());
            let stored = match self.sts.list(&after, step).await {
                Ok(stored) => stored,
                Err(error) => {
                    let wrong = format!("the store cannot be read: {error}");
                    return problem(StatusCode::SERVICE_UNAVAILABLE, wrong);
                }
            };
            let is_last = stored.len() < step;
            for policy in stored {
                weight += policy.policy.len();
                after.clone_from(&policy.domain);
                policies.push(PolicyEntry::of_stored(policy, now));
                if weight >= PAGE_WEIGHT {
                    break;
                }
            }
            if is_last && weight < PAGE_WEIGHT {
                let next = None;
                return Json(PolicyPage { policies, next }).into_response();
            }
        }
        let next = Some(after);
        Json(PolicyPage { policies, next }).into_response()
    }
}

/// Of a list.
#[derive(Debug, PartialEq, Eq)]
struct Query {
    after: String,
    limit: usize,
}

impl Query {
    /// Nothing in it needs to be escaped.
    fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self {
            after: String::new(),
            limit: MAX_PAGE,
        };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("after", after)) if after.len() <= DomainName::MAX => {
                    query.after = after.to_ascii_lowercase();
                }
                Some(("after", _)) => return Err("after is no domain".to_owned()),
                Some(("limit", limit)) => {
                    let limit = limit.parse().ok();
                    query.limit = limit
                        .filter(|limit| (1..=MAX_PAGE).contains(limit))
                        .ok_or_else(|| format!("limit is not 1 to {MAX_PAGE}"))?;
                }
                Some(_) | None => return Err("the query is after=DOMAIN&limit=N".to_owned()),
            }
        }
        Ok(query)
    }
}

/// The domain in the path.
#[derive(Debug)]
struct Target(PolicyDomain);

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let bad = |why: String| problem(StatusCode::BAD_REQUEST, why);
        let InPath(text) = InPath::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| bad(rejection.body_text()))?;
        let name = DomainName::parse(&text).map_err(|error| bad(error.to_string()))?;
        Ok(Self(PolicyDomain(name)))
    }
}

pub(super) async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    let answered = tokio::time::timeout(limit, answer).await;
    answered.unwrap_or_else(|_| {
        let wrong = format!("not done within {} s", limit.as_secs());
        problem(StatusCode::GATEWAY_TIMEOUT, wrong)
    })
}

pub(super) fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    let error = error.into();
    (status, Json(Problem { error })).into_response()
}

fn absent(missing: PolicyMissing) -> Response {
    (StatusCode::NOT_FOUND, Json(missing)).into_response()
}

/// UNIX seconds.
pub(super) fn now() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
#[path = "control_tests.rs"]
pub(super) mod tests;
