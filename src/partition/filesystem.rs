//! What the first bytes of a partition or a disk say about what is inside: signatures, labels,
//! UUIDs, and whether a journal has to be replayed.

mod members;
mod others;

pub(super) use self::members::md_at_end;

use self::members::{bcache, bcachefs, md};
use self::others::{apfs, bitlocker, exfat, f2fs, hfs_plus, ntfs, reiserfs, zfs};
use super::content::{Content, FileSystem, part, text, uuid_at};
use super::xfs_log;
use crate::util::bytes::{be_u16, be_u32, be_u64, field, le_u16, le_u32, le_u64, to_usize};

/// How many bytes are looked at: up to the end of the superblock of btrfs.
pub(super) const HEAD: u64 = 68 << 10;

/// Tells what begins with these bytes, the first [`HEAD`] or all there are; `None` where nothing
/// is known.
pub(super) fn recognise(head: &[u8]) -> Option<Content> {
    all(head).next()
}

/// Everything that bytes have the signature of, the most certain first.
pub(super) fn all(head: &[u8]) -> impl Iterator<Item = Content> {
    type Recogniser = fn(&[u8]) -> Option<Content>;
    // What lies below file systems first: what looks like one after its header is left over from
    // before. Swap space last: what makes one removes all others, and not all others remove it.
    let kinds: [Recogniser; 18] = [
        luks, lvm2, md, bcache, bcachefs, ext, xfs, btrfs, ntfs, bitlocker, exfat, hfs_plus, apfs,
        zfs, f2fs, reiserfs, vfat, swap,
    ];
    kinds.into_iter().filter_map(|kind| kind(head))
}

/// Whether a boot sector belongs to what is inside, and is no partition table.
pub(super) fn owns_boot_sector(kind: FileSystem) -> bool {
    use FileSystem::{BitLocker, ExFat, Luks, Ntfs, Vfat, Xfs};
    matches!(kind, Luks | Vfat | Xfs | Ntfs | ExFat | BitLocker)
}

fn luks(head: &[u8]) -> Option<Content> {
    if !head.starts_with(b"LUKS\xba\xbe") {
        return None;
    }
    let label = match be_u16(head, 6) {
        1 => &[],
        2 => part(head, 24, 48)?,
        _ => return None,
    };
    let uuid = text(part(head, 168, 40)?);
    let uuid = (!uuid.is_empty()).then_some(uuid);
    Some(Content::new(FileSystem::Luks, label, uuid))
}

fn lvm2(head: &[u8]) -> Option<Content> {
    // The label is in one of the first four sectors.
    let label = head.chunks_exact(512).take(4).find(|sector| {
        sector.starts_with(b"LABELONE") && field(sector, 24) == Some(*b"LVM2 001")
    })?;
    let at = to_usize(le_u32(label, 20));
    let uuid = part(label, at, 32).filter(|uuid| uuid.iter().all(u8::is_ascii_alphanumeric));
    let uuid = uuid.map(|uuid| {
        let (first, rest) = uuid.split_at(6);
        let (middle, last) = rest.split_at(20);
        let groups = [first].into_iter().chain(middle.chunks(4)).chain([last]);
        groups.map(text).collect::<Vec<_>>().join("-")
    });
    // pv_header: pv_uuid[32], then device_size_xl in bytes.
    let size = at.checked_add(32).map_or(0, |at| le_u64(label, at));
    Some(Content::new(FileSystem::Lvm2, &[], uuid).of_units(size, 1))
}

/// Names of the fields are those of the kernel's `struct ext4_super_block`.
fn ext(head: &[u8]) -> Option<Content> {
    const HAS_JOURNAL: u32 = 0x4;
    const RECOVER: u32 = 0x4;
    const JOURNAL_DEV: u32 = 0x8;
    const WIDE: u32 = 0x80; // 64bit
    // What ext2 and ext3 know: filetype and meta_bg; sparse_super, large_file and btree_dir.
    const OLD_INCOMPAT: u32 = 0x2 | RECOVER | 0x10;
    const OLD_RO_COMPAT: u32 = 0x7;
    let sb = part(head, 1024, 1024)?;
    let plausible = le_u16(sb, 0x38) == 0xef53 // s_magic
        && le_u32(sb, 0x04) != 0 // s_blocks_count_lo
        && le_u32(sb, 0x18) <= 6 // s_log_block_size
        && le_u32(sb, 0x4c) <= 1; // s_rev_level
    let (compat, incompat, ro_compat) = (le_u32(sb, 0x5c), le_u32(sb, 0x60), le_u32(sb, 0x64));
    if !plausible || incompat & JOURNAL_DEV != 0 {
        return None;
    }
    let journal = compat & HAS_JOURNAL != 0;
    let kind = if incompat & !OLD_INCOMPAT != 0 || ro_compat & !OLD_RO_COMPAT != 0 {
        FileSystem::Ext4
    } else if journal {
        FileSystem::Ext3
    } else {
        FileSystem::Ext2
    };
    let closed = le_u16(sb, 0x3a) & 1 != 0; // s_state: EXT4_VALID_FS
    // s_blocks_count_lo, and s_blocks_count_hi where there is one.
    let high = if incompat & WIDE != 0 {
        le_u32(sb, 0x150)
    } else {
        0
    };
    let blocks = u64::from(high) << 32 | u64::from(le_u32(sb, 0x04));
    let block = 1024u64.checked_shl(le_u32(sb, 0x18))?; // s_log_block_size, at most 6
    let content = Content::new(kind, part(sb, 0x78, 16)?, uuid_at(sb, 0x68));
    Some(Content {
        journal_dirty: Some(incompat & RECOVER != 0 || !closed),
        ..content.of_units(blocks, block)
    })
}

