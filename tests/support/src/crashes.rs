//! What a disk holds when the power fails: states of a file system that is mounted and worked with,
//! between one write and the next.

use super::ext4_kinds::mke2fs;
use super::listing::{Answer, Listing, of_mount};
use super::loops::Loop;
use super::system::Mounted;
use super::tools::tool;
use super::workload::{Last, Workload};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a file system is made and mounted, and what is done with it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub mke2fs: &'static str,
    /// Options of the mount.
    pub options: &'static str,
    pub mib: u64,
    pub steps: u64,
    pub last: Last,
    pub seed: u64,
}

/// A state of the disk.
#[derive(Debug)]
pub struct State {
    pub name: String,
    pub image: Vec<u8>,
    /// Whether a disk that keeps its promises can be in this state; otherwise a write was lost that
    /// it said was done.
    pub is_honest: bool,
}

/// Works with a file system, and hands out the states that its disk was in or could have been in.
pub fn crash(plan: &Plan, folder: &Path, mut check: impl FnMut(&State)) {
    let image = folder.join("crashing");
    mke2fs(&image, plan.mib << 20, plan.mke2fs);
    let log = Log::of(&image);
    // Only what is asked for is committed.
    let options = format!("loop,commit=900,{}", plan.options);
    let mounted = Mounted::image(&image, &folder.join("crashing.mounted"), &options);
    let mut work = Workload::new(&mounted.dir, plan.seed);
    let mut before = std::fs::read(&image).unwrap();
    for step in 0..plan.steps {
        work.step(plan.last);
        let after = std::fs::read(&image).unwrap();
        let state = |name: &str, image: Vec<u8>, is_honest| State {
            name: format!("step {step}, {name}"),
            image,
            is_honest,
        };
        check(&state("whole", after.clone(), true));
        let changed = log.changed(&before, &after);
        let end = changed.len();
        // The log is written from its head on, the block that makes it valid last.
        let part = 1 + work.below(end.max(2) as u64 - 1) as usize;
        for (name, kept) in [
            ("all but the last", end.saturating_sub(1)),
            ("a part", part),
        ] {
            let mut image = before.clone();
            log.copy(&changed[..kept.min(end)], &after, &mut image);
            check(&state(&format!("{name}, {kept} of {end}"), image, true));
        }
        if end > 2 {
            let lost = work.below(end as u64) as usize;
            let mut image = after.clone();
            log.copy(&changed[lost..=lost], &before, &mut image);
            check(&state(&format!("lost {lost} of {end}"), image, false));
        }
        before = after;
    }
    mounted.end();
}

/// Works with a file system and copies its disk all the while: states that no disk was in, whose
/// parts are of different moments.
pub fn torn(plan: &Plan, folder: &Path, copies: usize, mut check: impl FnMut(&State)) {
    let image = folder.join("torn");
    mke2fs(&image, plan.mib << 20, plan.mke2fs);
    let options = format!("loop,{}", plan.options);
    let mounted = Mounted::image(&image, &folder.join("torn.mounted"), &options);
    let mut work = Workload::new(&mounted.dir, plan.seed);
    let done = AtomicBool::new(false);
    let states: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                work.step(plan.last);
            }
        });
        let states = (0..copies).map(|number| {
            std::thread::sleep(Duration::from_millis(30));
            let image = std::fs::read(&image).unwrap();
            let name = format!("copy {number}");
            State {
                name,
                image,
                is_honest: false,
            }
        });
        let states = states.collect();
        done.store(true, Ordering::Relaxed);
        states
    });
    mounted.end();
    states.iter().for_each(&mut check);
}

/// The blocks of a journal.
struct Log {
    /// In the order of the journal; the first one is its superblock.
    blocks: Vec<u64>,
    block_size: u64,
}

impl Log {
    /// Asks debugfs.
    fn of(image: &Path) -> Self {
        let debugfs = |request: &str| {
            let mut debugfs = Command::new("debugfs");
            tool("e2fsprogs", debugfs.args(["-R", request]).arg(image))
        };
        let stats = debugfs("stats -h");
        let size = stats
            .lines()
            .find_map(|line| line.strip_prefix("Block size:"));
        let blocks = debugfs("blocks <8>");
        let blocks = blocks.split_whitespace().map(|word| word.parse().unwrap());
        Self {
            blocks: blocks.collect(),
            block_size: size.unwrap().trim().parse().unwrap(),
        }
    }

    fn range(&self, block: u64) -> std::ops::Range<usize> {
        let start = usize::try_from(block * self.block_size).unwrap();
        start..start + usize::try_from(self.block_size).unwrap()
    }

    /// The blocks of the log that two states differ in, in the order in which they were written,
    /// as far as that shows: a log that went past its end goes on at its start.
    fn changed(&self, before: &[u8], after: &[u8]) -> Vec<u64> {
        let is_changed = |number: usize| {
            let range = self.range(self.blocks[number]);
            before[range.clone()] != after[range]
        };
        let numbers: Vec<usize> = (1..self.blocks.len())
            .filter(|&at| is_changed(at))
            .collect();
        let set: BTreeSet<usize> = numbers.iter().copied().collect();
        let last = self.blocks.len() - 1;
        let wraps = set.contains(&1) && set.contains(&last);
        // After the gap, where there is one.
        let gap = numbers.windows(2).position(|pair| pair[1] > pair[0] + 1);
        let start = gap.filter(|_| wraps).map_or(0, |at| at + 1);
        let ordered = numbers[start..].iter().chain(&numbers[..start]);
        ordered.map(|&number| self.blocks[number]).collect()
    }

    fn copy(&self, blocks: &[u64], from: &[u8], to: &mut [u8]) {
        for &block in blocks {
            let range = self.range(block);
            to[range.clone()].copy_from_slice(&from[range]);
        }
    }
}

/// What the kernel lists of an image after it replayed its journal, which it writes into the image;
/// an error where it does not mount it.
pub fn replayed_by_the_kernel(image: &Path) -> Answer<Listing> {
    let device = Loop::new(image);
    let dir: PathBuf = image.with_extension("replayed");
    std::fs::create_dir_all(&dir).unwrap();
    // It replays fast commits only where it may write afterwards, too.
    let mut done = None;
    for options in ["ro,errors=continue", "rw,noatime,errors=continue"] {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", options]);
        let output = mount.arg(&device.path).arg(&dir).output().unwrap();
        let mounted = output.status.success();
        done = Some(output);
        if mounted {
            break;
        }
    }
    let done = done.unwrap();
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let mounted = Mounted { dir };
    let list = of_mount(&mounted.dir);
    mounted.end();
    Ok(list)
}
