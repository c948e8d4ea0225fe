//! `--partitions`: an image of every partition, the same as each by itself.

use crate::support::{Scratch, convert, names_in};
use crate::tools::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of 16 MiB with two partitions of noise and an empty third, wrapped by qemu-img.
fn three_partitions(scratch: &Scratch) -> PathBuf {
    let raw = scratch.path().join("three.raw");
    let mut bytes = vec![0; 16 << 20];
    let mut state = 1u32;
    for byte in &mut bytes[1 << 20..9 << 20] {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    std::fs::write(&raw, bytes).unwrap();
    let sizes = ["-n1:2048:+4M", "-n2:0:+3M", "-n5:0:+2M"];
    tool("gdisk", Command::new("sgdisk").args(sizes).arg(&raw));
    let image = scratch.source().join("three.hdd");
    tool(
        "qemu-utils",
        Command::new("qemu-img")
            .args(["convert", "-O", "parallels"])
            .arg(&raw)
            .arg(&image),
    );
    image
}

#[test]
fn every_partition_is_what_it_is_by_itself() {
    for options in [
        &[][..],
        &["--sparse"],
        &["-O", "qcow2"],
        &["-O", "qcow2", "--compress"],
    ] {
        let scratch = Scratch::new();
        let image = three_partitions(&scratch);
        let dir = scratch.out().join("parts");
        convert(&image, &dir)
            .arg("--partitions")
            .args(options)
            .run()
            .done();
        let extension = if options.contains(&"qcow2") {
            "qcow2"
        } else {
            "raw"
        };
        let names = [1, 2, 5].map(|number| format!("p{number}.{extension}"));
        assert_eq!(names_in(&dir), names);
        for number in [1, 2, 5] {
            let alone = scratch.path().join("alone.raw");
            convert(&image, &alone)
                .args(["-f", "--partition", &number.to_string()])
                .run()
                .done();
            let made = dir.join(format!("p{number}.{extension}"));
            let back = scratch.path().join("back.raw");
            let convert = ["convert", "-f", extension, "-O", "raw"];
            tool(
                "qemu-utils",
                Command::new("qemu-img").args(convert).arg(&made).arg(&back),
            );
            assert!(
                std::fs::read(&alone).unwrap() == std::fs::read(&back).unwrap(),
                "{number}"
            );
        }
    }
}

#[test]
fn a_whole_disk_file_system_becomes_one_image() {
    let scratch = Scratch::new();
    let raw = scratch.path().join("fs.raw");
    std::fs::File::create(&raw)
        .unwrap()
        .set_len(8 << 20)
        .unwrap();
    tool("e2fsprogs", Command::new("mkfs.ext4").arg("-q").arg(&raw));
    let image = scratch.source().join("fs.hdd");
    tool(
        "qemu-utils",
        Command::new("qemu-img")
            .args(["convert", "-O", "parallels"])
            .arg(&raw)
            .arg(&image),
    );
    let dir = scratch.out().join("parts");
    std::fs::create_dir(&dir).unwrap();
    convert(&image, &dir)
        .args(["--partitions", "--verify"])
        .run()
        .done();
    assert_eq!(names_in(&dir), ["disk.raw"]);
    assert!(std::fs::read(dir.join("disk.raw")).unwrap() == std::fs::read(&raw).unwrap());
}

#[test]
fn one_checksum_file_covers_all_images() {
    let scratch = Scratch::new();
    let image = three_partitions(&scratch);
    let dir = scratch.out().join("parts");
    convert(&image, &dir)
        .args(["--partitions", "--checksum", "--json"])
        .run()
        .done();
    let said = tool(
        "coreutils",
        Command::new("sha256sum")
            .args(["-c", "--strict", "SHA256SUMS"])
            .current_dir(&dir),
    );
    assert_eq!(said, "p1.raw: OK\np2.raw: OK\np5.raw: OK\n");
    convert(&image, &dir)
        .args(["--partitions", "--checksum=blkhash", "-f"])
        .run()
        .done();
    let lines = std::fs::read_to_string(dir.join("BLKHASHSUMS")).unwrap();
    assert_eq!(lines.lines().count(), 3);
}

#[test]
fn what_fails_leaves_neither_images_nor_a_new_directory() {
    let scratch = Scratch::new();
    let image = three_partitions(&scratch);
    // One of the targets is there.
    let dir = scratch.out().join("parts");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("p2.raw"), "old").unwrap();
    convert(&image, &dir)
        .arg("--partitions")
        .run()
        .refused(1, &["p2.raw", "exists"]);
    assert_eq!(names_in(&dir), ["p2.raw"]);
    std::fs::remove_file(dir.join("p2.raw")).unwrap();
    std::fs::remove_dir(&dir).unwrap();
    // No table, and nothing that is known.
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/v2.hdd");
    convert(&plain, &dir)
        .arg("--partitions")
        .run()
        .refused(1, &["partition"]);
    scratch.assert_nothing_left();
    // A dry run makes nothing, and a file is no directory.
    convert(&image, &dir)
        .args(["--partitions", "--dry-run"])
        .run()
        .status(0);
    scratch.assert_nothing_left();
    convert(&image, &image)
        .arg("--partitions")
        .run()
        .refused(1, &["directory"]);
    convert(&image, Path::new("-"))
        .arg("--partitions")
        .run()
        .refused(2, &["directory"]);
}
