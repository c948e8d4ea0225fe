//! Damage in the metadata of file systems, by chance.

use super::chance::Chance;
use super::tools::tool;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Where a file system keeps what is not the contents of files.
#[derive(Debug)]
pub struct Metadata {
    /// In bytes, `[from, to)`.
    ranges: Vec<(u64, u64)>,
}

/// A byte that is changed: where, and what it becomes.
pub type Change = (u64, u8);

impl Metadata {
    /// Asks e2image, which keeps nothing else.
    pub fn of(image: &Path) -> Self {
        let kept = image.with_extension("e2image");
        let _ = std::fs::remove_file(&kept);
        let mut e2image = Command::new("e2image");
        tool("e2fsprogs", e2image.arg("-r").arg(image).arg(&kept));
        let file = File::open(&kept).unwrap();
        let ranges = super::sparse::data_segments(&file, file.metadata().unwrap().len());
        std::fs::remove_file(&kept).unwrap();
        // Of what is written in units of the host, only what is not zero.
        Self { ranges }
    }

    /// Some changes, for a number: few or many, single bits or whole bytes, and now and then in one
    /// place. `bytes` are those of the image.
    pub fn changes(&self, bytes: &[u8], seed: u64) -> Vec<Change> {
        let mut chance = Chance::of(seed);
        let mut below = |end| chance.below(end);
        let sum: u64 = self.ranges.iter().map(|(from, to)| to - from).sum();
        let count = [1, 1, 2, 4, 16, 64][below(6) as usize];
        let mut changes: Vec<Change> = Vec::new();
        let mut tries = 0;
        while changes.len() < count && tries < 100_000 {
            tries += 1;
            let near = changes
                .last()
                .filter(|_| seed.is_multiple_of(3))
                .map(|change| change.0);
            let place = match near {
                Some(near) => near + below(16),
                None => self.place(below(sum)),
            };
            // Most of a table of inodes is empty: what says something is changed more often.
            let old = bytes[place as usize % bytes.len()];
            let empty = bytes[place as usize / 128 * 128..].iter().take(128);
            if empty.copied().all(|byte| byte == 0) && tries % 50 != 0 {
                continue;
            }
            let new = match below(4) {
                0 => below(256) as u8,
                1 => [0, 1, 0x7f, 0x80, 0xff][below(5) as usize],
                _ => old ^ 1 << below(8),
            };
            changes.push((place % bytes.len() as u64, new));
        }
        changes
    }

    fn place(&self, mut number: u64) -> u64 {
        for (from, to) in &self.ranges {
            if number < to - from {
                return from + number;
            }
            number -= to - from;
        }
        0
    }
}
