//! Disks that are awkward to convert to qcow2, and what `qemu-img` says of the targets.

use super::image::{Version, pattern};
use super::{ChainBuilder, Fill, ImageBuilder, Model, Program, Scratch, convert};
use crate::tools::tool;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const SIZES: [&str; 10] = [
    "4K", "8K", "16K", "32K", "64K", "128K", "256K", "512K", "1M", "2M",
];

pub fn bytes_of(size: &str) -> u64 {
    let number: u64 = size[..size.len() - 1].parse().unwrap();
    number << if size.ends_with('M') { 20 } else { 10 }
}

/// A source and what it reads as.
pub struct Disk {
    pub name: &'static str,
    pub image: PathBuf,
    pub content: Vec<u8>,
    /// Whether a byte of some layer is there, holes of the files included.
    pub stored: Vec<bool>,
}

impl Disk {
    fn new(name: &'static str, image: PathBuf, model: &Model) -> Self {
        let content = model.content();
        let mut stored = vec![false; content.len()];
        for extent in model.extents().iter().filter(|e| e.stored.is_some()) {
            let from = usize::try_from(extent.offset).unwrap();
            stored[from..from + usize::try_from(extent.len).unwrap()].fill(true);
        }
        Self {
            name,
            image,
            content,
            stored,
        }
    }

    /// The content as a disk of whole sectors.
    pub fn sectors(&self) -> Vec<u8> {
        let mut all = self.content.clone();
        all.resize(all.len().next_multiple_of(512), 0);
        all
    }
}

pub fn text(seed: u64, len: usize) -> Vec<u8> {
    let words = [
        "ploop ",
        "cluster ",
        "of the ",
        "delta\n",
        "snapshot ",
        "0 ",
    ];
    let choice = pattern(seed, 0, len);
    let mut all: Vec<u8> = Vec::with_capacity(len + 16);
    for byte in choice {
        all.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        if all.len() >= len {
            break;
        }
    }
    all.truncate(len);
    all
}

/// Disks that are awkward in ways of their own.
pub fn disks(scratch: &Scratch) -> Vec<Disk> {
    let dir = |name: &str| scratch.source().join(name);
    let mut disks = Vec::new();

    // Clusters of one sector, so that a cluster of the target has many holes and owners.
    let tiny = ImageBuilder::v2().cluster_sectors(1).clusters(9001);
    let tiny = (0..40).fold(tiny, |image, k| image.store(k * 3));
    let tiny = (0..8).fold(tiny, |image, k| image.store(4000 + k));
    let tiny = tiny.fill(4100, Fill::FileHole).store(9000).store(8191);
    let file = tiny.write(&dir("tiny.hds"));
    disks.push(Disk::new("tiny", dir("tiny.hds"), &file.model("")));

    // An odd cluster and an odd size; noise, text, one byte, zeros in a hole and written zeros.
    let cluster = 63 * 512;
    let odd = ImageBuilder::v1()
        .cluster_sectors(63)
        .sectors(63 * 180 + 17)
        .store_all([170, 3, 4, 5, 6, 7, 8, 100])
        .fill(9, Fill::Byte(7))
        .fill(10, Fill::Byte(0))
        .fill(11, Fill::FileHole);
    let odd = (20..60).fold(odd, |image, k| {
        image.fill(k, Fill::Bytes(text(u64::from(k), cluster)))
    });
    let odd = (110..170).fold(odd, |image, k| match k % 3 {
        0 => image.store(k),
        1 => image.fill(k, Fill::Bytes(text(u64::from(k), 20_000))),
        _ => image.fill(k, Fill::Byte(0)),
    });
    let file = odd.fill(180, Fill::Byte(9)).write(&dir("odd.hds"));
    disks.push(Disk::new("odd", dir("odd.hds"), &file.model("")));

    // Three layers that hide each other, over the borders of the tables of small clusters.
    let layer = |seed| {
        ImageBuilder::new(Version::V2)
            .cluster_sectors(128)
            .clusters(100)
            .seed(seed)
    };
    let chain = ChainBuilder::base(&layer(1).store_all([99, 31, 32, 33, 0, 64]))
        .child(&layer(2).fill(32, Fill::FileHole).store(63))
        .child(&layer(3).store_all([95, 96]).fill(0, Fill::Byte(0)));
    let chain = chain.write(&dir("chain"));
    disks.push(Disk::new("chain", chain.dir.clone(), &chain.model()));

    // Nothing at all, and a disk that is full.
    let none = ImageBuilder::v2().clusters(50).write(&dir("none.hds"));
    disks.push(Disk::new("none", dir("none.hds"), &none.model("")));
    let full = ImageBuilder::v2().cluster_sectors(2048).clusters(5);
    let full = full.store_all([4, 2, 0, 1, 3]).write(&dir("full.hds"));
    disks.push(Disk::new("full", dir("full.hds"), &full.model("")));
    disks
}

pub fn qemu_img<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> String {
    tool("qemu-utils", Command::new("qemu-img").args(args))
}

pub fn qemu_json(command: &str, target: &Path) -> Value {
    let target = target.to_str().unwrap();
    let text = qemu_img([command, "-f", "qcow2", "--output=json", target]);
    serde_json::from_str(&text).unwrap()
}

/// Asserts that `qemu-img check` finds nothing at all and knows of no byte after the last one.
#[track_caller]
pub fn assert_clean(target: &Path) {
    let report = qemu_json("check", target);
    for complaint in ["leaks", "corruptions", "leaks-fixed", "corruptions-fixed"] {
        assert!(
            report[complaint].is_null(),
            "{}: {report}",
            target.display()
        );
    }
    assert_eq!(report["check-errors"], 0, "{report}");
    let len = std::fs::metadata(target).unwrap().len();
    assert_eq!(report["image-end-offset"], len, "{report}");
}

/// Asserts everything that `qemu-img` can tell of a target that holds these sectors.
#[track_caller]
pub fn assert_holds(target: &Path, sectors: &[u8], what: &str) {
    assert_clean(target);
    let raw = target.with_extension("expected");
    std::fs::write(&raw, sectors).unwrap();
    let (from, to) = (raw.to_str().unwrap(), target.to_str().unwrap());
    qemu_img(["compare", "-f", "raw", "-F", "qcow2", from, to]);
    let back = target.with_extension("back");
    qemu_img([
        "convert",
        "-f",
        "qcow2",
        "-O",
        "raw",
        to,
        back.to_str().unwrap(),
    ]);
    assert!(
        std::fs::read(&back).unwrap() == sectors,
        "{what}: read back"
    );
    std::fs::remove_file(raw).unwrap();
    std::fs::remove_file(back).unwrap();
}

/// The clusters that `qemu-img map` finds allocated.
pub fn allocated(target: &Path, size: usize, cluster: usize) -> Vec<bool> {
    let mut allocated = vec![false; size.div_ceil(cluster)];
    for extent in qemu_json("map", target).as_array().unwrap() {
        let number = |name: &str| usize::try_from(extent[name].as_u64().unwrap()).unwrap();
        if extent["present"] == true {
            let end = number("start") + number("length");
            allocated[number("start") / cluster..end.div_ceil(cluster)].fill(true);
        }
    }
    allocated
}

pub fn to_qcow2(image: &Path, target: &Path, size: &str, options: &[&str]) -> Program {
    convert(image, target)
        .args(["-f", "--cluster-size", size])
        .args(options)
}
