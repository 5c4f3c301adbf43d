//! HTTP for monitoring: `/metrics`, `/healthz` and `/readyz` on `admin.listen`; for people the status [`page`] there; and
//! for the administrator `admin.socket`, see [`control`].
//!
//! On `admin.listen` only reading, and no addresses of senders and recipients. Both are bounded in connections and in how
//! long each may last.

pub mod client;
mod connections;
pub mod control;
mod health;
pub mod page;
pub mod policies;
pub mod queue;

pub use control::ControlSocket;
pub use health::{Health, Readiness};
pub use page::{Offered, Page, PageParts, PageSettings};

use crate::ledger::Ledger;
use crate::server;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use connections::{Bounded, Bounds};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Monitoring opens a new connection if its last one has ended.
const BOUNDS: Bounds = Bounds {
    connections: 50,
    lifetime: Duration::from_secs(30),
};

/// Binds `admin.listen`. Early, so that a port in use is known before anything is served. Needs a
/// runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(server::tcp_listener(address)?)
}

/// Answers until `stop`; requests that have begun are finished.
pub async fn serve(listener: TcpListener, ledger: Ledger, page: Page, stop: CancellationToken) {
    let listener = Bounded::new(listener, BOUNDS, stop);
    serve_bounded(listener, router(ledger, page)).await;
}

async fn serve_bounded(listener: Bounded<TcpListener>, router: Router) {
    let stop = listener.stop().cancelled_owned();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
    if let Err(problem) = serving.await {
        tracing::error!(%problem, "the admin listener ended");
    }
}

fn router(ledger: Ledger, page: Page) -> Router {
    let health = page.health();
    page::routes(page)
        .route("/metrics", get(metrics).with_state(ledger))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(health))
}

async fn metrics(State(ledger): State<Ledger>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ledger.render())
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    let status = match report.readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, report.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LogAddresses;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// Serves on an ephemeral port while `client` runs.
    async fn with_server<T>(
        health: Health,
        bounds: Bounds,
        client: impl AsyncFnOnce(SocketAddr) -> T,
    ) -> T {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Ledger::new(LogAddresses::Plain), Page::new(health));
        let stop = CancellationToken::new();
        let serving = serve_bounded(Bounded::new(listener, bounds, stop.clone()), router);
        let (got, ()) = tokio::join!(
            async {
                let got = client(address).await;
                stop.cancel();
                got
            },
            serving
        );
        got
    }

    async fn request(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn paths() {
        let health = Health::default();
        let watched = health.clone();
        with_server(watched, BOUNDS, async |address| {
            for (line, status, body) in [
                ("GET /healthz", "200 OK", "\r\n\r\nok\n"),
                (
                    "GET /readyz",
                    "503 Service Unavailable",
                    "\r\n\r\nstarting\n",
                ),
                (
                    "GET /metrics",
                    "200 OK",
                    "\n# TYPE sealpost_build_info gauge\n",
                ),
                (
                    "GET /metrics",
                    "200 OK",
                    "content-type: text/plain; version=0.0.4",
                ),
                ("GET /", "503 Service Unavailable", "Sealpost is starting"),
                ("POST /metrics", "405 Method Not Allowed", ""),
            ] {
                let response = request(address, line).await;
                assert!(
                    response.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                    "{line}"
                );
                assert!(response.contains(body), "{line}: {response}");
            }
            health.set_ready();
            let response = request(address, "GET /readyz").await;
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_silent_connection_gives_its_place_back() {
        let bounds = Bounds {
            connections: 1,
            lifetime: Duration::from_millis(50),
        };
        with_server(Health::default(), bounds, async |address| {
            let mut silent = TcpStream::connect(address).await.unwrap();
            let response = request(address, "GET /healthz").await;
            assert!(response.ends_with("ok\n"), "{response}");
            // The silent one was ended to make room.
            let mut rest = Vec::new();
            let ended = silent.read_to_end(&mut rest).await;
            assert!(ended.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"));
        })
        .await;
    }

    #[tokio::test]
    async fn a_slow_client_does_not_hold_up_the_end() {
        let began = std::time::Instant::now();
        let mut slow = None;
        with_server(Health::default(), BOUNDS, async |address| {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET /healthz HT").await.unwrap();
            request(address, "GET /healthz").await;
            slow = Some(client);
        })
        .await;
        assert!(began.elapsed() < BOUNDS.lifetime / 2);
    }
}
