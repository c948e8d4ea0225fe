//! Where replies go; those of several workers do not mix.

use std::io::{self, IoSlice};
use std::sync::Mutex;

use super::stream::{Stream, write_all};
use crate::util::sync::lock;

/// Sends the replies of one connection, each in one piece.
pub(super) struct Output<'a> {
    stream: &'a dyn Stream,
    /// Whether the stream broke in the middle of something.
    broken: Mutex<bool>,
}

impl<'a> Output<'a> {
    pub(super) fn new(stream: &'a dyn Stream) -> Self {
        Self {
            stream,
            broken: Mutex::new(false),
        }
    }

    /// Sends a simple reply or a chunk of a structured one, all of it and nothing between.
    pub(super) fn send(&self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.send_with(|stream| write_all(stream, pieces))
    }

    /// The same for a reply that is not in memory as a whole.
    pub(super) fn send_with(
        &self,
        send: impl FnOnce(&dyn Stream) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut broken = lock(&self.broken);
        if *broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Set also where a panic leaves a reply unfinished.
        *broken = true;
        send(self.stream)?;
        *broken = false;
        Ok(())
    }
}
