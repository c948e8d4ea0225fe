//! Partition tables, and what partitions and whole disks hold.
//!
//! A table is read with its checksums and believed only where all of it makes sense: no partition
//! is cut to fit. The first bytes decide what lies inside, and the last ones where those say
//! nothing.
//!
//! ```
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! let examined = examine("fixtures/101".as_ref(), &OpenOptions::default())?;
//! let disk = examined.into_disk(IfInUse::Refuse)?;
//! let layout = ploopconv::partition::read(&disk)?;
//! let first = layout.partition(1)?;
//! let content = first.content.as_ref().expect("a file system that is known");
//! assert_eq!(content.kind.name(), "ext4");
//!
//! let partition = first.of(&disk)?; // a disk of its own
//! let mut magic = [0; 2];
//! partition.read_at(&mut magic, 1024 + 0x38)?;
//! assert_eq!(u16::from_le_bytes(magic), 0xEF53);
//! # Ok::<(), ploopconv::Error>(())
//! ```
//!
//! The readers are our own. gptman and mbrman (20 crates each) are made for editing tables: they
//! size a vector by what a header claims, add sectors without looking for overflow, number empty
//! links of the chain, and do not say which copy of a table they read or why.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod content;
mod error;
mod filesystem;
mod gpt;
mod mbr;
mod rivals;
mod stated_end;
mod table;
mod xfs_log;

use std::ops::Deref;

pub use self::content::{Content, FileSystem};
pub use self::error::PartitionError;
pub use self::stated_end::{StatedEnd, Witness, stated_end};
pub use self::table::{GptError, PartitionType, TableError, TableKind, Warning};

pub(crate) use self::rivals::{is_array_of_partitions, rivals};

use self::gpt::Found;
use self::mbr::Record;
use self::table::{Entry, Role};
use crate::disk::{Slice, VirtualDisk};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;

/// How a disk is divided, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLayout {
    /// The partition table; `None` where there is none.
    pub table: Option<Table>,
    /// What the disk holds as a whole, where there is no table.
    pub whole: Option<Content>,
    /// The partitions, in the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What a user should know besides.
    pub warnings: Vec<Warning>,
}

/// A partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// What kind it is.
    pub kind: TableKind,
    /// The size in bytes of the sectors that it counts in.
    pub sector_size: u64,
    /// The disk's GUID in a GPT.
    pub guid: Option<uuid::Uuid>,
}

/// A partition: a range inside the disk that shares no byte with others, but for logical
/// partitions inside the extended one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The number that Linux gives it.
    pub number: u32,
    /// Where it begins, in bytes of the disk.
    pub start: u64,
    /// Its size in bytes, never zero.
    pub len: u64,
    /// What the table says it is for.
    pub kind: PartitionType,
    /// Its own GUID in a GPT.
    pub guid: Option<uuid::Uuid>,
    /// Its attributes in a GPT, as the field of that name has them; 0 in an MBR.
    pub attributes: u64,
    /// Its name in a GPT: someone else's text. Empty in an MBR.
    pub name: String,
    /// Whether it is an extended partition, which holds logical partitions and nothing else.
    pub is_extended: bool,
    /// What is inside, where that is known.
    pub content: Option<Content>,
}

impl Partition {
    /// The partition as a disk of its own.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`](crate::disk::DiskError::OutOfRange) where this is another disk,
    /// and too small.
    pub fn of<P: Deref<Target: VirtualDisk>>(&self, disk: P) -> Result<Slice<P>> {
        Slice::new(disk, self.start, self.len)
    }
}

impl PartitionLayout {
    /// The partition with this number.
    ///
    /// # Errors
    ///
    /// [`PartitionError::NoTable`], [`PartitionError::NoSuchPartition`], or
    /// [`PartitionError::Extended`] for one that only holds others.
    pub fn partition(&self, number: u32) -> Result<&Partition> {
        if self.table.is_none() {
            let whole = self.whole.as_ref().map(|content| content.kind);
            return Err(PartitionError::NoTable { whole }.into());
        }
        let found = self.partitions.iter().find(|part| part.number == number);
        let available = || {
            let plain = self.partitions.iter().filter(|part| !part.is_extended);
            plain.map(|part| part.number).collect()
        };
        match found {
            Some(partition) if partition.is_extended => Err(PartitionError::Extended {
                number,
                available: available(),
            }
            .into()),
            Some(partition) => Ok(partition),
            None => Err(PartitionError::NoSuchPartition {
                number,
                available: available(),
            }
            .into()),
        }
    }

