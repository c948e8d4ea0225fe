//! The extents of a disk that is one layer, which no other layer cuts.

use std::ops::{ControlFlow, Range};

use super::layer::{Layer, LayerCursor};
use crate::disk::{EachExtent, Extent, ExtentKind, StoreId};
use crate::ploop::bat::Slot;

/// Walks over them. Where clusters lie in no order each is an extent, and a large disk has
/// millions: such an extent costs little more than the look at its entry.
pub(super) struct Lone<'a> {
    layer: LayerCursor<'a>,
    /// What is still to be walked over.
    range: Range<u64>,
    /// An extent that was met while looking for the end of the one before it.
    ahead: Option<Extent>,
}

impl<'a> Lone<'a> {
    /// `range` lies inside the layer.
    pub(super) fn new(layer: &'a Layer, range: Range<u64>) -> Self {
        Self {
            layer: layer.cursor(),
            range,
            ahead: None,
        }
    }

    /// The next run of the table.
    fn next_run(&mut self) -> Option<Extent> {
        let Range { start: offset, end } = self.range;
        let left = end.checked_sub(offset).filter(|&left| left > 0)?;
        let slot = self.layer.lookup(offset, left);
        let len = slot.len().min(left);
        let store = StoreId::FIRST;
        let kind = match slot {
            Slot::Absent { .. } => ExtentKind::Hole,
            Slot::Stored { host_offset, .. } => ExtentKind::Data { store, host_offset },
            Slot::Lost { .. } => ExtentKind::Lost { store },
        };
        self.range.start = offset + len;
        Some(Extent { offset, len, kind })
    }

    /// Where the next cluster is stored, and its length in bytes, if it is known to be an extent by
    /// itself.
    #[inline]
    fn next_lone(&mut self) -> Option<(u64, u64)> {
        let Range { start: offset, end } = self.range;
        self.layer.lone(offset, end.saturating_sub(offset))
    }

    /// An extent that may go on in the runs after it: what is lost does, and what the file ends in.
    fn next_joined(&mut self) -> Option<Extent> {
        let mut extent = self.ahead.take().or_else(|| self.next_run())?;
        // A cluster by itself continues nothing: the run before it would have gone on.
        while self.next_lone().is_none()
            && let Some(next) = self.next_run()
        {
            if !extent.continues_in(&next) {
                self.ahead = Some(next);
                break;
            }
            extent.len += next.len;
        }
        Some(extent)
    }
}

impl Lone<'_> {
    /// Gives every extent to `found`, until that breaks off.
    pub(super) fn each(mut self, found: &mut EachExtent<'_>) -> ControlFlow<()> {
        loop {
            if self.ahead.is_none() {
                let Range { start, end } = self.range;
                let (mut offset, left) = (start, end.saturating_sub(start));
                self.layer.each_lone(start, left, |host_offset, len| {
                    let store = StoreId::FIRST;
                    let kind = ExtentKind::Data { store, host_offset };
                    let extent = Extent { offset, len, kind };
                    offset += len;
                    found(extent)
                })?;
                self.range.start = offset;
            }
            match self.next() {
                Some(extent) => found(extent)?,
                None => return ControlFlow::Continue(()),
            }
        }
    }
}

impl Iterator for Lone<'_> {
    type Item = Extent;

    #[inline]
    fn next(&mut self) -> Option<Extent> {
        if self.ahead.is_none()
            && let Some((host_offset, len)) = self.next_lone()
        {
            let offset = self.range.start;
            self.range.start = offset + len;
            let store = StoreId::FIRST;
            let kind = ExtentKind::Data { store, host_offset };
            return Some(Extent { offset, len, kind });
        }
        self.next_joined()
    }
}
