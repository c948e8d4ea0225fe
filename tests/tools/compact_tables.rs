//! `--compact` and what e2fsprogs allows or calls damage: bad blocks, links with blocks, file
//! systems that are larger than their partition.

use crate::support::divided::{MIB, Raw, make};
use crate::support::free_blocks::{count_again, debugfs, listed_free};
use crate::support::hints::{Right, follow, quoted};
use crate::support::image::pattern;
use crate::support::{Scratch, convert};
use std::fs;
use std::process::Command;

const SIZE: u64 = 40 * MIB;

/// A disk that a file system fills, made by mke2fs with blocks of 1 KiB over noise.
fn filled(args: &[&str]) -> Raw {
    let raw = Raw::new(SIZE);
    raw.write(&pattern(3, 0, SIZE as usize), 0);
    let all = [&["-q", "-F", "-b", "1024", "-E", "nodiscard"], args].concat();
    make("e2fsprogs", "mke2fs", &all)(&raw.path);
    raw
}

/// Asserts that the disk is converted without its free blocks, and nothing else is missing.
fn assert_compacted(raw: &Raw, what: &str) {
    let mut right = raw.read(0, SIZE);
    for free in listed_free(&raw.path) {
        right[free.start as usize..free.end as usize].fill(0);
    }
    let target = raw.scratch.out().join("disk.raw");
    let run = convert(&raw.image(), &target).args(["--compact", "-f"]);
    run.run().status(0);
    assert!(fs::read(&target).unwrap() == right, "{what}");
}

#[test]
fn bad_blocks_in_copies_of_the_superblock_are_no_second_claim() {
    // The copy of the superblock, of the descriptors, room for more, and a block of files.
    for (bad, is_sound) in [
        ("8193\n", true),
        ("8194\n", true),
        ("8195\n", false),
        ("8193\n8194\n24577\n", true),
        ("9000\n9001\n", true),
    ] {
        for kind in ["ext2", "ext4"] {
            let scratch = Scratch::new();
            let list = scratch.path().join("bad");
            fs::write(&list, bad).unwrap();
            let raw = filled(&["-t", kind, "-l", list.to_str().unwrap()]);
            let mut e2fsck = Command::new("e2fsck");
            let theirs = e2fsck.arg("-fn").arg(&raw.path).output().unwrap();
            assert_eq!(theirs.status.success(), is_sound, "{kind} {bad}");
            if is_sound {
                assert_compacted(&raw, bad);
                continue;
            }
            let run = convert(&raw.image(), &raw.scratch.target()).arg("--compact");
            run.run()
                .refused(3, &["no block of the disk is known to be free"]);
        }
    }
}

/// A library of 2007 put short targets into blocks; so do links that are made shorter by hand.
#[test]
fn a_short_link_with_a_block_keeps_it() {
    let raw = filled(&["-t", "ext2"]);
    let long = "y".repeat(100);
    debugfs(&raw.path, &format!("symlink link {long}\n"));
    let bmap = Command::new("debugfs")
        .args(["-R", "bmap link 0"])
        .arg(&raw.path)
        .output();
    let block = String::from_utf8(bmap.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned();
    debugfs(&raw.path, "sif link size 40\n");
    // The kernel reads up to the first NUL.
    raw.write(&[0; 60], block.parse::<u64>().unwrap() * 1024 + 40);
    assert_compacted(&raw, "the block is used");
    debugfs(&raw.path, &format!("freeb {block}\n"));
    count_again(&raw.path);
    let run = convert(&raw.image(), &raw.scratch.target())
        .arg("--compact")
        .run();
    run.refused(3, &[&format!("block {block} is marked free, and inode")]);
}

#[test]
fn a_file_system_that_is_larger_than_its_place_leads_to_no_repair() {
    let raw = Raw::new(2 * SIZE);
    make("e2fsprogs", "mke2fs", &["-q", "-F", "-t", "ext4"])(&raw.path);
    fs::File::options()
        .write(true)
        .open(&raw.path)
        .unwrap()
        .set_len(SIZE)
        .unwrap();
    let whole = raw.read(0, SIZE);
    let image = raw.image();
    let typed = format!("{} -o OUT --compact", quoted(&image));
    let run = follow(&raw.scratch, &typed, 3, &Right::Bytes(whole));
    assert!(
        run.stderr
            .contains("it is cut, or was made for a larger disk"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("e2fsck"), "{}", run.stderr);
    let run = convert(&image, &raw.scratch.target()).args(["--compact", "--json"]);
    assert_eq!(run.run().status(3).json()["code"], "cut-file-system");
}

#[test]
fn a_partition_that_was_chosen_is_what_the_message_is_about() {
    let raw = Raw::sgdisk(40 * MIB, &["-n1:2048:+16M", "-n2:0:+16M"]);
    raw.fill(
        MIB,
        16 * MIB,
        make("e2fsprogs", "mke2fs", &["-q", "-F", "-t", "ext4"]),
    );
    raw.write(&pattern(8, 0, 16 << 20), 17 * MIB);
    let run = convert(&raw.image(), &raw.scratch.target());
    let run = run.args(["--compact", "--partition", "2"]).run();
    run.refused(1, &["partition 2 has no ext2, ext3 or ext4"]);
}
