//! Whether the log of an XFS was emptied when it was unmounted: what the kernel asks before it
//! replays one. Names of the fields are those of the kernel's `xfs_log_format.h`; all big-endian.

use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::util::bytes::{be_u16, be_u32, field};

/// The log counts in blocks of this many bytes, whatever the sectors and blocks of the rest.
const BLOCK: u64 = 512;
/// Begins a record's header.
const MAGIC: u32 = 0xfeed_babe;
/// A record is at most 256 KiB, with 8 blocks of header in front.
const LONGEST_RECORD: u64 = 520;
/// The flag of an operation that says that the log was left empty.
const UNMOUNT: u8 = 0x20;

/// The log of one file system.
struct Log<'a> {
    disk: &'a dyn VirtualDisk,
    /// Where it begins, in bytes of the disk.
    start: u64,
    /// Its length in blocks, never zero.
    blocks: u64,
}

/// Says whether the log holds anything that has to be replayed; `None` where it is not inside the
/// file system, or makes no sense. `start` and `len` are those of the file system, `sb` its first
/// sector.
pub(super) fn is_dirty(
    disk: &dyn VirtualDisk,
    start: u64,
    len: u64,
    sb: &[u8],
) -> Result<Option<bool>> {
    let Some(log) = Log::locate(disk, start, len, sb) else {
        return Ok(None);
    };
    let Some(head) = log.head()? else {
        return Ok(None);
    };
    log.ends_with_work(head)
}

impl<'a> Log<'a> {
    fn locate(disk: &'a dyn VirtualDisk, start: u64, len: u64, sb: &[u8]) -> Option<Self> {
        let log_start = u64::from_be_bytes(field(sb, 48)?); // sb_logstart
        let ag_blocks = u64::from(be_u32(sb, 84)); // sb_agblocks
        let log_blocks = u64::from(be_u32(sb, 96)); // sb_logblocks
        let [block_log, _, _, _, ag_block_log] = field(sb, 120)?; // sb_blocklog … sb_agblklog
        if log_start == 0 {
            return None; // the log is on another device
        }
        // A block's number is that of its allocation group and that inside the group.
        let group = log_start.checked_shr(ag_block_log.into())?;
        let inside = log_start.checked_sub(group.checked_shl(ag_block_log.into())?)?;
        let block = group.checked_mul(ag_blocks)?.checked_add(inside)?;
        let block_size = 1u64.checked_shl(block_log.into())?;
        let offset = block.checked_mul(block_size)?;
        let size = log_blocks.checked_mul(block_size)?;
        let blocks = size.checked_div(BLOCK)?;
        let fits = offset.checked_add(size)? <= len;
        (fits && blocks > 0).then_some(Self {
            disk,
            start: start.checked_add(offset)?,
            blocks,
        })
    }

