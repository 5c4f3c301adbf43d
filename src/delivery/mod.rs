//! Delivery of a message to the hosts of one route: obey the verdict.

pub mod outcome;
mod settings;

pub use settings::{DeliverySettings, EightBit, PlaintextFallback};
