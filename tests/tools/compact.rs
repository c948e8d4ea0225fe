//! `--compact`: every target holds the disk without its free blocks, and a file system that does
//! not say for certain which these are is refused.

use crate::support::divided::{MIB, Maker, Raw, make};
use crate::support::free_blocks::{count_again, debugfs, listed_free};
use crate::support::hints::{Right, follow, quoted, shell};
use crate::support::served::Served;
use crate::support::{Program, Scratch, convert, info, names_in};
use crate::tools::tool;
use serde_json::Value;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXT4: u64 = 40 * MIB;
const OTHER: u64 = 4 * MIB;
const SWAP: u64 = 8 * MIB;

/// Where the partitions lie.
const PLACES: [Range<u64>; 3] = [
    MIB..MIB + EXT4,
    MIB + EXT4..MIB + EXT4 + OTHER,
    MIB + EXT4 + OTHER..MIB + EXT4 + OTHER + SWAP,
];

/// An ext4 with files, in which others were removed: their bytes are still there. In what debugfs
/// is asked for besides, BLOCK stands for one of the blocks of a file.
fn used_ext4(requests: &'static [&'static str]) -> Maker {
    Box::new(move |path| {
        let content = path.with_extension("content");
        fs::create_dir_all(content.join("kept")).unwrap();
        let noise = crate::support::image::pattern(3, 0, 12 << 20);
        fs::write(content.join("gone"), &noise).unwrap();
        fs::write(content.join("kept/file"), &noise[..3 << 20]).unwrap();
        fs::write(content.join("gone too"), &noise[..100_000]).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]);
        tool("e2fsprogs", mke2fs.arg(&content).arg(path));
        debugfs(path, "rm gone\nrm \"gone too\"\n");
        let mut bmap = Command::new("debugfs");
        let block = tool(
            "e2fsprogs",
            bmap.args(["-R", "bmap kept/file 10"]).arg(path),
        );
        debugfs(path, &requests.join("\n").replace("BLOCK", block.trim()));
        if requests.iter().any(|request| request.starts_with("free")) {
            count_again(path);
        }
        fs::remove_dir_all(&content).unwrap();
    })
}

/// A swap space that was used.
fn used_swap(path: &Path) {
    let noise = crate::support::image::pattern(4, 0, SWAP as usize);
    fs::write(path, noise).unwrap();
    make("util-linux", "mkswap", &["-q"])(path);
}

/// Noise that is no file system.
fn noise(path: &Path) {
    fs::write(path, crate::support::image::pattern(5, 0, OTHER as usize)).unwrap();
}

/// A disk with ext4, something unknown and swap space.
fn mixed(requests: &'static [&'static str]) -> Raw {
    let raw = Raw::sgdisk(
        56 * MIB,
        &["-n1:2048:+40M", "-n2:0:+4M", "-n3:0:+8M", "-t3:8200"],
    );
    let [ext4, other, swap] = PLACES;
    raw.fill(ext4.start, EXT4, used_ext4(requests));
    raw.fill(other.start, OTHER, noise);
    raw.fill(swap.start, SWAP, used_swap);
    raw
}

/// The disk without its free blocks, and how many bytes that leaves out.
fn expected(raw: &Raw) -> (Vec<u8>, u64) {
    let mut bytes = fs::read(&raw.path).unwrap();
    let part = raw.scratch.path().join("ext4");
    let [ext4, _, swap] = PLACES;
    fs::write(&part, &bytes[ext4.start as usize..ext4.end as usize]).unwrap();
    let mut free = listed_free(&part);
    for range in &mut free {
        *range = range.start + MIB..range.end + MIB;
    }
    free.push(swap.start + (64 << 10)..swap.end);
    let mut not_zero = 0;
    for range in free {
        let range = &mut bytes[range.start as usize..range.end as usize];
        not_zero += range.iter().filter(|&&byte| byte != 0).count() as u64;
        range.fill(0);
    }
    (bytes, not_zero)
}

/// The bytes of a qcow2 file.
fn unpacked(qcow2: &Path, scratch: &Scratch) -> Vec<u8> {
    let raw = scratch.path().join("unpacked");
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "qcow2", "-O", "raw"]);
    tool("qemu-utils", qemu.arg(qcow2).arg(&raw));
    fs::read(raw).unwrap()
}

