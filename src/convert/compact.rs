//! A disk without the blocks that its file systems say are free.

use std::ops::Range;
use std::sync::Arc;

use super::compaction::{Compaction, WholePartition, WhyWhole};
use super::input::Input;
use crate::disk::{Slice, VirtualDisk, WithHoles, stored_bytes};
use crate::error::{Detail, Error, ErrorKind, Result};
use crate::ext4::{IfDirty, free_ranges};
use crate::partition::{self, Content, FileSystem, PartitionLayout, Warning};
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
    #[error("{} has no ext2, ext3 or ext4, whose free blocks could be left out", place(*partition))]
    NoneKnown {
        /// The partition that was chosen; `None` for the whole disk.
        partition: Option<u32>,
    },
    /// There are partitions, and a file system or an array besides that reaches over them.
    #[error(
        "{} has a partition table and a file system or an array of its own, and only one of them \
         is in use",
        place(*partition)
    )]
    Ambiguous {
        /// The partition that was chosen; `None` for the whole disk.
        partition: Option<u32>,
    },
    /// What could be left out is what may be something else.
    #[error(
        "no block of {} is known to be free: it is {}, but {why}",
        place(*partition),
        kind.title()
    )]
    Unsure {
        /// The partition that it is in; `None` where it fills the disk.
        partition: Option<u32>,
        /// What it seems to be.
        kind: FileSystem,
        /// Why that is not sure.
        why: WhyWhole,
    },
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
            Self::NoneKnown { .. } | Self::Ambiguous { .. } => ErrorKind::Input,
            Self::Unsure { why, .. } => match why {
                WhyWhole::LargerSwap => ErrorKind::Corrupt,
                _ => ErrorKind::Input,
            },
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Part { source, .. } => source.code(),
            Self::OtherKind { .. } => "other-file-system",
            Self::NoneKnown { .. } => "no-file-system",
            Self::Unsure {
                why: WhyWhole::LargerSwap,
                ..
            } => "cut-file-system",
            Self::Ambiguous { .. } | Self::Unsure { .. } => "ambiguous-disk",
        }
    }
}

/// A range of a disk that may hold a file system.
struct Part {
    number: Option<u32>,
    /// Where it begins, in bytes of the disk.
    start: u64,
    /// It alone.
    disk: Arc<dyn VirtualDisk>,
    content: Option<FileSystem>,
    /// The size that the content states, in bytes.
    stated: Option<u64>,
    /// Why nothing of it is left out; `None` where it is known what is free.
    why_whole: Option<WhyWhole>,
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
        let partition = self.partition();
        let besides =
            |warning: &Warning| matches!(warning, Warning::Besides(_) | Warning::TableIgnored);
        if layout.warnings.iter().any(besides)
            || partition::is_array_of_partitions(&*disk, &layout)?
        {
            return Err(CompactError::Ambiguous { partition }.into());
        }
        let parts = parts(&disk, &layout, partition)?;
        refuse_without_any(&parts, partition)?;
        let mut holes = Vec::new();
        let mut whole = Vec::new();
        for part in parts {
            match (&part.why_whole, part.number) {
                (None, _) => holes.extend(part.holes(if_dirty, workers)?),
                (Some(why), Some(number)) => whole.push(WholePartition {
                    number,
                    content: part.content,
                    why: why.clone(),
                }),
                (Some(_), None) => {}
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

/// Everything that may hold a file system, of a disk or of the partition that was chosen.
fn parts(
    disk: &Arc<dyn VirtualDisk>,
    layout: &PartitionLayout,
    chosen: Option<u32>,
) -> Result<Vec<Part>> {
    if layout.table.is_none() {
        let only = Part::new(disk, chosen, 0..disk.size(), layout.whole.as_ref())?;
        return Ok(vec![only]);
    }
    let real = layout.partitions.iter().filter(|part| !part.is_extended);
    let parts = real.map(|part| {
        let range = part.start..part.start.saturating_add(part.len);
        Part::new(disk, Some(part.number), range, part.content.as_ref())
    });
    parts.collect()
}

/// A disk whose only file system is another one stays as it is, and says so.
fn refuse_without_any(parts: &[Part], chosen: Option<u32>) -> Result<()> {
    let is_swap = |part: &Part| part.content == Some(FileSystem::Swap);
    let is_meant = |part: &&Part| part.is_ext() || (is_swap(part) && parts.len() == 1);
    if parts
        .iter()
        .filter(is_meant)
        .any(|part| part.why_whole.is_none())
    {
        return Ok(());
    }
    let unsure = parts.iter().filter(is_meant).find_map(|part| {
        Some(CompactError::Unsure {
            partition: part.number,
            kind: part.content?,
            why: part.why_whole.clone()?,
        })
    });
    if let Some(unsure) = unsure {
        return Err(unsure.into());
    }
    let known = parts.iter().filter(|part| !is_swap(part));
    let known: Vec<_> = known
        .filter_map(|part| Some((part.number, part.content?)))
        .collect();
    // The one that a user means, where there are others for booting.
    let is_meant =
        |(_, kind): &&(_, FileSystem)| matches!(kind, FileSystem::Xfs | FileSystem::Btrfs);
    let found = known.iter().find(is_meant).or(known.first()).copied();
    Err(match found {
        Some((partition, kind)) => CompactError::OtherKind { kind, partition }.into(),
        None => CompactError::NoneKnown { partition: chosen }.into(),
    })
}

impl Part {
    fn new(
        disk: &Arc<dyn VirtualDisk>,
        number: Option<u32>,
        range: Range<u64>,
        content: Option<&Content>,
    ) -> Result<Self> {
        let len = range.end.saturating_sub(range.start);
        let mut part = Self {
            number,
            start: range.start,
            disk: Arc::new(Slice::new(Arc::clone(disk), range.start, len)?),
            content: content.map(|content| content.kind),
            stated: content.and_then(|content| content.size),
            why_whole: None,
        };
        part.why_whole = part.why_whole()?;
        Ok(part)
    }

    fn is_ext(&self) -> bool {
        use FileSystem::{Ext2, Ext3, Ext4};
        matches!(self.content, Some(Ext2 | Ext3 | Ext4))
    }

    fn why_whole(&self) -> Result<Option<WhyWhole>> {
        let is_larger = self.stated.is_some_and(|stated| stated > self.disk.size());
        let kind = match self.content {
            Some(FileSystem::Swap) if is_larger => return Ok(Some(WhyWhole::LargerSwap)),
            Some(kind) if self.is_ext() || kind == FileSystem::Swap => kind,
            _ => return Ok(Some(WhyWhole::OtherKind)),
        };
        let rivals = partition::rivals(&*self.disk, kind)?;
        Ok((!rivals.is_empty()).then_some(WhyWhole::Claimed(rivals)))
    }

    /// The ranges of the disk that may be left out.
    fn holes(&self, if_dirty: IfDirty, workers: &Workers) -> Result<Vec<Range<u64>>> {
        /// The largest page of any machine: the first one of a swap space says what it is. One
        /// that a machine sleeps in has another signature, and is not known as swap space.
        const HEADER: u64 = 64 << 10;
        let inner = match self.is_ext() {
            true => {
                free_ranges(&self.disk, if_dirty, workers).map_err(|source| CompactError::Part {
                    partition: self.number,
                    source,
                })?
            }
            false => std::iter::once(HEADER..self.stated.unwrap_or(0).max(HEADER)).collect(),
        };
        let outer = inner.into_iter().map(|range| {
            self.start.saturating_add(range.start)..self.start.saturating_add(range.end)
        });
        Ok(outer.collect())
    }
}
