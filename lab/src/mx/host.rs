//! What all connections of a host share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::sync::watch;

use super::act::Act;
use super::record::{Connection, Message, Record};
use super::script::{Moment, Script, Stage};
use crate::ca::Identity;
use crate::tasks::lock;
use crate::tls;

/// The name, the script in force, the record.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    identity: Identity,
    live: Mutex<Arc<Live>>,
    nth: Mutex<HashMap<(Stage, String), usize>>,
    pub(super) record: watch::Sender<Record>,
    pub(super) kick: watch::Sender<Vec<u8>>,
}

/// A script with its TLS configuration: sessions are resumed as long as it is in force.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) script: Script,
    pub(super) tls: Arc<ServerConfig>,
}

impl Live {
    fn new(script: Script, identity: &Identity) -> Arc<Self> {
        let identity = script.tls.identity.as_ref().unwrap_or(identity);
        let tls = tls::server_config(&script.tls, identity);
        Arc::new(Self { script, tls })
    }
}

impl Shared {
    pub(super) fn new(name: &str, identity: Identity, script: Script) -> Self {
        Self {
            name: name.to_owned(),
            live: Mutex::new(Live::new(script, &identity)),
            identity,
            nth: Mutex::default(),
            record: watch::Sender::new(Record::default()),
            kick: watch::Sender::new(Vec::new()),
        }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&lock(&self.live))
    }

    pub(super) fn identity(&self) -> Identity {
        let live = self.live();
        let own = || self.identity.clone();
        live.script.tls.identity.clone().unwrap_or_else(own)
    }

    pub(super) fn set_script(&self, script: Script) {
        let live = Live::new(script, &self.identity);
        *lock(&self.live) = live;
    }

    /// Records a new connection; its number.
    pub(super) fn open(&self, peer: SocketAddr) -> usize {
        let mut number = 0;
        self.record.send_modify(|record| {
            number = record.connections.len();
            record.connections.push(Connection::new(peer));
        });
        number
    }

    pub(super) fn note(&self, connection: usize, change: impl FnOnce(&mut Connection)) {
        self.record
            .send_modify(|record| change(&mut record.connections[connection]));
    }

    pub(super) fn message(&self, message: Message) {
        self.record
            .send_modify(|record| record.messages.push(message));
    }

    /// What the script's hook says, [`Act::Normal`] without one.
    pub(super) fn ask_hook(&self, script: &Script, sender: &str, mut moment: Moment<'_>) -> Act {
        let Some(hook) = &script.hook else {
            return Act::Normal;
        };
        let key = (moment.stage, format!("{sender}\n{}", moment.line));
        let nth = {
            let mut counts = lock(&self.nth);
            let count = counts.entry(key).or_insert(0);
            *count += 1;
            *count
        };
        moment.nth = nth;
        (hook.0)(&moment)
    }
}
