//! The free blocks of file systems of the ext family, as e2fsprogs lists them.

use super::tools::tool;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

/// A number that dumpe2fs says of the whole file system.
fn stated(dump: &str, name: &str) -> Option<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// The free ranges in bytes, as dumpe2fs lists them: those of a group after those of another.
pub fn listed_by_groups(image: &Path) -> Vec<Range<u64>> {
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
pub fn listed_free(image: &Path) -> Vec<Range<u64>> {
    let mut free: Vec<Range<u64>> = Vec::new();
    for range in listed_by_groups(image) {
        match free.last_mut() {
            Some(before) if before.end == range.start => before.end = range.end,
            _ => free.push(range),
        }
    }
    free
}

/// The free ranges in bytes, as partclone would leave them out. It counts blocks where a bitmap has
/// clusters, so it takes no file system with `bigalloc`.
pub fn left_out_by_partclone(image: &Path) -> Vec<Range<u64>> {
    let [domain, log] = ["domain", "log"].map(|end| image.with_extension(end));
    let mut partclone = Command::new("partclone.ext4");
    partclone.args(["--quiet", "--domain", "--source"]);
    partclone.arg(image).arg("--output").arg(&domain);
    tool("partclone", partclone.arg("--logfile").arg(&log));
    let text = std::fs::read_to_string(&domain).unwrap();
    for file in [domain, log] {
        std::fs::remove_file(file).unwrap();
    }
    // A map as ddrescue has it: + for what is used, and ? for what is not.
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap();
    let runs = text.lines().filter_map(|line| {
        let mut words = line.strip_suffix("  ?")?.split_whitespace();
        let start = number(words.next()?);
        // The line of the position has one number.
        Some(start..start + number(words.next()?))
    });
    runs.collect()
}

/// Lets the counts of groups and superblock be those of the bitmaps, with their checksums: debugfs
/// marks blocks and inodes free or used, and counts nothing.
pub fn count_again(image: &Path) {
    let dump = tool("e2fsprogs", Command::new("dumpe2fs").arg(image));
    let block = stated(&dump, "Block size:").unwrap();
    let cluster = stated(&dump, "Cluster size:").map_or(1, |size| size / block);
    let count = |list: &str, unit: u64| -> u64 {
        let runs = list.trim().split(", ").filter(|run| !run.is_empty());
        let len = runs.map(|run| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            (last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap()) / unit + 1
        });
        len.sum()
    };
    let mut requests = String::new();
    let (mut blocks, mut inodes) = (0, 0);
    for group in dump.split("\nGroup ").skip(1) {
        let number = group.split(':').next().unwrap();
        let list = |name: &str| group.lines().find_map(|line| line.strip_prefix(name));
        let free = count(list("  Free blocks:").unwrap_or_default(), cluster);
        let free_inodes = count(list("  Free inodes:").unwrap_or_default(), 1);
        blocks += free * cluster;
        inodes += free_inodes;
        requests += &format!(
            "set_bg {number} free_blocks_count {free}\nset_bg {number} free_inodes_count \
             {free_inodes}\nset_bg {number} checksum calc\n"
        );
    }
    requests += &format!("ssv free_blocks_count {blocks}\nssv free_inodes_count {inodes}\n");
    debugfs(image, &requests);
}

/// Gives debugfs requests, a line each; what it says of them is no matter.
pub fn debugfs(image: &Path, requests: &str) {
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-f", "-"]).arg(image);
    debugfs.stdin(Stdio::piped());
    debugfs.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = debugfs.spawn().expect("debugfs of e2fsprogs is missing");
    let mut input = child.stdin.take().unwrap();
    input.write_all(requests.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}
