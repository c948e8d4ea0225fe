//! How much of a file system is used, as its superblock says it.

use crate::disk::VirtualDisk;
use crate::error::Result;

/// Where the superblock lies, and what is read of it here (ext4's documentation, "Super Block").
const SUPERBLOCK: u64 = 1024;
const MAGIC: (usize, u16) = (0x38, 0xEF53);
const BLOCKS: (usize, usize) = (0x4, 0x150);
const FREE_BLOCKS: (usize, usize) = (0xC, 0x158);
const BLOCK_SIZE: usize = 0x18;
const INCOMPATIBLE: usize = 0x60;
const HAS_64_BITS: u32 = 0x80;
/// 64 KiB, as 1024 shifted by this.
const LARGEST_SHIFT: u32 = 6;

/// The bytes that ext2, ext3 or ext4 says are used, its own tables among them; `None` where the
/// disk holds none of these. The number is as old as the last time the file system was unmounted.
///
/// # Errors
///
/// What the disk says.
pub fn used_bytes(disk: &dyn VirtualDisk) -> Result<Option<u64>> {
    let mut bytes = [0; 1024];
    if disk.size() < SUPERBLOCK.saturating_mul(2) {
        return Ok(None);
    }
    disk.read_at(&mut bytes, SUPERBLOCK)?;
    Ok(used(&bytes))
}

fn used(bytes: &[u8; 1024]) -> Option<u64> {
    let word = |at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*word))
    };
    let magic = bytes.get(MAGIC.0..)?.first_chunk()?;
    if u16::from_le_bytes(*magic) != MAGIC.1 {
        return None;
    }
    let is_wide = word(INCOMPATIBLE)? & HAS_64_BITS != 0;
    let number = |(low, high): (usize, usize)| {
        let high = if is_wide { word(high)? } else { 0 };
        Some(u64::from(high) << 32 | u64::from(word(low)?))
    };
    let shift = word(BLOCK_SIZE).filter(|shift| *shift <= LARGEST_SHIFT)?;
    let used = number(BLOCKS)?.checked_sub(number(FREE_BLOCKS)?)?;
    used.checked_mul(1024 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_blocks_are_those_that_are_not_free() {
        let mut bytes = [0; 1024];
        bytes[0x38..0x3A].copy_from_slice(&[0x53, 0xEF]);
        bytes[0x4..0x8].copy_from_slice(&1000_u32.to_le_bytes());
        bytes[0xC..0x10].copy_from_slice(&400_u32.to_le_bytes());
        bytes[0x18] = 2;
        assert_eq!(used(&bytes), Some(600 * 4096));
        // With 64 bits, the upper halves count.
        bytes[0x150] = 1;
        assert_eq!(used(&bytes), Some(600 * 4096));
        bytes[0x60] = 0x80;
        assert_eq!(used(&bytes), Some(((1 << 32) + 600) * 4096));
        // More free blocks than blocks are no number of used ones.
        bytes[0x158] = 2;
        assert_eq!(used(&bytes), None);
        assert_eq!(used(&[0; 1024]), None);
    }
}
