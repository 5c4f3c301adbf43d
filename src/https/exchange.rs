//! From a TCP connection to an answer: TLS, proof of who it is, one request.

use super::{Get, HttpsFailure, Response};
use crate::clock;
use crate::policy::{
    Authentication, ClientCertificate, Encryption, ReferenceName, TlsFailure, TlsRequirement,
    TlsVersion,
};
use crate::tls::{ClientTls, Handshake, TlsClient};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets that a head may have.
const MAX_HEAD: usize = 16 * 1024;
/// Header fields that a head may have.
const MAX_HEADERS: usize = 64;
/// Characters that a media type may have (RFC 6838 §4.2).
const MAX_MEDIA_TYPE: usize = 127 + 1 + 127;

const AGENT: &str = concat!("sealpost/", env!("CARGO_PKG_VERSION"));

/// Asks the server at the other end of a connection.
pub(super) async fn exchange(
    tls: &TlsClient,
    get: &Get<'_>,
    (address, stream): (SocketAddr, TcpStream),
    until: Instant,
) -> Result<Response, HttpsFailure> {
    let limit = until.min(Instant::now() + HANDSHAKE_TIMEOUT);
    let secured = match timeout_at(limit, secure(tls, get, address, stream)).await {
        Ok(secured) => secured?,
        Err(_) => return Err(TlsFailure::HandshakeTimeout.into()),
    };
    match timeout_at(until, ask(get, address, secured)).await {
        Ok(answered) => answered,
        Err(_) => Err(HttpsFailure::TimedOut),
    }
}

/// TLS with a server that is the host.
async fn secure(
    tls: &TlsClient,
    get: &Get<'_>,
    address: SocketAddr,
    stream: TcpStream,
) -> Result<ClientTls, TlsFailure> {
    // Else the request waits until the end of the handshake is acknowledged; which is all that it costs.
    let _ = stream.set_nodelay(true);
    let handshake = Handshake {
        server_name: Some(get.host),
        address,
        client_certificate: ClientCertificate::Withhold,
    };
    let (stream, session) = tls.connect(stream, &handshake).await?;
    tls.judge(&requirement(get), &session, clock::now())?;
    Ok(stream)
}

/// The host's own name in a certificate of a trusted authority (RFC 8461 §3.3).
fn requirement(get: &Get<'_>) -> TlsRequirement {
    TlsRequirement {
        encryption: Encryption::Mandatory,
        authentication: Authentication::WebPki([ReferenceName::Exact(get.host.clone())].into()),
        dane: None,
        mta_sts: None,
        min_version: TlsVersion::V1_2,
        client_certificate: ClientCertificate::Withhold,
    }
}

/// One request and its answer.
async fn ask(
    get: &Get<'_>,
    address: SocketAddr,
    stream: ClientTls,
) -> Result<Response, HttpsFailure> {
    let request = request(get)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| HttpsFailure::of_http(&error))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| HttpsFailure::of_http(&error))?;
        read(get, address, response).await
    };
    // The connection moves only while somebody polls it. Its errors reach the answer.
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let mut open = true;
    poll_fn(|context| {
        if open && connection.as_mut().poll(context).is_ready() {
            open = false;
        }
        match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub(super) fn request(get: &Get<'_>) -> Result<Request<Empty<Bytes>>, HttpsFailure> {
    let host = match get.port {
        443 => get.host.to_string(),
        port => format!("{}:{port}", get.host),
    };
    Request::get(get.path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "text/plain")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| HttpsFailure::Http(error.to_string()))
}

async fn read(
    get: &Get<'_>,
    address: SocketAddr,
    response: hyper::Response<Incoming>,
) -> Result<Response, HttpsFailure> {
    let (head, body) = response.into_parts();
    let body = if head.status == StatusCode::OK {
        if is_encoded(&head.headers) {
            return Err(HttpsFailure::Encoded);
        }
        read_body(body, get.max_body).await?
    } else {
        Vec::new()
    };
    Ok(Response {
        status: head.status.as_u16(),
        content_type: content_type(&head.headers),
        body,
        address: address.ip(),
    })
}

async fn read_body(body: Incoming, max: usize) -> Result<Vec<u8>, HttpsFailure> {
    if body.size_hint().lower() > max as u64 {
        return Err(HttpsFailure::TooBig);
    }
    let collected = Limited::new(body, max).collect().await;
    let collected = collected.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        Some(error) => HttpsFailure::of_http(error),
        None if error.is::<LengthLimitError>() => HttpsFailure::TooBig,
        None => HttpsFailure::Http("the body cannot be read".into()),
    })?;
    Ok(collected.to_bytes().into())
}

/// Whether the octets are other than those of the resource. hyper undoes `chunked` and nothing else.
fn is_encoded(headers: &HeaderMap) -> bool {
    let other_than = |name: HeaderName, plain: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    other_than(CONTENT_ENCODING, "identity") || other_than(TRANSFER_ENCODING, "chunked")
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let media_type = value.to_str().ok()?.split(';').next()?.trim();
    let fits = (1..=MAX_MEDIA_TYPE).contains(&media_type.len());
    fits.then(|| media_type.to_ascii_lowercase())
}
