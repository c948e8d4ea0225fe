//! What else says that a partition is its own. A tool that makes swap space or a file system
//! removes what it finds of others, but arrays, caches and pools leave an old swap header or
//! superblock where it is: what is named first may be what was there before.

use super::content::FileSystem;
use super::filesystem::{self, md_at_end};
use super::{PartitionLayout, head_of, is_of_table};
use crate::disk::VirtualDisk;
use crate::error::Result;

/// Signatures of what is not named, where they leave the place of a swap header and of the
/// superblock of ext as it was: what it is, where its signature is, and the signature.
const UNNAMED: [(&str, usize, &[u8]); 16] = [
    ("LVM1", 0, b"HM\x01\0"),
    ("LVM1", 0, b"HM\x02\0"),
    ("VDO", 0, b"dmvdo001"),
    ("dm-integrity", 0, b"integrt\0"),
    ("dm-verity", 0, b"verity\0\0"),
    ("a dm-snapshot", 0, b"SnAp"),
    ("BlueStore", 0, b"bluestore block device"),
    ("ASM", 32, b"ORCLDISK"),
    ("Stratis", 516, b"!Stra0tis\x86\xff\x02^\x41rh"),
    ("Stratis", 4612, b"!Stra0tis\x86\xff\x02^\x41rh"),
    ("OCFS2", 8192, b"OCFSV2"),
    ("UFS", 8192 + 1372, b"\x54\x19\x01\0"),
    ("JFS", 32 << 10, b"JFS1"),
    ("ISO 9660 or UDF", (32 << 10) + 1, b"CD001"),
    ("GFS2", 64 << 10, b"\x01\x16\x19\x70"),
    ("UFS", (64 << 10) + 1372, b"\x19\x01\x54\x19"),
];

/// What besides `own` leaves signatures in a partition, which is all of `disk`: names for people,
/// none where nothing else claims it.
///
/// # Errors
///
/// What the disk says.
pub(crate) fn rivals(disk: &dyn VirtualDisk, own: FileSystem) -> Result<Vec<&'static str>> {
    let head = head_of(disk, 0, disk.size())?;
    let in_head = filesystem::all(&head).map(|content| content.kind);
    let at_end = md_at_end(disk, 0, disk.size())?.map(|(_, content)| content.kind);
    let named = in_head.chain(at_end).filter(|kind| *kind != own);
    let unnamed = UNNAMED.iter().filter(|(_, at, signature)| {
        let here = head.get(*at..);
        here.is_some_and(|here| here.starts_with(signature))
    });
    let mut found: Vec<_> = named.map(FileSystem::title).collect();
    found.extend(unnamed.map(|(name, ..)| *name));
    if is_divided(disk)? {
        found.push("a partition table");
    }
    found.dedup();
    Ok(found)
}

/// Whether a partition has a partition table of its own, as a disk of a guest inside a guest has.
fn is_divided(disk: &dyn VirtualDisk) -> Result<bool> {
    match super::read(disk) {
        Ok(layout) => Ok(layout.table.is_some()),
        Err(error) if is_of_table(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a disk with partitions is a device of an array whose superblock is at the disk's end,
/// and in none of them.
///
/// # Errors
///
/// What the disk says.
pub(crate) fn is_array_of_partitions(
    disk: &dyn VirtualDisk,
    layout: &PartitionLayout,
) -> Result<bool> {
    let Some((at, _)) = md_at_end(disk, 0, disk.size())? else {
        return Ok(false);
    };
    let mut parts = layout.partitions.iter();
    let is_inside =
        parts.any(|part| (part.start..part.start.saturating_add(part.len)).contains(&at));
    Ok(layout.table.is_some() && !is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RawDisk;
    use std::sync::Arc;

    fn rivals_of(bytes: Vec<u8>) -> Vec<&'static str> {
        let disk = RawDisk::over(Arc::new(bytes), "disk".as_ref()).unwrap();
        rivals(&disk, FileSystem::Swap).unwrap()
    }

    #[test]
    fn what_is_not_named_is_a_rival_all_the_same() {
        assert!(rivals_of(vec![0; 256 << 10]).is_empty());
        for (name, at, signature) in UNNAMED {
            let mut bytes = vec![0; 256 << 10];
            bytes[at..at + signature.len()].copy_from_slice(signature);
            assert_eq!(rivals_of(bytes), [name]);
        }
    }

    #[test]
    fn a_rival_at_the_end_counts_and_a_short_disk_has_none() {
        let mut bytes = vec![0; (256 << 10) + 512];
        bytes[248 << 10..][..8].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
        assert_eq!(rivals_of(bytes), ["Linux RAID"]);
        for len in [512, 4096, 8192, 9000, 65_536] {
            assert!(rivals_of(vec![0; len]).is_empty());
        }
    }
}
