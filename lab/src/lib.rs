//! lab
pub mod ca;
pub mod client;
pub mod dns;
pub mod mx;
mod net;
pub mod sink;
pub mod source;
mod tasks;
mod tls;
pub use net::Ports;
