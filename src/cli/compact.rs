//! `--compact`: which blocks of a disk are left out, for the commands that read one.

use std::ops::Deref;
use std::path::Path;

use ploopconv::Workers;
use ploopconv::convert::{Input, WholePartition};
use ploopconv::ext4::IfDirty;
use ploopconv::partition::FileSystem;
use ploopconv::ploop::Examined;

use super::open::OpenArgs;

/// What to read, for commands that can leave free blocks out.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DiskArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Leave out the blocks that ext2, ext3 and ext4 say are free: they are holes
    #[arg(long, conflicts_with = "salvage", help_heading = "Free blocks")]
    pub(crate) compact: bool,
}

impl Deref for DiskArgs {
    type Target = OpenArgs;

    fn deref(&self) -> &OpenArgs {
        &self.open
    }
}

impl DiskArgs {
    /// Gives the disk to read, whole or the partition that was asked for, without its free blocks
    /// where that was asked for; or says why it may not be read.
    pub(crate) fn disk(&self, examined: Examined, workers: &Workers) -> ploopconv::Result<Input> {
        self.disk_with(examined, IfDirty::Refuse, workers)
    }

    /// The same for a disk whose journal is replayed before anything else happens, or not.
    pub(crate) fn disk_with(
        &self,
        examined: Examined,
        if_dirty: IfDirty,
        workers: &Workers,
    ) -> ploopconv::Result<Input> {
        self.compacted(self.open.disk(examined)?, if_dirty, workers)
    }

    /// A disk without its free blocks, where that was asked for.
    pub(crate) fn compacted(
        &self,
        input: Input,
        if_dirty: IfDirty,
        workers: &Workers,
    ) -> ploopconv::Result<Input> {
        match self.compact {
            true => input.compacted(if_dirty, workers),
            false => Ok(input),
        }
    }

    /// The same options for another image.
    pub(crate) fn of(&self, image: &Path) -> Self {
        Self {
            open: self.open.of(image),
            compact: self.compact,
        }
    }

    /// An option that was given and says something to ploop images only.
    pub(crate) fn only_for_ploop(&self) -> Option<&'static str> {
        let of_open = self.open.only_for_ploop();
        of_open.or(self.compact.then_some("--compact"))
    }
}

/// Warnings about partitions that stay whole, a line each.
pub(crate) fn of_whole_partitions(input: &Input) -> Vec<String> {
    let parts = input.whole_partitions().iter();
    let lines = parts.map(
        |WholePartition {
             number,
             content,
             why,
             ..
         }| {
            let what = content.map_or("unknown", FileSystem::title);
            format!("warning: partition {number} ({what}) stays whole: {why}")
        },
    );
    lines.collect()
}