fn path(text: &str) -> &Path {
    Path::new(text)
}

#[test]
fn every_target_holds_the_disk_without_its_free_blocks() {
    let raw = mixed(&[]);
    let (right, not_zero) = expected(&raw);
    let image = raw.image();
    let target = raw.scratch.out().join("disk.raw");
    let run = convert(&image, &target)
        .args(["--compact", "--verify", "--checksum", "--json"])
        .run()
        .status(0);
    assert!(fs::read(&target).unwrap() == right);
    let whole = "warning: partition 2 (unknown) stays whole: free blocks are known of ext2, ext3 \
                 and ext4";
    let report = run.json();
    assert!(
        report["warnings"]
            .as_array()
            .unwrap()
            .contains(&whole.into()),
        "{report}"
    );
    let left_out = report["left_out_bytes"].as_u64().unwrap();
    // Half a block of a removed file may be zeros.
    assert!(
        (not_zero..not_zero * 11 / 10).contains(&left_out),
        "{report}"
    );
    let run = run.says([whole, "MiB of free blocks left out in"]);
    assert!(
        run.stderr.contains("disk.raw: 56 MiB disk,"),
        "{}",
        run.stderr
    );
    tool(
        "coreutils",
        Command::new("sha256sum")
            .args(["-c", "disk.raw.sha256"])
            .current_dir(raw.scratch.out()),
    );
    for format in [&["-O", "qcow2"][..], &["-O", "qcow2", "--compress"]] {
        let target = raw.scratch.out().join("disk.qcow2");
        let run = convert(&image, &target).args(["--compact", "--verify", "-f"]);
        run.args(format).run().status(0);
        assert!(unpacked(&target, &raw.scratch) == right, "{format:?}");
    }
    let run = convert(&image, path("-")).arg("--compact").run().status(0);
    assert!(run.stdout == right);
    let run = convert(&image, path("-")).args(["--compact", "--partition", "1"]);
    let [ext4, ..] = PLACES;
    let first = &right[ext4.start as usize..ext4.end as usize];
    assert!(run.run().status(0).stdout == first);
    let folder = raw.scratch.out().join("parts");
    convert(&image, &folder)
        .args(["--compact", "--partitions"])
        .run()
        .status(0);
    assert_eq!(names_in(&folder), ["p1.raw", "p2.raw", "p3.raw"]);
    for (number, place) in (1..).zip(PLACES) {
        let made = fs::read(folder.join(format!("p{number}.raw"))).unwrap();
        assert!(
            made == right[place.start as usize..place.end as usize],
            "{number}"
        );
    }
}

#[test]
fn what_is_compared_verified_mapped_and_served_is_the_same_disk() {
    let raw = mixed(&[]);
    let (right, _) = expected(&raw);
    let image = raw.image();
    let target = raw.scratch.out().join("disk.raw");
    convert(&image, &target).arg("--compact").run().status(0);
    let compared = |options: &[&str], status| {
        let args = [path("compare"), &image, &target];
        Program::new(args).args(options).run().status(status);
        let args = [path("verify"), &target, path("--against"), &image];
        Program::new(args).args(options).run().status(status);
    };
    compared(&["--compact"], 0);
    compared(&[], 1);
    let mapped = Program::new([path("map"), &image]).args(["--json", "--compact"]);
    let mapped = mapped.run().status(0).json();
    for extent in mapped["extents"].as_array().unwrap() {
        let [start, len] = ["offset", "length"].map(|name| extent[name].as_u64().unwrap() as usize);
        let is_zero = right[start..start + len].iter().all(|&byte| byte == 0);
        assert!(extent["kind"] == "data" || is_zero, "{extent}");
    }
    let served = Served::with(&image, &raw.scratch, &["--compact"]);
    let map = tool(
        "libnbd-bin",
        Command::new("nbdinfo").args(["--map", "--json", &served.uri]),
    );
    let map: Vec<Value> = serde_json::from_str(&map).unwrap();
    let holes = map.iter().filter(|run| run["type"] == 3);
    let holes: u64 = holes.map(|run| run["length"].as_u64().unwrap()).sum();
    assert!(holes > 30 * MIB, "{map:?}");
    let copied = raw.scratch.path().join("copied");
    let copy = [&served.uri, copied.to_str().unwrap()];
    tool("libnbd-bin", Command::new("nbdcopy").args(copy));
    assert!(fs::read(copied).unwrap() == right);
    served.stop();
}

