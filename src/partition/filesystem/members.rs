//! Devices of arrays and caches of Linux, which begin or end with a superblock and leave what was
//! there before: a swap header or a superblock of ext may be in front of it, and mean nothing.
//! Field names are those of the kernel's `md_p.h`, `bcache.h` and `bcachefs_format.h`.

use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::partition::content::{Content, FileSystem, part, uuid_at};
use crate::util::bytes::{be_u32, field, le_u32, le_u64};

/// The superblock of md, in bytes that are looked at: all of version 1 without the list of roles.
const MD: usize = 256;
const MD_MAGIC: u32 = 0xa92b_4efc;

/// A device of an array whose superblock is at its start, or 4 KiB after it: versions 1.1 and 1.2.
pub(super) fn md(head: &[u8]) -> Option<Content> {
    let mut places = [0, 4096].into_iter();
    places.find_map(|at| md_1(part(head, at, MD)?))
}

/// A device of an array whose superblock is near the end of a range of the disk: versions 0.90 and
/// 1.0. What lies in front of it is a file system where the array mirrors one. Gives where the
/// superblock is, too.
///
/// # Errors
///
/// What the disk says.
pub(crate) fn md_at_end(
    disk: &dyn VirtualDisk,
    start: u64,
    len: u64,
) -> Result<Option<(u64, Content)>> {
    type Place = (u64, u64, fn(&[u8]) -> Option<Content>);
    // MD_NEW_SIZE_SECTORS, and sb_start of minor version 0: the bits that are kept of the size, and
    // what is subtracted.
    let places: [Place; 2] = [(!0xffff, 64 << 10, md_0), (!0xfff, 8 << 10, md_1)];
    let len = len.min(disk.size().saturating_sub(start));
    for (kept, back, parse) in places {
        let Some(at) = (len & kept).checked_sub(back) else {
            continue;
        };
        let at = start.saturating_add(at);
        let mut bytes = [0; MD];
        disk.read_at(&mut bytes, at)?;
        if let Some(content) = parse(&bytes) {
            return Ok(Some((at, content)));
        }
    }
    Ok(None)
}

fn md_1(sb: &[u8]) -> Option<Content> {
    if le_u32(sb, 0) != MD_MAGIC || le_u32(sb, 4) != 1 {
        return None; // magic, major_version
    }
    let (uuid, name) = (uuid_at(sb, 16), part(sb, 32, 32)?); // set_uuid, set_name
    Some(Content::new(FileSystem::RaidMember, name, uuid))
}

/// Version 0.90, in the order of bytes of the machine that wrote it.
fn md_0(sb: &[u8]) -> Option<Content> {
    type Word = fn(&[u8], usize) -> u32;
    let orders: [Word; 2] = [le_u32, be_u32];
    let word = orders.into_iter().find(|word| word(sb, 0) == MD_MAGIC)?;
    let words = [20, 52, 56, 60].map(|at| word(sb, at).to_be_bytes()); // set_uuid0 to set_uuid3
    let uuid = uuid_at(&words.concat(), 0);
    (word(sb, 4) == 0).then(|| Content::new(FileSystem::RaidMember, &[], uuid)) // major_version
}

const BCACHE_MAGIC: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];

/// The superblock of bcache, which bcachefs took over.
fn bcache_superblock(head: &[u8]) -> Option<(&[u8], [u8; 16])> {
    let sb = part(head, 4096, 256)?;
    Some((sb, field(sb, 24)?))
}

pub(super) fn bcache(head: &[u8]) -> Option<Content> {
    let (sb, magic) = bcache_superblock(head)?;
    // offset: its own place in sectors. In early superblocks of bcachefs a checksum is there.
    if magic != BCACHE_MAGIC || le_u64(sb, 8) != 8 {
        return None;
    }
    let (uuid, label) = (uuid_at(sb, 40), part(sb, 72, 32)?);
    Some(Content::new(FileSystem::Bcache, label, uuid))
}

pub(super) fn bcachefs(head: &[u8]) -> Option<Content> {
    const MAGIC: [u8; 16] = [
        0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7,
        0xef,
    ];
    let (sb, magic) = bcache_superblock(head)?;
    if ![MAGIC, BCACHE_MAGIC].contains(&magic) || bcache(head).is_some() {
        return None;
    }
    let (uuid, label) = (uuid_at(sb, 56), part(sb, 72, 32)?); // user_uuid, label
    Some(Content::new(FileSystem::Bcachefs, label, uuid))
}
