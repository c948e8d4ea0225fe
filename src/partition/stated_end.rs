//! Where a disk says that it ends: the evidence that tells a disk whose copy was cut short from one
//! that is whole.

use std::fmt;

use super::content::FileSystem;
use super::filesystem;
use super::gpt;
use super::mbr::Record;
use super::table::{Entry, Role, TableKind};
use super::{boot_record, head_of};
use crate::disk::VirtualDisk;
use crate::error::Result;

/// What the contents of a disk say of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedEnd {
    /// The disk has at least this many bytes.
    pub end: u64,
    /// What says so.
    pub by: Witness,
}

/// What can say where a disk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// A partition table.
    Table(TableKind),
    /// A file system in the partition of this number.
    Partition(u32, FileSystem),
    /// A file system without a partition table.
    Whole(FileSystem),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(TableKind::Gpt) => f.write_str("its GPT"),
            Self::Table(TableKind::Mbr) => f.write_str("its partition table"),
            Self::Partition(number, kind) => {
                write!(f, "the {} in partition {number}", kind.title())
            }
            Self::Whole(kind) => write!(f, "its {}", kind.title()),
        }
    }
}

/// Finds what the contents say of the disk's size: the farthest end that the partition table, the
/// file systems in its partitions or the file system of the whole disk state. `None` where nothing
/// there says anything.
///
/// `disk` may be cut short anywhere: only its first sectors, and the first sectors of its
/// partitions as far as they are there, are read.
///
/// # Errors
///
/// Whatever the disk says when it is read.
pub fn stated_end(disk: &dyn VirtualDisk) -> Result<Option<StatedEnd>> {
    let whole = filesystem::recognise(&head_of(disk, 0, disk.size())?);
    let boot = boot_record(disk)?;
    let owned = whole
        .as_ref()
        .is_some_and(|whole| filesystem::owns_boot_sector(whole.kind));
    let announced = boot.as_ref().is_some_and(Record::is_protective);
    let protected = boot.as_ref().and_then(Record::protected_end);
    let plain = boot.filter(|boot| !announced && !boot.is_empty() && !owned);
    let mut found = Vec::new();
    match (plain, gpt::stated(disk)?) {
        // A boot record with partitions was written later than a GPT that it does not announce.
        (Some(boot), _) => {
            let entries = entries_of(disk, &boot)?;
            let ends = entries.iter().map(Entry::end);
            found.extend(ends.map(|end| (end, Witness::Table(TableKind::Mbr))));
            found.extend(in_partitions(disk, &entries)?);
        }
        (None, Some(gpt)) if announced || whole.is_none() => {
            found.push((gpt.end, Witness::Table(TableKind::Gpt)));
            found.extend(in_partitions(disk, &gpt.entries)?);
        }
        (None, _) => found.extend(protected.map(|end| (end, Witness::Table(TableKind::Mbr)))),
    }
    let whole = whole.and_then(|whole| Some((whole.size?, Witness::Whole(whole.kind))));
    found.extend(whole);
    let farthest = found.into_iter().max_by_key(|(end, _)| *end);
    let farthest = farthest.filter(|(end, _)| *end > 0);
    Ok(farthest.map(|(end, by)| StatedEnd { end, by }))
}

/// The partitions of a boot record, in sectors of 512 bytes unless only 4096 make sense of them.
fn entries_of(disk: &dyn VirtualDisk, boot: &Record) -> Result<Vec<Entry>> {
    let usual = boot.primary(512);
    let large = boot.primary(4096);
    let knows_something = |entries| in_partitions(disk, entries).map(|found| !found.is_empty());
    if !knows_something(&usual)? && knows_something(&large)? {
        return Ok(large);
    }
    Ok(usual)
}

/// What the file systems in partitions state, as far as their first sectors are there.
fn in_partitions(disk: &dyn VirtualDisk, entries: &[Entry]) -> Result<Vec<(u64, Witness)>> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.role == Role::Plain) {
        if entry.start >= disk.size() {
            continue;
        }
        let content = filesystem::recognise(&head_of(disk, entry.start, entry.len)?);
        found.extend(content.and_then(|content| {
            let end = entry.start.saturating_add(content.size?);
            Some((end, Witness::Partition(entry.number, content.kind)))
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RawDisk;

    fn ext4(size: u64) -> Vec<u8> {
        let mut fs = vec![0; 4096];
        let blocks = u32::try_from(size / 1024).unwrap();
        fs[1024 + 4..1024 + 8].copy_from_slice(&blocks.to_le_bytes());
        fs[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        fs
    }

    fn end_of(bytes: Vec<u8>) -> Option<(u64, Witness)> {
        let disk = RawDisk::over(std::sync::Arc::new(bytes), "disk".as_ref()).unwrap();
        let found = stated_end(&disk).unwrap();
        found.map(|found| (found.end, found.by))
    }

    #[test]
    fn a_file_system_without_a_table_says_where_it_ends() {
        let whole = Witness::Whole(FileSystem::Ext2);
        assert_eq!(end_of(ext4(1 << 20)), Some((1 << 20, whole)));
        assert_eq!(end_of(vec![0; 4096]), None);
        assert_eq!(end_of(Vec::new()), None);
    }

    #[test]
    fn a_boot_record_says_it_by_its_last_partition_or_by_what_that_holds() {
        let mut disk = vec![0; 512 * 8];
        disk[446 + 4] = 0x83;
        disk[446 + 8..446 + 16].copy_from_slice(&[8, 0, 0, 0, 100, 0, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        let table = Witness::Table(TableKind::Mbr);
        assert_eq!(end_of(disk.clone()), Some((108 * 512, table)));
        disk.extend(ext4(1 << 20));
        let inside = Witness::Partition(1, FileSystem::Ext2);
        assert_eq!(end_of(disk), Some((4096 + (1 << 20), inside)));
    }

    #[test]
    fn a_protective_record_says_it_where_the_gpt_itself_is_cut_off() {
        let mut record = vec![0; 512];
        record[446 + 4] = 0xee;
        record[446 + 8..446 + 16].copy_from_slice(&[1, 0, 0, 0, 0xff, 0, 0, 0]);
        record[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(end_of(record.clone()).unwrap().0, 256 * 512);
        for nothing in [[0xff; 4], [0; 4]] {
            record[446 + 12..446 + 16].copy_from_slice(&nothing);
            assert_eq!(end_of(record.clone()), None);
        }
    }
}
