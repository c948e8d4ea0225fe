//! The state of the disk before the one that cannot be read: backups of running containers are made
//! by taking a snapshot and copying what lies below it.

use super::examine;
use super::examined::Examined;
use super::options::OpenOptions;
use crate::ploop::alternative::Alternative;
use crate::ploop::check::{FindingKind as Kind, Severity};
use crate::ploop::descriptor::{Guid, Temporary};
use crate::ploop::snapshots::SnapshotName;

/// The most older snapshots that are looked at: a search ends, however long the chain is.
const MOST_TRIES: usize = 8;

impl Examined {
    /// The nearest snapshot below the one that was opened that is closed, complete and undamaged.
    pub(super) fn older_snapshot(&self) -> Option<Alternative> {
        let descriptor = self.descriptor.as_deref()?;
        let below = self.ancestors().into_iter().take(MOST_TRIES);
        let mut sound = below.filter(|&guid| {
            let options = OpenOptions {
                snapshot: Some(SnapshotName::Guid(guid)),
                salvage: false,
                disk: None,
                ..self.options.clone()
            };
            examine(descriptor, &options).is_ok_and(|older| older.is_sound())
        });
        sound.next().map(Alternative::Snapshot)
    }

    /// The snapshots below the one that was opened, nearest first, but for those that an unfinished
    /// merge or a backup may have changed.
    fn ancestors(&self) -> Vec<Guid> {
        let shot = |guid: Guid| self.snapshots.iter().find(|shot| shot.guid == guid);
        let parent = |guid: &Guid| shot(*guid).and_then(|shot| shot.parent);
        let chain = std::iter::successors(self.snapshot, parent).skip(1);
        // A circle of parents ends too.
        let chain = chain.take(self.snapshots.len());
        let kept = |guid: &Guid| shot(*guid).is_some_and(|it| it.temporary == Temporary::No);
        chain.filter(kept).collect()
    }

    /// Whether nothing speaks against what was opened.
    fn is_sound(&self) -> bool {
        let doubtful = |kind: Kind| matches!(kind, Kind::LayerInUse | Kind::TemporarySnapshot);
        self.disk.is_some()
            && self.failure.is_none()
            && self
                .findings
                .iter()
                .all(|finding| finding.severity() < Severity::InUse && !doubtful(finding.kind))
    }
}
