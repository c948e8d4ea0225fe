//! A Debian system on a disk of several layers: `tests/debian` makes what goes into them.

use super::tools::tool;
use super::{names_in, repository};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const CLUSTER: usize = 1 << 20;

pub fn script() -> Command {
    Command::new(repository("tests/debian"))
}

/// What became of the clusters that differ between two disks.
#[derive(Debug, Default)]
pub struct Filled {
    pub written: usize,
    /// Clusters that turned into zeros: entries over a hole of the file, as a discard leaves them.
    pub punched: usize,
}

/// Writes the clusters in which `after` differs from `before` into an empty version 2 image, in an
/// order that is not the disk's.
pub fn fill(image: &Path, before: &Path, after: &Path) -> Filled {
    let image = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    let mut header = [0; 64];
    image.read_exact_at(&mut header, 0).unwrap();
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    assert_eq!(&header[..16], b"WithouFreSpacExt");
    assert_eq!(
        word(28) as usize * 512,
        CLUSTER,
        "cluster size that ploop wrote"
    );
    assert_eq!(
        word(48) as usize * 512,
        CLUSTER,
        "data start that ploop wrote"
    );
    let count = word(32);
    let (before, after) = (File::open(before).unwrap(), File::open(after).unwrap());
    assert_eq!(
        after.metadata().unwrap().len(),
        u64::from(count) * CLUSTER as u64
    );

    let mut filled = Filled::default();
    let mut next = 1u32;
    for number in 0..count {
        let index = number * 397 % count;
        let mut pair = [vec![0; CLUSTER], vec![0; CLUSTER]];
        for (file, bytes) in [&before, &after].into_iter().zip(&mut pair) {
            file.read_exact_at(bytes, u64::from(index) * CLUSTER as u64)
                .unwrap();
        }
        let [old, new] = pair;
        if old == new {
            continue;
        }
        let host_offset = u64::from(next) * CLUSTER as u64;
        if new.iter().all(|byte| *byte == 0) {
            image.set_len(host_offset + CLUSTER as u64).unwrap();
            filled.punched += 1;
        } else {
            image.write_all_at(&new, host_offset).unwrap();
            filled.written += 1;
        }
        image
            .write_all_at(&next.to_le_bytes(), 64 + 4 * u64::from(index))
            .unwrap();
        next += 1;
    }
    filled
}

/// The layers of the descriptor in `dir`, in the order in which it names them.
pub fn layers(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dir.join("DiskDescriptor.xml")).unwrap();
    let names = text
        .split("<File>")
        .skip(1)
        .map(|rest| rest.split("</File>").next().unwrap());
    names.map(|name| dir.join(name)).collect()
}

/// Names, sizes, times and digests of everything in a folder.
pub fn state(dir: &Path) -> String {
    let files = names_in(dir).into_iter().map(|name| dir.join(name));
    let files: Vec<PathBuf> = files.chain([dir.to_owned()]).collect();
    let digests = tool(
        "coreutils",
        Command::new("sha256sum").args(&files[..files.len() - 1]),
    );
    digests
        + &tool(
            "coreutils",
            Command::new("stat")
                .args(["--format=%n %s %a %y %z"])
                .args(&files),
        )
}
