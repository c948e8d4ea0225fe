//! The layers of a chain, read as one disk.

use std::ops::Range;

use super::layer::{Layer, LayerCursor};
use super::lone::Lone;
use crate::disk::DiskError;
use crate::disk::{
    EachExtent, Extent, ExtentKind, Extents, Joined, Loss, LossKind, Losses, Role, Store, StoreId,
    VirtualDisk, joined, walk_each,
};
use crate::error::Result;
use crate::ploop::bat::Slot;
use crate::util::bytes::to_usize;

/// The disk that a chain of layers makes, or the part of a disk.
#[derive(Debug)]
pub struct Chain {
    /// Base first; never empty.
    layers: Vec<Layer>,
    /// The files of the layers, base first: the number of a layer is that of its store.
    stores: Vec<Store>,
    size: u64,
}

/// How far a single question looks into the tables: a bound on its cost, not on the answer.
const LOOK_AHEAD: u64 = 64 << 20;

impl Chain {
    /// Puts layers together, base first. The last one decides the size. `part` is the number of the
    /// part that they are of a split disk.
    pub(super) fn new(layers: Vec<Layer>, part: Option<usize>) -> Self {
        let size = layers.last().map_or(0, Layer::virtual_size);
        let files = layers.iter().map(Layer::source).cloned().enumerate();
        let role = |layer| match part {
            Some(part) => Role::PartLayer { part, layer },
            None => Role::Layer(layer),
        };
        Self {
            stores: files
                .map(|(layer, file)| Store::file(file, role(layer)))
                .collect(),
            layers,
            size,
        }
    }

    /// The layers, base first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The ranges of the disk within `range` that layers above the first `below` store, in order;
    /// joined where they touch.
    #[must_use]
    pub fn stored_above(&self, below: usize, range: Range<u64>) -> Vec<Range<u64>> {
        let above = self.layers.get(below..).unwrap_or_default();
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut at = range.start;
        let end = range.end.min(self.size);
        while at < end {
            // Of all layers: each is asked for no more than the shortest run before it.
            let mut len = end - at;
            let mut is_stored = false;
            for layer in above.iter().rev() {
                let slot = layer.lookup(at, len);
                len = len.min(slot.len()).max(1);
                is_stored = !matches!(slot, Slot::Absent { .. });
                if is_stored {
                    break;
                }
            }
            let next = at.saturating_add(len);
            match found.last_mut() {
                Some(last) if is_stored && last.end == at => last.end = next,
                _ if is_stored => found.push(at..next),
                _ => {}
            }
            at = next;
        }
        found
    }

    /// What the layers say about `offset` and at most `most` bytes: the highest one that has it
    /// decides, and the run ends where a higher layer may have something.
    fn resolve(offset: u64, most: u64, slots: impl Iterator<Item = (usize, Slot)>) -> Extent {
        let mut limit = most;
        for (layer, slot) in slots {
            limit = limit.min(slot.len());
            let store = StoreId::at(layer);
            let kind = match slot {
                Slot::Absent { .. } => continue,
                Slot::Stored { host_offset, .. } => ExtentKind::Data { store, host_offset },
                Slot::Lost { .. } => ExtentKind::Lost { store },
            };
            return Extent {
                offset,
                len: limit,
                kind,
            };
        }
        // Every layer was asked, so this is a hole of the disk, and not of one image.
        Extent {
            offset,
            len: limit,
            kind: ExtentKind::Hole,
        }
    }

    fn extent_within(&self, offset: u64, max: u64) -> Result<Extent> {
        DiskError::check_range(offset, 1, self.size)?;
        let max = max.min(self.size - offset).max(1);
        let layers = self.layers.iter().enumerate().rev();
        Ok(Self::resolve(
            offset,
            max,
            layers.map(|(at, layer)| (at, layer.lookup(offset, max))),
        ))
    }

    /// What of an extent is not what it was, by the tables of the layer that has it.
    fn losses_of(&self, extent: &Extent) -> Vec<Loss> {
        let layer = |store: StoreId| self.layers.get(store.index());
        let range = extent.offset..extent.end();
        match extent.kind {
            ExtentKind::Lost { store } => {
                let kind = layer(store).map_or(LossKind::Missing, Layer::loss_kind);
                vec![Loss::of(range, kind)]
            }
            ExtentKind::Data { store, .. } => {
                let doubtful = layer(store).map(|layer| layer.doubtful_in(range));
                let doubtful = doubtful.unwrap_or_default().into_iter();
                doubtful
                    .map(|range| Loss::of(range, LossKind::Doubtful))
                    .collect()
            }
            ExtentKind::Hole | ExtentKind::Compressed { .. } => Vec::new(),
        }
    }
}

