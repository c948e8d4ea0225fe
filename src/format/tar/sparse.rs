//! What of a file is stored, and the map that says so in front of its data: GNU's sparse format
//! 1.0 (tar's manual, "Storing Sparse Files").
//!
//! The map is text: the number of its entries, then offset and length of each, a number a line. It
//! is padded to a block. A file that ends with a hole has a last entry without bytes at its end.

use std::io::Write as _;

use super::member::BLOCK;
use crate::error::Result;
use crate::tree::{Node, Run};
use crate::util::bytes::to_u64;

/// Bytes of a file that are stored: as many as belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// How a file is stored, known before its first byte is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Whether it has holes.
    pub(super) is_sparse: bool,
    /// The bytes that are stored.
    pub(super) data: u64,
    /// The entries of its map.
    entries: u64,
    /// The bytes of the entries as text.
    text: u64,
}

impl Survey {
    /// Walks over the runs of a regular file of `size` bytes. Nothing is kept of them: a file may
    /// have more than memory holds.
    pub(super) fn of(node: &dyn Node, size: u64) -> Result<Self> {
        let mut survey = Self::default();
        for run in stored(node, size) {
            let run = run?;
            survey.data = survey.data.saturating_add(run.len);
            survey.entries += 1;
            survey.text += to_u64(entry(run).len());
        }
        survey.is_sparse = survey.data < size;
        Ok(survey)
    }

    /// The bytes of the map, up to the first byte of data.
    pub(super) fn map_len(&self) -> u64 {
        let head = to_u64(self.first_line().len());
        (head + self.text).next_multiple_of(to_u64(BLOCK))
    }

    /// The line in front of the entries.
    pub(super) fn first_line(&self) -> Vec<u8> {
        format!("{}\n", self.entries).into_bytes()
    }

    /// The bytes that the member has after its header, without what pads it.
    pub(super) fn len(&self) -> u64 {
        if self.is_sparse {
            self.map_len().saturating_add(self.data)
        } else {
            self.data
        }
    }
}

/// The text of an entry.
pub(super) fn entry(run: Stored) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    // Writing to a vector does not fail.
    let _ = write!(text, "{}\n{}\n", run.offset, run.len);
    text
}

/// What of a file is stored, in its order; where it ends with a hole, no bytes at its end come
/// last.
pub(super) fn stored(node: &dyn Node, size: u64) -> impl Iterator<Item = Result<Stored>> {
    let mut at = 0;
    let mut ended = size == 0;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let found = next(node, &mut at, size);
        if !matches!(found, Ok(Some(stored)) if stored.offset + stored.len < size) {
            ended = true;
        }
        found.transpose()
    })
}

/// The next bytes from `at` on that are stored, all that follow without a hole.
fn next(node: &dyn Node, at: &mut u64, size: u64) -> Result<Option<Stored>> {
    let mut found: Option<Stored> = None;
    while *at < size {
        let Run { len, data } = node.run_at(*at)?;
        let len = len.clamp(1, size - *at);
        match &mut found {
            Some(_) if !data => return Ok(found),
            Some(stored) => stored.len += len,
            None if data => found = Some(Stored { offset: *at, len }),
            None => {}
        }
        *at += len;
    }
    let end = Stored {
        offset: size,
        len: 0,
    };
    Ok(Some(found.unwrap_or(end)))
}
