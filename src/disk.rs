//! What a readable virtual disk is, whatever it is stored in.
//!
//! Reading is by offset; what is stored nowhere reads as zeros. Who wants to know beforehand walks
//! over the extents, which reads no data:
//!
//! ```
//! use ploopconv::disk::{ExtentKind, VirtualDisk};
//! use ploopconv::ploop::{OpenOptions, examine};
//!
//! let chain = "fixtures/vectors/chain".as_ref();
//! let disk = examine(chain, &OpenOptions::default())?.into_disk(false)?;
//! let mut stored = Vec::new();
//! for extent in disk.extents() {
//!     let extent = extent?;
//!     if let ExtentKind::Data { layer, host_offset } = extent.kind {
//!         stored.push((extent.offset, extent.len, layer, host_offset));
//!     }
//! }
//! // Two clusters of the base, and one of the layer above it between them.
//! assert_eq!(stored, [(0, 32768, 0, 32768), (32768, 32768, 1, 32768), (65536, 32768, 0, 98304)]);
//! assert_eq!(disk.size(), 131_072); // the last cluster is a hole
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod loss;
mod raw;
mod slice;

use std::fmt::Debug;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::source::FileSource;

pub use loss::{Loss, LossKind};
pub use raw::RawDisk;
pub use slice::Slice;

/// A readable virtual disk.
pub trait VirtualDisk: Debug + Send + Sync {
    /// The size in bytes; never changes.
    fn size(&self) -> u64;

    /// Says how the disk's bytes from `offset` on are stored. The extent starts at `offset`, has
    /// at least one byte, and ends with the disk at the latest; the next extent may continue it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] where `offset` is not inside the disk.
    fn extent_at(&self, offset: u64) -> Result<Extent>;

    /// Fills all of `buf` with the disk's bytes from `offset`; holes read as zeros.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] where the range does not lie inside the
    /// disk, [`Error::Lost`] where part of it cannot be trusted,
    /// [`Error::Io`] where reading fails. Whatever the error, the contents of
    /// `buf` are unspecified.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// Walks over all extents from the start to the end of the disk, without gap or overlap. No
    /// extent continues the one before it.
    fn extents(&self) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_>;

    /// Walks over the extents of a part of the disk, as [`extents`](Self::extents) does; the first
    /// and the last are cut off at the ends of `range`. A disk that can begin its walk anywhere
    /// does not walk over what lies in front.
    fn extents_in(
        &self,
        range: Range<u64>,
    ) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        Box::new(cut(self.extents(), range))
    }

    /// In the file of a layer, the first run of bytes at or after `host_offset` that may hold
    /// anything but zeros; `None` where only zeros follow. See
    /// [`Source::next_data`](crate::source::Source::next_data).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file system does not answer.
    fn next_data(&self, layer: usize, host_offset: u64) -> Result<Option<Range<u64>>>;

    /// The file of a layer, for those who take bytes from file to file without looking at them:
    /// what an extent says is stored there is what the disk holds. `None` where the bytes have to
    /// be read through the disk.
    fn layer_file(&self, _layer: usize) -> Option<&FileSource> {
        None
    }

    /// Makes sure that nothing the disk is read from has changed since it was opened.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] with the file that did.
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

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
    /// In the file of a layer.
    Data {
        /// The layer, 0 for the base.
        layer: usize,
        /// Bytes from the start of that layer's file.
        host_offset: u64,
    },
    /// In the file of a layer, compressed: what lies there is not the disk's bytes. The extent
    /// is all that was compressed together, or a part of it.
    Compressed {
        /// The layer, 0 for the base.
        layer: usize,
        /// Where the compressed bytes begin, from the start of that layer's file.
        host_offset: u64,
    },
    /// Nowhere: the run reads as zeros.
    Hole,
    /// A layer says that it stores the run, and cannot. Reading it is an error.
    Lost {
        /// The layer, 0 for the base.
        layer: usize,
    },
}

impl Extent {
    /// The first byte of the disk behind the run.
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
            ExtentKind::Data { layer, host_offset } => ExtentKind::Data {
                layer,
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
                    ExtentKind::Data { layer, host_offset },
                    ExtentKind::Data {
                        layer: next_layer,
                        host_offset: next_host_offset,
                    },
                ) => {
                    layer == next_layer
                        && host_offset.checked_add(self.len) == Some(next_host_offset)
                }
                (ExtentKind::Hole, ExtentKind::Hole) => true,
                (ExtentKind::Lost { layer }, ExtentKind::Lost { layer: next }) => layer == next,
                _ => false,
            }
    }
}

/// Leaves out what lies outside `range`, of extents that follow each other.
pub(crate) fn cut<I>(extents: I, range: Range<u64>) -> impl Iterator<Item = Result<Extent>>
where
    I: Iterator<Item = Result<Extent>>,
{
    let end = range.end;
    extents
        .take_while(move |extent| extent.as_ref().map_or(true, |extent| extent.offset < end))
        .filter_map(move |extent| extent.map(|extent| extent.within(&range)).transpose())
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

    fn data(offset: u64, len: u64, host_offset: u64) -> Extent {
        let kind = ExtentKind::Data {
            layer: 0,
            host_offset,
        };
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

    #[test]
    fn a_part_of_the_extents_begins_and_ends_inside_them() {
        let parts = || [data(0, 4, 8), data(4, 4, 20), data(8, 4, 40)].map(Ok);
        let part = |range| -> Vec<_> {
            cut(parts().into_iter(), range)
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(part(1..9), [data(1, 3, 9), data(4, 4, 20), data(8, 1, 40)]);
        assert_eq!(part(5..6), [data(5, 1, 21)]);
        assert_eq!(part(8..12), [data(8, 4, 40)]);
        assert_eq!(part(4..4), []);
    }
}
