//! Sockets that systemd passed (sd_listen_fds(3)), and which `[[listen]]` each of them is for.
//!
//! They are systemd's: they stay open when the daemon ends, and whoever connects until the next one runs
//! waits. So none is left that nobody accepts from, if that can be helped.

use super::settings::{ListenAddress, ListenSettings, Protocol, SocketSettings};
use super::sockets::Listening;
use listenfd::ListenFd;
use std::io;
use std::sync::Arc;

/// The listening stream sockets that this process was started with. They stay open as long as this does,
/// so that each reload finds them again. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    sockets: Arc<Vec<PassedSocket>>,
    /// Names of what cannot be used.
    others: Arc<Vec<String>>,
}

#[derive(Debug)]
struct PassedSocket {
    /// `FileDescriptorName=` of its unit.
    name: String,
    /// Where it is bound; `None`: at no address that a configuration could name.
    address: Option<ListenAddress>,
    socket: Listening,
}

impl Passed {
    /// Takes them out of the environment: a second time there are none. For the start of the process,
    /// when there are no threads that could read the environment meanwhile.
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let (mut sockets, mut others) = (Vec::new(), Vec::new());
        for at in 0..passed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if let Ok(Some(socket)) = passed.take_tcp_listener(at) {
                sockets.push(PassedSocket::new(name, Listening::Tcp(socket)));
            } else if let Ok(Some(socket)) = passed.take_unix_listener(at) {
                sockets.push(PassedSocket::new(name, Listening::Unix(socket)));
            } else {
                others.push(name);
            }
        }
        Self {
            sockets: Arc::new(sockets),
            others: Arc::new(others),
        }
    }

    /// Duplicates of all that a listener at this address is to serve; none: it has to bind one itself.
    pub(super) fn find(&self, address: &ListenAddress) -> io::Result<Vec<Listening>> {
        let meant = self.sockets.iter().filter(|one| one.is_meant_by(address));
        meant
            .map(|one| {
                let copy = one.socket.try_clone()?;
                copy.set_nonblocking()?;
                Ok(copy)
            })
            .collect()
    }

    /// Adds a listener for each socket that no other asks for and that is named after a protocol; says what
    /// else the administrator should know. `maps` listen for something else than mail. `Err`: two ask for the same
    /// socket.
    pub fn complete(
        &self,
        listeners: &mut Vec<ListenSettings>,
        maps: &[&SocketSettings],
    ) -> Result<Vec<String>, String> {
        let mut asked: Vec<SocketSettings> = listeners.iter().map(ListenSettings::socket).collect();
        asked.extend(maps.iter().copied().cloned());
        let mut notices = Vec::new();
        for listen in &asked {
            let is_passed = self.sockets.iter().any(|s| s.is_meant_by(&listen.address));
            if is_passed && (listen.mode.is_some() || listen.group.is_some()) {
                let at = &listen.address;
                notices.push(format!(
                    "listen: {at} is a socket of systemd's: its permissions are those of the socket unit \
                     (SocketMode=, SocketGroup=), mode and group change nothing",
                ));
            }
        }
        for socket in self.sockets.iter() {
            let mut asking = asked.iter().filter(|l| socket.is_meant_by(&l.address));
            match (asking.next(), asking.next()) {
                (Some(_), None) => {}
                (Some(one), Some(other)) => {
                    let (one, other) = (&one.address, &other.address);
                    return Err(format!(
                        "listen: {one} and {other} are the same socket of systemd's; remove one of them"
                    ));
                }
                (None, _) => match socket.listener() {
                    Some(listener) => listeners.push(listener),
                    None => notices.push(format!(
                        "systemd passed the socket {socket}, and no [[listen]] has it: who connects there \
                         waits in vain; write address = \"systemd:{}\", or stop its socket unit",
                        socket.name
                    )),
                },
            }
        }
        let useless = self.others.iter();
        notices.extend(useless.map(|name| {
            format!(
                "systemd passed {name}, which is no listening stream socket: nobody reads from it"
            )
        }));
        Ok(notices)
    }

    /// What there is, for whoever asked for something else.
    pub(super) fn listed(&self) -> String {
        let sockets: Vec<_> = self.sockets.iter().map(ToString::to_string).collect();
        match sockets.as_slice() {
            [] => "it passed none: is the socket unit active? (It has to be before the service starts.)"
                .to_owned(),
            some => format!("it passed {}", some.join(", ")),
        }
    }
}

impl PassedSocket {
    fn new(name: String, socket: Listening) -> Self {
        let address = match &socket {
            Listening::Tcp(socket) => socket.local_addr().ok().map(ListenAddress::Tcp),
            Listening::Unix(socket) => socket.local_addr().ok().and_then(|address| {
                let path = address.as_pathname()?;
                Some(ListenAddress::Unix(path.to_owned()))
            }),
        };
        Self {
            name,
            address,
            socket,
        }
    }

