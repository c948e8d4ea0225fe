//! `--compact` where root is needed: copies that are mounted, block devices, shared blocks.

use crate::sharing::file_system;
use crate::support::divided::MIB;
use crate::support::ext4_kinds::{list_of, named};
use crate::support::free_blocks::listed_free;
use crate::support::hints::shell;
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::unlike::differences;
use crate::support::{Scratch, convert};
use crate::tools::tool;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A raw disk in a ploop image.
fn image(raw: &Path, folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let image = folder.join("root.hdd");
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", qemu.args([raw, &image]));
    image
}

/// An ext4 that had more in it, and its bytes without the free blocks.
fn used_ext4(scratch: &Scratch) -> (PathBuf, Vec<u8>) {
    let raw = scratch.path().join("disk.raw");
    named("ext4").small().make(&raw);
    let mounted = Mounted::image(&raw, &scratch.path().join("used"), "loop");
    fs::write(mounted.dir.join("gone"), vec![7; 8 << 20]).unwrap();
    tool(
        "coreutils",
        Command::new("sync").arg("-f").arg(&mounted.dir),
    );
    fs::remove_file(mounted.dir.join("gone")).unwrap();
    mounted.end();
    let mut bytes = fs::read(&raw).unwrap();
    for range in listed_free(&raw) {
        bytes[range.start as usize..range.end as usize].fill(0);
    }
    (raw, bytes)
}

#[test]
fn a_device_gets_zeros_for_free_blocks() {
    let scratch = Scratch::new();
    let (raw, right) = used_ext4(&scratch);
    let image = image(&raw, &scratch.source());
    let backing = scratch.path().join("device");
    fs::write(&backing, vec![0xdb; right.len() + MIB as usize]).unwrap();
    let device = Loop::new(&backing);
    convert(&image, &device.path)
        .args(["-f", "--compact", "--verify"])
        .run()
        .done();
    drop(device);
    let made = fs::read(&backing).unwrap();
    assert!(made[..right.len()] == right);
    assert!(made[right.len()..].iter().all(|&byte| byte == 0xdb));
}

#[test]
fn what_is_in_use_is_shared_and_the_rest_is_not() {
    let scratch = Scratch::new();
    let (raw, right) = used_ext4(&scratch);
    for kind in ["btrfs", "xfs"] {
        let mounted = file_system(&scratch, kind, &[]);
        let image = image(&raw, &mounted.dir.join("source"));
        let target = mounted.dir.join("disk.raw");
        let run = convert(&image, &target).args(["--compact", "--json", "--verify"]);
        let report = run.run().done().json();
        assert!(fs::read(&target).unwrap() == right, "{kind}");
        let number = |name: &str| report[name].as_u64().unwrap();
        assert_eq!(number("shared_bytes"), number("data_bytes"), "{report}");
        assert!(number("left_out_bytes") >= 8 * MIB, "{report}");
        drop(mounted);
    }
}

/// What the hint for a journal says: the copy replays it, and fstrim makes holes of free blocks.
#[test]
fn a_copy_of_a_dirty_file_system_helps_itself() {
    let scratch = Scratch::new();
    let (raw, _) = used_ext4(&scratch);
    let dirty = scratch.path().join("dirty.raw");
    let mounted = Mounted::image(&raw, &scratch.path().join("working"), "loop");
    fs::write(mounted.dir.join("newest"), "newest").unwrap();
    fs::write(mounted.dir.join("removed"), vec![9; 4 << 20]).unwrap();
    tool(
        "coreutils",
        Command::new("sync").arg("-f").arg(&mounted.dir),
    );
    fs::remove_file(mounted.dir.join("removed")).unwrap();
    tool(
        "coreutils",
        Command::new("sync").arg("-f").arg(&mounted.dir),
    );
    fs::copy(&raw, &dirty).unwrap();
    mounted.end();
    let right = list_of(&raw);
    let image = image(&dirty, &scratch.source());
    let target = scratch.target();
    let run = convert(&image, &target).arg("--compact").run().refused(
        1,
        &[
            "which of its blocks are free stands in its journal",
            "a copy replays its journal when it is mounted writable",
        ],
    );
    let line = run.stderr.lines().find_map(|line| {
        let (_, command) = line.split_once("with its free blocks: ")?;
        Some(command.to_owned())
    });
    assert_eq!(shell(&line.unwrap()).status, Some(0));
    let before = fs::metadata(&target).unwrap().blocks();
    let mounted = Mounted::image(&target, &scratch.path().join("copy"), "loop");
    tool("util-linux", Command::new("fstrim").arg(&mounted.dir));
    mounted.end();
    tool("e2fsprogs", Command::new("e2fsck").arg("-fn").arg(&target));
    let differences = differences(&right, &list_of(&target));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Where the kernel puts a new file is its choice: what was removed may lie where older
    // removed files lay. Only the least is known of what becomes holes.
    let after = fs::metadata(&target).unwrap().blocks();
    assert!(after + (4 << 20) / 512 <= before, "{before} {after}");
    let free: u64 = listed_free(&target)
        .iter()
        .map(|it| it.end - it.start)
        .sum();
    let used = fs::metadata(&target).unwrap().len() - free;
    assert!(after * 512 <= used + MIB, "{after} sectors of {used} bytes");
}
