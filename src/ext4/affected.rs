//! The search for what a loss cost, on top of the reader.
//!
//! Time and memory are bounded by what the disk stores, whatever the file system claims.

mod budget;
mod lost;
mod metadata;
mod names;
mod report;
mod search;

pub use self::report::{Affected, AffectedFile, FileKind, LostMetadata, MetadataKind};

use self::budget::{Budget, Counted};
use self::lost::{LossyBlocks, LostRanges};
use self::search::Search;
use super::blocks::DiskBlocks;
use super::superblock::Superblock;
use crate::disk::{Loss, VirtualDisk};
use crate::error::Result;

/// Finds out what `losses` (in the order of the disk) cost the file system that fills `disk`, which
/// gives zeros for them; `None` where no ext2, ext3 or ext4 can be made out.
///
/// # Errors
///
/// What the disk says when it is read.
pub fn affected(disk: &dyn VirtualDisk, losses: &[Loss]) -> Result<Option<Affected>> {
    let lost = LostRanges::new(losses);
    let disk = DiskBlocks::new(disk);
    let trusted = LossyBlocks::new(&disk, &lost);
    let Some(superblock) = Superblock::read(&trusted)? else {
        return Ok(None);
    };
    let budget = Budget::of(&disk)?;
    let counted = Counted::new(&disk, &budget);
    let counted_trusted = LossyBlocks::new(&counted, &lost);
    let mut search = Search {
        superblock: &superblock,
        lost: &lost,
        budget: &budget,
        descriptors: &trusted,
        lists: &counted_trusted,
        contents: &counted,
        directories: Vec::new(),
    };
    let mut found = Affected {
        journal_dirty: superblock.needs_recovery(),
        ..Affected::default()
    };
    let lost_inodes = search.groups(&mut found)?;
    if !found.files.is_empty() || !lost_inodes.is_empty() {
        names::find(&search, &lost_inodes, &mut found)?;
    }
    found.gave_up = budget.is_spent();
    Ok(Some(found))
}
