//! What somebody should know who uses the copy of a disk.

use std::path::Path;

use ploopconv::convert::{Target, content_without_trace};
use ploopconv::disk::VirtualDisk;
use ploopconv::partition::{self, Content, FileSystem, GptError, PartitionLayout, Warning};

/// Warnings about what a disk holds, or the partition of it that is copied: a line each. Of a disk
/// whose files are packed a journal is replayed.
pub(super) fn of_contents(
    disk: &dyn VirtualDisk,
    partition: Option<u32>,
    packs_files: bool,
) -> Vec<String> {
    // A table that cannot be read is for `info`: it is copied as it is.
    let Ok(layout) = partition::read(disk) else {
        return what_is_missing(disk).into_iter().collect();
    };
    let mut warnings = Vec::new();
    if reaches_past_the_end(&layout, disk.size()) {
        warnings.extend(what_is_missing(disk));
    }
    if partition.is_none() && !packs_files {
        warnings.extend(what_hides_partitions(&layout));
    }
    if !packs_files {
        warnings.extend(what_is_in_a_journal(&layout));
    }
    warnings
}

/// That no update follows the conversion of a snapshot to this target.
pub(super) fn of_updates(target: &Target, disk: &dyn VirtualDisk) -> Option<String> {
    let Target::Device(path) = target else {
        return None;
    };
    let kind = content_without_trace(disk).ok()??;
    Some(format!(
        "warning: no --update of {} can follow: it has {}, and nothing at its start tells that it \
         was mounted (of a file, its time does)",
        path.display(),
        kind.title()
    ))
}

/// What is wrong with a checksum file that stays.
pub(super) fn stale_sums(file: &Path) -> String {
    let file = file.display();
    format!("{file} still has the digest of what the target held before")
}

/// Whether the table or a file system was made for a larger disk.
fn reaches_past_the_end(layout: &PartitionLayout, size: u64) -> bool {
    let is_larger = |content: &Content, room| content.size.is_some_and(|size| size > room);
    let is_outside =
        |warning: &Warning| matches!(warning, Warning::BackupDamaged(GptError::Outside { .. }));
    let mut parts = layout.partitions.iter();
    layout.warnings.iter().any(is_outside)
        || layout.whole.iter().any(|whole| is_larger(whole, size))
        || parts.any(|part| {
            part.content
                .iter()
                .any(|inside| is_larger(inside, part.len))
        })
}

/// The first part of a split disk, and a layer that is read alone, can be shorter than the disk
/// that their table was made for.
fn what_is_missing(disk: &dyn VirtualDisk) -> Option<String> {
    let stated = partition::stated_end(disk).ok()??;
    (stated.end > disk.size()).then(|| {
        format!(
            "warning: {} states a disk of {} bytes, and this one has {}: part of it may be missing",
            stated.by,
            stated.end,
            disk.size()
        )
    })
}

/// In a disk with a table that counts in other sectors a machine may see no partition, and a disk
/// that is encrypted as a whole shows none without its key.
fn what_hides_partitions(layout: &PartitionLayout) -> Vec<String> {
    let warnings = layout.warnings.iter();
    let hiding = warnings
        .filter(|warning| matches!(warning, Warning::SectorSize(_) | Warning::WholeDiskLuks));
    hiding
        .map(|warning| format!("warning: {warning}"))
        .collect()
}

/// A copy is as the disk was when it stopped. Where that was not a clean stop, what the file system
/// wrote last stands in its journal only, and a reader that does not replay it misses that.
fn what_is_in_a_journal(layout: &PartitionLayout) -> Vec<String> {
    let whole = layout.whole.iter().map(|content| (None, content));
    let parts = layout.partitions.iter();
    let parts = parts.filter_map(|part| Some((Some(part.number), part.content.as_ref()?)));
    let dirty = whole
        .chain(parts)
        .filter(|(_, content)| content.journal_dirty == Some(true));
    let line = |(number, content): (Option<u32>, &Content)| {
        let place = number.map_or_else(String::new, |number| format!(" in partition {number}"));
        let what_next = match content.kind {
            FileSystem::Ext2 | FileSystem::HfsPlus => "check the copy with fsck",
            _ => {
                "its newest files may only be in its journal, which is replayed when the copy is \
                 mounted writable"
            }
        };
        format!(
            "warning: the {}{place} was not unmounted cleanly: {what_next}",
            content.kind.title()
        )
    };
    dirty.map(line).collect()
}
