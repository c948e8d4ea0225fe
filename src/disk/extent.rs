//! Runs of a disk, and how they are stored.

use std::ops::Range;

use super::store::StoreId;
use crate::error::{Error, Result};

/// A run of the disk that is stored in one piece, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where the run begins, in bytes of the disk.
    pub offset: u64,
    /// The number of bytes in the run, never zero.
    pub len: u64,
    /// How the run is stored.
    pub kind: ExtentKind,
}

/// How a run of the disk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// In a store.
    Data {
        /// The store.
        store: StoreId,
        /// Bytes from the start of the store.
        host_offset: u64,
    },
    /// In a store, compressed: what lies there is not the disk's bytes. The extent is all that was
    /// compressed together, or a part of it.
    Compressed {
        /// The store.
        store: StoreId,
        /// Where the compressed bytes begin, from the start of the store.
        host_offset: u64,
    },
    /// Nowhere: the run reads as zeros.
    Hole,
    /// A store should hold the run, and does not. Reading it is an error.
    Lost {
        /// The store.
        store: StoreId,
    },
}

impl Extent {
    /// The first byte of the disk after the run.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// The part of the extent that lies in `range`; `None` where none does.
    #[must_use]
    pub fn within(&self, range: &Range<u64>) -> Option<Self> {
        let offset = self.offset.max(range.start);
        let len = self.end().min(range.end).checked_sub(offset)?;
        let passed = offset - self.offset;
        let kind = match self.kind {
            ExtentKind::Data { store, host_offset } => ExtentKind::Data {
                store,
                host_offset: host_offset.saturating_add(passed),
            },
            other => other,
        };
        (len > 0).then_some(Self { offset, len, kind })
    }

    /// Whether `next` continues this extent, so that the two could be one.
    #[must_use]
    pub fn continues_in(&self, next: &Self) -> bool {
        self.end() == next.offset
            && match (self.kind, next.kind) {
                (
                    ExtentKind::Data { store, host_offset },
                    ExtentKind::Data {
                        store: next_store,
                        host_offset: next_host_offset,
                    },
                ) => {
                    store == next_store
                        && host_offset.checked_add(self.len) == Some(next_host_offset)
                }
                (ExtentKind::Hole, ExtentKind::Hole) => true,
                (ExtentKind::Lost { store }, ExtentKind::Lost { store: next }) => store == next,
                _ => false,
            }
    }
}

/// Joins extents that continue each other.
#[derive(Debug)]
pub(crate) struct Joined<I> {
    extents: I,
    /// An extent that was read while looking for the end of the one before it. An error is kept
    /// apart, because it is several times as large, and nothing is moved as often.
    ahead: Option<Extent>,
    failed: Option<Error>,
}

impl<I> Joined<I> {
    pub(crate) fn new(extents: I) -> Self {
        Self {
            extents,
            ahead: None,
            failed: None,
        }
    }
}

impl<I: Iterator<Item = Result<Extent>>> Iterator for Joined<I> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut extent = match self.ahead.take() {
            Some(extent) => extent,
            None => match self
                .failed
                .take()
                .map(Err)
                .or_else(|| self.extents.next())?
            {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            },
        };
        for next in self.extents.by_ref() {
            match next {
                Ok(next) if extent.continues_in(&next) => {
                    extent.len = extent.len.saturating_add(next.len);
                }
                Ok(next) => {
                    self.ahead = Some(next);
                    break;
                }
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Some(Ok(extent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_no_larger_than_the_extent_that_it_gives() {
        assert_eq!(size_of::<Result<Extent>>(), size_of::<Extent>());
        assert_eq!(size_of::<Option<Result<Extent>>>(), size_of::<Extent>());
    }

    fn data(offset: u64, len: u64, host_offset: u64) -> Extent {
        let store = StoreId::FIRST;
        let kind = ExtentKind::Data { store, host_offset };
        Extent { offset, len, kind }
    }

    #[test]
    fn only_extents_that_lie_one_after_the_other_in_disk_and_file_are_joined() {
        let parts = [data(0, 4, 8), data(4, 4, 12), data(8, 4, 20)];
        let joined: Vec<_> = Joined::new(parts.into_iter().map(Ok))
            .map(Result::unwrap)
            .collect();
        assert_eq!(joined, [data(0, 8, 8), data(8, 4, 20)]);
    }
}
