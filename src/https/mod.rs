//! stub
use crate::names::DomainName;
use crate::policy::{CertificateProblem, TlsFailure};
use crate::tls::TlsClient;
use std::net::IpAddr;
use std::time::Duration;
pub struct Get<'a> {
    pub host: &'a DomainName,
    pub port: u16,
    pub path: &'a str,
    pub addresses: &'a [IpAddr],
    pub max_body: usize,
    pub within: Duration,
}
pub struct Response {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpsFailure {
    #[error("{0}")]
    Connect(String),
    #[error("x")]
    ConnectTimeout,
    #[error("{0}")]
    Tls(TlsFailure),
    #[error("{0}")]
    Certificate(CertificateProblem),
    #[error("{0}")]
    Http(String),
    #[error("x")]
    TooBig,
    #[error("x")]
    TimedOut,
    #[error("x")]
    Encoded,
}
pub async fn get(_: &TlsClient, _: &Get<'_>) -> Result<Response, HttpsFailure> {
    Err(HttpsFailure::TooBig)
}
