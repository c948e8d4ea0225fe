//! The first block of a journal.

use crate::error::Result;
use crate::ext4::files::checksum::{START, crc32c};
use crate::ext4::files::error::refused;
use crate::util::bytes::{be_u32, field};

const COMPAT_CHECKSUM: u32 = 0x1;
const INCOMPAT_64BIT: u32 = 0x2;
const INCOMPAT_ASYNC_COMMIT: u32 = 0x4;
const INCOMPAT_CSUM_V2: u32 = 0x8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
const INCOMPAT_FAST_COMMIT: u32 = 0x20;
/// With the one for revoked blocks, which needs nothing.
const INCOMPAT_KNOWN: u32 = 0x3f;

/// Where a superblock of a journal ends, and where it keeps its checksum.
const SIZE: usize = 1024;
const SUM: usize = 252;

/// What the first block of a journal says.
#[derive(Debug)]
pub(super) struct Header {
    /// The size of a block in bytes.
    pub(super) block_size: u32,
    /// The first block of the log.
    pub(super) first: u32,
    /// The block after the last one of the log.
    pub(super) end: u32,
    /// The block after the last one for fast commits, which begin one after the log's end.
    pub(super) fast_end: u32,
    /// The number of the first transaction.
    pub(super) sequence: u32,
    /// The block where the log begins; `None` where it is empty.
    pub(super) start: Option<u32>,
    /// The number of an error that the kernel kept when it gave up writing, or 0.
    pub(super) failure: u32,
    /// How transactions are checked.
    pub(super) sums: Sums,
    /// Whether numbers of blocks have 64 bits.
    pub(super) wide: bool,
    /// Whether a commit may be written before what it commits.
    pub(super) async_commit: bool,
    fast_commits: bool,
}

/// How transactions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    None,
    /// One sum over a whole transaction, in its commit.
    V1,
    /// A sum in each block; those of data have 16 bits. With what they begin with.
    V2(u32),
    /// The same with 32 bits.
    V3(u32),
}

impl Sums {
    /// What the sums in each block begin with, where there are such.
    pub(super) fn seed(self) -> Option<u32> {
        match self {
            Self::None | Self::V1 => None,
            Self::V2(seed) | Self::V3(seed) => Some(seed),
        }
    }
}

impl Header {
    /// Reads the header of a journal whose file has so many blocks.
    pub(super) fn parse(bytes: &[u8], blocks: u64) -> Result<Self> {
        const MAGIC: u32 = 0xc03b_3998;
        /// Blocks for fast commits where their number is not given.
        const USUAL_FAST: u32 = 256;
        /// The fewest blocks of a log.
        const LEAST: u32 = 1024;
        let word = |at| be_u32(bytes, at);
        let kind = word(4);
        if word(0) != MAGIC || !matches!(kind, 3 | 4) {
            return Err(refused("it has no superblock"));
        }
        // The older one has no features.
        let feature = |at| if kind == 4 { word(at) } else { 0 };
        let (compat, incompat) = (feature(36), feature(40));
        if incompat & !INCOMPAT_KNOWN != 0 {
            return Err(refused("it uses a feature that is not read here"));
        }
        let sums = sums(bytes, compat, incompat)?;
        let (length, first, start) = (word(16), word(20), word(28));
        if u64::from(length) > blocks || first == 0 || first >= length {
            return Err(refused("its log lies outside its file"));
        }
        let fast_commits = incompat & INCOMPAT_FAST_COMMIT != 0;
        let fast = match word(84) {
            0 => USUAL_FAST,
            number => number,
        };
        let end = match length.checked_sub(fast) {
            Some(end) if fast_commits && end >= LEAST => end,
            _ => length,
        };
        let in_log = start == 0 || (first..end).contains(&start);
        if !in_log || first >= end {
            return Err(refused("its log begins outside its file"));
        }
        Ok(Self {
            block_size: word(12),
            first,
            end,
            fast_end: length,
            sequence: word(24),
            start: (start != 0).then_some(start),
            failure: word(32),
            sums,
            wide: incompat & INCOMPAT_64BIT != 0,
            async_commit: incompat & INCOMPAT_ASYNC_COMMIT != 0,
            fast_commits,
        })
    }

    /// Whether there may be fast commits after the log.
    pub(super) fn has_fast_commits(&self) -> bool {
        self.fast_commits && self.end < self.fast_end
    }

    /// The block after this one in the log, which is a ring.
    pub(super) fn after(&self, block: u32) -> u32 {
        match block + 1 {
            next if next >= self.end => self.first,
            next => next,
        }
    }

    /// How many blocks the log has.
    pub(super) fn len(&self) -> u32 {
        self.end - self.first
    }
}

fn sums(bytes: &[u8], compat: u32, incompat: u32) -> Result<Sums> {
    const CRC32C: u8 = 4;
    let (v1, v2, v3) = (
        compat & COMPAT_CHECKSUM != 0,
        incompat & INCOMPAT_CSUM_V2 != 0,
        incompat & INCOMPAT_CSUM_V3 != 0,
    );
    if !v2 && !v3 {
        return Ok(if v1 { Sums::V1 } else { Sums::None });
    }
    if v1 || v2 && v3 || bytes.get(80) != Some(&CRC32C) {
        return Err(refused("it does not say which checksums it has"));
    }
    let mut header = bytes.get(..SIZE).unwrap_or_default().to_vec();
    if let Some(sum) = header.get_mut(SUM..SUM + 4) {
        sum.fill(0);
    }
    if crc32c(START, &header) != be_u32(bytes, SUM) {
        return Err(refused("the checksum of its superblock is wrong"));
    }
    let uuid = field::<16>(bytes, 48).unwrap_or_default();
    let seed = crc32c(START, &uuid);
    Ok(if v3 { Sums::V3(seed) } else { Sums::V2(seed) })
}
