//! Pages for people: markup that escapes by its type, one frame with one style, small charts in SVG.
//!
//! Every text that comes into a page comes in through [`maud`], which escapes it; nothing here or elsewhere
//! marks a text as escaped already, but the style and the script of this module (`tests/layers.rs`). A page refers
//! to nothing outside itself, and its content security policy allows nothing else: the style and the script are
//! named by their hashes, and no attribute holds either.

mod chart;
mod frame;
mod number;

pub use chart::{Bar, Column, Part, Series, Tone, bars, compared, meter, shares, swatch, timeline};
pub use frame::{Frame, Script, document, policy};
pub use maud::{Markup, html};
pub use number::{count, percent};

#[cfg(test)]
mod tests;
