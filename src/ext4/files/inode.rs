//! Inodes, with all that `stat` says of them.

use super::checksum::crc32c;
use super::reader::Reader;
use crate::error::Result;
use crate::tree::{DeviceNumber, FileType, Metadata, Moment};
use crate::util::bytes::{field, le_u16, le_u32, to_usize};

/// The root directory.
pub(super) const ROOT: u32 = 2;

/// Where an inode's first bytes end, and those of larger inodes begin.
pub(super) const BASE: usize = 128;

/// Offsets of what is in larger inodes.
const EXTRA_SIZE: usize = 128;
const SUM_HIGH: usize = 130;
const CHANGED_EXTRA: usize = 132;
const MODIFIED_EXTRA: usize = 136;
const ACCESSED_EXTRA: usize = 140;
const CREATED: usize = 144;
const SUM_LOW: usize = 124;

const FLAG_ENCRYPTED: u32 = 0x800;
const FLAG_INDEX: u32 = 0x1000;
const FLAG_HUGE: u32 = 0x4_0000;
pub(super) const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_EA_INODE: u32 = 0x20_0000;
pub(super) const FLAG_INLINE: u32 = 0x1000_0000;

/// An inode that is in use.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) metadata: Metadata,
    /// All of its bytes.
    pub(super) stored: Vec<u8>,
    /// How many bytes after the first 128 have a meaning; attributes come after them. As stored.
    pub(super) extra_size: usize,
    /// What checksums of its blocks begin with, where there are any.
    pub(super) seed: Option<u32>,
    flags: u32,
}

impl Reader {
    /// Reads an inode.
    ///
    /// # Errors
    ///
    /// [`FilesError::Inode`](super::FilesError::Inode) where it is not in use or makes no sense,
    /// and as [`Reader::place_of`].
    pub(super) fn inode(&self, number: u32) -> Result<Inode> {
        let (block, at) = self.place_of(number)?;
        let block = self.read_block(number, block)?;
        let size = to_usize(self.superblock.inode_size);
        let stored = block.bytes.get(at..).and_then(|bytes| bytes.get(..size));
        let stored = stored.ok_or_else(|| self.damaged(number, "it is cut off"))?;
        if let Some(stored) = self.changed.inode(number, stored) {
            return self.parse(number, stored);
        }
        let stored = stored.to_vec();
        if self
            .seed_of(number, &stored)
            .is_some_and(|seed| !sum_is_right(&stored, seed))
        {
            return Err(self.damaged(number, "its checksum is wrong"));
        }
        self.parse(number, stored)
    }

    /// Makes an inode of its bytes, which are as many as the superblock says.
    pub(super) fn parse(&self, number: u32, stored: Vec<u8>) -> Result<Inode> {
        let damaged = |problem| self.damaged(number, problem);
        let extra_size = usize::from(le_u16(&stored, EXTRA_SIZE));
        if stored.len() > BASE
            && (!extra_size.is_multiple_of(4) || BASE + extra_size > stored.len())
        {
            return Err(damaged("its extra fields end after it"));
        }
        let seed = self.seed_of(number, &stored);
        let mode = le_u16(&stored, 0);
        let links = le_u16(&stored, 26);
        let file_type = FileType::of_mode(mode).ok_or_else(|| match (mode, links) {
            (0, _) => damaged("it is not in use"),
            _ => damaged("its type is unknown"),
        })?;
        let flags = le_u32(&stored, 32);
        // The inode of an attribute counts its references elsewhere.
        if links == 0 && flags & FLAG_EA_INODE == 0 {
            return Err(damaged("it was removed"));
        }
        let has_high_size = file_type == FileType::File || self.features.large_directories;
        let high = if has_high_size {
            le_u32(&stored, 108)
        } else {
            0
        };
        let size = u64::from(le_u32(&stored, 4)) | u64::from(high) << 32;
        if i64::try_from(size).is_err() {
            return Err(damaged("its size is negative"));
        }
        let times = Times::of(&stored, extra_size);
        let is_device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
        let metadata = Metadata {
            inode: u64::from(number),
            file_type,
            permissions: mode & 0o7777,
            uid: owner(&stored, 2, 120),
            gid: owner(&stored, 24, 122),
            links: u32::from(links),
            size,
            sectors: self.sectors(&stored, flags) + inline_sectors(file_type, flags, size),
            device: is_device.then(|| device(&stored)),
            accessed: times.at(8, ACCESSED_EXTRA),
            modified: times.at(16, MODIFIED_EXTRA),
            changed: times.at(12, CHANGED_EXTRA),
            created: times.has(CREATED).then(|| times.at(CREATED, CREATED + 4)),
        };
        Ok(Inode {
            number,
            metadata,
            stored,
            extra_size,
            seed,
            flags,
        })
    }

    /// What checksums of an inode and of its blocks begin with, where there are any.
    pub(super) fn seed_of(&self, number: u32, stored: &[u8]) -> Option<u32> {
        let seed = self.features.seed?;
        let generation = field::<4>(stored, 100).unwrap_or_default();
        Some(crc32c(crc32c(seed, &number.to_le_bytes()), &generation))
    }

