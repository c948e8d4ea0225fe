//! Who has which block, beside what the bitmaps say.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use super::bits::Bits;
use super::group::Group;
use super::owner::Claimant;
use super::runs;
use super::shape::Shape;
use super::taken::Taken;
use crate::error::Result;
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{le_u32, to_usize};
use crate::util::sync::lock;

/// The blocks that were claimed so far, by many threads.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    shape: &'a Shape,
    /// The first block of the first group.
    first: u64,
    blocks_per_group: u64,
    groups: Vec<Group>,
    /// Of each group a bit a block; nothing where none is claimed.
    taken: Vec<Taken>,
    /// Blocks of attributes, and how many more inodes may have them.
    attributes: Mutex<HashMap<u64, u32>>,
}

impl<'a> Claims<'a> {
    /// Nothing is claimed yet.
    pub(super) fn new(shape: &'a Shape, reader: &Reader, groups: Vec<Group>) -> Self {
        let blocks = reader.superblock.blocks_per_group;
        let taken = groups.iter().map(|_| Taken::new(blocks));
        Self {
            shape,
            first: reader.superblock.group_start(0),
            blocks_per_group: reader.superblock.blocks_per_group,
            taken: taken.collect(),
            groups,
            attributes: Mutex::default(),
        }
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Claims the tables of the file system: copies of the superblock, descriptors and the room
    /// that is kept for more, bitmaps and tables of inodes.
    ///
    /// # Errors
    ///
    /// Where two of them share a block, or one is marked free.
    pub(super) fn take_tables(&self, reader: &Reader) -> Result<()> {
        for group in &self.groups {
            self.take(Claimant::Tables, reader.superblock.base_of(group.number))?;
            for bitmap in group.bitmaps {
                self.take(Claimant::Tables, bitmap..bitmap + 1)?;
            }
            self.take(Claimant::Tables, group.inode_table.clone())?;
        }
        if let Some(block) = self.shape.mount_protection {
            if !reader.superblock.holds(block, 1) {
                let problem = "its block of mount protection lies outside of it";
                return Err(super::FreeError::Superblock(problem).into());
            }
            self.take(Claimant::Tables, block..block + 1)?;
        }
        Ok(())
    }

    /// Claims blocks, which lie in the file system.
    ///
    /// # Errors
    ///
    /// Where one of them is marked free, or was claimed before.
    pub(super) fn take(&self, claimant: Claimant, blocks: Range<u64>) -> Result<()> {
        for (group, taken, bits) in self.parts(blocks) {
            check_used(self.shape, group, claimant, &bits)?;
            if let Some(at) = taken.set(bits) {
                return Err(claimant.is_shared(group.start + at).into());
            }
        }
        Ok(())
    }

    /// Claims a block that may be one of the file system's tables.
    ///
    /// # Errors
    ///
    /// Where it is marked free.
    pub(super) fn take_unless_table(&self, claimant: Claimant, block: u64) -> Result<()> {
        for (group, taken, bits) in self.parts(block..block + 1) {
            check_used(self.shape, group, claimant, &bits)?;
            taken.set(bits);
        }
        Ok(())
    }

    /// Claims a block of attributes, which says how many inodes have it.
    ///
    /// # Errors
    ///
    /// As [`Claims::take`], and where more inodes have it.
    pub(super) fn take_attributes(&self, reader: &Reader, inode: u32, block: u64) -> Result<()> {
        let claimant = Claimant::Inode(inode);
        if !reader.superblock.holds(block, 1) {
            return Err(reader.damaged(inode, "its attributes lie outside the file system"));
        }
        let mut attributes = lock(&self.attributes);
        if let Some(left) = attributes.get_mut(&block) {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| claimant.is_shared(block))?;
            return Ok(());
        }
        self.take(claimant, block..block + 1)?;
        let read = reader.read_block(inode, block)?;
        read.check(|bytes| reader.check_attributes(inode, block, bytes))?;
        let left = le_u32(&read.bytes, 4).checked_sub(1);
        attributes.insert(block, left.ok_or_else(|| claimant.is_shared(block))?);
        Ok(())
    }

    /// How many blocks are free, as bitmaps count, and which: once all are claimed.
    ///
    /// # Errors
    ///
    /// Where a group without a bitmap counts another number of free blocks than are not claimed.
    pub(super) fn free(&self) -> Result<(u64, Vec<Range<u64>>)> {
        let mut clusters = 0;
        let mut free = Vec::new();
        for (group, taken) in self.groups.iter().zip(&self.taken) {
            let unclaimed;
            let bits = match &group.blocks {
                Some(bits) => bits,
                None => {
                    unclaimed = Bits::of_words(taken.words()).grouped(self.shape.cluster);
                    if unclaimed.count_clear(group.clusters) != group.free_clusters {
                        return Err(group.wrong("it counts other free blocks than it has"));
                    }
                    &unclaimed
                }
            };
            clusters += group.free_clusters;
            let runs = bits.clear_runs(group.clusters);
            free.extend(runs.map(|run| group.blocks_of(&run, self.shape)));
        }
        let ranges = runs::in_bytes(free.into_iter(), self.shape.block_size);
        Ok((clusters.saturating_mul(self.shape.cluster), ranges))
    }

    /// The parts of a range of blocks by groups, in blocks from the start of each.
    fn parts(&self, blocks: Range<u64>) -> impl Iterator<Item = (&Group, &Taken, Range<u64>)> {
        let per_group = self.blocks_per_group;
        let start = blocks.start.saturating_sub(self.first);
        let end = blocks.end.saturating_sub(self.first);
        let first = to_usize(start / per_group);
        let groups = self.groups.iter().zip(&self.taken).skip(first);
        let groups = groups.take(to_usize(end.div_ceil(per_group)).saturating_sub(first));
        groups.map(move |(group, taken)| {
            let begins = group.number * per_group;
            let here = start.saturating_sub(begins)..end.saturating_sub(begins).min(per_group);
            (group, taken, here)
        })
    }
}

/// Checks that the clusters of blocks are marked used; `bits` are blocks from the group's start. In
/// a group that has no bitmap only tables may lie.
fn check_used(shape: &Shape, group: &Group, claimant: Claimant, bits: &Range<u64>) -> Result<()> {
    let free = match (&group.blocks, claimant) {
        (None, Claimant::Tables) => None,
        (None, Claimant::Inode(_)) => Some(bits.start),
        (Some(bitmap), _) => {
            let clusters = bits.start / shape.cluster..bits.end.div_ceil(shape.cluster);
            let free = bitmap.next(clusters.start, clusters.end, false);
            free.map(|cluster| (cluster * shape.cluster).max(bits.start))
        }
    };
    match free.filter(|_| bits.start < bits.end) {
        Some(at) => Err(claimant.is_free(group.start + at).into()),
        None => Ok(()),
    }
}
