//! Partition tables, and what is told to be inside.

use std::path::Path;

use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::partition::{self, Partition};
use ploopconv::util::text;

use crate::sparse::Sparse;

/// Reads the table of a disk and asserts that its partitions lie inside the disk and beside each
/// other.
pub fn try_input(input: &[u8]) {
    let Some((&flags, input)) = input.split_first() else {
        return;
    };
    let Some(mut file) = Sparse::of(input) else {
        return;
    };
    if flags & 1 != 0 {
        for sector in [512, 1024, 2048, 4096] {
            make_believable(&mut file.bytes, sector);
        }
    }
    let disk = RawDisk::over(std::sync::Arc::new(file), Path::new("input")).expect("it has a size");
    // Whatever is cut off or makes no sense, what is stated has an end.
    let stated = partition::stated_end(&disk).expect("the disk can be read");
    assert!(stated.is_none_or(|stated| stated.end > 0 && !stated.by.to_string().is_empty()));
    let Ok(layout) = partition::read(&disk) else {
        return;
    };
    for (number, part) in layout.partitions.iter().enumerate() {
        assert!(part.len > 0 && part.start.checked_add(part.len) <= Some(disk.size()));
        let slice = part.of(&disk).expect("it lies inside the disk");
        assert_eq!(slice.size(), part.len);
        for other in &layout.partitions[..number] {
            assert!(part.number != other.number);
            let inside = |a: &Partition, b: &Partition| {
                b.is_extended && a.start >= b.start && a.start + a.len <= b.start + b.len
            };
            let apart =
                part.start + part.len <= other.start || other.start + other.len <= part.start;
            assert!(
                apart || inside(part, other) || inside(other, part),
                "{part:?} and {other:?}"
            );
        }
        let shown = text::safe(&part.name);
        assert!(!shown.chars().any(text::is_unsafe), "{shown:?}");
    }
    for warning in &layout.warnings {
        assert!(!warning.to_string().is_empty());
    }
}

/// Puts the checksums into a GPT in sectors of this size, as UEFI 2.10, 5.3.2 places them.
fn make_believable(disk: &mut [u8], sector: usize) {
    let word = |disk: &[u8], at: usize| {
        let bytes = disk.get(sector + at..sector + at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let number = |disk: &[u8], at: usize| {
        let bytes = disk.get(sector + at..sector + at + 8)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if disk
        .get(sector..)
        .is_none_or(|rest| !rest.starts_with(b"EFI PART"))
    {
        return;
    }
    let entries = (|| {
        let start = number(disk, 72)?.checked_mul(sector)?;
        let len = word(disk, 80)?.checked_mul(word(disk, 84)?)?;
        disk.get(start..start.checked_add(len)?)
    })();
    if let Some(sum) = entries.map(crc32fast::hash)
        && let Some(place) = disk.get_mut(sector + 88..sector + 92)
    {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    let len = word(disk, 12).unwrap_or(92);
    if let Some(place) = disk.get_mut(sector + 16..sector + 20) {
        place.fill(0);
    }
    if let Some(sum) = disk
        .get(sector..)
        .and_then(|rest| rest.get(..len))
        .map(crc32fast::hash)
        && let Some(place) = disk.get_mut(sector + 16..sector + 20)
    {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