    fn nothing() -> Self {
        Self {
            table: None,
            whole: None,
            partitions: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A disk that one thing fills.
    fn whole(content: Content, warnings: Vec<Warning>) -> Self {
        let mut layout = Self {
            warnings,
            ..Self::nothing()
        };
        if content.kind == FileSystem::Luks {
            layout.warnings.push(Warning::WholeDiskLuks);
        }
        layout.whole = Some(content);
        layout
    }

    /// Checks the entries of a table against the disk and each other, and looks into them.
    fn divided(
        disk: &dyn VirtualDisk,
        table: Table,
        mut entries: Vec<Entry>,
        mut warnings: Vec<Warning>,
    ) -> Result<Self> {
        table::check(&entries, disk.size()).map_err(|source| damaged(table.kind, source))?;
        if table.sector_size != 512 {
            warnings.push(Warning::SectorSize(table.sector_size));
        }
        entries.sort_by_key(|entry| entry.number);
        let partitions = entries.into_iter().map(|entry| {
            let content = match entry.role {
                Role::Extended => None,
                Role::Plain | Role::Logical => probe(disk, entry.start, entry.len)?,
            };
            Ok(Partition {
                number: entry.number,
                start: entry.start,
                len: entry.len,
                kind: entry.kind,
                guid: entry.guid,
                attributes: entry.attributes,
                name: entry.name,
                is_extended: entry.role == Role::Extended,
                content,
            })
        });
        Ok(Self {
            table: Some(table),
            whole: None,
            partitions: partitions.collect::<Result<_>>()?,
            warnings,
        })
    }
}

/// Finds out how a disk is divided and what it holds. Reads some hundred KiB at most for a table,
/// and 69 KiB of each partition.
///
/// # Errors
///
/// [`PartitionError::Table`] where there is a table that cannot be believed; whatever the disk says
/// when it is read.
pub fn read(disk: &dyn VirtualDisk) -> Result<PartitionLayout> {
    let whole = probe_start(disk, 0, disk.size())?;
    let boot = boot_record(disk)?;
    let announced = boot.as_ref().is_some_and(Record::is_protective);
    // A boot record with partitions and without a word of a GPT was written later than the GPT:
    // Linux follows it too.
    let plain = boot.filter(|boot| !announced && !boot.is_empty());
    let mut warnings = Vec::new();
    let mut failure = None;
    match gpt::find(disk)? {
        Found::Table { table, at_start } if plain.is_none() && (at_start || announced) => {
            return gpt_layout(disk, table, whole.as_ref());
        }
        Found::Table {
            table,
            at_start: false,
        } if plain.is_none() && whole.is_none() => {
            return gpt_layout(disk, table, None);
        }
        Found::Damaged(why) if announced => return Err(damaged(TableKind::Gpt, why)),
        Found::Damaged(why) => failure = Some(damaged(TableKind::Gpt, why)),
        Found::Table { .. } if plain.is_some() => warnings.push(Warning::GptIgnored),
        Found::Table { .. } => warnings.push(Warning::TableIgnored),
        Found::Nothing => {}
    }
    let owned = |whole: &Content| filesystem::owns_boot_sector(whole.kind);
    if let (Some(boot), false) = (&plain, whole.as_ref().is_some_and(owned)) {
        match mbr_layout(disk, boot, whole.as_ref(), warnings.clone()) {
            Err(error) if is_of_table(&error) => failure = Some(error),
            other => return other,
        }
    }
    match (whole, failure) {
        (Some(content), failure) => {
            if failure.is_some() {
                warnings.push(Warning::TableIgnored);
            }
            Ok(PartitionLayout::whole(content, warnings))
        }
        (None, Some(failure)) => Err(failure),
        (None, None) if announced => Err(damaged(TableKind::Gpt, TableError::NoGpt)),
        (None, None) => Ok(PartitionLayout {
            whole: at_end(disk, 0, disk.size()),
            warnings,
            ..PartitionLayout::nothing()
        }),
    }
}

fn gpt_layout(
    disk: &dyn VirtualDisk,
    mut found: gpt::Table,
    whole: Option<&Content>,
) -> Result<PartitionLayout> {
    let kind = TableKind::Gpt;
    let table = Table {
        kind,
        sector_size: found.sector_size,
        guid: Some(found.guid),
    };
    let entries = found.entries().map_err(|source| damaged(kind, source))?;
    let mut warnings = found.warnings;
    warnings.extend(whole.map(|content| Warning::Besides(content.kind)));
    PartitionLayout::divided(disk, table, entries, warnings)
}

/// An MBR does not say how large its sectors are. They have 512 bytes, unless that makes no sense
/// of it and 4096 do.
fn mbr_layout(
    disk: &dyn VirtualDisk,
    boot: &Record,
    whole: Option<&Content>,
    warnings: Vec<Warning>,
) -> Result<PartitionLayout> {
    let read = |sector_size| {
        let kind = TableKind::Mbr;
        let mut warnings = warnings.clone();
        warnings.extend(whole.map(|content| Warning::Besides(content.kind)));
        let entries = boot
            .entries(disk, sector_size, &mut warnings)?
            .map_err(|source| damaged(kind, source))?;
        let table = Table {
            kind,
            sector_size,
            guid: None,
        };
        PartitionLayout::divided(disk, table, entries, warnings)
    };
    let knows_something =
        |layout: &PartitionLayout| layout.partitions.iter().any(|part| part.content.is_some());
    match read(512) {
        Ok(usual) if knows_something(&usual) => Ok(usual),
        usual => match read(4096) {
            Ok(large) if knows_something(&large) => Ok(large),
            _ => usual,
        },
    }
}

fn is_of_table(error: &Error) -> bool {
    matches!(error.detail(), Some(PartitionError::Table { .. }))
}

fn damaged(kind: TableKind, source: TableError) -> Error {
    PartitionError::Table { kind, source }.into()
}

fn boot_record(disk: &dyn VirtualDisk) -> Result<Option<Record>> {
    let mut sector = [0; 512];
    if disk.size() < 512 {
        return Ok(None);
    }
    disk.read_at(&mut sector, 0)?;
    Ok(Record::parse(&sector))
}

/// The bytes from `start` on that tell what begins there, as far as the disk has them.
fn head_of(disk: &dyn VirtualDisk, start: u64, len: u64) -> Result<Vec<u8>> {
    let len = len.min(disk.size().saturating_sub(start));
    let mut head = vec![0; to_usize(len.min(filesystem::HEAD))];
    disk.read_at(&mut head, start)?;
    Ok(head)
}

/// Tells what is in a range of the disk.
fn probe(disk: &dyn VirtualDisk, start: u64, len: u64) -> Result<Option<Content>> {
    Ok(probe_start(disk, start, len)?.or_else(|| at_end(disk, start, len)))
}

/// Tells what begins in a range of the disk.
fn probe_start(disk: &dyn VirtualDisk, start: u64, len: u64) -> Result<Option<Content>> {
    let head = head_of(disk, start, len)?;
    let mut content = filesystem::recognise(&head);
    if let Some(content) = content.as_mut().filter(|it| it.kind == FileSystem::Xfs) {
        content.journal_dirty = xfs_log::is_dirty(disk, start, len, &head)?;
    }
    Ok(content)
}

/// What the last bytes of a range say, where the first ones say nothing. A file system in front of
/// the superblock of an array can be read without the array, so it is what counts. An end that
/// cannot be read says nothing: it does not keep anyone from the rest of the disk.
fn at_end(disk: &dyn VirtualDisk, start: u64, len: u64) -> Option<Content> {
    let found = filesystem::md_at_end(disk, start, len).ok().flatten();
    found.map(|(_, content)| content)
}

#[cfg(test)]
mod tests;
