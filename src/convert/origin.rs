//! Which layers an input is read from: what a target is brought up to date by.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::around::Around;
use crate::disk::VirtualDisk;
use crate::ploop::{Chain, Examined, Guid, PloopDisk};

/// The chain of layers behind an input.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    disk: Arc<PloopDisk>,
    descriptor: PathBuf,
    /// The image whose state is read.
    pub(super) snapshot: Guid,
    /// Whether nothing writes to its layers any more: another image is the top.
    pub(super) is_closed: bool,
    /// The names of the layers, base first.
    guids: Vec<Guid>,
    /// Where the input begins, in bytes of the disk.
    pub(super) start: u64,
    /// Where its bytes lie now, if another disk was made around them.
    around: Option<Around>,
}

/// What is known of an image before it is opened as a disk.
pub(super) struct Before {
    descriptor: PathBuf,
    snapshot: Guid,
    is_closed: bool,
    guids: Vec<Guid>,
}

impl Before {
    /// Nothing where there is no descriptor, or what is damaged is read over.
    pub(super) fn of(examined: &Examined) -> Option<Self> {
        let descriptor = examined.descriptor.as_ref()?;
        let snapshot = examined.snapshot.filter(|_| !examined.is_for_salvage())?;
        let known = examined.snapshots.iter();
        let guids = examined.layers.iter().map(|layer| layer.guid);
        Some(Self {
            descriptor: descriptor.canonicalize().ok()?,
            snapshot,
            is_closed: known
                .clone()
                .any(|known| known.guid == snapshot && !known.top)
                && known.clone().any(|known| known.top),
            guids: guids.collect::<Option<_>>()?,
        })
    }

    /// With the disk; nothing where that is split.
    pub(super) fn opened(self, disk: &Arc<PloopDisk>) -> Option<Origin> {
        let [chain] = disk.chains() else { return None };
        (chain.layers().len() == self.guids.len()).then(|| Origin {
            disk: Arc::clone(disk),
            descriptor: self.descriptor,
            snapshot: self.snapshot,
            is_closed: self.is_closed,
            guids: self.guids,
            start: 0,
            around: None,
        })
    }
}

impl Origin {
    /// The descriptor, without links in its path.
    pub(super) fn descriptor(&self) -> &Path {
        &self.descriptor
    }

    pub(super) fn chain(&self) -> Option<&Chain> {
        self.disk.chains().first().map(AsRef::as_ref)
    }

    /// The names of the layers, base first.
    pub(super) fn guids(&self) -> &[Guid] {
        &self.guids
    }

    /// The same layers, of which the bytes from `start` on are read; nothing where another disk was
    /// made around them.
    pub(super) fn from(&self, start: u64) -> Option<Self> {
        self.around.is_none().then(|| Self {
            start: self.start.saturating_add(start),
            ..self.clone()
        })
    }

    /// The same layers, in a disk that was made around them; nothing where there is one already.
    pub(super) fn inside(&self, around: Around) -> Option<Self> {
        self.around.is_none().then(|| Self {
            around: Some(around),
            ..self.clone()
        })
    }

    /// The disk that was made around the layers, where there is one.
    pub(super) fn around(&self) -> Option<&Around> {
        self.around.as_ref()
    }

    /// Where the bytes of the layers lie in an input of `size` bytes.
    pub(super) fn placed(&self, size: u64) -> Around {
        let around = self.around.clone();
        around.unwrap_or_else(|| Around::nothing(size))
    }

    /// The ranges of an input of `size` bytes that layers above the first `below` store, in order.
    pub(super) fn stored_above(&self, below: usize, size: u64) -> Vec<Range<u64>> {
        let Some(chain) = self.chain() else {
            return Vec::new();
        };
        let Around { moved, kept } = self.placed(size);
        let stored = |at: u64| at.saturating_sub(moved).saturating_add(self.start);
        let here = |at: u64| at.saturating_sub(self.start).saturating_add(moved);
        let ranges = kept.iter().flat_map(|range| {
            let end = stored(range.end).min(self.disk.size());
            chain.stored_above(below, stored(range.start)..end)
        });
        ranges
            .map(|range| here(range.start)..here(range.end))
            .collect()
    }
}
