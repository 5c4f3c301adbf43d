//! What Postfix's log says of TLS: lines in, counts out.
//!
//! Pure: the caller reads files and gives octets to a [`Reader`], which gives lines to a [`Tally`]. Nothing is
//! allocated for lines that do not matter, and everything that grows with the log has a bound.

mod channel;
mod count;
mod export;
mod inbound;
mod line;
mod outbound;
mod postfix;
mod problem;
mod reader;
mod stamp;
mod tally;
#[cfg(test)]
mod tests;

pub use channel::{Channel, Trust, Version};
pub use count::{Names, Problems, Side, Ways};
pub use outbound::Destination;
pub use problem::Problem;
pub use reader::{Lines, Reader, first_stamp};
pub use stamp::Era;
pub use tally::{Summary, Tally};
