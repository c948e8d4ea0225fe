//! A disk without the blocks that its file systems say are free.

use std::ops::Range;
use std::sync::Arc;

use super::compaction::{Compaction, WholePartition};
use super::input::Input;
use crate::disk::{Slice, VirtualDisk, WithHoles, stored_bytes};
use crate::error::{Detail, Error, ErrorKind, Result};
use crate::ext4::{IfDirty, free_ranges};
use crate::partition::{self, FileSystem, PartitionLayout, Warning};
use crate::salvage::View;
use crate::workers::Workers;

/// Why free blocks cannot be left out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// A file system does not say for certain which of its blocks are free.
    #[error("no block of {} is known to be free", place(*partition))]
    Part {
        /// The partition that it is in; `None` where it fills the disk.
        partition: Option<u32>,
        /// What is wrong with it.
        source: Error,
    },
    /// No file system is one whose free blocks are known.
    #[error(
        "{} is {}: free blocks are known of ext2, ext3 and ext4",
        place(*partition),
        kind.title()
    )]
    OtherKind {
        /// What it is.
        kind: FileSystem,
        /// The partition that it is in; `None` where it fills the disk.
        partition: Option<u32>,
    },
    /// There is no file system that is known at all.
    #[error("the disk has no ext2, ext3 or ext4, whose free blocks could be left out")]
    NoneKnown,
    /// The disk has partitions, and a file system besides that reaches over them.
    #[error(
        "the disk has a partition table and a file system of its own, and only one of them is in \
         use"
    )]
    Ambiguous,
}

fn place(partition: Option<u32>) -> String {
    partition.map_or("the disk".to_owned(), |number| {
        format!("partition {number}")
    })
}

impl Detail for CompactError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Part { source, .. } => source.kind(),
            Self::OtherKind { .. } => ErrorKind::Unsupported,
            Self::NoneKnown | Self::Ambiguous => ErrorKind::Input,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Part { source, .. } => source.code(),
            Self::OtherKind { .. } => "other-file-system",
            Self::NoneKnown => "no-file-system",
            Self::Ambiguous => "ambiguous-disk",
        }
    }
}

/// A range of a disk that may hold a file system, in bytes.
struct Part {
    number: Option<u32>,
    range: Range<u64>,
    content: Option<FileSystem>,
    /// The size that the content states, in bytes.
    stated: Option<u64>,
}

impl Input {
    /// The same disk, of which the blocks that ext2, ext3 and ext4 say are free are holes, and so
    /// is what swap space holds. What lies in other partitions and between them stays. It is read
    /// strictly, and its file systems' inodes are read at once.
    ///
    /// # Errors
    ///
    /// [`CompactError`] where there is no such file system, or one of them is not closed or
    /// contradicts itself; what the partition table says.
    pub fn compacted(self, if_dirty: IfDirty, workers: &Workers) -> Result<Self> {
        let disk = self.view().stored();
        let layout = partition::read(&*disk)?;
        let besides =
            |warning: &Warning| matches!(warning, Warning::Besides(_) | Warning::TableIgnored);
        if layout.warnings.iter().any(besides) {
            return Err(CompactError::Ambiguous.into());
        }
        let parts = parts(&layout, self.partition(), disk.size());
        refuse_without_any(&parts)?;
        let mut holes = Vec::new();
        let mut whole = Vec::new();
        for part in &parts {
            match (part.holes(&disk, if_dirty, workers)?, part.number) {
                (Some(found), _) => holes.extend(found),
                (None, Some(number)) => whole.push(WholePartition {
                    number,
                    content: part.content,
                }),
                (None, None) => {}
            }
        }
        let before = View::strict(Arc::clone(&disk));
        let view = View::strict(Arc::new(WithHoles::new(disk, holes)?));
        Ok(self.seen_as(
            view.clone(),
            Compaction {
                before,
                after: view,
                whole: whole.into(),
            },
        ))
    }

