//! Further handshakes with a host that has been visited: what it accepts besides what it prefers. Greeting, EHLO and
//! STARTTLS are those of a delivery; what comes after is not, and no mail ever follows.

use super::connection::{Mode, Smuggled, threshold};
use super::failure::{Failure, Stage};
use super::probe::Call;
use super::visit::{QUIT_PATIENCE, Witness, open, plan};
use super::wire::{Stream, Wire};
use crate::policy::{ClientCertificate, TlsFailure};
use crate::tls::legacy::{Answer, Hello};
use crate::tls::{Handshake, Offering, TlsProbes, TlsSession};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Why a handshake did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmade {
    /// The host will not have it.
    Refused(TlsFailure),
    /// It did not come to that, for a reason that says nothing about it.
    Untested(String),
}

/// What becomes of a command that was sent in the clear behind STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smuggling {
    /// It is answered under TLS (CVE-2011-0411).
    Obeyed,
    /// It is dropped, or the whole is refused.
    Stopped,
    Unknown,
}

/// A handshake with a smaller offer.
pub async fn handshake(
    call: &Call<'_>,
    probes: &TlsProbes,
    offering: Offering,
) -> Result<TlsSession, Unmade> {
    let until = Instant::now() + call.within;
    let stream = come_to_tls(call, Smuggled::Nothing, until).await?;
    let (wire, session) = shake(call, (probes, offering), stream, until).await?;
    wire.quit(QUIT_PATIENCE).await;
    Ok(session)
}

/// A hello that rustls would not say, and the answer to it.
pub async fn hello(call: &Call<'_>, hello: &Hello<'_>) -> Result<Answer, Unmade> {
    let until = Instant::now() + call.within;
    let stream = come_to_tls(call, Smuggled::Nothing, until).await?;
    match timeout_at(until, hello.ask(stream)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(no_answer)) => Err(Unmade::Untested(no_answer.to_string())),
        Err(_) => Err(Unmade::Untested(TlsFailure::HandshakeTimeout.to_string())),
    }
}

/// STARTTLS with a NOOP behind it. Under TLS nothing is said but QUIT: a second reply is to what was said before. One
/// alone, be it a refusal, is QUIT's.
pub async fn smuggle(call: &Call<'_>, probes: &TlsProbes, offering: Offering) -> Smuggling {
    let until = Instant::now() + call.within;
    let stream = match come_to_tls(call, Smuggled::Noop, until).await {
        Ok(stream) => stream,
        Err(Unmade::Refused(TlsFailure::StarttlsRefused(_))) => return Smuggling::Stopped,
        Err(Unmade::Refused(_) | Unmade::Untested(_)) => return Smuggling::Unknown,
    };
    let Ok((mut wire, _)) = shake(call, (probes, offering), stream, until).await else {
        return Smuggling::Unknown;
    };
    let stage = Stage::Rset;
    if wire.send(b"QUIT\r\n", stage, until).await.is_err() {
        return Smuggling::Unknown;
    }
    match wire.reply(stage, until).await {
        Ok(reply) if reply.code == 221 => Smuggling::Stopped,
        // It hangs up for a reason of its own.
        Ok(reply) if reply.code == 421 => Smuggling::Unknown,
        Ok(_) => match wire.reply(stage, until).await {
            Ok(_) => Smuggling::Obeyed,
            Err(_) => Smuggling::Unknown,
        },
        Err(_) => Smuggling::Unknown,
    }
}

async fn come_to_tls(
    call: &Call<'_>,
    smuggled: Smuggled,
    until: Instant,
) -> Result<TcpStream, Unmade> {
    let witness = Witness::default();
    let reached = async {
        let stream = open(call, until).await?;
        threshold(stream, &plan(call, (Mode::Tls, &witness)), smuggled, until).await
    };
    reached.await.map_err(unmade)
}

async fn shake(
    call: &Call<'_>,
    (probes, offering): (&TlsProbes, Offering),
    stream: TcpStream,
    until: Instant,
) -> Result<(Wire, TlsSession), Unmade> {
    let handshake = Handshake {
        server_name: call.server_name(),
        address: call.address,
        client_certificate: ClientCertificate::Withhold,
    };
    let shaken = timeout_at(until, probes.connect(stream, &handshake, offering)).await;
    let (stream, session) = shaken
        .unwrap_or(Err(TlsFailure::HandshakeTimeout))
        .map_err(|failure| unmade(Failure::Tls(failure)))?;
    Ok((Wire::new(Stream::Tls(Box::new(stream))), session))
}

/// A connection that breaks says nothing of what the host accepts.
fn unmade(failure: Failure) -> Unmade {
    let breaks = [TlsFailure::HandshakeTimeout, TlsFailure::ConnectionLost];
    if let Failure::Tls(tls) = &failure
        && !breaks.contains(tls)
    {
        return Unmade::Refused(tls.clone());
    }
    Unmade::Untested(failure.to_string())
}
