//! The certificates of the listeners that are served, so that a reload finds them all.

use super::listener::TlsSlot;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Slots of listeners that live.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    slots: Mutex<Vec<Weak<TlsSlot>>>,
}

impl Certificates {
    pub(super) fn add(&self, slot: &Arc<TlsSlot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(slot));
    }

    pub(super) fn reload(&self) {
        let slots: Vec<_> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.iter().filter_map(Weak::upgrade).collect()
        };
        for slot in slots {
            if let Err(error) = slot.reload() {
                tracing::error!(%error, "a certificate was not reloaded, the old one stays");
            }
        }
    }
}