#[test]
fn what_it_would_save_is_said_before() {
    let raw = mixed(&[]);
    let image = raw.image();
    let target = raw.scratch.target();
    let plan = convert(&image, &target).args(["--compact", "--dry-run", "--json"]);
    let plan = plan.run().status(0).json();
    let left_out = plan["left_out_bytes"].as_u64().unwrap();
    let without = convert(&image, &target).args(["--dry-run", "--json"]);
    let without = without.run().done().json();
    assert_eq!(without["left_out_bytes"], Value::Null);
    let data = |report: &Value| report["data_bytes"].as_u64().unwrap();
    assert_eq!(data(&without) - data(&plan), left_out);
    let shown = convert(&image, &target).args(["--compact", "--dry-run"]);
    shown.run().status(0).prints("which are left out");
    let looked = info(&image).arg("--compact").run().status(0).json();
    assert_eq!(looked["left_out_bytes"], left_out);
    assert_eq!(
        info(&image).run().done().json()["left_out_bytes"],
        Value::Null
    );
    let text = Program::new([path("info"), &image]).arg("--compact").run();
    text.status(0).prints("which --compact leaves out");
    let done = convert(&image, &target).args(["--compact", "--json"]);
    assert_eq!(done.run().status(0).json()["left_out_bytes"], left_out);
}

/// An image that a file system fills.
fn filled(scratch: &Scratch, make: Maker) -> PathBuf {
    let raw = scratch.path().join("disk.raw");
    fs::File::create(&raw).unwrap().set_len(EXT4).unwrap();
    make(&raw);
    let image = scratch.source().join("root.hdd");
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", qemu.args([&raw, &image]));
    image
}

#[test]
fn no_more_is_written_than_the_used_blocks_and_one_in_a_hundred() {
    let scratch = Scratch::new();
    let image = filled(&scratch, used_ext4(&[]));
    let raw = scratch.path().join("disk.raw");
    let free: u64 = listed_free(&raw)
        .iter()
        .map(|free| free.end - free.start)
        .sum();
    let used = fs::metadata(&raw).unwrap().len() - free;
    let target = scratch.target();
    convert(&image, &target).arg("--compact").run().status(0);
    let written = fs::metadata(&target).unwrap().blocks() * 512;
    assert!(written <= used * 101 / 100, "{written} of {used}");
    // Else there would be nothing to leave out.
    let whole = scratch.path().join("whole.raw");
    convert(&image, &whole).run().done();
    let whole = fs::metadata(&whole).unwrap().blocks() * 512;
    assert!(whole > used + 4 * MIB, "{whole} of {used}");
}

