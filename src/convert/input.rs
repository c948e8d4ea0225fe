//! What is converted.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::around::Around;
use super::compaction::Compaction;
use super::origin::{Before, Origin};
use crate::disk::{Losses, Remembered, VirtualDisk};
use crate::error::Result;
use crate::partition;
use crate::partition::PartitionError;
use crate::ploop::{Examined, IfInUse};
use crate::salvage::View;

/// A disk that is converted, or one partition of it, and the files that it must not be written
/// over.
#[derive(Debug, Clone)]
pub struct Input {
    disk: Arc<dyn VirtualDisk>,
    view: View,
    /// Where free blocks are left out.
    compaction: Option<Compaction>,
    partition: Option<u32>,
    /// The parts of a split disk, in bytes of what is read; nothing where it is of one piece.
    parts: Vec<(usize, Range<u64>)>,
    /// The layers that it is read from, where a descriptor names them.
    origin: Option<Origin>,
    /// Device and inode of every file that belongs to the disk.
    files: Arc<[(u64, u64)]>,
    name: String,
    /// Whether it is the disk of a machine that was a container before.
    is_of_machine: bool,
}

impl Input {
    /// A disk as it is stored; its files are those of its stores. `name` is what lists call it.
    #[must_use]
    pub fn of(disk: Arc<dyn VirtualDisk>, name: &str) -> Self {
        let paths = disk.stores().iter().map(|store| store.path());
        let files = paths.filter_map(identity).collect();
        Self::new(View::strict(disk), files, name)
    }

    /// A disk of ploop images that was examined: read over its damage where it was opened for that.
    ///
    /// # Errors
    ///
    /// As [`Examined::into_disk`].
    pub fn examined(examined: Examined, if_in_use: IfInUse, name: &str) -> Result<Self> {
        let related: Vec<_> = examined
            .related
            .iter()
            .filter_map(|file| identity(file))
            .collect();
        let over_damage = examined.is_for_salvage();
        let parts = examined.parts.iter();
        let parts = parts.map(|part| (part.part, part.range.clone())).collect();
        let before = Before::of(&examined);
        let disk = examined.into_disk(if_in_use)?;
        let files = disk.files().map(|file| file.identity());
        let files = files.chain(related).collect();
        let disk = Arc::new(disk);
        let origin = before.and_then(|before| before.opened(&disk));
        let view = if over_damage {
            View::over_damage(disk)
        } else {
            View::strict(disk)
        };
        Ok(Self {
            parts,
            origin,
            ..Self::new(view, files, name)
        })
    }

    /// A disk that is read as `view` says. `files` are device and inode number of every file that
    /// belongs to it, whether it is read or not.
    #[must_use]
    pub fn new(view: View, files: Vec<(u64, u64)>, name: &str) -> Self {
        Self {
            disk: view.disk(),
            view,
            compaction: None,
            partition: None,
            parts: Vec::new(),
            origin: None,
            files: files.into(),
            name: name.to_owned(),
            is_of_machine: false,
        }
    }

    /// The same input as the disk of a machine that was made of a container before.
    pub(super) fn of_machine(self) -> Self {
        Self {
            is_of_machine: true,
            ..self
        }
    }

    /// Whether it is the disk of a machine that was made of a container before: see
    /// [`Input::made_before`].
    #[must_use]
    pub fn is_of_machine(&self) -> bool {
        self.is_of_machine
    }

    /// The same input, whose extents are walked once.
    pub(super) fn remembered(self) -> Self {
        Self {
            disk: Arc::new(Remembered::new(Arc::clone(&self.disk))),
            ..self
        }
    }

    /// The same input, read as `view` says, which leaves something out.
    pub(super) fn seen_as(self, view: View, compaction: Compaction) -> Self {
        Self {
            disk: view.disk(),
            view,
            compaction: Some(compaction),
            ..self
        }
    }

    /// The same input with other bytes around its partitions.
    pub(super) fn inside(self, view: View, around: Around) -> Self {
        let moved = around.moved;
        let parts = self.parts.iter().map(|(part, range)| {
            let start = range.start.saturating_add(moved);
            (*part, start..range.end.saturating_add(moved))
        });
        let origin = self.origin.as_ref();
        Self {
            disk: view.disk(),
            view,
            partition: None,
            origin: origin.and_then(|origin| origin.inside(around)),
            parts: parts.collect(),
            ..self.clone()
        }
    }

