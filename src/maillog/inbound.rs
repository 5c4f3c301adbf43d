//! Mail from others, and from our users.

use super::channel::Channel;
use super::count::Side;
use super::line::Service;
use super::outbound::{MAX_REMEMBERED, Process, inside, is_local};
use super::postfix::{Login, Receiver, TlsLine};
use std::collections::HashMap;

/// A TLS session that has not brought a message yet.
#[derive(Debug)]
struct Seen {
    tls: Channel,
    cipher: Box<[u8]>,
    exchange: Box<[u8]>,
    use_: super::postfix::Use,
}

#[derive(Debug, Default)]
struct Session {
    tls: Option<Seen>,
    counted: Counted,
}

/// Whether a connection has been counted, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Counted {
    #[default]
    No,
    Yes,
    /// It is from this machine.
    Never,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    sessions: HashMap<Process, (Service, Session)>,
    pub(super) from_servers: Side,
    pub(super) from_users: Side,
    /// Messages from this machine.
    pub(super) local: u64,
}

impl Inbound {
    pub(super) fn smtpd(
        &mut self,
        process: Process,
        at: i64,
        service: Service,
        said: Receiver<'_>,
    ) {
        match said {
            Receiver::Connect(peer) => {
                self.end(process);
                let local = inside(peer).is_none_or(is_local);
                let counted = if local { Counted::Never } else { Counted::No };
                self.session(process, service).counted = counted;
            }
            Receiver::Tls(tls) => self.secured(process, service, &tls),
            Receiver::Message(client) => {
                if inside(client.peer).is_none_or(is_local) {
                    self.local += 1;
                    return;
                }
                self.message(process, at, service, client.login);
            }
            Receiver::Disconnect => self.end(process),
            Receiver::Failure => self.side(service, Login::Stranger).failures += 1,
        }
    }

    fn session(&mut self, process: Process, service: Service) -> &mut Session {
        if self.sessions.len() >= MAX_REMEMBERED && !self.sessions.contains_key(&process) {
            self.end_all();
        }
        let fresh = || (service, Session::default());
        &mut self.sessions.entry(process).or_insert_with(fresh).1
    }

    fn side(&mut self, service: Service, login: Login) -> &mut Side {
        match (service, login) {
            (Service::Submission, _) | (_, Login::User) => &mut self.from_users,
            (Service::Smtp | Service::Lmtp | Service::Smtpd, Login::Stranger) => {
                &mut self.from_servers
            }
        }
    }

    fn secured(&mut self, process: Process, service: Service, tls: &TlsLine<'_>) {
        if inside(tls.peer).is_none_or(is_local) {
            return;
        }
        self.session(process, service).tls = Some(Seen {
            tls: tls.channel,
            cipher: tls.cipher.into(),
            exchange: tls.exchange.into(),
            use_: tls.use_,
        });
    }

    fn message(&mut self, process: Process, at: i64, service: Service, login: Login) {
        let session = self.session(process, service);
        let channel = session
            .tls
            .as_ref()
            .map_or(Channel::Plaintext, |seen| seen.tls);
        if std::mem::replace(&mut session.counted, Counted::Yes) != Counted::Yes {
            let seen = session.tls.take();
            match &seen {
                Some(seen) => self.side(service, login).connected(&seen.line()),
                None => self
                    .side(service, login)
                    .connections
                    .add(Channel::Plaintext),
            }
            self.session(process, service).tls = seen;
        }
        self.side(service, login).message(at, channel);
    }

    fn end(&mut self, process: Process) {
        let Some((service, session)) = self.sessions.remove(&process) else {
            return;
        };
        if session.counted != Counted::No {
            return;
        }
        let side = self.side(service, Login::Stranger);
        match session.tls {
            Some(seen) => side.connected(&seen.line()),
            None => side.idle += 1,
        }
    }

    /// At the end of the log, or when too many sessions never end.
    pub(super) fn end_all(&mut self) {
        let processes: Vec<Process> = self.sessions.keys().copied().collect();
        for process in processes {
            self.end(process);
        }
    }
}

impl Seen {
    fn line(&self) -> TlsLine<'_> {
        TlsLine {
            use_: self.use_,
            peer: b"",
            channel: self.tls,
            cipher: &self.cipher,
            exchange: &self.exchange,
        }
    }
}