    fn is_meant_by(&self, address: &ListenAddress) -> bool {
        match address {
            ListenAddress::Systemd(name) => self.name == *name,
            ListenAddress::Tcp(_) | ListenAddress::Unix(_) => {
                self.address.as_ref() == Some(address)
            }
        }
    }

    /// The listener that its name asks for. It has the address of this socket alone: of those that share
    /// the name some may be asked for.
    fn listener(&self) -> Option<ListenSettings> {
        let known = [Protocol::Smtp, Protocol::Lmtp];
        Some(ListenSettings {
            protocol: known.into_iter().find(|p| p.as_str() == self.name)?,
            address: self.address.clone()?,
            mode: None,
            group: None,
            tls: None,
            hostname: None,
            bind: Vec::new(),
        })
    }
}

impl std::fmt::Display for PassedSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{} ({address})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn passed(sockets: Vec<(&str, Listening)>) -> Passed {
        let sockets = sockets.into_iter();
        let sockets = sockets.map(|(name, socket)| PassedSocket::new(name.to_owned(), socket));
        Passed {
            sockets: Arc::new(sockets.collect()),
            others: Arc::default(),
        }
    }

    fn listen(address: &ListenAddress) -> ListenSettings {
        ListenSettings {
            address: address.clone(),
            protocol: Protocol::Smtp,
            mode: None,
            group: None,
            tls: None,
            hostname: None,
            bind: Vec::new(),
        }
    }

    #[test]
    fn each_socket_has_one_listener_or_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp_address = ListenAddress::Tcp(tcp.local_addr().unwrap());
        let unix_address = ListenAddress::Unix(path.clone());
        let elsewhere = ListenAddress::Tcp("127.0.0.1:1".parse().unwrap());
        let named = |name: &str| ListenAddress::Systemd(name.to_owned());
        let unix = UnixListener::bind(&path).unwrap();
        let unix = || Listening::Unix(unix.try_clone().unwrap());
        let tcp = || Listening::Tcp(tcp.try_clone().unwrap());
        let both = passed(vec![("lmtp", tcp()), ("lmtp", unix())]);
        for (what, wanted, served, notices) in [
            (
                "by its address",
                vec![&tcp_address],
                vec![&tcp_address, &unix_address],
                0,
            ),
            (
                "the other one",
                vec![&unix_address],
                vec![&unix_address, &tcp_address],
                0,
            ),
            (
                "by their name",
                vec![&named("lmtp")],
                vec![&named("lmtp")],
                0,
            ),
            (
                "by nobody",
                vec![&elsewhere],
                vec![&elsewhere, &tcp_address, &unix_address],
                0,
            ),
        ] {
            let mut listeners: Vec<_> = wanted.into_iter().map(listen).collect();
            assert_eq!(
                both.complete(&mut listeners, &[]).unwrap().len(),
                notices,
                "{what}"
            );
            let now: Vec<_> = listeners.iter().map(|l| &l.address).collect();
            assert_eq!(now, served, "{what}");
            for added in listeners.iter().skip(1) {
                assert_eq!(added.protocol, Protocol::Lmtp, "{what}");
            }
        }
        let mut twice = vec![listen(&tcp_address), listen(&named("lmtp"))];
        let problem = both.complete(&mut twice, &[]).unwrap_err();
        assert!(problem.contains("the same socket"), "{problem}");
    }

    #[test]
    fn what_nobody_asks_for_and_what_changes_nothing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let unix = Listening::Unix(UnixListener::bind(&path).unwrap());
        let at_path = ListenAddress::Unix(path);
        let elsewhere = ListenAddress::Tcp("127.0.0.1:1".parse().unwrap());
        let mail = passed(vec![("mail", unix)]);
        let mut listeners = vec![listen(&elsewhere)];
        let notices = mail.complete(&mut listeners, &[]).unwrap();
        assert_eq!(listeners.len(), 1);
        assert!(notices[0].contains("systemd:mail"), "{notices:?}");

        // Postfix's questions are asked there.
        let map = listen(&at_path).socket();
        let mut listeners = vec![listen(&elsewhere)];
        let notices = mail.complete(&mut listeners, &[&map]).unwrap();
        assert_eq!((listeners.len(), notices.len()), (1, 0), "{notices:?}");

        let mut own = listen(&at_path);
        own.group = Some("postfix".to_owned());
        let notices = mail.complete(&mut vec![own], &[]).unwrap();
        assert!(notices[0].contains("SocketGroup="), "{notices:?}");
    }
}
