//! Bitmaps that are wrong and have right checksums and counts: a used block is never taken for a
//! free one in silence. And file systems that were worked with at random.

use crate::ext4_free::{assert_free, free_of, spoiled};
use crate::file_tree::story;
use crate::support::Scratch;
use crate::support::chance::Chance;
use crate::support::ext4_kinds::{KINDS, Kind, list_of, named};
use crate::support::free_blocks::{count_again, debugfs};
use crate::support::listing::Listing;
use crate::support::system::Mounted;
use crate::support::tools::tool;
use crate::support::unlike::differences;
use crate::support::workload::{Last, Workload};
use ploopconv::ext4::IfDirty;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many images of each kind every run of the tests tries, and how many the long one.
pub(crate) const FEW: u64 = 12;
pub(crate) const MANY: u64 = 1000;

/// How many histories there are in every run of the tests, and in the long one.
pub(crate) const FEW_HISTORIES: u64 = 4;
const MANY_HISTORIES: u64 = 200;

/// What came of the images.
#[derive(Debug, Default)]
struct Count {
    refused: u64,
    accepted: u64,
}

/// An image, with what it has.
pub(crate) struct Sound {
    scratch: Scratch,
    image: PathBuf,
    /// What has the files of an image.
    reader: fn(&Path) -> Listing,
    list: Listing,
    /// The first and the last one of runs of blocks that are in use, and of inodes.
    used: [Vec<(u64, u64)>; 2],
    blocks: u64,
    inodes: u64,
}

impl Sound {
    fn new(kind: &str) -> Self {
        let scratch = Scratch::new();
        let image = scratch.path().join("sound");
        named(kind).small().make(&image);
        Self::of(scratch, image, list_of)
    }

    /// `reader` is not this program, and lists the files of an image.
    pub(crate) fn of(scratch: Scratch, image: PathBuf, reader: fn(&Path) -> Listing) -> Self {
        let list = reader(&image);
        let dump = tool("e2fsprogs", Command::new("dumpe2fs").arg(&image));
        let number = |name: &str| {
            let line = dump.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse().unwrap()
        };
        let (blocks, inodes) = (number("Block count:"), number("Inode count:"));
        Self {
            used: [
                not_listed(&dump, "  Free blocks: ", blocks),
                not_listed(&dump, "  Free inodes: ", inodes + 1),
            ],
            blocks,
            inodes,
            scratch,
            image,
            reader,
            list,
        }
    }

    /// A copy in which debugfs marks blocks and inodes free or used that are not; counts and
    /// checksums are right.
    fn mutated(&self, seed: u64) -> (PathBuf, String) {
        let mut chance = Chance::of(seed);
        let mut requests = String::new();
        for _ in 0..[1, 1, 1, 2, 8][chance.below(5) as usize] {
            let block = 1 + chance.below(self.blocks - 5);
            let inode = 1 + chance.below(self.inodes);
            let [used_block, used_inode] = [0, 1].map(|of: usize| {
                let runs = &self.used[of];
                let (first, last) = runs[chance.below(runs.len() as u64) as usize];
                (first + chance.below(last + 1 - first)).max(1)
            });
            let len = 1 + chance.below(4);
            requests += &match chance.below(10) {
                0..=2 => format!("freeb {used_block}\n"),
                3 => format!("freeb {block} {len}\n"),
                4 | 5 => format!("freei <{used_inode}>\n"),
                6 | 7 => format!("setb {block} {len}\n"),
                8 => format!("freei <{inode}>\n"),
                _ => format!("seti <{inode}>\n"),
            };
        }
        let copy = self.scratch.path().join("mutated");
        std::fs::copy(&self.image, &copy).unwrap();
        debugfs(&copy, &requests);
        count_again(&copy);
        (copy, requests)
    }
}

/// Tries images with these numbers, and asserts that none loses a file in silence.
fn nothing_is_lost(kind: &str, seeds: std::ops::Range<u64>) {
    assert_nothing_is_lost(kind, &Sound::new(kind), seeds);
}

