//! The blocks of a log.

use super::header::{Header, Sums};
use crate::error::Result;
use crate::ext4::files::checksum::crc32c;
use crate::ext4::files::error::refused;
use crate::ext4::files::replayed::MAGIC;
use crate::util::bytes::{be_u16, be_u32, be_u64, to_usize};

/// The bytes of a block in front of its contents.
const HEADER: usize = 12;

/// The bytes of a checksum at the end of a block.
const TAIL: usize = 4;

const ESCAPED: u16 = 1;
const SAME_UUID: u16 = 2;
const LAST: u16 = 8;

/// What a block of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says where the blocks belong that follow it.
    Descriptor,
    /// Ends a transaction.
    Commit,
    /// Says what must not be replayed.
    Revoke,
    Other,
}

/// The kind of a block of transaction `sequence`; `None` where it belongs to no such.
pub(super) fn kind(bytes: &[u8], sequence: u32) -> Option<Kind> {
    let belongs = bytes.starts_with(&MAGIC) && be_u32(bytes, 8) == sequence;
    belongs.then(|| match be_u32(bytes, 4) {
        1 => Kind::Descriptor,
        2 => Kind::Commit,
        5 => Kind::Revoke,
        _ => Kind::Other,
    })
}

/// A copy of a block in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    /// Where it belongs in the file system.
    pub(super) block: u64,
    /// Whether its first four bytes were changed, since they looked like a block of the log.
    pub(super) escaped: bool,
    /// Its checksum, as far as it is kept.
    pub(super) sum: u32,
}

/// What a descriptor says of the blocks after it.
pub(super) fn tags(bytes: &[u8], header: &Header) -> Vec<Tag> {
    let end = bytes.len()
        - if header.sums.seed().is_some() {
            TAIL
        } else {
            0
        };
    let v3 = matches!(header.sums, Sums::V3(_));
    let size = match header.sums {
        Sums::V3(_) => 16,
        Sums::V2(_) => 10 + if header.wide { 4 } else { 0 },
        Sums::None | Sums::V1 => 8 + if header.wide { 4 } else { 0 },
    };
    let mut tags = Vec::new();
    let mut at = HEADER;
    while at + size <= end {
        let flags = be_u16(bytes, at + 6);
        let high = if header.wide {
            be_u32(bytes, at + 8)
        } else {
            0
        };
        tags.push(Tag {
            block: u64::from(be_u32(bytes, at)) | u64::from(high) << 32,
            escaped: flags & ESCAPED != 0,
            sum: match v3 {
                true => be_u32(bytes, at + 12),
                false => u32::from(be_u16(bytes, at + 4)),
            },
        });
        at += size;
        if flags & SAME_UUID == 0 {
            at += 16;
        }
        if flags & LAST != 0 {
            break;
        }
    }
    tags
}

/// The blocks that a block of the log revokes.
pub(super) fn revoked(bytes: &[u8], header: &Header) -> Result<Vec<u64>> {
    let used = to_usize(be_u32(bytes, 12));
    let room = bytes.len()
        - if header.sums.seed().is_some() {
            TAIL
        } else {
            0
        };
    if used > room {
        return Err(refused("a list of revoked blocks does not fit"));
    }
    let list = bytes.get(HEADER + 4..used).unwrap_or_default();
    Ok(match header.wide {
        true => list.chunks_exact(8).map(|word| be_u64(word, 0)).collect(),
        false => {
            let words = list.chunks_exact(4);
            words.map(|word| u64::from(be_u32(word, 0))).collect()
        }
    })
}

/// Whether the checksum at the end of a descriptor or of a list of revoked blocks is right.
pub(super) fn tail_is_right(bytes: &[u8], sums: Sums) -> bool {
    let Some(seed) = sums.seed() else {
        return true;
    };
    let (before, tail) = bytes.split_at(bytes.len() - TAIL);
    crc32c(crc32c(seed, before), &[0; TAIL]) == be_u32(tail, 0)
}

/// Whether the checksum of a commit is right, where each block has one.
pub(super) fn commit_is_right(bytes: &[u8], sums: Sums) -> bool {
    /// Where it lies, and where the fields of a commit end.
    const SUM: usize = 16;
    const END: usize = 60;
    let Some(seed) = sums.seed() else {
        return true;
    };
    let kept = be_u32(bytes, SUM);
    let mut bytes = bytes.to_vec();
    if let Some(sum) = bytes.get_mut(SUM..SUM + 4) {
        sum.fill(0);
    }
    if crc32c(seed, &bytes) == kept {
        return true;
    }
    // Some kernels left in the rest what the block had before, and took zeros for it.
    if let Some(rest) = bytes.get_mut(END..) {
        rest.fill(0);
    }
    crc32c(seed, &bytes) == kept
}

/// Whether a commit of the first kind agrees with the sum of its transaction.
pub(super) fn v1_commit_is_right(bytes: &[u8], sum: u32) -> bool {
    let kind = (bytes.get(12).copied(), bytes.get(13).copied());
    let kept = be_u32(bytes, 16);
    (kind == (Some(1), Some(4)) && kept == sum) || (kind == (Some(0), Some(0)) && kept == 0)
}

/// When a commit was written, in seconds.
pub(super) fn commit_time(bytes: &[u8]) -> u64 {
    be_u64(bytes, 48)
}

/// Whether a copy has the checksum that its tag says.
pub(super) fn copy_is_right(bytes: &[u8], tag: &Tag, sequence: u32, sums: Sums) -> bool {
    let sum = |seed| crc32c(crc32c(seed, &sequence.to_be_bytes()), bytes);
    match sums {
        Sums::None | Sums::V1 => true,
        Sums::V2(seed) => sum(seed) & 0xffff == tag.sum,
        Sums::V3(seed) => sum(seed) == tag.sum,
    }
}