    /// The first block after what was written last; `None` where nothing ever was.
    ///
    /// Every block begins with the number of the round in which it was written. What lies before
    /// the head has one number, what lies after it a lower one, or zero.
    fn head(&self) -> Result<Option<u64>> {
        let first = self.cycle(0)?;
        if first == 0 {
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = low.midpoint(high);
            if self.cycle(middle)? == first {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(Some(if low == self.blocks { 0 } else { low }))
    }

    /// Whether the record in front of `head` is other than the one that unmounting leaves.
    fn ends_with_work(&self, head: u64) -> Result<Option<bool>> {
        for back in 1..=LONGEST_RECORD.min(self.blocks) {
            let at = self.before(head, back);
            let header = self.block(at)?;
            if be_u32(&header, 0) != MAGIC {
                continue;
            }
            let version = be_u32(&header, 8); // h_version
            let len = u64::from(be_u32(&header, 12)); // h_len
            let size = u64::from(be_u32(&header, 320)); // h_size
            let headers = if version & 2 == 0 {
                1
            } else {
                size.div_ceil(32 << 10).clamp(1, 8)
            };
            let data = len.div_ceil(BLOCK);
            if headers.saturating_add(data) != back || be_u32(&header, 40) != 1 {
                return Ok(Some(true)); // h_num_logops
            }
            let operation = self.block(self.before(head, data))?;
            let flags = operation.get(9).copied().unwrap_or(0); // oh_flags
            return Ok(Some(flags & UNMOUNT == 0));
        }
        Ok(None)
    }

    /// The block `back` blocks before `at`, around the end of the log.
    fn before(&self, at: u64, back: u64) -> u64 {
        match at.checked_sub(back) {
            Some(before) => before,
            None => self.blocks.saturating_add(at).saturating_sub(back),
        }
    }

    fn block(&self, number: u64) -> Result<[u8; 512]> {
        let mut block = [0; 512];
        let at = self.start.saturating_add(number.saturating_mul(BLOCK));
        self.disk.read_at(&mut block, at)?;
        Ok(block)
    }

    fn cycle(&self, number: u64) -> Result<u32> {
        let block = self.block(number)?;
        // A header keeps its own number in the next field.
        let first = be_u32(&block, 0);
        Ok(if first == MAGIC {
            be_u32(&block, 4)
        } else {
            first
        })
    }
}

/// Whether a sector is the superblock of an XFS.
pub(super) fn is_superblock(sector: &[u8]) -> bool {
    sector.starts_with(b"XFSB")
        && be_u32(sector, 4).is_power_of_two() // sb_blocksize
        && (512..=65536).contains(&be_u32(sector, 4))
        && be_u16(sector, 102).is_power_of_two() // sb_sectsize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RawDisk;

    /// A file system of 64 blocks of 4 KiB in four groups, whose log of two blocks begins with the
    /// record of an unmount.
    fn image() -> Vec<u8> {
        let mut disk = vec![0; 64 * 4096];
        disk[..4].copy_from_slice(b"XFSB");
        put(&mut disk, 4, 4096);
        put(&mut disk, 52, 16 | 3); // group 1, block 3
        put(&mut disk, 84, 16);
        put(&mut disk, 96, 2);
        disk[102] = 2;
        disk[120] = 12;
        disk[124] = 4;
        let log = (16 + 3) * 4096;
        put(&mut disk, log, MAGIC);
        put(&mut disk, log + 4, 1);
        put(&mut disk, log + 8, 2);
        put(&mut disk, log + 12, 512);
        put(&mut disk, log + 40, 1);
        put(&mut disk, log + 320, 32 << 10);
        put(&mut disk, log + 512, 1);
        disk[log + 512 + 9] = UNMOUNT;
        disk
    }

    fn put(disk: &mut [u8], at: usize, value: u32) {
        disk[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn dirty(bytes: Vec<u8>) -> Option<bool> {
        let (len, sb) = (bytes.len() as u64, bytes[..512].to_vec());
        let disk = RawDisk::over(std::sync::Arc::new(bytes), "memory".as_ref()).unwrap();
        is_dirty(&disk, 0, len, &sb).unwrap()
    }

    #[test]
    fn only_an_unmount_record_at_the_end_makes_a_log_clean() {
        assert_eq!(dirty(image()), Some(false));
        let log = (16 + 3) * 4096;
        for (at, value) in [
            (log + 12, 1024),
            (log + 40, 2),
            (log + 520, 0),
            (log + 1024, 1),
        ] {
            let mut disk = image();
            put(&mut disk, at, value);
            assert_eq!(dirty(disk), Some(true), "{at}");
        }
        let mut disk = image();
        disk[log..log + 4].fill(0);
        assert_eq!(dirty(disk), None, "a log that was never written");
    }

    #[test]
    fn any_field_may_be_anything() {
        let log = (16 + 3) * 4096;
        for at in (48..56)
            .chain(84..88)
            .chain(96..100)
            .chain(120..125)
            .chain(log..log + 44)
        {
            for value in [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xff] {
                let mut disk = image();
                disk[at] = value;
                dirty(disk);
            }
        }
        for (start, blocks) in [(u64::MAX, 1), (1 << 63, 2), (19, u32::MAX), (63, 16)] {
            let mut disk = image();
            disk[48..56].copy_from_slice(&start.to_be_bytes());
            put(&mut disk, 96, blocks);
            dirty(disk);
        }
    }
}
