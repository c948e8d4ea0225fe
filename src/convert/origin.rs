//! Which layers an input is read from: what a target is brought up to date by.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    /// The same layers, of which the bytes from `start` on are read.
    pub(super) fn from(&self, start: u64) -> Self {
        Self {
            start: self.start.saturating_add(start),
            ..self.clone()
        }
    }

    /// The ranges of `size` bytes from the start of the input that layers above the first `below`
    /// store, in order.
    pub(super) fn stored_above(&self, below: usize, size: u64) -> Vec<Range<u64>> {
        let end = self.start.saturating_add(size).min(self.disk.size());
        let chain = self.chain();
        let ranges = chain.map(|chain| chain.stored_above(below, self.start..end));
        let inner = |range: Range<u64>| {
            range.start.saturating_sub(self.start)..range.end.saturating_sub(self.start)
        };
        ranges.into_iter().flatten().map(inner).collect()
    }
}
