//! The other end of the admin socket: one request a connection, everything bounded, no runtime needed.

use super::control;
use super::policies::{
    PolicyForgotten, PolicyMissing, PolicyPage, PolicyRefreshed, PolicyShown, Problem,
};
use crate::names::PolicyDomain;
use nix::unistd::{Gid, Group, Uid, User};
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What we wait longer than the daemon does, so that it can say itself that it took too long.
const MARGIN: Duration = Duration::from_secs(5);
/// Longest answer in octets: a page, of which the last policy may be a long one.
const MAX_ANSWER: u64 = 8 << 20;

/// A daemon, by its `admin.socket`.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    margin: Duration,
}

/// An answer that may be that there is no such thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T, M = PolicyMissing> {
    Found(T),
    Missing(M),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {cause}", socket.display())]
pub struct ClientError {
    pub socket: PathBuf,
    pub cause: Cause,
}

/// What is wrong with the socket, or with who answers there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error(
        "there is no such socket: the daemon is not running, or could not make it (see its log), or was started \
         with another admin.socket"
    )]
    NoSocket,
    #[error("nobody answers: the daemon is not running")]
    NobodyListens,
    #[error("permission denied; {0}")]
    Denied(String),
    #[error("the daemon takes no more connections; does it hang?")]
    Busy,
    #[error("no answer within {} s; does the daemon hang?", .0.as_secs())]
    TimedOut(Duration),
    #[error("{0}")]
    Io(String),
    #[error("this is no answer of a Sealpost: {0}")]
    Garbage(&'static str),
    /// The daemon's own words.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            margin: MARGIN,
        }
    }

    /// The policies after this domain in the order of their names; an empty one: from the first.
    pub fn list(&self, after: &str) -> Result<PolicyPage, ClientError> {
        let limit = control::MAX_PAGE;
        let path = format!("/policies?after={after}&limit={limit}");
        let answer: Answer<_> = self.ask("GET", &path, control::QUICK)?;
        match answer {
            Answer::Found(page) => Ok(page),
            Answer::Missing(_) => Err(self.error(Cause::Garbage("there are no policies at all"))),
        }
    }

    pub fn show(&self, domain: &PolicyDomain) -> Result<Answer<PolicyShown>, ClientError> {
        self.ask("GET", &format!("/policies/{domain}"), control::QUICK)
    }

    /// Takes as long as the policy host does, a minute and a half at most.
    pub fn refresh(&self, domain: &PolicyDomain) -> Result<PolicyRefreshed, ClientError> {
        let path = format!("/policies/{domain}/refresh");
        let answer: Answer<_> = self.ask("POST", &path, control::REFRESH)?;
        match answer {
            Answer::Found(refreshed) => Ok(refreshed),
            Answer::Missing(_) => Err(self.error(Cause::Garbage("nothing can be refreshed"))),
        }
    }

    pub fn forget(&self, domain: &PolicyDomain) -> Result<Answer<PolicyForgotten>, ClientError> {
        self.ask("DELETE", &format!("/policies/{domain}"), control::QUICK)
    }

    pub(super) fn ask<T: DeserializeOwned, M: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        limit: Duration,
    ) -> Result<Answer<T, M>, ClientError> {
        let patience = limit + self.margin;
        let answer = exchange(&self.socket, method, path, patience)
            .map_err(|error| self.trouble(&error, patience))?;
        self.read(&answer).map_err(|cause| self.error(cause))
    }

    fn read<T, M>(&self, answer: &[u8]) -> Result<Answer<T, M>, Cause>
    where
        T: DeserializeOwned,
        M: DeserializeOwned,
    {
        let (status, body) = split(answer)?;
        let not_json = |_| Cause::Garbage("it is not the JSON that was asked for");
        match status {
            200 => serde_json::from_slice(body)
                .map(Answer::Found)
                .map_err(not_json),
            404 => serde_json::from_slice(body)
                .map(Answer::Missing)
                .map_err(not_json),
            _ => match serde_json::from_slice(body) {
                Ok(Problem { error }) => Err(Cause::Refused(error)),
                Err(_) => Err(Cause::Garbage("it is an error without a reason")),
            },
        }
    }

    fn trouble(&self, error: &io::Error, patience: Duration) -> ClientError {
        use io::ErrorKind as Kind;
        #[allow(clippy::wildcard_enum_match_arm)] // std's enum, non-exhaustive
        self.error(match error.kind() {
            Kind::NotFound => Cause::NoSocket,
            Kind::ConnectionRefused => Cause::NobodyListens,
            Kind::PermissionDenied => Cause::Denied(takes(&self.socket)),
            // Only connecting does not wait.
            Kind::WouldBlock => Cause::Busy,
            Kind::TimedOut => Cause::TimedOut(patience),
            Kind::ConnectionReset | Kind::BrokenPipe => {
                Cause::Garbage("the connection was lost before it")
            }
            _ => Cause::Io(error.to_string()),
        })
    }

    pub(super) fn error(&self, cause: Cause) -> ClientError {
        ClientError {
            socket: self.socket.clone(),
            cause,
        }
    }
}

/// Everything that comes until the other side closes.
fn exchange(socket: &Path, method: &str, path: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let until = Instant::now() + patience;
    let mut stream = connect(socket)?;
    stream.set_write_timeout(Some(patience))?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(timely)?;
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(timely(error)),
        }
        if answer.len() as u64 > MAX_ANSWER {
            return Err(io::Error::other("the answer is far too long"));
        }
    }
}

