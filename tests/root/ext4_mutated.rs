//! Damaged metadata: no panic, no end that does not come, no memory beyond what is stored; and a
//! file that is shown without an error is the file that the kernel shows.

use crate::ext4_free::free_of;
use crate::file_tree;
use crate::support::Scratch;
use crate::support::crashes::replayed_by_the_kernel;
use crate::support::ext4_kinds::named;
use crate::support::listing::{Answer, Listing};
use crate::support::mutated::{Change, Metadata};
use crate::support::sparse::data_segments;
use crate::support::unlike::{errors, silent_differences};
use ploopconv::ext4::IfDirty;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many images of each kind every run of the tests tries, and how many the long one.
const FEW: u64 = 30;
const MANY: u64 = 1000;

/// How long a list may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a list may take of memory, in KiB.
const MEMORY: u64 = 256 << 10;

/// A sound image, whose copies are damaged.
struct Sound {
    scratch: Scratch,
    size: u64,
    /// Everything that is no hole.
    pieces: Vec<(u64, Vec<u8>)>,
    bytes: Vec<u8>,
    metadata: Metadata,
}

impl Sound {
    fn new(kind: &str) -> Self {
        let scratch = Scratch::new();
        let image = scratch.path().join("sound");
        named(kind).small().make(&image);
        let file = File::open(&image).unwrap();
        let size = file.metadata().unwrap().len();
        let pieces = data_segments(&file, size).into_iter().map(|(from, to)| {
            let mut bytes = vec![0; (to - from) as usize];
            file.read_exact_at(&mut bytes, from).unwrap();
            (from, bytes)
        });
        let pieces = pieces.collect();
        let bytes = std::fs::read(&image).unwrap();
        let metadata = Metadata::of(&image);
        Self {
            scratch,
            size,
            pieces,
            bytes,
            metadata,
        }
    }

    /// A copy with these changes, in place of the one before.
    fn changed(&self, changes: &[Change]) -> PathBuf {
        let path = self.scratch.path().join("changed");
        let file = File::create(&path).unwrap();
        file.set_len(self.size).unwrap();
        for (from, bytes) in &self.pieces {
            file.write_all_at(bytes, *from).unwrap();
        }
        for (place, byte) in changes {
            file.write_all_at(&[*byte], *place).unwrap();
        }
        path
    }
}

/// What came of the images.
#[derive(Debug, Default)]
struct Count {
    /// Opened, and without any error.
    sound: u64,
    damaged: u64,
    refused: u64,
    /// Images of which the kernel could not read something that ours did.
    kernel_only: u64,
}

/// Images whose damage was noticed.
fn noticed(count: &Count) -> u64 {
    count.damaged + count.refused
}

/// Tries images with these numbers, and asserts what has to hold.
fn never_wrong_in_silence(kind: &str, seeds: std::ops::Range<u64>) {
    let sound = Sound::new(kind);
    let mut count = Count::default();
    let mut wrong = Vec::new();
    let many = seeds.end - seeds.start;
    // Of a kind without checksums, thirty images may by chance all be changed where nothing is:
    // then others are tried, until damage is noticed.
    for seed in seeds.start..seeds.start + many * 10 {
        if seed >= seeds.end && noticed(&count) >= many / 20 {
            break;
        }
        let changes = sound.metadata.changes(&sound.bytes, seed);
        let image = sound.changed(&changes);
        let problems = match list(&image) {
            Ok(ours) => compared(&image, &ours, &mut count),
            Err(problem) => vec![problem],
        };
        if !problems.is_empty() {
            let place = std::env::temp_dir().join(format!("ploopconv-mutated-{kind}-{seed}"));
            std::fs::copy(sound.changed(&changes), &place).unwrap();
            let problems: String = problems.join("\n  ").chars().take(1000).collect();
            let changes = &changes[..changes.len().min(4)];
            wrong.push(format!("{}: {changes:x?}: {problems}", place.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{kind}: {} of {count:?}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // Some of it is noticed, and some of a file system is read all the same.
    assert!(noticed(&count) >= many / 20, "{count:?}");
    assert!(count.sound + count.damaged >= many / 3, "{count:?}");
}

/// Our list, or what must not happen.
fn list(image: &Path) -> Result<Answer<Listing>, String> {
    // What was used before counts for nothing.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak();
    let start = Instant::now();
    let list = std::panic::catch_unwind(|| file_tree::list_of(image));
    // So are its free blocks looked for, whatever comes of it.
    let free = std::panic::catch_unwind(|| free_of(image, IfDirty::Replay).is_ok());
    let free = free.map_err(|_| "panic in the search for free blocks".to_owned());
    let list = list.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!("panic: {}", text.unwrap_or("without a message"))
    })?;
    free?;
    if start.elapsed() > PATIENCE {
        return Err(format!("{:?} for a list", start.elapsed()));
    }
    let taken = peak().saturating_sub(before);
    if taken > MEMORY {
        return Err(format!("{taken} KiB for a list"));
    }
    Ok(list)
}

/// The most memory that was used, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches("kB").trim();
    number.parse().unwrap()
}

fn compared(image: &Path, ours: &Answer<Listing>, count: &mut Count) -> Vec<String> {
    let Ok(ours) = ours else {
        count.refused += 1;
        return Vec::new();
    };
    match errors(ours).is_empty() {
        true => count.sound += 1,
        false => count.damaged += 1,
    }
    match replayed_by_the_kernel(image) {
        Ok(kernel) => {
            if errors(ours).is_empty() && !errors(&kernel).is_empty() {
                count.kernel_only += 1;
            }
            silent_differences(&kernel, ours)
        }
        Err(_) => {
            count.kernel_only += 1;
            Vec::new()
        }
    }
}

/// For each kind a short test, and a long one that `tests/mutate` runs.
macro_rules! each {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn a_few_changes() {
                super::never_wrong_in_silence(stringify!($name), 0..super::FEW);
            }

            #[test]
            #[ignore = "takes minutes: tests/mutate"]
            fn many_changes() {
                super::never_wrong_in_silence(stringify!($name), 0..super::MANY);
            }
        }
    )*};
}

each! {
    openvz6 ext2_1k ext2_rev0 ext3_1k ext4 inode128 inline_data_plain ea_inode_1k bigalloc no_extent
    meta_bg_64 uninit_bg
}