    /// The room that an inode takes, in sectors of 512 bytes.
    pub(super) fn sectors(&self, stored: &[u8], flags: u32) -> u64 {
        let low = u64::from(le_u32(stored, 28));
        if !self.features.huge_files {
            return low;
        }
        let all = low | u64::from(le_u16(stored, 116)) << 32;
        match flags & FLAG_HUGE != 0 {
            true => all.saturating_mul(self.superblock.block_size / 512),
            false => all,
        }
    }
}

impl Inode {
    /// The 60 bytes of its list of blocks: or a short link, a device, the first inline data.
    pub(super) fn root(&self) -> [u8; 60] {
        field(&self.stored, 40).unwrap_or([0; 60])
    }

    /// The block of its attributes, or 0.
    pub(super) fn attribute_block(&self) -> u64 {
        u64::from(le_u32(&self.stored, 104)) | u64::from(le_u16(&self.stored, 118)) << 32
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }

    /// Whether blocks of an index are among those of the directory.
    pub(super) fn has_index(&self) -> bool {
        self.flags & FLAG_INDEX != 0
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags & FLAG_EXTENTS != 0
    }

    /// Whether its contents are in the inode itself.
    pub(super) fn is_inline(&self) -> bool {
        self.flags & FLAG_INLINE != 0
    }

    /// Whether it holds the value of an attribute, and is no file.
    pub(super) fn is_attribute(&self) -> bool {
        self.flags & FLAG_EA_INODE != 0
    }
}

/// A user or group, whose halves lie in two places. The number −1 is none: programs that change
/// owners leave one as it is by it. The kernel shows who has no number in its place.
fn owner(stored: &[u8], low: usize, high: usize) -> u32 {
    const NO_NUMBER: u32 = 65534;
    match u32::from(le_u16(stored, low)) | u32::from(le_u16(stored, high)) << 16 {
        u32::MAX => NO_NUMBER,
        number => number,
    }
}

/// The sectors that the kernel counts for a file that is stored in its inode, so that no program
/// takes it for one hole.
fn inline_sectors(file_type: FileType, flags: u32, size: u64) -> u64 {
    match file_type == FileType::File && flags & FLAG_INLINE != 0 {
        true => size.div_ceil(512),
        false => 0,
    }
}

/// Whether the checksum of an inode is right; large inodes may keep all of its 32 bits.
pub(super) fn sum_is_right(stored: &[u8], seed: u32) -> bool {
    let mut bytes = stored.to_vec();
    let extra_size = usize::from(le_u16(stored, EXTRA_SIZE));
    let has_high = stored.len() > BASE && BASE + extra_size >= SUM_HIGH + 2;
    let mut zero = |at: usize| {
        if let Some(place) = bytes.get_mut(at..at + 2) {
            place.fill(0);
        }
    };
    zero(SUM_LOW);
    if has_high {
        zero(SUM_HIGH);
    }
    let sum = crc32c(seed, &bytes);
    let high = if has_high {
        le_u16(stored, SUM_HIGH)
    } else {
        0
    };
    let kept = u32::from(le_u16(stored, SUM_LOW)) | u32::from(high) << 16;
    let mask = if has_high { u32::MAX } else { 0xffff };
    sum & mask == kept
}

/// The times of an inode.
struct Times<'a> {
    stored: &'a [u8],
    /// Where the extra fields end.
    end: usize,
}

impl<'a> Times<'a> {
    fn of(stored: &'a [u8], extra_size: usize) -> Self {
        /// What the kernel takes where a large inode says nothing.
        const USUAL: usize = 32;
        let extra_size = match extra_size {
            _ if stored.len() <= BASE => 0,
            0 => USUAL,
            size => size,
        };
        Self {
            stored,
            end: BASE + extra_size,
        }
    }

    fn has(&self, at: usize) -> bool {
        at + 4 <= self.end
    }

    /// The time with its seconds at one place, and its nanoseconds and two more bits of the
    /// seconds at another one, where the inode has that.
    fn at(&self, seconds: usize, extra: usize) -> Moment {
        let low = i64::from(le_u32(self.stored, seconds).cast_signed());
        let extra = if self.has(extra) {
            le_u32(self.stored, extra)
        } else {
            0
        };
        Moment {
            seconds: low + (i64::from(extra & 3) << 32),
            nanoseconds: (extra >> 2).min(999_999_999),
        }
    }
}

/// The number of a device, in one of two spellings.
fn device(stored: &[u8]) -> DeviceNumber {
    let (old, new) = (le_u32(stored, 40), le_u32(stored, 44));
    if old != 0 {
        return DeviceNumber {
            major: old >> 8 & 0xff,
            minor: old & 0xff,
        };
    }
    DeviceNumber {
        major: new >> 8 & 0xfff,
        minor: new & 0xff | new >> 12 & 0xf_ff00,
    }
}
