//! What of a disk is looked at.

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::convert::Tally;
use ploopconv::disk::{VirtualDisk, stored_bytes};
use ploopconv::ploop::Examined;
use ploopconv::salvage::Salvaged;

use crate::cli::compact::{DiskArgs, of_whole_partitions};
use crate::cli::output::write_message;
use crate::cli::partitions::Division;

/// What is seen of the disk: all of it, or one partition.
pub(super) struct View {
    pub(super) partition: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) data: Option<u64>,
    /// What of it is stored in free blocks, where that was asked for.
    pub(super) left_out: Option<u64>,
    /// What is lost, where it is read over damage.
    pub(super) lost: Option<Tally>,
    pub(super) division: Division,
}

impl View {
    pub(super) fn of(
        args: &DiskArgs,
        examined: &Examined,
        workers: &Workers,
    ) -> anyhow::Result<Self> {
        let Some(stored) = examined.disk() else {
            return Ok(Self::unknown(None));
        };
        if !examined.is_readable() {
            // What a damaged chain stores is not known.
            return Ok(Self::unknown(Some(stored.size())));
        }
        let salvaged = args.salvage.then(|| Salvaged::new(stored));
        let disk: &dyn VirtualDisk = match &salvaged {
            Some(salvaged) => salvaged,
            None => stored,
        };
        let lost = |range| {
            let losses = salvaged.as_ref().map(|disk| disk.losses_in(range));
            losses.map(Tally::of).transpose()
        };
        let chosen = args
            .choose(disk)
            .with_context(|| format!("looking into {}", args.name()))?;
        let Some((layout, partition)) = chosen else {
            return Ok(Self {
                partition: None,
                size: Some(disk.size()),
                data: Some(stored_bytes(disk, workers)?),
                left_out: left_out(args, workers)?,
                division: Division::of(disk),
                lost: lost(0..disk.size())?,
            });
        };
        let slice = partition.of(disk)?;
        let end = partition.start.saturating_add(partition.len);
        Ok(Self {
            partition: Some(partition.number),
            size: Some(slice.size()),
            data: Some(stored_bytes(&slice, workers)?),
            left_out: left_out(args, workers)?,
            division: Division::from(&layout, |other| *other == partition),
            lost: lost(partition.start..end)?,
        })
    }

    fn unknown(size: Option<u64>) -> Self {
        Self {
            partition: None,
            size,
            data: None,
            left_out: None,
            lost: None,
            division: Division::unknown(),
        }
    }
}

/// How much a conversion leaves out, where it is asked to. It is asked of the disk that would be
/// converted, which may be refused where this command is content to look.
fn left_out(args: &DiskArgs, workers: &Workers) -> anyhow::Result<Option<u64>> {
    if !args.compact {
        return Ok(None);
    }
    let input = args
        .examine(workers)
        .and_then(|examined| args.disk(examined, workers))
        .with_context(|| format!("looking into {}", args.name()))?;
    of_whole_partitions(&input)
        .iter()
        .for_each(|line| write_message(line));
    Ok(input.left_out(workers)?)
}