/// Whether the log is empty stands in the log itself: see `xfs_log`.
fn xfs(head: &[u8]) -> Option<Content> {
    if !xfs_log::is_superblock(head) {
        return None;
    }
    let label = part(head, 108, 12)?; // sb_fname
    let (blocks, block) = (be_u64(head, 8), be_u32(head, 4)); // sb_dblocks, sb_blocksize
    let content = Content::new(FileSystem::Xfs, label, uuid_at(head, 32));
    Some(content.of_units(blocks, block.into()))
}

fn btrfs(head: &[u8]) -> Option<Content> {
    let sb = head.get(64 << 10..)?;
    if field(sb, 0x40) != Some(*b"_BHRfS_M") {
        return None;
    }
    let content = Content::new(FileSystem::Btrfs, part(sb, 0x12b, 256)?, uuid_at(sb, 0x20));
    Some(Content {
        // log_root: a tree of what fsync had to save before the next commit.
        journal_dirty: Some(le_u64(sb, 0x60) != 0),
        // dev_item.total_bytes: of this device, not of all that belong to the file system.
        ..content.of_units(le_u64(sb, 0xd1), 1)
    })
}

fn swap(head: &[u8]) -> Option<Content> {
    // The signature ends the first page, whose size is that of the machine.
    let page = [4, 8, 16, 32, 64].into_iter().find(|kib: &usize| {
        let at = kib.saturating_mul(1024).saturating_sub(10);
        field(head, at) == Some(*b"SWAPSPACE2")
    })?;
    if le_u32(head, 1024) != 1 {
        return None; // version
    }
    let (uuid, label) = (uuid_at(head, 0x40c), part(head, 0x41c, 16)?);
    let pages = u64::from(le_u32(head, 1028)).saturating_add(1); // last_page
    let page = u64::try_from(page).ok()?.saturating_mul(1024);
    Some(Content::new(FileSystem::Swap, label, uuid).of_units(pages, page))
}

fn vfat(head: &[u8]) -> Option<Content> {
    let sector = le_u16(head, 11);
    let plausible = field(head, 510) == Some([0x55, 0xaa])
        && sector.is_power_of_two()
        && (512..=4096).contains(&sector)
        && head.get(13).is_some_and(|sectors| sectors.is_power_of_two())
        && le_u16(head, 14) != 0 // reserved sectors
        && head.get(16).is_some_and(|&fats| fats != 0)
        && head.get(21).is_some_and(|&media| media >= 0xf0);
    if !plausible {
        return None;
    }
    let (serial, label) = match (field(head, 0x36), field(head, 0x52)) {
        (_, Some([b'F', b'A', b'T', b'3', b'2', _, _, _])) => (0x43, 0x47),
        (Some([b'F', b'A', b'T', b'1', b'2' | b'6', _, _, _]), _) => (0x27, 0x2b),
        _ => return None,
    };
    let label = part(head, label, 11).filter(|label| label != b"NO NAME    ");
    let serial = le_u32(head, serial);
    let uuid = format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff);
    let sectors = match le_u16(head, 19) {
        0 => u64::from(le_u32(head, 32)),
        few => few.into(),
    };
    let content = Content::new(FileSystem::Vfat, label.unwrap_or_default(), Some(uuid));
    Some(content.of_units(sectors, sector.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head that bears every signature at once.
    fn everything() -> Vec<u8> {
        let mut head = vec![0xff; usize::try_from(HEAD).unwrap()];
        head[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        head[512..520].copy_from_slice(b"LABELONE");
        head[536..544].copy_from_slice(b"LVM2 001");
        head[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        head[4086..4096].copy_from_slice(b"SWAPSPACE2");
        head[4096..4104].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
        head[0x10040..0x10048].copy_from_slice(b"_BHRfS_M");
        head
    }

    #[test]
    fn a_head_that_ends_anywhere_is_no_matter() {
        let mut head = everything();
        for first in [&b"LUKS\xba\xbe\0\x02"[..], b"XFSB\0\0\x10\0", &[0; 8]] {
            head[..8].copy_from_slice(first);
            for len in (0..5000).chain(65_500..66_500) {
                let _ = recognise(&head[..len]);
            }
        }
    }

    #[test]
    fn luks_comes_first_and_its_text_ends_with_its_field() {
        let content = recognise(&everything()).unwrap();
        assert_eq!(content.kind, FileSystem::Luks);
        assert_eq!(content.label.unwrap().chars().count(), 48);
    }

    #[test]
    fn an_array_counts_more_than_what_was_there_before() {
        let mut head = everything();
        head[..2048].fill(0);
        head[1024 + 4] = 1;
        head[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        let kinds: Vec<_> = all(&head).map(|content| content.kind).collect();
        let (array, older) = (
            FileSystem::RaidMember,
            [FileSystem::Ext2, FileSystem::Btrfs],
        );
        assert_eq!((kinds[0], &kinds[1..]), (array, &older[..]));
        head[1024..1028].copy_from_slice(&1u32.to_le_bytes());
        head[1024 + 0x38..][..2].fill(0);
        let last = all(&head).last().map(|content| content.kind);
        assert_eq!(last, Some(FileSystem::Swap));
    }

    #[test]
    fn an_identity_of_zeros_is_none() {
        let mut head = vec![0; 4096];
        head[1024 + 4] = 1;
        head[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        let content = recognise(&head).unwrap();
        assert_eq!((content.uuid, content.label), (None, None));
        assert_eq!(content.journal_dirty, Some(true), "not marked as closed");
    }
}
