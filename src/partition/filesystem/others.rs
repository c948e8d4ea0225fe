//! File systems of other systems, and what other systems put around theirs: named, so that a user
//! knows what to look with. Field names are those of the formats' own descriptions.

use crate::partition::content::{Content, FileSystem, part, uuid_at};
use crate::util::bytes::{be_u16, be_u32, field, le_u16, le_u32, le_u64, to_usize};

/// What the boot sectors of Microsoft's file systems say that they are, at byte 3.
fn oem(head: &[u8]) -> Option<[u8; 8]> {
    field(head, 3)
}

/// The sector size of a BIOS parameter block.
fn sector_size(head: &[u8]) -> Option<u64> {
    let size = le_u16(head, 11);
    (size.is_power_of_two() && (256..=4096).contains(&size)).then(|| size.into())
}

pub(super) fn ntfs(head: &[u8]) -> Option<Content> {
    if oem(head)? != *b"NTFS    " {
        return None;
    }
    let sector = sector_size(head)?;
    // The last sector, with the copy of the boot sector, is not counted.
    let sectors = le_u64(head, 0x28).checked_add(1)?;
    let serial = format!("{:016X}", le_u64(head, 0x48));
    Some(Content::new(FileSystem::Ntfs, &[], Some(serial)).of_units(sectors, sector))
}

/// An encrypted volume of Windows: on fixed disks by its name, on others by a GUID after a FAT's.
pub(super) fn bitlocker(head: &[u8]) -> Option<Content> {
    /// 4967D63B-2E29-4AD8-8399-F6A339E3D001, as it is stored.
    const TO_GO: [u8; 16] = [
        0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0,
        0x01,
    ];
    let is_one = oem(head)? == *b"-FVE-FS-"
        || (oem(head)? == *b"MSWIN4.1" && field(head, 0x1a8) == Some(TO_GO));
    is_one.then(|| Content::new(FileSystem::BitLocker, &[], None))
}

pub(super) fn exfat(head: &[u8]) -> Option<Content> {
    let shift = head.get(108)?; // BytesPerSectorShift
    if oem(head)? != *b"EXFAT   " || !(9..=12).contains(shift) {
        return None;
    }
    let serial = le_u32(head, 100); // VolumeSerialNumber
    let uuid = format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff);
    let sectors = le_u64(head, 72); // VolumeLength
    let content = Content::new(FileSystem::ExFat, &[], Some(uuid));
    Some(content.of_units(sectors, 1u64.checked_shl(u32::from(*shift))?))
}

pub(super) fn hfs_plus(head: &[u8]) -> Option<Content> {
    let header = part(head, 1024, 512)?;
    match (field(header, 0)?, be_u16(header, 2)) {
        ([b'H', b'+'], 4) | ([b'H', b'X'], 5) => {}
        _ => return None,
    }
    let (block, blocks) = (be_u32(header, 40), be_u32(header, 44)); // blockSize, totalBlocks
    let content = Content::new(FileSystem::HfsPlus, &[], None);
    Some(Content {
        // kHFSVolumeUnmountedBit
        journal_dirty: Some(be_u32(header, 4) & 0x100 == 0),
        ..content.of_units(blocks.into(), block.into())
    })
}

/// The superblock of a container (`nx_superblock_t`).
pub(super) fn apfs(head: &[u8]) -> Option<Content> {
    if field(head, 32)? != *b"NXSB" {
        return None;
    }
    let (block, blocks) = (le_u32(head, 36), le_u64(head, 40)); // nx_block_size, nx_block_count
    let content = Content::new(FileSystem::Apfs, &[], uuid_at(head, 72));
    Some(content.of_units(blocks, block.into()))
}

/// A device of a pool, by the list of names and values in its first label.
pub(super) fn zfs(head: &[u8]) -> Option<Content> {
    let list = part(head, 16 << 10, 48 << 10)?;
    // XDR, then the version 0 and the flag of unique names.
    let is_list = list.first() == Some(&1) && be_u32(list, 4) == 0 && be_u32(list, 8) == 1;
    let find = |wanted: &[u8]| {
        let mut places = list.windows(wanted.len());
        places.position(|window| window == wanted)
    };
    if !is_list || find(b"pool_guid").is_none() {
        return None;
    }
    // The pool's name: its own name, the type "string", one of them, its length.
    let pair = b"\0\0\0\x04name\0\0\0\x09\0\0\0\x01";
    let label = find(pair).and_then(|at| {
        let at = at.checked_add(pair.len())?;
        let len = to_usize(be_u32(list, at));
        part(list, at.checked_add(4)?, len.min(256))
    });
    Some(Content::new(
        FileSystem::Zfs,
        label.unwrap_or_default(),
        None,
    ))
}

pub(super) fn f2fs(head: &[u8]) -> Option<Content> {
    let sb = part(head, 1024, 1024)?;
    let log = le_u32(sb, 16); // log_blocksize
    if le_u32(sb, 0) != 0xf2f5_2010 || !(9..=16).contains(&log) {
        return None;
    }
    let units: Vec<u16> = (124..636).step_by(2).map(|at| le_u16(sb, at)).collect();
    let name = units.split(|&unit| unit == 0).next().unwrap_or_default();
    let name = String::from_utf16_lossy(name);
    let blocks = le_u64(sb, 36); // block_count
    let content = Content::new(FileSystem::F2fs, name.as_bytes(), uuid_at(sb, 108));
    Some(content.of_units(blocks, 1u64.checked_shl(log)?))
}

/// ReiserFS, which old guests have.
pub(super) fn reiserfs(head: &[u8]) -> Option<Content> {
    let sb = part(head, 64 << 10, 204)?;
    let magic: [u8; 9] = field(sb, 52)?;
    if !magic.starts_with(b"ReIsErFs") && ![*b"ReIsEr2Fs", *b"ReIsEr3Fs"].contains(&magic) {
        return None;
    }
    let (blocks, block) = (le_u32(sb, 0), le_u16(sb, 44)); // s_block_count, s_blocksize
    let content = Content::new(FileSystem::ReiserFs, part(sb, 100, 16)?, uuid_at(sb, 84));
    Some(content.of_units(blocks.into(), block.into()))
}
