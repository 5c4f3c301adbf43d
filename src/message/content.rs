//! A message's content: in memory while small, in an unlinked temporary file when large.
use bytes::Bytes;
#[derive(Debug, Clone)]
pub struct Content;
#[derive(Debug)]
pub struct ContentReader;
#[derive(Debug)]
pub struct ContentWriter;
#[derive(Debug, Clone)]
pub struct SpoolLimits;
#[derive(Debug, Clone)]
pub struct SpoolMemory;
impl Content {
    /// Octets, without dot-stuffing, our Received field included.
    pub fn size(&self) -> u64 {
        unimplemented!()
    }
    /// Whether an octet above 127 occurs anywhere.
    pub fn is_eight_bit(&self) -> bool {
        unimplemented!()
    }
    /// From the beginning; any number of readers may read at once.
    pub fn reader(&self) -> ContentReader {
        unimplemented!()
    }
}
impl ContentReader {
    /// The next piece, at most 64 KiB; `None` at the end.
    pub async fn chunk(&mut self) -> std::io::Result<Option<Bytes>> {
        unimplemented!()
    }
}
