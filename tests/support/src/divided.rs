//! Disks that tools divide into partitions and fill with file systems, and what `sfdisk` and
//! `blkid` say of them.

use super::{Outcome, Program, Scratch, SourceGuard, info};
use crate::tools::tool;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const MIB: u64 = 1 << 20;

/// A raw disk that tools divide and fill, and that is put into an image at the end.
pub struct Raw {
    pub scratch: Scratch,
    pub path: PathBuf,
}

impl Raw {
    pub fn new(size: u64) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path().join("disk.raw");
        File::create_new(&path).unwrap().set_len(size).unwrap();
        Self { scratch, path }
    }

    /// Divided by `sgdisk` with these arguments.
    pub fn sgdisk(size: u64, args: &[&str]) -> Self {
        let raw = Self::new(size);
        sgdisk(&raw.path, args);
        raw
    }

    pub fn write(&self, bytes: &[u8], offset: u64) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    pub fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let file = File::open(&self.path).unwrap();
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    /// A file system of this size, made in a file by `make`, and copied to `offset`.
    pub fn fill(&self, offset: u64, size: u64, make: impl FnOnce(&Path)) {
        let path = self.scratch.path().join("part");
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        make(&path);
        let file = File::open(&path).unwrap();
        let mut piece = vec![0; MIB as usize];
        for at in (0..size).step_by(piece.len()) {
            let piece = &mut piece[..usize::try_from((size - at).min(MIB)).unwrap()];
            file.read_exact_at(piece, at).unwrap();
            if piece.iter().any(|byte| *byte != 0) {
                self.write(piece, offset + at);
            }
        }
    }

    /// The disk as a ploop image.
    pub fn image(&self) -> PathBuf {
        let image = self.scratch.source().join("root.hdd");
        tool(
            "qemu-utils",
            Command::new("qemu-img")
                .args(["convert", "-f", "raw", "-O", "parallels"])
                .args([&self.path, &image]),
        );
        image
    }

    pub fn info(&self) -> Value {
        let image = self.image();
        let _guard = SourceGuard::new(&self.scratch.source());
        info(&image).run().done().json()
    }
}

pub fn sgdisk(disk: &Path, args: &[&str]) {
    tool("gdisk", Command::new("sgdisk").args(args).arg(disk));
}

/// Numbers, starts, sizes (in bytes) and types of the partitions, as `sfdisk` sees them.
pub fn sfdisk(disk: &Path) -> (Value, Vec<Value>) {
    let text = tool("fdisk", Command::new("sfdisk").arg("--json").arg(disk));
    let table = serde_json::from_str::<Value>(&text).unwrap()["partitiontable"].clone();
    let sector = table["sectorsize"].as_u64().unwrap();
    let parts = table["partitions"].as_array().cloned().unwrap_or_default();
    let parts = parts.iter().map(|part| {
        let node = part["node"].as_str().unwrap();
        let number = &node[disk.to_str().unwrap().len()..];
        let kind = part["type"].as_str().unwrap().to_lowercase();
        let kind = match table["label"].as_str().unwrap() {
            "dos" => format!("0x{kind:0>2}"),
            _ => kind,
        };
        json!({
            "number": number.trim_start_matches('p').parse::<u32>().unwrap(),
            "start": part["start"].as_u64().unwrap() * sector,
            "size": part["size"].as_u64().unwrap() * sector,
            "type": kind,
            "name": part["name"],
        })
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|part| part["number"].as_u64());
    (table, parts)
}

/// The same fields of our report.
pub fn places(report: &Value) -> Vec<Value> {
    let parts = report["partitions"].as_array().unwrap().iter();
    parts
        .map(|part| {
            json!({
                "number": part["number"],
                "start": part["start"],
                "size": part["size"],
                "type": part["type"],
                "name": part["name"],
            })
        })
        .collect()
}

/// What `blkid` finds in a range of a disk.
fn blkid(disk: &Path, start: u64, size: u64) -> BTreeMap<String, String> {
    let text = tool(
        "util-linux",
        Command::new("blkid")
            .args(["--probe", "--output", "udev"])
            .args(["--usages", "filesystem,raid,crypto,other"])
            .args(["--offset", &start.to_string(), "--size", &size.to_string()])
            .arg(disk),
    );
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Compares what a report says of a range with what `blkid` says.
#[track_caller]
pub fn assert_content(content: &Value, disk: &Path, start: u64, size: u64) {
    let theirs = blkid(disk, start, size);
    let kind = match theirs["ID_FS_TYPE"].as_str() {
        "crypto_LUKS" => "luks",
        "LVM2_member" => "lvm2",
        other => other,
    };
    assert_eq!(content["filesystem"], kind, "{content}");
    assert_eq!(
        content["uuid"].as_str(),
        theirs.get("ID_FS_UUID").map(|uuid| uuid.as_str())
    );
    // The udev format writes what is not plain as \x20; LABEL is only given where there is one.
    let label = theirs
        .get("ID_FS_LABEL_ENC")
        .map(|label| label.replace("\\x20", " "));
    assert_eq!(content["label"].as_str(), label.as_deref());
}

/// Makes a file system in a file.
pub type Maker = Box<dyn FnOnce(&Path)>;

pub fn make(package: &str, program: &str, args: &[&str]) -> Maker {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let (package, program) = (package.to_owned(), program.to_owned());
    Box::new(move |path| {
        tool(&package, Command::new(program).args(args).arg(path));
    })
}

pub fn ext4(label: &str) -> Maker {
    make(
        "e2fsprogs",
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-L", label],
    )
}

/// Runs `ploopconv COMMAND IMAGE ARGS`.
pub fn run(command: &str, image: &Path, args: &[&str]) -> Outcome {
    Program::new([command.as_ref(), image.as_os_str()])
        .args(args)
        .run()
}
