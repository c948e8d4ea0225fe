//! The start of a disk, which is written last: a disk that was cut short does not boot then.

use std::sync::Mutex;

use super::token::Token;
use crate::error::Result;
use crate::util::bytes::to_usize;
use crate::util::sync::{get_mut, lock};

/// What is kept back: the partition table, a boot loader, and the start of the first file system
/// lie in the first MiB.
pub(crate) const HEAD: u64 = 1 << 20;

/// The first bytes of the head are zeros before anything else is written and get their content
/// after everything else: one page, which is written in one piece.
pub(crate) const MARK: u64 = 4096;

/// The first bytes of a disk, kept back until all others are safe.
#[derive(Debug)]
pub(super) struct Head(Mutex<Vec<u8>>);

impl Head {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(bytes))
    }

    /// `len` zeros.
    pub(super) fn zeros(len: u64) -> Self {
        Self::new(vec![0; to_usize(len)])
    }

    pub(super) fn len(&mut self) -> u64 {
        get_mut(&mut self.0).len() as u64
    }

    /// Puts what falls into the head there, and gives the rest.
    pub(super) fn keep_back<'a>(&self, data: &'a [u8], offset: u64) -> (&'a [u8], u64) {
        let mut head = lock(&self.0);
        let start = to_usize(offset).min(head.len());
        let Some(place) = head.get_mut(start..) else {
            return (data, offset);
        };
        let len = place.len().min(data.len());
        let (kept, rest) = data.split_at(len);
        place[..len].copy_from_slice(kept);
        (rest, offset + len as u64)
    }

    /// Makes zeros of what falls into the head, and gives the offset from which on others are.
    pub(super) fn zero(&self, offset: u64, end: u64) -> u64 {
        let mut head = lock(&self.0);
        let kept = to_usize(offset).min(head.len())..to_usize(end).min(head.len());
        if let Some(kept) = head.get_mut(kept) {
            kept.fill(0);
        }
        offset.max(head.len() as u64)
    }

    /// Lets `put` write the head and `sync` let it last: the mark after the rest of it.
    pub(super) fn write(
        &self,
        put: impl Fn(&[u8], u64) -> Result<()>,
        sync: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let head = lock(&self.0);
        let (mark, rest) = head.split_at(head.len().min(to_usize(MARK)));
        put(rest, mark.len() as u64)?;
        sync()?;
        put(mark, 0)?;
        sync()
    }

    /// Lets `zero` make zeros of `len` bytes and `sync` let them last: the mark before the rest.
    /// `put` writes a token at the end. A head that is all mark gets it first, where zeros without
    /// it would tell nothing; one that is shorter gets none.
    pub(super) fn invalidate(
        len: u64,
        token: Option<&Token>,
        zero: impl Fn(u64, u64) -> Result<()>,
        put: impl Fn(&[u8], u64) -> Result<()>,
        sync: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let sector = token.filter(|_| len >= MARK).map(Token::sector);
        let sector = sector.unwrap_or_default();
        let end = len - sector.len() as u64;
        let mark = end.min(MARK);
        if end < MARK {
            put(&sector, end)?;
            sync()?;
        }
        zero(0, mark)?;
        sync()?;
        if end < MARK {
            return Ok(());
        }
        zero(mark, end - mark)?;
        put(&sector, end)?;
        sync()
    }
}