    /// The layers that it is read from; `None` where no descriptor names them, or they are read
    /// over damage.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(super) fn compaction(&self) -> Option<&Compaction> {
        self.compaction.as_ref()
    }

    /// Only the partition of this number.
    ///
    /// # Errors
    ///
    /// Where the partition table cannot be read or has no such partition.
    pub fn only_partition(self, number: u32) -> Result<Self> {
        let layout = partition::read(self.disk.as_ref())?;
        let part = layout.partition(number)?;
        self.part(number, part.start, part.len)
    }

    fn part(&self, number: u32, start: u64, len: u64) -> Result<Self> {
        let view = self.view.part(start, len)?;
        let compaction = self.compaction.as_ref();
        let compaction = compaction.map(|all| all.part(start, len)).transpose()?;
        let inside = |at: u64| {
            at.clamp(start, start.saturating_add(len))
                .saturating_sub(start)
        };
        let parts = self.parts.iter();
        let parts = parts.map(|(part, range)| (*part, inside(range.start)..inside(range.end)));
        Ok(Self {
            disk: view.disk(),
            view,
            compaction,
            origin: self.origin.as_ref().and_then(|origin| origin.from(start)),
            parts: parts.filter(|(_, range)| !range.is_empty()).collect(),
            partition: Some(number),
            ..self.clone()
        })
    }

    /// Every partition as a disk of its own, named `p1` and so on; the whole disk, named `disk`,
    /// where it has no table and something that is known fills it.
    pub(super) fn divide(self) -> Result<Vec<(String, Self)>> {
        let layout = partition::read(self.disk.as_ref())?;
        let whole = layout.whole.as_ref().map(|content| content.kind);
        if layout.table.is_none() {
            return match whole {
                Some(_) => Ok(vec![("disk".to_owned(), self)]),
                None => Err(PartitionError::NoTable { whole }.into()),
            };
        }
        let real = layout.partitions.iter().filter(|part| !part.is_extended);
        let parts = real.map(|part| {
            let name = format!("p{}", part.number);
            Ok((name, self.part(part.number, part.start, part.len)?))
        });
        let parts: Vec<_> = parts.collect::<Result<_>>()?;
        if parts.is_empty() {
            return Err(PartitionError::NoTable { whole: None }.into());
        }
        Ok(parts)
    }

    /// The disk that is read.
    #[must_use]
    pub fn disk(&self) -> &dyn VirtualDisk {
        self.disk.as_ref()
    }

    /// How it is read.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The partition that it is, where only that was asked for.
    #[must_use]
    pub fn partition(&self) -> Option<u32> {
        self.partition
    }

    /// The parts of a split disk that it has something of: the number of each, and the bytes that
    /// it has. Nothing where the disk is of one piece.
    #[must_use]
    pub fn parts(&self) -> &[(usize, Range<u64>)] {
        &self.parts
    }

    /// What lists call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What of it is not what it was, as far as it is known: unreadable sectors show when they are
    /// read. Nothing where it is read strictly.
    #[must_use]
    pub fn losses(&self) -> Losses<'_> {
        if self.view.is_over_damage() {
            self.disk.losses_in(0..self.disk.size())
        } else {
            Box::new(std::iter::empty())
        }
    }

    /// The files that the disk is stored in: of a chain, base first.
    #[must_use]
    pub fn store_files(&self) -> Vec<PathBuf> {
        let stores = self.disk.stores().iter();
        stores.map(|store| store.path().to_owned()).collect()
    }

    /// Whether a path is a file that belongs to the disk, under whatever name.
    #[must_use]
    pub fn is_file_of_it(&self, path: &Path) -> bool {
        identity(path).is_some_and(|file| self.has_file(file))
    }

    /// Whether device and inode number are those of a file that belongs to the disk.
    #[must_use]
    pub fn has_file(&self, file: (u64, u64)) -> bool {
        self.files.contains(&file)
    }
}

/// Device and inode number of a file that is there.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}
