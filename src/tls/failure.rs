//! From what rustls and the socket say to the reasons that an operator reads.

use super::certificate::printable;
use crate::policy::TlsFailure;
use rustls::{AlertDescription, Error};
use std::io;

/// Longest text of a failure, in characters; it ends up in a reply.
const MAX_TEXT: usize = 200;

/// How a socket says that the peer or the network is gone.
const LOST: [io::ErrorKind; 8] = [
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::NotConnected,
    io::ErrorKind::TimedOut,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
];

/// Why a handshake failed. Also fits the first read after it: a TLS 1.3 server that refuses us says so
/// only then.
pub fn failure_from_io(error: &io::Error) -> TlsFailure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(tls) = tls {
        return of_rustls(tls);
    }
    if LOST.contains(&error.kind()) {
        return TlsFailure::ConnectionLost;
    }
    TlsFailure::Handshake(printable(&error.to_string(), MAX_TEXT))
}

/// The TLS fault behind a failed read, if it is one: under TLS 1.3 a server's alert arrives only after
/// our side of the handshake is done (RFC 8446 §4.4).
pub fn peer_fault(error: &io::Error) -> Option<TlsFailure> {
    let fault = error.get_ref()?.downcast_ref::<Error>()?;
    Some(of_rustls(fault))
}

fn of_rustls(error: &Error) -> TlsFailure {
    if let Error::AlertReceived(alert) = error {
        return of_alert(*alert);
    }
    if let Error::PeerIncompatible(_) = error {
        return TlsFailure::NoCommonParameters;
    }
    TlsFailure::Handshake(printable(&error.to_string(), MAX_TEXT))
}

fn of_alert(alert: AlertDescription) -> TlsFailure {
    const NOTHING_IN_COMMON: [AlertDescription; 3] = [
        AlertDescription::ProtocolVersion,
        AlertDescription::HandshakeFailure,
        AlertDescription::InsufficientSecurity,
    ];
    if NOTHING_IN_COMMON.contains(&alert) {
        return TlsFailure::NoCommonParameters;
    }
    if alert == AlertDescription::CloseNotify {
        return TlsFailure::ConnectionLost;
    }
    let name = alert.as_str().unwrap_or("unknown");
    TlsFailure::Handshake(format!("the peer sent the alert {name}"))
}
