//! Which blocks are free: against what e2fsprogs says, and by writing over all of them.

use crate::support::Scratch;
use crate::support::ext4_kinds::{list_of, named};
use crate::support::listing::Listing;
use crate::support::system::Mounted;
use crate::support::tools::tool;
use crate::support::unlike::differences;
use ploopconv::Workers;
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::ext4::{IfDirty, free_ranges};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The free ranges of the file system in a raw image.
pub(crate) fn free_of(image: &Path, if_dirty: IfDirty) -> ploopconv::Result<Vec<Range<u64>>> {
    let disk: Arc<dyn VirtualDisk> = Arc::new(RawDisk::open(image)?);
    free_ranges(&disk, if_dirty, &Workers::new(2)?)
}

/// Copies an image and writes over some of it, byte by byte of 0xAA.
pub(crate) fn spoiled(image: &Path, copy: &Path, ranges: &[Range<u64>]) {
    std::fs::copy(image, copy).unwrap();
    let file = File::options().write(true).open(copy).unwrap();
    let spoiled = vec![0xaa; 1 << 20];
    for range in ranges {
        for start in range.clone().step_by(spoiled.len()) {
            let len = (range.end - start).min(spoiled.len() as u64) as usize;
            file.write_all_at(&spoiled[..len], start).unwrap();
        }
    }
}

/// What e2fsck says of an image, and its status; nothing is written to it.
pub(crate) fn checked(image: &Path) -> (Option<i32>, String) {
    let mut e2fsck = Command::new("e2fsck");
    let output = e2fsck.arg("-fn").arg(image).output();
    let output = output.expect("e2fsck of the package e2fsprogs is missing");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The name of the image is another one for a copy.
    let name = image.display().to_string();
    (output.status.code(), said.replace(&name, "IMAGE"))
}

/// A number that dumpe2fs says of the whole file system.
fn stated(dump: &str, name: &str) -> Option<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// The free ranges in bytes, as dumpe2fs lists them: those of a group after those of another.
fn listed_by_groups(image: &Path) -> Vec<Range<u64>> {
    let dump = tool("e2fsprogs", Command::new("dumpe2fs").arg(image));
    let block = stated(&dump, "Block size:").unwrap();
    let blocks = stated(&dump, "Block count:").unwrap();
    // Each number is the first block of a cluster.
    let cluster = stated(&dump, "Cluster size:").map_or(1, |size| size / block);
    let lines = dump
        .lines()
        .filter_map(|line| line.strip_prefix("  Free blocks: "));
    let runs = lines.flat_map(|line| line.split(", "));
    let range = |run: &str| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let end = (last.parse::<u64>().unwrap() + cluster).min(blocks);
        first.parse::<u64>().unwrap() * block..end * block
    };
    runs.filter(|run| !run.is_empty()).map(range).collect()
}

/// The same, where what touches is one range.
fn listed_free(image: &Path) -> Vec<Range<u64>> {
    let mut free: Vec<Range<u64>> = Vec::new();
    for range in listed_by_groups(image) {
        match free.last_mut() {
            Some(before) if before.end == range.start => before.end = range.end,
            _ => free.push(range),
        }
    }
    free
}

/// Asserts that what is free of an image is what e2fsprogs says, and that nothing is lost with it.
pub(crate) fn assert_free(name: &str, image: &Path, kernel: &Listing) {
    let free = free_of(image, IfDirty::Refuse).unwrap_or_else(|error| {
        panic!("{name}: {}", crate::file_tree::story(&error));
    });
    assert_eq!(free, listed_free(image), "{name}");
    let copy = image.with_extension("spoiled");
    spoiled(image, &copy, &free);
    assert_eq!(checked(&copy), checked(image), "{name}");
    // This kernel may not have what names without case need; ours is compared with it elsewhere.
    let list = match name {
        "casefold" => crate::file_tree::list_of(&copy).unwrap(),
        _ => list_of(&copy),
    };
    let differences = differences(kernel, &list);
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
    // What e2image takes along is what it takes for used.
    let taken = image.with_extension("taken");
    let mut e2image = Command::new("e2image");
    tool("e2fsprogs", e2image.arg("-ra").arg(&copy).arg(&taken));
    assert_zeros(name, &taken, &free);
    for file in [copy, taken] {
        std::fs::remove_file(file).unwrap();
    }
}

/// Asserts that ranges of a file are zeros; what lies past its end is.
fn assert_zeros(name: &str, file: &Path, ranges: &[Range<u64>]) {
    let bytes = std::fs::read(file).unwrap();
    for range in ranges {
        let end = (range.end as usize).min(bytes.len());
        let start = (range.start as usize).min(end);
        let spoiled = bytes[start..end].iter().position(|&byte| byte != 0);
        assert_eq!(spoiled, None, "{name}: in {range:x?} of {}", file.display());
    }
}

#[test]
fn the_kernel_trims_all_that_is_free() {
    let kinds = [
        "ext4",
        "ext4_1k",
        "flex_bg",
        "meta_bg_64",
        "uninit_bg",
        "bigalloc",
        "ext3_1k",
        "ext2",
        "no_journal",
    ];
    for name in kinds {
        let scratch = Scratch::new();
        let image = scratch.path().join("image");
        named(name).small().make(&image);
        let free = free_of(&image, IfDirty::Refuse).unwrap();
        let copy = scratch.path().join("copy");
        spoiled(&image, &copy, &free);
        let mounted = Mounted::image(&copy, &scratch.path().join("mounted"), "loop");
        tool("util-linux", Command::new("fstrim").arg(&mounted.dir));
        mounted.end();
        // The kernel trims a group after another, and the host punches no holes that are smaller
        // than its own blocks.
        let whole = |range: &Range<u64>| {
            let (start, end) = (range.start.next_multiple_of(4096), range.end / 4096 * 4096);
            (start < end).then_some(start..end)
        };
        let by_groups = listed_by_groups(&image);
        let whole: Vec<_> = by_groups.iter().filter_map(whole).collect();
        assert!(!whole.is_empty());
        assert_zeros(name, &copy, &whole);
    }
}