/// The same of one image that is damaged for each number.
#[expect(
    clippy::print_stdout,
    reason = "the counts of a long run are its result"
)]
pub(crate) fn assert_nothing_is_lost(kind: &str, sound: &Sound, seeds: std::ops::Range<u64>) {
    let mut count = Count::default();
    let mut wrong = Vec::new();
    for seed in seeds {
        let (image, requests) = sound.mutated(seed);
        match free_of(&image, IfDirty::Refuse) {
            Err(_) => count.refused += 1,
            Ok(free) => {
                count.accepted += 1;
                let copy = sound.scratch.path().join("copy");
                spoiled(&image, &copy, &free);
                let lost = differences(&sound.list, &(sound.reader)(&copy));
                if !lost.is_empty() {
                    let lost: String = lost.join("\n  ").chars().take(600).collect();
                    wrong.push(format!("{seed}: {requests}: {lost}"));
                }
            }
        }
    }
    println!("{kind}: {count:?}, {} lose a file", wrong.len());
    assert!(wrong.is_empty(), "{kind}: {count:?}\n{}", wrong.join("\n"));
    assert!(count.refused > 0 && count.accepted > 0, "{kind}: {count:?}");
}

/// The runs between those that dumpe2fs lists under a name, below `end`: first and last one.
fn not_listed(dump: &str, name: &str, end: u64) -> Vec<(u64, u64)> {
    let lists = dump.lines().filter_map(|line| line.strip_prefix(name));
    let runs = lists
        .flat_map(|line| line.split(", "))
        .filter(|run| !run.is_empty());
    let mut next = 1;
    let mut found = Vec::new();
    for run in runs {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let first = first.parse().unwrap();
        if next < first {
            found.push((next, first - 1));
        }
        next = last.parse::<u64>().unwrap() + 1;
    }
    if next < end {
        found.push((next, end - 1));
    }
    found
}

/// For each kind a short test, and a long one that `tests/mutate` runs.
macro_rules! each {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn a_few_changes() {
                super::nothing_is_lost(stringify!($name), 0..super::FEW);
            }

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn many_changes() {
                super::nothing_is_lost(stringify!($name), 0..super::MANY);
            }
        }
    )*};
}

each! {
    openvz6 ext2_1k ext2_rev0 ext3_1k ext4 inode128 inline_data_plain ea_inode_1k bigalloc no_extent
    meta_bg_64 uninit_bg
}

/// Works with file systems of every kind in turn, and asserts that nothing of them is lost.
fn worked_with(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let kinds: Vec<_> = KINDS.iter().filter(|kind| is_written(kind)).collect();
        let kind = kinds[seed as usize % kinds.len()];
        let scratch = Scratch::new();
        let image = scratch.path().join("image");
        kind.small().make(&image);
        let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
        work(&mounted.dir, seed);
        mounted.end();
        let name = format!("history {seed} of {}", kind.name);
        free_of(&image, IfDirty::Refuse)
            .unwrap_or_else(|error| panic!("{name}: {}", story(&error)));
        assert_free(&name, &image, &list_of(&image));
    }
}

/// Kernels without quotas mount such a file system only to be read, and without Unicode none whose
/// names have no case.
fn is_written(kind: &Kind) -> bool {
    !matches!(kind.name, "quota" | "casefold")
}

fn work(dir: &Path, seed: u64) {
    let mut work = Workload::new(dir, seed);
    for _ in 0..1 + work.below(12) {
        work.step(Last::Everything);
    }
}

#[test]
fn a_few_histories() {
    worked_with(0..FEW_HISTORIES);
}

/// The long run in four parts, each a test.
macro_rules! many_histories {
    ($histories:path) => {
        mod many_changes_of_a_history {
            use crate::ext4_free_mutated::quarter;

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn first() {
                $histories(quarter(0));
            }

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn second() {
                $histories(quarter(1));
            }

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn third() {
                $histories(quarter(2));
            }

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn last() {
                $histories(quarter(3));
            }
        }
    };
}
pub(crate) use many_histories;

/// The numbers of a part of the histories.
pub(crate) fn quarter(part: u64) -> std::ops::Range<u64> {
    let len = MANY_HISTORIES / 4;
    part * len..(part + 1) * len
}

many_histories!(crate::ext4_free_mutated::worked_with);
