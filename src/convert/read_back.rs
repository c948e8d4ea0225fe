//! Whether a target holds what it was made from.

use std::fmt;

use super::input::Input;
use super::resources::Resources;
use crate::compare::{Comparison, compare};
use crate::disk::{Location, Slice, VirtualDisk};
use crate::error::Result;
use crate::partition::{self, Partition};

/// The size that a target has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// This many bytes: what its format makes of the disk.
    Exactly(Option<u64>),
    /// At least that of the disk: what lies past it on a device is not the conversion's.
    AtLeast,
}

/// What was found when a target was read back.
#[derive(Debug, Clone)]
pub struct ReadBack {
    /// What was compared.
    pub comparison: Comparison,
    /// Where the two differ first.
    pub difference: Option<FirstDifference>,
    /// The sizes of target and disk in bytes, where they do not go together.
    pub sizes: Option<(u64, u64)>,
}

/// Where a target and its disk differ first.
#[derive(Debug, Clone)]
pub struct FirstDifference {
    /// In bytes of the disk.
    pub offset: u64,
    /// How the target stores the byte.
    pub target: Location,
    /// How the source does.
    pub image: Location,
    /// The partition that has it.
    pub partition: Option<u32>,
}

/// Compares a target, read as a disk, with what it was made from.
///
/// # Errors
///
/// What either disk says, and [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where that was
/// asked for.
pub fn compare_target(
    target: &dyn VirtualDisk,
    held: Held,
    input: &Input,
    resources: &Resources<'_>,
) -> Result<ReadBack> {
    let (target_size, size) = (target.size(), input.disk().size());
    let fits = match held {
        Held::AtLeast => target_size >= size,
        Held::Exactly(wanted) => wanted == Some(target_size),
    };
    let part;
    let compared: &dyn VirtualDisk = if held == Held::AtLeast && fits {
        part = Slice::new(target, 0, size)?;
        &part
    } else {
        target
    };
    let comparison = compare(
        compared,
        input.disk(),
        resources.workers,
        resources.stop,
        resources.progress,
    )?;
    let difference = match comparison.first_difference {
        Some(offset) => Some(FirstDifference {
            offset,
            target: Location::of(target, offset)?,
            image: input.location(offset)?,
            partition: input.partition_at(offset),
        }),
        None => None,
    };
    Ok(ReadBack {
        comparison,
        difference,
        sizes: (!fits).then_some((target_size, size)),
    })
}

impl ReadBack {
    /// Whether the target holds the disk.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.difference.is_none() && self.sizes.is_none()
    }
}

impl Input {
    /// How the disk's byte at `offset` is stored: a lost one is not a hole.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn location(&self, offset: u64) -> Result<Location> {
        Location::of(self.view().stored().as_ref(), offset)
    }

    /// The partition that has the byte at `offset`, where the disk has a table that can be read.
    #[must_use]
    pub fn partition_at(&self, offset: u64) -> Option<u32> {
        if self.partition().is_some() {
            return self.partition();
        }
        let layout = partition::read(self.disk()).ok()?;
        let has = |part: &&Partition| {
            !part.is_extended && offset >= part.start && offset - part.start < part.len
        };
        layout.partitions.iter().find(has).map(|part| part.number)
    }
}

impl fmt::Display for ReadBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((target, disk)) = self.sizes {
            write!(f, "the target has {target} bytes and the disk {disk}")?;
        }
        match (&self.difference, self.sizes) {
            (Some(difference), sizes) => {
                let and = if sizes.is_some() { "; " } else { "" };
                write!(f, "{and}they differ first at {difference}")
            }
            (None, Some(_)) => f.write_str("; what one has more is zeros"),
            (None, None) => f.write_str("they are equal"),
        }
    }
}

impl fmt::Display for FirstDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {:#x}", self.offset)?;
        if let Some(number) = self.partition {
            write!(f, " (in partition {number})")?;
        }
        write!(f, " (target: {}; image: {})", self.target, self.image)
    }
}