/// Without waiting for a place: a daemon that hangs never gives one.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

/// A blocking socket says that it would block when its time is over.
fn timely(error: io::Error) -> io::Error {
    match error.kind() == io::ErrorKind::WouldBlock {
        true => io::ErrorKind::TimedOut.into(),
        false => error,
    }
}

/// Status and body of an HTTP answer, which must be whole.
fn split(answer: &[u8]) -> Result<(u16, &[u8]), Cause> {
    if answer.is_empty() {
        return Err(Cause::Garbage("the connection was closed without one"));
    }
    let not_http = Cause::Garbage("it is not HTTP");
    let at = memchr::memmem::find(answer, b"\r\n\r\n").ok_or(not_http.clone())?;
    let (head, body) = (&answer[..at], &answer[at + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| not_http.clone())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status.and_then(|line| line.get(2..5)?.parse().ok());
    let length: Option<usize> = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok());
    match (status, length) {
        (Some(status), Some(length)) if body.len() == length => Ok((status, body)),
        (Some(_), Some(_)) => Err(Cause::Garbage("it is not whole")),
        (Some(_) | None, Some(_) | None) => Err(not_http),
    }
}

/// Whom a socket takes that has not taken us.
fn takes(socket: &Path) -> String {
    let Ok(found) = fs::metadata(socket) else {
        return "its directory cannot be entered by this user; try root (sudo)".to_owned();
    };
    let owner = match User::from_uid(Uid::from_raw(found.uid())) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => found.uid().to_string(),
    };
    let group = match Group::from_gid(Gid::from_raw(found.gid())) {
        Ok(Some(group)) => group.name,
        Ok(None) | Err(_) => found.gid().to_string(),
    };
    let mode = found.mode();
    match (mode & 0o200 != 0, mode & 0o020 != 0) {
        (true, true) => format!("it takes root (sudo), the user {owner} and the group {group}"),
        (true, false) => format!("it takes root (sudo) and the user {owner}"),
        (false, true) => format!("it takes root (sudo) and the group {group}"),
        (false, false) => "it takes root (sudo)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::DomainName;
    use std::os::unix::net::UnixListener;
    use std::thread;

    fn domain() -> PolicyDomain {
        PolicyDomain(DomainName::parse("a.test").unwrap())
    }

    fn client(socket: &Path) -> Client {
        Client {
            socket: socket.to_owned(),
            margin: Duration::from_millis(50),
        }
    }

    fn http(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn answers_of_all_kinds() {
        let forgotten = "{\"domain\":\"a.test\",\"forgotten\":true}";
        let missing = "{\"domain\":\"a.test\",\"error\":\"none\",\"last_failure\":null}";
        for (answer, expected) in [
            (http("200 OK", forgotten), "forgotten"),
            (http("404 Not Found", missing), "none"),
            (http("404 Not Found", ""), "this is no answer"),
            (http("503 Whatever", "{\"error\":\"no space\"}"), "no space"),
            (http("500 Whatever", "<html>"), "without a reason"),
            (http("200 OK", "{}"), "not the JSON"),
            (http("200 OK", forgotten) + "more", "not whole"),
            (http("200 OK", forgotten).replace('}', ""), "not whole"),
            (format!("HTTP/1.1 200 OK\r\n\r\n{forgotten}"), "not HTTP"),
            ("220 mx.example.com ESMTP\r\n".to_owned(), "not HTTP"),
            ("HTTP/1.1 2\r\n\r\n".to_owned(), "not HTTP"),
            (String::new(), "closed without one"),
        ] {
            let said = match client(Path::new("/s"))
                .read::<PolicyForgotten, PolicyMissing>(answer.as_bytes())
            {
                Ok(Answer::Found(forgotten)) if forgotten.forgotten => "forgotten".to_owned(),
                Ok(Answer::Found(_)) => "kept".to_owned(),
                Ok(Answer::Missing(missing)) => missing.error,
                Err(cause) => cause.to_string(),
            };
            assert!(said.contains(expected), "{answer:?}: {said}");
        }
    }

    #[test]
    fn sockets_at_which_nobody_answers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let cause = || client(&path).show(&domain()).unwrap_err().cause;
        assert_eq!(cause(), Cause::NoSocket);
        let listener = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert_eq!(cause(), Cause::NobodyListens);
    }

    #[test]
    fn who_hangs_or_chatters_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let patience = Duration::from_millis(50);
        let hangs = exchange(&path, "GET", "/", patience).unwrap_err();
        assert_eq!(hangs.kind(), io::ErrorKind::TimedOut);
        drop(listener.accept());
        let chatter = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let line = [b'x'; 1 << 20];
            while stream.write_all(&line).is_ok() {}
        });
        let chatters = exchange(&path, "GET", "/", Duration::from_secs(20)).unwrap_err();
        assert!(chatters.to_string().contains("too long"), "{chatters}");
        chatter.join().unwrap();
    }

    #[test]
    fn who_is_let_in_is_said() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [
            (0o660, "and the group"),
            (0o600, "root (sudo) and the user"),
            (0o060, "root (sudo) and the group"),
            (0o000, "it takes root"),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let said = takes(file.path());
            assert!(said.contains(expected), "{mode:o}: {said}");
        }
        assert!(takes(&file.path().join("below")).contains("try root (sudo)"));
    }
}
