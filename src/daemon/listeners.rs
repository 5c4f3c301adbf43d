//! The listeners that are open, and how a reload changes them: in two steps, so that a port in use
//! changes nothing.
//!
//! Unchanged listeners stay as they are. New ones are bound before old ones are closed. Where only
//! the settings of an address change, the socket stays open and is served anew: connections that
//! arrive meanwhile wait in its backlog.

use std::fmt;
use std::io;
use tokio_util::sync::CancellationToken;

/// How a listener is bound and served.
pub trait Listen {
    type Settings: Clone + PartialEq;
    type Address: PartialEq + fmt::Display;
    /// A bound socket; clones are the same socket.
    type Socket: Clone;

    fn address(settings: &Self::Settings) -> Self::Address;

    /// Binds, or takes the socket that has been open at this address.
    fn bind(
        &self,
        settings: &Self::Settings,
        open: Option<&Self::Socket>,
    ) -> io::Result<Self::Socket>;

    /// Starts accepting; until `stop`.
    fn serve(&self, settings: &Self::Settings, socket: Self::Socket, stop: CancellationToken);
}

/// All listeners that are open.
pub struct Listeners<L: Listen> {
    open: Vec<Open<L>>,
}

struct Open<L: Listen> {
    settings: L::Settings,
    socket: L::Socket,
    stop: CancellationToken,
}

/// Sockets that are bound and not yet served; dropping it closes the new ones.
pub struct Plan<L: Listen> {
    listeners: Vec<Planned<L>>,
}

enum Planned<L: Listen> {
    /// The open one at this index stays.
    Keep(usize),
    Serve(L::Settings, L::Socket),
}

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {problem}")]
pub struct BindError {
    pub address: String,
    pub problem: io::Error,
}

impl<L: Listen> Listeners<L> {
    pub fn none() -> Self {
        Self { open: Vec::new() }
    }

    /// Binds what is not open yet. Nothing changes until `commit`.
    pub fn prepare(&self, with: &L, wanted: &[L::Settings]) -> Result<Plan<L>, BindError> {
        let mut listeners = Vec::with_capacity(wanted.len());
        for settings in wanted {
            let address = L::address(settings);
            let at_address = |open: &Open<L>| L::address(&open.settings) == address;
            let open = self.open.iter().position(at_address);
            let planned = match open {
                Some(i) if self.open[i].settings == *settings => Planned::Keep(i),
                _ => {
                    let socket = open.map(|i| &self.open[i].socket);
                    let bound = with.bind(settings, socket).map_err(|problem| BindError {
                        address: address.to_string(),
                        problem,
                    })?;
                    Planned::Serve(settings.clone(), bound)
                }
            };
            listeners.push(planned);
        }
        Ok(Plan { listeners })
    }

    /// Serves what was planned and closes what is no longer wanted.
    pub fn commit(&mut self, with: &L, plan: Plan<L>) {
        let mut before: Vec<Option<Open<L>>> = self.open.drain(..).map(Some).collect();
        let mut starting = Vec::new();
        for planned in plan.listeners {
            match planned {
                Planned::Keep(i) => self.open.extend(before.get_mut(i).and_then(Option::take)),
                Planned::Serve(settings, socket) => starting.push((settings, socket)),
            }
        }
        // Old loops end first: two on one socket would share its connections.
        for gone in before.into_iter().flatten() {
            gone.stop.cancel();
        }
        for (settings, socket) in starting {
            let stop = CancellationToken::new();
            with.serve(&settings, socket.clone(), stop.clone());
            self.open.push(Open {
                settings,
                socket,
                stop,
            });
        }
    }

    /// Stops accepting everywhere and closes the sockets.
    pub fn close(&mut self) {
        for open in self.open.drain(..) {
            open.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Settings are (address, protocol); a socket is the number of its bind.
    #[derive(Default)]
    struct Fake {
        binds: RefCell<u32>,
        served: RefCell<Vec<(String, Rc<u32>, CancellationToken)>>,
    }

    type Settings = (&'static str, &'static str);

    impl Listen for Fake {
        type Settings = Settings;
        type Address = &'static str;
        type Socket = Rc<u32>;

        fn address(settings: &Settings) -> &'static str {
            settings.0
        }

        fn bind(&self, settings: &Settings, open: Option<&Rc<u32>>) -> io::Result<Rc<u32>> {
            if settings.0 == "in use" {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            if let Some(open) = open {
                return Ok(open.clone());
            }
            *self.binds.borrow_mut() += 1;
            Ok(Rc::new(*self.binds.borrow()))
        }

        fn serve(&self, settings: &Settings, socket: Rc<u32>, stop: CancellationToken) {
            let name = format!("{}/{}", settings.0, settings.1);
            self.served.borrow_mut().push((name, socket, stop));
        }
    }

    impl Fake {
        /// What is being served, with the number of its socket.
        fn serving(&self) -> Vec<(String, u32)> {
            let served = self.served.borrow();
            let running = served.iter().filter(|(_, _, stop)| !stop.is_cancelled());
            running
                .map(|(name, socket, _)| (name.clone(), **socket))
                .collect()
        }
    }

    #[test]
    fn a_reload_changes_only_what_changed() {
        let fake = Fake::default();
        let mut listeners = Listeners::none();
        for (what, wanted, served, expected) in [
            (
                "start",
                vec![("a", "smtp"), ("b", "smtp")],
                2,
                vec![("a/smtp", 1), ("b/smtp", 2)],
            ),
            (
                "the same",
                vec![("b", "smtp"), ("a", "smtp")],
                2,
                vec![("a/smtp", 1), ("b/smtp", 2)],
            ),
            (
                "other protocol",
                vec![("a", "smtp"), ("b", "lmtp")],
                3,
                vec![("a/smtp", 1), ("b/lmtp", 2)],
            ),
            (
                "one moves",
                vec![("c", "smtp"), ("b", "lmtp")],
                4,
                vec![("b/lmtp", 2), ("c/smtp", 3)],
            ),
            ("one less", vec![("c", "smtp")], 4, vec![("c/smtp", 3)]),
        ] {
            let plan = listeners.prepare(&fake, &wanted).unwrap();
            listeners.commit(&fake, plan);
            let serving = fake.serving();
            let serving: Vec<_> = serving
                .iter()
                .map(|(name, n)| (name.as_str(), *n))
                .collect();
            assert_eq!(serving, expected, "{what}");
            // What stayed was not started again.
            assert_eq!(fake.served.borrow().len(), served, "{what}");
        }
        listeners.close();
        assert_eq!(fake.serving(), []);
    }

    #[test]
    fn a_port_in_use_changes_nothing() {
        let fake = Fake::default();
        let mut listeners = Listeners::none();
        let plan = listeners.prepare(&fake, &[("a", "smtp")]).unwrap();
        listeners.commit(&fake, plan);
        let wanted = [("b", "smtp"), ("in use", "smtp")];
        let problem = listeners.prepare(&fake, &wanted).err().unwrap();
        assert_eq!(
            problem.to_string(),
            "cannot listen on in use: address in use"
        );
        assert_eq!(fake.serving(), [("a/smtp".to_owned(), 1)]);
    }
}
