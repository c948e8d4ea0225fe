//! Where inodes lie: the descriptors of the block groups, with their checksums.

use super::checksum::{crc16, crc32c};
use super::error::FilesError;
use super::reader::Reader;
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// Where a descriptor keeps its checksum.
const SUM: usize = 30;

impl Reader {
    /// Where an inode lies: the number of its block, and where in that block, in bytes.
    ///
    /// # Errors
    ///
    /// [`FilesError::Inode`] for a number that no inode has, [`FilesError::Damaged`] where the
    /// descriptor of its group makes no sense, and what the disk says.
    pub(super) fn place_of(&self, inode: u32) -> Result<(u64, usize)> {
        let superblock = &self.superblock;
        let index = match inode.checked_sub(1) {
            Some(index) if inode <= self.features.inodes => index,
            _ => return Err(self.damaged(inode, "there is no inode with this number")),
        };
        let group = u64::from(index / superblock.inodes_per_group);
        if group >= superblock.groups {
            return Err(self.damaged(inode, "it lies outside the file system"));
        }
        let table = self.inode_table(group)?;
        let in_table = u64::from(index % superblock.inodes_per_group) * superblock.inode_size;
        let block = table + in_table / superblock.block_size;
        if !superblock.holds(block, 1) {
            return Err(self.damaged(inode, "it lies outside the file system"));
        }
        Ok((block, to_usize(in_table % superblock.block_size)))
    }

    /// The first block of a group's table of inodes.
    fn inode_table(&self, group: u64) -> Result<u64> {
        let per_block = self.superblock.descriptors_per_block();
        let mut places = self.superblock.descriptor_blocks(group / per_block);
        // Copies say where the table is, and are not kept up to date in other things.
        places.truncate(if self.over_damage { usize::MAX } else { 1 });
        let mut first = None;
        for place in places {
            match self.inode_table_in(group, place) {
                Ok(table) => return Ok(table),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| FilesError::Damaged("a group has no descriptor").into()))
    }

    /// The same, by the descriptor in one block.
    fn inode_table_in(&self, group: u64, place: u64) -> Result<u64> {
        self.descriptor_in(group, place, |descriptor| {
            let wide = descriptor.len() >= 64;
            let high = if wide { le_u32(descriptor, 40) } else { 0 };
            let table = u64::from(le_u32(descriptor, 8)) | u64::from(high) << 32;
            match self.superblock.holds(table, 1) {
                true => Ok(table),
                false => Err(FilesError::Damaged("a group has no table of inodes").into()),
            }
        })
    }

    /// How many clusters and inodes of a group are free, as its descriptor says.
    ///
    /// # Errors
    ///
    /// As [`Reader::place_of`].
    pub(super) fn free_in(&self, group: u64) -> Result<(u64, u64)> {
        self.descriptor(group, |descriptor| {
            let wide = descriptor.len() >= 64;
            let count = |low, high| {
                let high = if wide { le_u16(descriptor, high) } else { 0 };
                u64::from(le_u16(descriptor, low)) | u64::from(high) << 16
            };
            Ok((count(12, 44), count(14, 46)))
        })
    }

    /// Reads the descriptor of a group, in the block where it should be.
    ///
    /// # Errors
    ///
    /// As [`Reader::place_of`], and what `read` gives.
    pub(super) fn descriptor<T>(
        &self,
        group: u64,
        read: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let index = group / self.superblock.descriptors_per_block();
        let place = self.superblock.descriptor_blocks(index).first().copied();
        let place = place.ok_or(FilesError::Damaged("a group has no descriptor"))?;
        self.descriptor_in(group, place, read)
    }

    fn descriptor_in<T>(
        &self,
        group: u64,
        place: u64,
        read: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let superblock = &self.superblock;
        let size = to_usize(superblock.descriptor_size);
        if !superblock.holds(place, 1) {
            return Err(FilesError::Damaged("a group's descriptor lies outside of it").into());
        }
        let block = self.volume.block(place)?;
        let at = to_usize(group % superblock.descriptors_per_block()) * size;
        let descriptor = block.bytes.get(at..).and_then(|bytes| bytes.get(..size));
        let descriptor = descriptor.ok_or(FilesError::Damaged("a group has no descriptor"))?;
        self.check_group(group, descriptor)?;
        read(descriptor)
    }

    fn check_group(&self, group: u64, descriptor: &[u8]) -> Result<()> {
        let (before, after) = descriptor.split_at(SUM);
        let after = after.get(2..).unwrap_or_default();
        // Numbers of groups have 32 bits: blocks of a disk have 64, groups of at least 256 of them.
        let number = (group & 0xffff_ffff).to_le_bytes();
        let number = number.first_chunk::<4>().copied().unwrap_or_default();
        let sum = if let Some(seed) = self.features.seed {
            let sum = crc32c(crc32c(crc32c(seed, &number), before), &[0, 0]);
            crc32c(sum, after) & 0xffff
        } else if self.features.group_sums {
            u32::from(crc16(&[&self.features.uuid, &number, before, after]))
        } else {
            return Ok(());
        };
        if sum != u32::from(le_u16(descriptor, SUM)) {
            return Err(FilesError::Damaged("the checksum of a group descriptor is wrong").into());
        }
        Ok(())
    }
}
