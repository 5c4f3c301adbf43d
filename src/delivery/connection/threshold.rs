//! As far as the consent to TLS and no further, for who makes another handshake than a delivery does.

use super::{COMMAND_TIMEOUT, Greeted, Plan, greeting, tls_trouble};
use crate::delivery::failure::{Failure, Stage};
use crate::delivery::wire::{Stream, Wire};
use crate::policy::TlsFailure;
use crate::smtp::extensions::Extension;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Whether a command follows STARTTLS in the same segment. A host that obeys it under TLS can be made to obey an
/// attacker (CVE-2011-0411); this one is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::delivery) enum Smuggled {
    Nothing,
    Noop,
}

/// Greeting, EHLO, STARTTLS: the stream on which the handshake comes next.
pub(in crate::delivery) async fn threshold(
    stream: TcpStream,
    plan: &Plan<'_>,
    smuggled: Smuggled,
    until: Instant,
) -> Result<TcpStream, Failure> {
    let mut wire = Wire::new(Stream::Plain(stream));
    greeting(&mut wire, plan, until).await?;
    let mut greeted = Greeted::hello(wire, plan, until).await?;
    if !greeted.offered.has(Extension::StartTls) {
        return Err(Failure::Tls(TlsFailure::StarttlsNotOffered));
    }
    let command: &[u8] = match smuggled {
        Smuggled::Nothing => b"STARTTLS\r\n",
        Smuggled::Noop => b"STARTTLS\r\nNOOP\r\n",
    };
    let (stage, wait) = (Stage::Starttls, until.min(Instant::now() + COMMAND_TIMEOUT));
    let asked = greeted.wire.send(command, stage, wait).await;
    asked.map_err(tls_trouble)?;
    let reply = greeted.wire.reply(stage, wait).await.map_err(tls_trouble)?;
    if !reply.is_positive() {
        return Err(Failure::Tls(TlsFailure::StarttlsRefused(reply.to_string())));
    }
    match greeted.wire.into_clean_stream() {
        Some(Stream::Plain(stream)) => Ok(stream),
        Some(Stream::Tls(_)) | None => Err(Failure::Tls(TlsFailure::SurplusAfterStarttls)),
    }
}