#[test]
fn what_contradicts_itself_is_refused_and_leads_to_the_whole_disk() {
    for (requests, status, part) in [
        (&["freeb BLOCK"][..], 3, "is marked free, and inode"),
        (&["freei kept/file"], 3, "is marked free, and holds a file"),
        (
            &["freeb 2"],
            3,
            "the file system keeps its own tables in it",
        ),
        (
            &["ssv free_blocks_count 77"],
            3,
            "the superblock counts other free blocks or inodes than its groups",
        ),
        (&["ssv state 3"], 3, "found errors in the file system"),
        (&["ssv state 0"], 1, "was not unmounted cleanly"),
        (
            &["feature needs_recovery"],
            1,
            "which of its blocks are free stands in its journal",
        ),
        (&["ssv feature_ro_compat 0x4000000"], 1, "feature"),
    ] {
        let scratch = Scratch::new();
        let image = filled(&scratch, used_ext4(requests));
        let whole = fs::read(scratch.path().join("disk.raw")).unwrap();
        let typed = format!("{} -o OUT --compact", quoted(&image));
        let run = follow(&scratch, &typed, status, &Right::Bytes(whole));
        assert!(run.stderr.contains(part), "{requests:?}: {}", run.stderr);
        assert!(
            run.stderr
                .contains("no block of the disk is known to be free")
        );
        assert!(
            run.stderr
                .contains("to read all of it, with its free blocks: ploopconv "),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn one_partition_that_is_not_sure_refuses_the_disk() {
    let raw = mixed(&["feature needs_recovery"]);
    let image = raw.image();
    let target = raw.scratch.target();
    convert(&image, &target).arg("--compact").run().refused(
        1,
        &["no block of partition 1 is known to be free", "its journal"],
    );
    convert(&image, &target)
        .args(["--compact", "--partition", "3"])
        .run()
        .done();
    let [.., swap] = PLACES;
    let mut right = raw.read(swap.start, SWAP);
    right[64 << 10..].fill(0);
    assert!(fs::read(&target).unwrap() == right);
}

#[test]
fn e2fsck_makes_a_copy_that_can_be_trusted() {
    let scratch = Scratch::new();
    let image = filled(&scratch, used_ext4(&["freeb BLOCK"]));
    let target = scratch.target();
    let run = convert(&image, &target).arg("--compact").run();
    let run = run.refused(3, &["e2fsck -f repairs a copy"]);
    let line = run.stderr.lines().find_map(|line| {
        let (_, command) = line.split_once("with its free blocks: ")?;
        Some(command.to_owned())
    });
    assert_eq!(shell(&line.unwrap()).status, Some(0));
    let e2fsck = Command::new("e2fsck").args(["-fy"]).arg(&target).status();
    assert_eq!(e2fsck.unwrap().code(), Some(1), "it repaired something");
    tool(
        "e2fsprogs",
        Command::new("e2fsck").args(["-fn"]).arg(&target),
    );
}

#[test]
fn other_file_systems_are_named() {
    let cases: [(Maker, &str, &str); 4] = [
        (
            make("xfsprogs", "mkfs.xfs", &["-q", "--unsupported"]),
            "the disk is xfs",
            "other-file-system",
        ),
        (
            Box::new(|path| fs::write(path, b"LUKS\xba\xbe\0\x02").unwrap()),
            "the disk is LUKS",
            "other-file-system",
        ),
        (
            Box::new(noise),
            "the disk has no ext2, ext3 or ext4",
            "no-file-system",
        ),
        (
            Box::new(|path| {
                used_ext4(&[])(path);
                let script = "echo 2048,4096,83 | sfdisk -q --wipe never --label dos \"$1\"";
                let mut sh = Command::new("sh");
                tool("fdisk", sh.args(["-c", script, "sh"]).arg(path));
            }),
            "only one of them is in use",
            "ambiguous-disk",
        ),
    ];
    for (make, text, code) in cases {
        let scratch = Scratch::new();
        let image = filled(&scratch, make);
        let run = convert(&image, &scratch.target()).args(["--compact", "--json"]);
        let run = run.run().refused(1, &[text]);
        assert_eq!(run.json()["code"], code);
    }
}

#[test]
fn a_swap_space_that_a_machine_sleeps_in_stays_whole() {
    let raw = mixed(&[]);
    let [.., swap] = PLACES;
    raw.write(b"S1SUSPEND\0", swap.start + 4086);
    let before = raw.read(swap.start, SWAP);
    let image = raw.image();
    let target = raw.scratch.target();
    convert(&image, &target)
        .arg("--compact")
        .run()
        .status(0)
        .says(["partition 3 (unknown) stays whole"]);
    let made = fs::read(&target).unwrap();
    assert!(made[swap.start as usize..swap.end as usize] == before);
}

#[test]
fn what_does_not_go_together_is_a_mistake() {
    let raw = mixed(&[]);
    let image = raw.image();
    let target = raw.scratch.target();
    for command in ["convert", "info", "map", "serve"] {
        let rest = match command {
            "convert" => vec!["-o", target.to_str().unwrap()],
            "serve" => vec!["--stdio"],
            _ => vec![],
        };
        let run = Program::new([path(command), &image]).args(["--compact", "--salvage"]);
        run.args(rest).run().status(2);
    }
    convert(&image, &target)
        .args(["--compact", "-O", "tar"])
        .run()
        .refused(2, &["an archive has no free blocks"]);
    let args = [path("compare"), &raw.path, &raw.path];
    Program::new(args)
        .arg("--compact")
        .run()
        .refused(2, &["--compact is for ploop images"]);
}
