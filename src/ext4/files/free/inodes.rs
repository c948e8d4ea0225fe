//! All inodes, in pieces of their tables, on all threads.

use std::ops::Range;

use rayon::prelude::*;

use super::claims::Claims;
use super::error::FreeError;
use super::group::Group;
use super::mapped::Mapped;
use super::owner::{Owner, holds_a_file};
use super::shape::Shape;
use crate::error::Result;
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{is_zero, saturating_u32, to_usize};

/// How many bytes of a table are read at a time: a multiple of any inode's size.
const PIECE: u64 = 1 << 20;

/// Lets every inode that is in use claim its blocks; gives how many inodes are free.
///
/// # Errors
///
/// What contradicts the bitmaps, as [`Claims::take`] says; [`FreeError::InodeFree`], where an inode
/// makes no sense, and what the disk says.
pub(super) fn take_all(reader: &Reader, shape: &Shape, claims: &Claims<'_>) -> Result<u64> {
    let groups = claims.groups();
    // The file system's own come first, because one of them lists tables.
    if let Some(first) = groups.first() {
        let own = u64::from(reader.features.first_inode.saturating_sub(1));
        let walk = Walk {
            reader,
            shape,
            claims,
            group: first,
        };
        let table = walk.table();
        let own = (table.start + own * reader.superblock.inode_size).min(table.end);
        walk.take(table.start..own)?;
        let rest = pieces(own..table.end);
        rest.into_par_iter()
            .try_for_each(|piece| walk.take(piece))?;
    }
    groups.par_iter().skip(1).try_for_each(|group| {
        let walk = Walk {
            reader,
            shape,
            claims,
            group,
        };
        let pieces = pieces(walk.table());
        pieces
            .into_par_iter()
            .try_for_each(|piece| walk.take(piece))
    })?;
    let free = groups.iter().map(|group| group.free_inodes);
    Ok(free.fold(0, u64::saturating_add))
}

fn pieces(range: Range<u64>) -> Vec<Range<u64>> {
    let step = to_usize(PIECE);
    let starts = (range.start..range.end).step_by(step);
    starts
        .map(|start| start..(start + PIECE).min(range.end))
        .collect()
}

/// A walk over the inodes of a group.
struct Walk<'a> {
    reader: &'a Reader,
    shape: &'a Shape,
    claims: &'a Claims<'a>,
    group: &'a Group,
}

impl Walk<'_> {
    /// The part of the table of inodes that was ever used, in bytes of the file system.
    fn table(&self) -> Range<u64> {
        let superblock = &self.reader.superblock;
        let start = superblock.offset_of(self.group.inode_table.start);
        start..start + u64::from(self.group.inodes_used) * superblock.inode_size
    }

    /// Lets the inodes of a part of the table claim their blocks.
    fn take(&self, piece: Range<u64>) -> Result<()> {
        let size = self.reader.superblock.inode_size;
        let start = self.table().start;
        for run in self.reader.volume.stored_in(piece, size)? {
            let mut bytes = vec![0; to_usize(run.end - run.start)];
            self.reader.volume.read_at(&mut bytes, run.start)?;
            let first = (run.start - start) / size;
            for (index, stored) in (first..).zip(bytes.chunks_exact(to_usize(size))) {
                if !is_zero(stored) {
                    self.inode(index, stored)?;
                }
            }
        }
        Ok(())
    }

    fn inode(&self, index: u64, stored: &[u8]) -> Result<()> {
        let per_group = u64::from(self.reader.superblock.inodes_per_group);
        let number = self.group.number * per_group + index + 1;
        let is_used = self.group.inodes.as_ref().is_some_and(|it| it.has(index));
        if !is_used {
            return match holds_a_file(stored) {
                true => Err(FreeError::InodeFree { inode: number }.into()),
                false => Ok(()),
            };
        }
        // There are no more inodes than the superblock counts, in 32 bits.
        let number = saturating_u32(number);
        let owner = Owner::new(self.reader, number, stored)?;
        let list = owner.list(self.reader, self.shape.has_resize_inode)?;
        let (reader, claims) = (self.reader, self.claims);
        let attributes = owner.attribute_block();
        if attributes != 0 {
            claims.take_attributes(reader, number, attributes)?;
        }
        let mapped = Mapped {
            reader,
            claims,
            owner: &owner,
        };
        mapped.take_all(list)
    }
}
