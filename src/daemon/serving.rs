//! What listens: for mail, and for Postfix's questions. Both kinds may follow each other on one socket at a reload.

use super::Listen;
use super::program::Sealpost;
use crate::config::Config;
use crate::server::{
    BindError, BoundListener, ListenAddress, ListenSettings, Shutdown, Sockets, bind,
};
use crate::socketmap::{BoundMap, Ending, MapSettings};
use std::io;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One `[[listen]]` or `[[socketmap]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    Mail(ListenSettings),
    Map(MapSettings),
}

/// A listener that is bound.
#[derive(Debug)]
pub enum Bound {
    Mail(BoundListener),
    Map(BoundMap),
}

impl Listener {
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let mail = config.listeners.iter().cloned().map(Self::Mail);
        let maps = config.socketmaps.iter().cloned().map(Self::Map);
        mail.chain(maps).collect()
    }

    fn bind(&self, with: &Sealpost, open: Option<&Sockets>) -> Result<Bound, BindError> {
        match (self, open) {
            (Self::Mail(mail), None) => bind(mail, &with.passed).map(Bound::Mail),
            (Self::Mail(mail), Some(open)) => BoundListener::on(open, mail).map(Bound::Mail),
            (Self::Map(map), None) => BoundMap::bind(map, &with.passed).map(Bound::Map),
            (Self::Map(map), Some(open)) => BoundMap::on(open, map).map(Bound::Map),
        }
    }
}

impl Bound {
    fn sockets(&self) -> &Sockets {
        match self {
            Self::Mail(mail) => mail.sockets(),
            Self::Map(map) => map.sockets(),
        }
    }

    /// Until `draining`.
    async fn serve(&self, with: Served, draining: CancellationToken) -> io::Result<()> {
        let Served {
            server,
            map,
            expired,
            tasks,
        } = with;
        match self {
            Self::Mail(mail) => {
                let shutdown = Shutdown {
                    draining,
                    expired,
                    sessions: tasks,
                };
                mail.serve(server, shutdown).await
            }
            Self::Map(listener) => {
                let ending = Ending {
                    draining,
                    expired,
                    tasks,
                };
                map.serve(listener, ending).await
            }
        }
    }
}

/// What serves.
struct Served {
    server: crate::server::ServerContext,
    map: crate::socketmap::Socketmap,
    expired: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

impl Listen for Sealpost {
    type Settings = Listener;
    type Address = ListenAddress;
    type Socket = Arc<Bound>;

    fn address(settings: &Listener) -> ListenAddress {
        match settings {
            Listener::Mail(mail) => mail.address.clone(),
            Listener::Map(map) => map.socket.address.clone(),
        }
    }

    fn bind(&self, settings: &Listener, open: Option<&Arc<Bound>>) -> io::Result<Arc<Bound>> {
        let bound = settings.bind(self, open.map(|open| open.sockets()));
        bound.map(Arc::new).map_err(|error| {
            if let BindError::Io { source, .. } = error {
                return source;
            }
            io::Error::other(error.to_string())
        })
    }

    fn serve(&self, settings: &Listener, socket: Arc<Bound>, stop: CancellationToken) {
        let name = format!("listener {}", Self::address(settings));
        if let Err(error) = socket.sockets().apply_access() {
            tracing::error!(listener = name.as_str(), %error, "cannot set the socket's permissions");
        }
        let draining = self.context.shutdown.draining.child_token();
        let served = Served {
            server: self.server.clone(),
            map: self.map.clone(),
            expired: self.context.shutdown.expired.clone(),
            tasks: self.context.tasks.tracker().clone(),
        };
        let listening = name.clone();
        self.context.tasks.spawn(name, async move {
            let serving = socket.serve(served, draining.clone());
            tokio::pin!(serving);
            let ended = tokio::select! {
                ended = &mut serving => ended,
                () = stop.cancelled() => {
                    draining.cancel();
                    serving.await
                }
            };
            if let Err(error) = ended {
                tracing::error!(listener = listening, %error, "a listener has ended");
            }
        });
    }
}
