//! Which blocks are free: against what e2fsprogs says, and by writing over all of them.

use crate::support::Scratch;
use crate::support::ext4_kinds::{list_of, named};
use crate::support::free_blocks::{left_out_by_partclone, listed_by_groups, listed_free};
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

/// Asserts that what is free of an image is what e2fsprogs says, and that nothing is lost with it.
pub(crate) fn assert_free(name: &str, image: &Path, kernel: &Listing) {
    let free = free_of(image, IfDirty::Refuse).unwrap_or_else(|error| {
        panic!("{name}: {}", crate::file_tree::story(&error));
    });
    assert_eq!(free, listed_free(image), "{name}");
    if !name.contains("bigalloc") {
        assert_eq!(free, left_out_by_partclone(image), "{name}");
    }
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
    assert_not_taken(name, &copy, &free);
    std::fs::remove_file(copy).unwrap();
}

/// Asserts that e2image does not take along what is free: what it takes is what it takes for used.
pub(crate) fn assert_not_taken(name: &str, image: &Path, free: &[Range<u64>]) {
    let taken = image.with_extension("taken");
    let mut e2image = Command::new("e2image");
    tool("e2fsprogs", e2image.arg("-ra").arg(image).arg(&taken));
    assert_zeros(name, &taken, free);
    std::fs::remove_file(taken).unwrap();
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
