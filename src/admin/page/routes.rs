//! What is answered under which path, and to whom.

use super::answer::{self, Form};
use super::facts::{Overview, Trouble};
use super::request::Asked;
use super::view::{self, Around, Place};
use super::{Offered, Page, host, now};
use axum::Router;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(in crate::admin) fn routes(page: Page) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/destinations", get(destinations))
        .route("/destinations/{name}", get(destination))
        .route("/queue", get(queue))
        .route("/policies", get(policies))
        .route("/rules", get(rules))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/destinations", get(destinations))
        .route("/api/v1/destinations/{name}", get(destination))
        .route("/api/v1/queue", get(queue))
        .route("/api/v1/policies", get(policies))
        .route("/api/v1/rules", get(rules))
        .fallback(missing)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(page.clone(), guard))
        .with_state(page)
}

/// Lets in who has called us by our name, and says what a browser may do with the answer.
async fn guard(State(page): State<Page>, request: Request, next: Next) -> Response {
    let form = Form::of(request.uri().path());
    let Ok(configured) = page.configured() else {
        return answer::guarded(form.trouble(&Trouble::Starting));
    };
    if configured.offered == Offered::No {
        return StatusCode::NOT_FOUND.into_response();
    }
    let known = std::iter::once(&configured.hostname).chain(&configured.hosts);
    if !host::is_ours((request.uri(), request.headers()), known) {
        let words = "this server is not known by the host name in the request; admin.hosts in its configuration \
                     names those that it answers to beside addresses, localhost and hostname";
        return answer::guarded(form.refuse(StatusCode::MISDIRECTED_REQUEST, words));
    }
    answer::guarded(next.run(request).await)
}

async fn missing(uri: Uri) -> Response {
    Form::of(uri.path()).refuse(StatusCode::NOT_FOUND, "there is nothing of this name")
}

async fn not_allowed(uri: Uri) -> Response {
    let words = "this can only be read";
    Form::of(uri.path()).refuse(StatusCode::METHOD_NOT_ALLOWED, words)
}

/// A request that was understood.
struct Asking {
    form: Form,
    asked: Asked,
    page: Page,
}

impl FromRequestParts<Page> for Asking {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, page: &Page) -> Result<Self, Response> {
        let form = Form::of(parts.uri.path());
        let RawQuery(query) = RawQuery::from_request_parts(parts, page)
            .await
            .unwrap_or(RawQuery(None));
        let asked = Asked::parse(query.as_deref().unwrap_or_default())
            .map_err(|wrong| form.trouble(&Trouble::Wrong(wrong)))?;
        let page = page.clone();
        Ok(Self { form, asked, page })
    }
}

impl Asking {
    /// In the form that was asked for.
    fn answer<T: serde::Serialize>(
        &self,
        place: Place<'_>,
        found: Result<T, Trouble>,
        view: impl FnOnce(Around<'_>, &Asked, &T) -> String,
    ) -> Response {
        self.answer_as(StatusCode::OK, place, found, view)
    }

    fn answer_as<T: serde::Serialize>(
        &self,
        status: StatusCode,
        place: Place<'_>,
        found: Result<T, Trouble>,
        view: impl FnOnce(Around<'_>, &Asked, &T) -> String,
    ) -> Response {
        let shown = found.and_then(|found| Ok((found, self.page.configured()?)));
        let (found, configured) = match shown {
            Ok(shown) => shown,
            Err(trouble) => return self.form.trouble(&trouble),
        };
        let around = Around {
            hostname: configured.hostname.as_str(),
            place,
            now: super::facts::time(now()),
        };
        match self.form {
            Form::Json => answer::json(status, &found),
            Form::Page => answer::page(status, view(around, &self.asked, &found)),
        }
    }
}

async fn overview(asking: Asking) -> Response {
    let found = asking.page.overview().await;
    let is_whole = |overview: &Overview| overview.unavailable.is_none();
    let status = match &found {
        Ok(overview) if !is_whole(overview) => StatusCode::SERVICE_UNAVAILABLE,
        Ok(_) | Err(_) => StatusCode::OK,
    };
    asking.answer_as(status, Place::Overview, found, view::overview)
}

async fn destinations(asking: Asking) -> Response {
    let found = asking.page.destinations(&asking.asked).await;
    asking.answer(Place::Destinations, found, view::destinations)
}

async fn destination(asking: Asking, Path(name): Path<String>) -> Response {
    let found = asking.page.destination(&name).await;
    asking.answer(Place::Destination(&name), found, view::destination)
}

async fn queue(asking: Asking) -> Response {
    let found = asking.page.queue(&asking.asked).await;
    asking.answer(Place::Queue, found, view::queue)
}

async fn policies(asking: Asking) -> Response {
    let found = asking.page.policies(&asking.asked).await;
    asking.answer(Place::Policies, found, view::policies)
}

async fn rules(asking: Asking) -> Response {
    let found = asking.page.rules(&asking.asked).await;
    asking.answer(Place::Rules, found, view::rules)
}
