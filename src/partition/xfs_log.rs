//! Whether the log of an XFS was emptied when it was unmounted: what the kernel asks before it
//! replays one. Names of the fields are those of the kernel's `xfs_log_format.h`; all big-endian.

use crate::bytes::{be_u16, be_u32, field};
use crate::disk::VirtualDisk;
use crate::error::Result;

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

    /// The first block behind what was written last; `None` where nothing ever was.
    ///
    /// Every block begins with the number of the round in which it was written. What lies before
    /// the head has one number, what lies behind it a lower one, or zero.
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
