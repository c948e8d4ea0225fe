//! What memory a worker may take.

use std::sync::{Mutex, MutexGuard};

use crate::util::bytes::to_usize;
use crate::util::sync::lock;

/// The most bytes that a worker takes for itself where a reply must be in one piece.
const SMALL: u32 = 2 << 20;

/// A worker's memory, kept from request to request.
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    /// How the read that is being answered is divided.
    pub(super) parts: Vec<Part>,
    /// Held as long as there are more than [`SMALL`] bytes.
    large: Option<MutexGuard<'a, ()>>,
    /// One for all workers of the connection.
    permit: &'a Mutex<()>,
}

/// A run of a request that is sent in one way.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) hole: bool,
}

impl<'a> Buffer<'a> {
    /// No memory yet; more than [`SMALL`] bytes only with the permit.
    pub(super) fn new(permit: &'a Mutex<()>) -> Self {
        Self {
            bytes: Vec::new(),
            parts: Vec::new(),
            large: None,
            permit,
        }
    }

    /// Room for `len` bytes, which the caller has bounded; their contents are unspecified.
    pub(super) fn prepare(&mut self, len: u32) -> &mut [u8] {
        if len > SMALL && self.large.is_none() {
            self.large = Some(lock(self.permit));
        }
        let len = to_usize(len);
        if self.bytes.len() < len {
            // Not resized: nothing of the old contents is wanted, and zeros come for free.
            self.bytes = Vec::new();
            self.bytes = vec![0; len];
        }
        &mut self.bytes[..len]
    }

    /// The first `len` bytes of what was filled in last.
    pub(super) fn filled(&self, len: u32) -> &[u8] {
        &self.bytes[..to_usize(len)]
    }

    /// Gives back what only a large request needed.
    pub(super) fn tidy(&mut self) {
        if self.large.is_some() {
            self.bytes = Vec::new();
            self.large = None;
        }
        self.parts.clear();
    }
}