    /// The partitions that stay whole, where the others are compacted.
    #[must_use]
    pub fn whole_partitions(&self) -> &[WholePartition] {
        self.compaction()
            .map_or(&[], |compaction| &compaction.whole)
    }

    /// How many bytes are stored and left out; `None` where nothing was to be left out. Reads no
    /// data.
    ///
    /// # Errors
    ///
    /// What the disk says while its extents are walked.
    pub fn left_out(&self, workers: &Workers) -> Result<Option<u64>> {
        let Some(compaction) = self.compaction() else {
            return Ok(None);
        };
        let before = stored_bytes(&*compaction.before.stored(), workers)?;
        let now = stored_bytes(&*compaction.after.stored(), workers)?;
        Ok(Some(before.saturating_sub(now)))
    }
}

/// Everything that may hold a file system.
fn parts(layout: &PartitionLayout, partition: Option<u32>, size: u64) -> Vec<Part> {
    if layout.table.is_none() {
        let whole = layout.whole.as_ref();
        return vec![Part {
            number: partition,
            range: 0..size,
            content: whole.map(|content| content.kind),
            stated: whole.and_then(|content| content.size),
        }];
    }
    let real = layout.partitions.iter().filter(|part| !part.is_extended);
    let parts = real.map(|part| Part {
        number: Some(part.number),
        range: part.start..part.start.saturating_add(part.len),
        content: part.content.as_ref().map(|content| content.kind),
        stated: part.content.as_ref().and_then(|content| content.size),
    });
    parts.collect()
}

/// A disk whose only file system is another one stays as it is, and says so.
fn refuse_without_any(parts: &[Part]) -> Result<()> {
    let is_only_swap = || matches!(parts, [only] if only.content == Some(FileSystem::Swap));
    if parts.iter().any(Part::is_ext) || is_only_swap() {
        return Ok(());
    }
    let known = parts
        .iter()
        .filter_map(|part| Some((part.number, part.content?)))
        .filter(|(_, kind)| *kind != FileSystem::Swap);
    let known: Vec<_> = known.collect();
    // The one that a user means, where there are others for booting.
    let is_meant =
        |(_, kind): &&(_, FileSystem)| matches!(kind, FileSystem::Xfs | FileSystem::Btrfs);
    let found = known.iter().find(is_meant).or(known.first()).copied();
    Err(match found {
        Some((partition, kind)) => CompactError::OtherKind { kind, partition }.into(),
        None => CompactError::NoneKnown.into(),
    })
}

impl Part {
    fn is_ext(&self) -> bool {
        use FileSystem::{Ext2, Ext3, Ext4};
        matches!(self.content, Some(Ext2 | Ext3 | Ext4))
    }

    /// The ranges of the disk that may be left out; `None` where it stays whole.
    fn holes(
        &self,
        disk: &Arc<dyn VirtualDisk>,
        if_dirty: IfDirty,
        workers: &Workers,
    ) -> Result<Option<Vec<Range<u64>>>> {
        /// The largest page of any machine: the first one of a swap space says what it is. One
        /// that a machine sleeps in has another signature, and is not known as swap space.
        const HEADER: u64 = 64 << 10;
        let Range { start, end } = self.range;
        let len = end.saturating_sub(start);
        let inner = if self.is_ext() {
            let slice: Arc<dyn VirtualDisk> = Arc::new(Slice::new(Arc::clone(disk), start, len)?);
            let free = free_ranges(&slice, if_dirty, workers);
            free.map_err(|source| CompactError::Part {
                partition: self.number,
                source,
            })?
        } else if self.content == Some(FileSystem::Swap) {
            std::iter::once(HEADER..self.stated.unwrap_or(0).min(len)).collect()
        } else {
            return Ok(None);
        };
        let outer = inner
            .into_iter()
            .map(|range| start.saturating_add(range.start)..start.saturating_add(range.end));
        Ok(Some(outer.collect()))
    }
}