impl VirtualDisk for Chain {
    fn size(&self) -> u64 {
        self.size
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.extent_within(offset, LOOK_AHEAD)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = DiskError::check_range(offset, buf.len() as u64, self.size)?;
        let mut rest = buf;
        // A walk, because it asks each layer once for a run and not for every piece of it.
        for extent in Walk::new(self, range) {
            let extent = extent?;
            let len = to_usize(extent.len);
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            match extent.kind {
                ExtentKind::Hole => now.fill(0),
                // Nothing is compressed in a ploop image.
                ExtentKind::Lost { .. } | ExtentKind::Compressed { .. } => {
                    return Err(DiskError::Lost {
                        offset: extent.offset,
                        len: extent.len,
                    }
                    .into());
                }
                ExtentKind::Data { store, host_offset } => {
                    let store = self.store(store);
                    let store = store.expect("the extents of a disk name its stores");
                    store.read_at(now, host_offset)?;
                }
            }
            rest = later;
        }
        Ok(())
    }

    fn stores(&self) -> &[Store] {
        &self.stores
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let range = range.start..range.end.min(self.size);
        match self.layers.as_slice() {
            [layer] => Box::new(Lone::new(layer, range).map(Ok)),
            _ => Box::new(Joined::new(Walk::new(self, range))),
        }
    }

    fn each_extent_in(&self, range: Range<u64>, found: &mut EachExtent<'_>) -> Result<()> {
        let range = range.start..range.end.min(self.size);
        match self.layers.as_slice() {
            [layer] => {
                // Whether the caller breaks off or not, nothing failed.
                let _ = Lone::new(layer, range).each(found);
                Ok(())
            }
            _ => walk_each(Joined::new(Walk::new(self, range)), found),
        }
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let losses = self.extents_in(range).flat_map(|extent| match extent {
            Ok(extent) => self.losses_of(&extent).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        Box::new(joined(losses))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.layers.iter().try_for_each(Layer::check_unchanged)
    }
}

/// Walks over the extents of a disk and asks each layer for a run only once, however many pieces
/// the other layers cut it into: the cost is that of reading every table once.
struct Walk<'a> {
    /// What is still to be walked over.
    range: Range<u64>,
    /// For each layer, base first, the run that it was last asked for.
    runs: Vec<Run<'a>>,
}

struct Run<'a> {
    layer: LayerCursor<'a>,
    start: u64,
    slot: Slot,
}

impl Run<'_> {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.slot.len())
    }

    /// What is left of the run from `offset` on.
    fn rest(&self, offset: u64) -> Slot {
        let passed = offset - self.start;
        match self.slot {
            Slot::Stored { host_offset, len } => Slot::Stored {
                host_offset: host_offset + passed,
                len: len - passed,
            },
            Slot::Absent { len } => Slot::Absent { len: len - passed },
            Slot::Lost { len } => Slot::Lost { len: len - passed },
        }
    }
}

impl<'a> Walk<'a> {
    /// `range` lies inside the disk.
    fn new(disk: &'a Chain, range: Range<u64>) -> Self {
        // Runs of no length, so that each layer is asked at the start.
        let unasked = |layer: &'a Layer| Run {
            layer: layer.cursor(),
            start: range.start,
            slot: Slot::Absent { len: 0 },
        };
        Self {
            runs: disk.layers.iter().map(unasked).collect(),
            range,
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let Range { start: offset, end } = self.range;
        let left = end.checked_sub(offset).filter(|&left| left > 0)?;
        let layers = self.runs.iter_mut().enumerate().rev();
        let slots = layers.map(|(at, run)| {
            if run.end() <= offset {
                run.start = offset;
                run.slot = run.layer.lookup(offset, left);
            }
            (at, run.rest(offset))
        });
        let extent = Chain::resolve(offset, left, slots);
        self.range.start = extent.end();
        Some(Ok(extent))
    }
}
