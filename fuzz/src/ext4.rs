//! An ext2, ext3 or ext4 file system that lost bytes: which files, and by what names.

use std::path::Path;

use ploopconv::disk::{Loss, LossKind, RawDisk, VirtualDisk};
use ploopconv::ext4::{Affected, AffectedFile, affected};

use crate::sparse::Sparse;

/// The first byte says how many ranges are lost; each is two bytes for where it begins and one for
/// how long it is, in units of 256 bytes.
pub fn try_input(input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let Some((ranges, rest)) = rest.split_at_checked(usize::from(count % 8) * 3) else {
        return;
    };
    let Some(file) = Sparse::of(rest) else {
        return;
    };
    let disk = RawDisk::over(std::sync::Arc::new(file), Path::new("input")).expect("it has a size");
    let mut losses: Vec<Loss> = Vec::new();
    for range in ranges.chunks_exact(3) {
        let start = (u64::from(range[0]) | u64::from(range[1]) << 8) * 256;
        let end = (start + (u64::from(range[2]) + 1) * 256).min(disk.size());
        let start = start.max(losses.last().map_or(0, Loss::end));
        if start < end {
            losses.push(Loss::of(start..end, LossKind::Missing));
        }
    }
    let Ok(Some(found)) = affected(&disk, &losses) else {
        return;
    };
    assert!(found.files.len() <= Affected::MOST_FILES);
    for file in &found.files {
        assert!(file.ranges.len() <= AffectedFile::MOST_RANGES);
        assert!(file.ranges.iter().all(|range| range.start < range.end));
    }
}
