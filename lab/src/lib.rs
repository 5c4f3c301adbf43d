//! lab
pub mod ca;
pub mod client;
pub mod dns;
pub mod mx;
mod net;
pub mod sink;
mod tasks;
mod tls;
pub use net::Ports;
