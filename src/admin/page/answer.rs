//! Answers, and what all of them have around the content.

use super::facts::Trouble;
use super::view;
use crate::html::{self, Script};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    Json,
}

/// Why there is no answer, in JSON.
#[derive(Debug, Serialize)]
struct Problem {
    error: String,
}

impl Form {
    pub(super) fn of(path: &str) -> Self {
        match path == "/api" || path.starts_with("/api/") {
            true => Self::Json,
            false => Self::Page,
        }
    }

    /// A sentence in place of what was asked for.
    pub(super) fn refuse(self, status: StatusCode, words: &str) -> Response {
        match self {
            Self::Page => page(status, view::refusal(status.as_u16(), words)),
            Self::Json => json(
                status,
                &Problem {
                    error: words.to_owned(),
                },
            ),
        }
    }

    pub(super) fn trouble(self, trouble: &Trouble) -> Response {
        self.refuse(status(trouble), &trouble.to_string())
    }
}

fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::Starting
        | Trouble::Busy
        | Trouble::Late
        | Trouble::NoStore
        | Trouble::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
        Trouble::Missing(_) => StatusCode::NOT_FOUND,
    }
}

pub(super) fn page(status: StatusCode, page: String) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], page).into_response()
}

pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    (status, Json(value)).into_response()
}

/// What keeps a browser from doing anything with it but showing it.
pub(super) fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&html::policy(Script::Refresh)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
