//! One layer of a chain.

use std::ops::{ControlFlow, Range};

use crate::disk::LossKind;
use crate::error::Result;
use crate::ploop::bat::{Cursor, Slot};
use crate::ploop::image::Image;
use crate::source::FileSource;

/// One layer of a chain.
#[derive(Debug)]
pub enum Layer {
    /// A ploop image.
    Image(Box<Image>),
    /// A raw disk: only ever the base. What it holds is never looked at to tell what it is, since
    /// a guest wrote it.
    Raw(RawLayer),
}

/// A raw base, and what of it is not in its file.
#[derive(Debug)]
pub struct RawLayer {
    file: FileSource,
    /// What lies between the end of the file and where the layer should end, in bytes; nothing
    /// where the file is whole.
    missing: Option<(u64, LossKind)>,
}

impl RawLayer {
    pub(in crate::ploop) fn new(file: FileSource) -> Self {
        let missing = None;
        Self { file, missing }
    }

    /// The layer should have `size` bytes: what the file lacks is `kind` of loss.
    pub(in crate::ploop) fn should_end_at(&mut self, size: u64, kind: LossKind) {
        self.missing = Some((size.max(self.file.len()), kind));
    }

    pub(in crate::ploop) fn file(&self) -> &FileSource {
        &self.file
    }

    fn size(&self) -> u64 {
        self.missing.map_or(self.file.len(), |(size, _)| size)
    }

    fn lookup(&self, offset: u64, left: u64) -> Slot {
        match self.file.len().checked_sub(offset) {
            None | Some(0) => Slot::Lost { len: left },
            Some(stored) => Slot::Stored {
                host_offset: offset,
                len: stored.min(left),
            },
        }
    }
}

/// Looks up one run of a layer after the other.
#[derive(Debug, Clone)]
pub(super) struct LayerCursor<'a> {
    layer: &'a Layer,
    /// The end of the layer, in bytes of the disk.
    end: u64,
    /// The place in the table, if it has one.
    table: Option<Cursor<'a>>,
}

impl LayerCursor<'_> {
    /// What [`Layer::lookup`] says.
    #[inline]
    pub(super) fn lookup(&mut self, offset: u64, max: u64) -> Slot {
        match &mut self.table {
            Some(table) if offset < self.end => table.lookup(offset, max),
            _ => self.layer.lookup(offset, max),
        }
    }

    /// Where a run of one whole cluster that begins at `offset` is stored, and its length in bytes;
    /// `None` where only [`LayerCursor::lookup`] knows.
    #[inline]
    pub(super) fn lone(&mut self, offset: u64, max: u64) -> Option<(u64, u64)> {
        let table = self.table.as_mut().filter(|_| offset < self.end)?;
        table.lone(offset, max)
    }

    /// Gives `found` where one such run after the other is stored from `offset` on, and its length,
    /// until that breaks off; ends where only [`LayerCursor::lookup`] knows.
    #[inline]
    pub(super) fn each_lone(
        &mut self,
        offset: u64,
        max: u64,
        found: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.table.as_mut().filter(|_| offset < self.end) {
            Some(table) => table.each_lone(offset, max, found),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Layer {
    /// The size of a cluster in bytes; `None` for a raw base, which has none.
    #[must_use]
    pub fn cluster_size(&self) -> Option<u64> {
        match self {
            Self::Image(image) => Some(image.header().cluster_size().bytes()),
            Self::Raw(_) => None,
        }
    }

    /// The size of the disk as this layer knows it, in bytes.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        match self {
            Self::Image(image) => image.header().virtual_size(),
            Self::Raw(raw) => raw.size(),
        }
    }

    /// The file that the layer is read from.
    #[must_use]
    pub fn source(&self) -> &FileSource {
        match self {
            Self::Image(image) => image.source(),
            Self::Raw(raw) => &raw.file,
        }
    }

    /// Where the disk's bytes from `offset` on are stored in this layer, as one run of at most
    /// `max` bytes; nothing is stored past the layer's own end.
    pub(super) fn lookup(&self, offset: u64, max: u64) -> Slot {
        match self.virtual_size().checked_sub(offset) {
            None | Some(0) => Slot::Absent { len: max },
            Some(left) => match self {
                Self::Image(image) => image.lookup(offset, max),
                Self::Raw(raw) => raw.lookup(offset, left.min(max)),
            },
        }
    }

    /// Something that looks up one run after the other.
    pub(super) fn cursor(&self) -> LayerCursor<'_> {
        LayerCursor {
            layer: self,
            end: self.virtual_size(),
            table: match self {
                Self::Image(image) => Some(image.cursor()),
                Self::Raw(_) => None,
            },
        }
    }

    /// The ranges of the disk that the layer stores and that cannot be trusted.
    #[must_use]
    pub fn doubtful_in(&self, range: Range<u64>) -> Vec<Range<u64>> {
        match self {
            Self::Image(image) => image.doubtful_in(range),
            Self::Raw(_) => Vec::new(),
        }
    }

    /// What became of the ranges that the layer should store and does not.
    #[must_use]
    pub fn loss_kind(&self) -> LossKind {
        match self {
            Self::Raw(RawLayer {
                missing: Some((_, kind)),
                ..
            }) => *kind,
            _ => LossKind::Missing,
        }
    }

    pub(super) fn check_unchanged(&self) -> Result<()> {
        match self {
            Self::Image(image) => image.check_unchanged(),
            Self::Raw(raw) => raw.file.check_unchanged(),
        }
    }
}
