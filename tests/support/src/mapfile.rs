//! What `TARGET.lost` says, as ddrescue's own log reader understands it.

use crate::tools::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the list of a target is.
pub fn list_of(target: &Path) -> PathBuf {
    let mut path = target.as_os_str().to_owned();
    path.push(".lost");
    path.into()
}

/// The blocks of these kinds (`-` lost, `/` doubtful, `+` read) in units of `unit` bytes.
#[track_caller]
pub fn blocks(mapfile: &Path, kinds: &str, unit: u64) -> Vec<u64> {
    let mut command = Command::new("ddrescuelog");
    command.arg(format!("--list-blocks={kinds}"));
    command.arg(format!("--block-size={unit}"));
    let text = tool("gddrescue", command.arg(mapfile));
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Asserts that ddrescue takes the file for complete: it begins at 0, has no gap, and is of `size`.
#[track_caller]
pub fn assert_covers(mapfile: &Path, size: u64) {
    let unit = 512;
    let all = blocks(mapfile, "+-/", unit);
    let expected: Vec<u64> = (0..size.div_ceil(unit)).collect();
    assert_eq!(all, expected, "{}", mapfile.display());
    let text = std::fs::read_to_string(mapfile).unwrap();
    let sum: u64 = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            u64::from_str_radix(words[1].trim_start_matches("0x"), 16).unwrap()
        })
        .sum();
    assert_eq!(sum, size);
}
