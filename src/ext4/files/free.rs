//! Which blocks of a file system hold nothing: those that the bitmaps say are free, and that
//! nothing contradicts.
//!
//! A bitmap can be wrong with a right checksum, and a used block that is taken for a free one is
//! lost in silence. So every inode that is in use claims its blocks, and so do the tables of the
//! file system. A claim that a bitmap contradicts, a count that does not fit, or a block that two
//! claim is an error, and then nothing is free.

mod bits;
mod claims;
mod error;
mod group;
mod inodes;
mod mapped;
mod owner;
mod runs;
mod shape;
mod state;
mod taken;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

pub use self::error::FreeError;

use self::claims::Claims;
use self::group::Group;
use self::shape::Shape;
use super::error::{FilesError, refused};
use super::newer_of;
use super::reader::Reader;
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::ext4::blocks::DiskBlocks;
use crate::ext4::superblock::Superblock;
use crate::workers::Workers;

/// What becomes of a file system whose journal is to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfDirty {
    /// It is refused.
    Refuse,
    /// The journal is replayed in memory, and what is free before and after that is free.
    Replay,
}

/// Finds the free blocks of the ext2, ext3 or ext4 that fills `disk`: ranges in bytes, in their
/// order, which do not touch. Reads all inodes and no data of files, on all of `workers`.
///
/// # Errors
///
/// [`FreeError`] where the file system contradicts itself, [`FilesError`] where it cannot be read,
/// and what the disk says.
pub fn free_ranges(
    disk: &Arc<dyn VirtualDisk>,
    if_dirty: IfDirty,
    workers: &Workers,
) -> Result<Vec<Range<u64>>> {
    workers.install(|| {
        let superblock = Superblock::read_first(&DiskBlocks::new(&**disk))?;
        let superblock = superblock.ok_or(FilesError::NotExt4)?;
        let reader = Reader::new(Arc::clone(disk), superblock, false)?;
        if !reader.features.needs_recovery {
            let shape = Shape::read(&reader)?;
            state::check(&reader, &shape)?;
            return checked(&reader, &shape, Totals::Checked);
        }
        if if_dirty == IfDirty::Refuse {
            return Err(FreeError::Journal.into());
        }
        let before = stated(&reader, &Shape::read(&reader)?)?;
        let reader = replayed(reader)?;
        let shape = Shape::read(&reader)?;
        state::check(&reader, &shape)?;
        // Those of the superblock are not kept up to date while it is mounted.
        let after = checked(&reader, &shape, Totals::Stale)?;
        Ok(runs::common(&before, &after))
    })
}

/// Whether the superblock says how many blocks and inodes are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Totals {
    Checked,
    Stale,
}

fn replayed(reader: Reader) -> Result<Reader> {
    match newer_of(&reader)? {
        None => Ok(reader),
        // They change bitmaps too, and do not say how.
        Some(newer) if !newer.changes.is_empty() => Err(refused("it has fast commits")),
        Some(newer) => reader.with_blocks(newer.blocks),
    }
}

/// What the bitmaps say, with all that could contradict it.
fn checked(reader: &Reader, shape: &Shape, totals: Totals) -> Result<Vec<Range<u64>>> {
    let groups = groups(reader, shape)?;
    for group in &groups {
        group.check_sums(reader)?;
    }
    let claims = Claims::new(shape, reader, groups);
    claims.take_tables(reader)?;
    let free_inodes = inodes::take_all(reader, shape, &claims)?;
    let (free_blocks, ranges) = claims.free()?;
    if totals == Totals::Checked && (free_blocks, free_inodes) != shape.free() {
        return Err(FreeError::Totals.into());
    }
    Ok(ranges)
}

/// What the bitmaps say; nothing is checked.
fn stated(reader: &Reader, shape: &Shape) -> Result<Vec<Range<u64>>> {
    let groups = groups(reader, shape)?;
    let free = groups.iter().flat_map(|group| group.stated_free(shape));
    Ok(runs::in_bytes(free, reader.superblock.block_size))
}

/// All groups with their bitmaps.
fn groups(reader: &Reader, shape: &Shape) -> Result<Vec<Group>> {
    let numbers = 0..reader.superblock.groups;
    let read = |number| Group::read(reader, shape, number);
    numbers.into_par_iter().map(read).collect()
}
