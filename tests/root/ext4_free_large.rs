//! Free blocks where blocks are larger than what this kernel mounts: debugfs works with the file
//! systems, and reads them.

use crate::ext4_free::{assert_not_taken, checked, free_of, spoiled};
use crate::ext4_free_mutated::{
    FEW, FEW_HISTORIES, MANY, Sound, assert_nothing_is_lost, many_histories,
};
use crate::ext4_special::as_copied;
use crate::file_tree;
use crate::support::Scratch;
use crate::support::chance::Chance;
use crate::support::ext4_kinds::mke2fs;
use crate::support::free_blocks::{debugfs, left_out_by_partclone, listed_free};
use crate::support::listing::{Listing, of_mount};
use crate::support::tools::tool;
use crate::support::unlike::differences;
use ploopconv::ext4::IfDirty;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// How file systems are made, and their size in MiB: the journal alone takes 1024 blocks.
const KINDS: [(&str, u64); 5] = [
    ("-t ext4 -b 65536 -g 256 -N 512 -O ^has_journal", 64),
    ("-t ext4 -b 65536 -N 512", 192),
    ("-t ext2 -b 65536 -g 512 -N 512", 64),
    (
        "-t ext4 -b 65536 -N 512 -O bigalloc,^has_journal -C 262144",
        128,
    ),
    ("-t ext3 -b 16384 -N 512", 64),
];

/// Where the kinds above begin that have blocks of 64 KiB and clusters of one block.
const WHOLE_BLOCKS: Range<usize> = 0..3;

/// The sizes of the files that are written.
const SIZES: [usize; 7] = [0, 50, 4097, 65_536, 70_000, 300_000, 3_000_000];

/// The files that debugfs copies out of an image, without what it does not copy.
fn dumped(image: &Path) -> Listing {
    let folder = image.with_extension("dumped");
    std::fs::create_dir(&folder).unwrap();
    let mut debugfs = Command::new("debugfs");
    let request = format!("rdump / {}", folder.display());
    // It says that it cannot read something on stderr, and ends well.
    tool("e2fsprogs", debugfs.args(["-R", &request]).arg(image));
    let mut list = as_copied(of_mount(&folder));
    std::fs::remove_dir_all(&folder).unwrap();
    for file in list.values_mut() {
        // debugfs gives links the time of the copy.
        let links = file.stat.iter_mut().filter(|stat| stat.letter == 'l');
        links.for_each(|stat| stat.modified = (0, 0));
    }
    list
}

/// What debugfs is asked to do with a file system, which depends on a number only. `pieces` has a
/// file for each of the sizes.
fn requests(pieces: &Path, seed: u64) -> String {
    let mut chance = Chance::of(seed);
    let mut files: Vec<String> = Vec::new();
    // One file stays, whatever comes.
    let mut requests = format!("write {} kept\n", pieces.join("5").display());
    let mut folders = 0;
    for made in 0..5 + chance.below(80) {
        let any = files.get(chance.below(files.len().max(1) as u64) as usize);
        let any = any.cloned().unwrap_or_default();
        let (from, to) = (chance.below(4), chance.below(40));
        requests += &match chance.below(14) {
            0..=4 => {
                let folder = chance.below(folders + 1);
                let folder = match folder {
                    0 => "/".to_owned(),
                    _ => format!("/folder{folder}/"),
                };
                let piece = pieces.join(chance.below(SIZES.len() as u64).to_string());
                let name = format!("file{made}-{}", "n".repeat(chance.below(100) as usize));
                files.push(format!("{folder}{name}"));
                format!("cd {folder}\nwrite {} {name}\ncd /\n", piece.display())
            }
            5 | 6 => {
                files.retain(|file| *file != any);
                format!("rm {any}\n")
            }
            7 => {
                folders += 1;
                format!("mkdir /folder{folders}\n")
            }
            8 => format!("mkdir /empty{made}\nmkdir /empty{made}/in\nrmdir /empty{made}/in\n"),
            9 => format!("symlink link{made} {}\n", "t".repeat(1 + to as usize * 30)),
            10 => format!("punch {any} {from} {}\n", from + to),
            11 => format!("fallocate {any} {from} {}\n", from + to),
            12 => format!(
                "ea_set {any} user.name {}\n",
                "v".repeat(1 + to as usize * 10)
            ),
            _ => format!("mknod fifo{made} p\n"),
        };
    }
    requests
}

fn pieces(scratch: &Scratch) -> std::path::PathBuf {
    let folder = scratch.path().join("pieces");
    std::fs::create_dir(&folder).unwrap();
    for (at, size) in SIZES.into_iter().enumerate() {
        let bytes = crate::support::image::pattern(at as u64, 0, size);
        std::fs::write(folder.join(at.to_string()), bytes).unwrap();
    }
    folder
}

/// Makes one of the kinds and works with it. debugfs forgets the blocks of attributes of a file
/// that it removes, so e2fsck frees them.
fn worked_with(image: &Path, kind: usize, pieces: &Path, seed: u64) {
    let (options, mib) = KINDS[kind];
    mke2fs(image, mib << 20, options);
    debugfs(image, &requests(pieces, seed));
    let mut e2fsck = Command::new("e2fsck");
    e2fsck.arg("-fy").arg(image).output().unwrap();
    let (status, said) = checked(image);
    assert_eq!(status, Some(0), "history {seed}, {options}: {said}");
}

fn histories(seeds: Range<u64>) {
    for seed in seeds {
        let scratch = Scratch::new();
        let pieces = pieces(&scratch);
        let image = scratch.path().join("image");
        let kind = seed as usize % KINDS.len();
        worked_with(&image, kind, &pieces, seed);
        let (options, _) = KINDS[kind];
        let name = format!("history {seed}, {options}");
        let free = free_of(&image, IfDirty::Refuse)
            .unwrap_or_else(|error| panic!("{name}: {}", file_tree::story(&error)));
        assert_eq!(free, listed_free(&image), "{name}");
        if !options.contains("bigalloc") {
            assert_eq!(free, left_out_by_partclone(&image), "{name}");
        }
        let copy = scratch.path().join("copy");
        spoiled(&image, &copy, &free);
        assert_eq!(checked(&copy), checked(&image), "{name}");
        let lists = [dumped(&image), dumped(&copy)];
        assert!(lists[0].len() > 1, "{name}");
        let lost = differences(&lists[0], &lists[1]);
        assert!(lost.is_empty(), "{name}: {}", lost.join("\n"));
        let ours = [&image, &copy].map(|image| file_tree::list_of(image).unwrap());
        let lost = differences(&ours[0], &ours[1]);
        assert!(lost.is_empty(), "{name}: {}", lost.join("\n"));
        assert_not_taken(&name, &copy, &free);
    }
}

#[test]
fn a_few_histories() {
    histories(0..FEW_HISTORIES);
}

many_histories!(crate::ext4_free_large::histories);

/// Bitmaps of each kind that are wrong, so many of them.
fn bitmaps(count: u64) {
    for kind in WHOLE_BLOCKS {
        let scratch = Scratch::new();
        let image = scratch.path().join("sound");
        worked_with(&image, kind, &pieces(&scratch), 1);
        let (options, _) = KINDS[kind];
        let sound = Sound::of(scratch, image, dumped);
        assert_nothing_is_lost(options, &sound, 0..count);
    }
}

#[test]
fn a_few_bitmaps() {
    bitmaps(FEW);
}

#[test]
#[ignore = "takes minutes: tests/mutate"]
fn many_changes_of_bitmaps() {
    bitmaps(MANY);
}
