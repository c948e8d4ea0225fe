//! `TARGET.lost`, the list that `--salvage` writes: where it goes for every kind of target, what
//! else is there of the target, and that it neither replaces anything nor outlives what it is
//! about.

use crate::support::image::Version;
use crate::support::loops::Loop;
use crate::support::mapfile::{assert_covers, blocks, list_of};
use crate::support::spoiled::{CLUSTER, damaged, good, written};
use crate::support::system::Mounted;
use crate::support::{ImageBuilder, Outcome, Scratch, SourceGuard, convert, field, names_in};
use crate::tools::tool;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_list_is_replaced_like_a_target_and_never_outlives_it() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let (target, list) = (scratch.target(), list_of(&scratch.target()));
    std::fs::write(&list, "somebody's").unwrap();
    let salvage = || convert(&path, &target).arg("--salvage");
    salvage()
        .run()
        .refused(1, &["disk.raw.lost", "exists", "-f"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw.lost"]);
    salvage().arg("-f").run().status(5);
    assert_eq!(blocks(&list, "-", CLUSTER), [1]);
    // It is named as the target is.
    let again = convert(&path, Path::new("disk.raw")).args(["--salvage", "-f"]);
    let said = again.directory(scratch.out()).run().status(5).stderr;
    assert!(said.contains(" disk.raw.lost"), "{said}");
    assert!(!said.contains("/disk.raw.lost"), "{said}");

    // An older list says nothing about what a sound image gives.
    let sound = scratch.source().join("sound.hds");
    good(Version::V2).write(&sound);
    convert(&sound, &target).arg("-f").run().status(0);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    std::fs::write(&list, "somebody's").unwrap();
    convert(&sound, &target).arg("-f").run().status(0);
    assert_eq!(std::fs::read(&list).unwrap(), b"somebody's");
}

#[test]
fn a_failure_leaves_neither_target_nor_list() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let full = Mounted::memory("64k", &scratch.path().join("full"));
    let target = full.dir.join("disk.raw");
    // The target fits, and the list beside it does not.
    let salvage = convert(&path, &target).arg("--salvage");
    salvage.run().refused(1, &["disk.raw.lost", "space"]);
    assert_eq!(names_in(&full.dir), Vec::<String>::new());

    std::fs::create_dir(list_of(&scratch.target())).unwrap();
    let salvage = convert(&path, &scratch.target()).arg("--salvage");
    salvage.run().refused(1, &["disk.raw.lost", "directory"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw.lost"]);
}

#[test]
fn qcow2_holds_the_same_and_has_no_clusters_for_what_is_lost() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let raw = scratch.target();
    convert(&path, &raw).arg("--salvage").run().status(5);
    for options in [&[][..], &["--compress"], &["--cluster-size", "32K"]] {
        let target = scratch.out().join("disk.qcow2");
        let salvage = convert(&path, &target)
            .args(["--salvage", "-f"])
            .args(options);
        salvage.run().status(5);
        let qemu = || Command::new("qemu-img");
        tool("qemu-utils", qemu().arg("check").arg(&target));
        tool("qemu-utils", qemu().arg("compare").args([&raw, &target]));
        assert_eq!(blocks(&list_of(&target), "-", CLUSTER), [1]);
        let map = tool(
            "qemu-utils",
            qemu().args(["map", "--output=json"]).arg(&target),
        );
        let map: Value = serde_json::from_str(&map).unwrap();
        let at = |extent: &&Value| extent["start"].as_u64() == Some(CLUSTER);
        if options.contains(&"32K") {
            let lost = map.as_array().unwrap().iter().find(at).unwrap();
            assert_eq!(lost["present"], false, "{map}");
        }
    }
}

#[test]
fn checksums_are_of_the_target_as_it_is() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let salvage = convert(&path, &scratch.target()).args(["--salvage", "--checksum"]);
    salvage.run().status(5);
    let mut sum = Command::new("sha256sum");
    tool(
        "coreutils",
        sum.arg("-c")
            .arg("disk.raw.sha256")
            .current_dir(scratch.out()),
    );
    assert_eq!(
        names_in(&scratch.out()),
        ["disk.raw", "disk.raw.lost", "disk.raw.sha256"]
    );
}

#[test]
fn the_list_of_a_stream_goes_into_the_current_directory() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let salvage = |here: &Path| {
        let salvage = convert(&path, Path::new("-")).arg("--salvage");
        salvage.directory(here).run()
    };
    let outcome = salvage(&scratch.out()).status(5).says(["stdout.lost"]);
    let list = scratch.out().join("stdout.lost");
    assert_eq!(blocks(&list, "-", CLUSTER), [1]);
    assert_eq!(outcome.stdout.len() as u64, 4 * CLUSTER);
    // Nothing is created beside the source.
    salvage(&scratch.source()).refused(2, &["current directory"]);
}

#[test]
fn the_list_of_a_device_goes_into_the_current_directory() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let device = Loop::noisy(&scratch, 4 << 20, &[]);
    let salvage = convert(&path, &device.path).args(["-f", "--salvage"]);
    salvage.directory(scratch.out()).run().status(5);
    let name = device.path.file_name().unwrap().to_str().unwrap();
    let name = format!("{name}.lost");
    assert_eq!(names_in(&scratch.out()), [name.as_str()]);
    assert_eq!(blocks(&scratch.out().join(name), "-", CLUSTER), [1]);
    let bytes = device.bytes();
    let lost = CLUSTER as usize..2 * CLUSTER as usize;
    assert!(bytes[lost].iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_of_the_image_is_never_replaced_by_a_list() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    std::fs::hard_link(&path, list_of(&scratch.target())).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let salvage = convert(&path, &scratch.target()).args(["--salvage", "-f"]);
    salvage
        .run()
        .refused(1, &["disk.raw.lost", "is a file of the image"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw.lost"]);
}

#[test]
fn no_rescue_begins_without_a_place_for_its_list() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let _guard = crate::support::SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command
        .arg(&path)
        .args(["-o", "-", "--salvage"])
        .current_dir("/");
    let outcome = Outcome::new(command.output().unwrap(), "no place".to_owned());
    outcome.refused(1, &["stdout.lost", "denied"]);
}

/// A disk of 8 MiB with two partitions of 2 MiB at 1 MiB and 4 MiB, and cluster 80 (in the second
/// one) lost.
fn with_partitions(scratch: &Scratch) -> PathBuf {
    let raw = scratch.path().join("parts.raw");
    std::fs::write(&raw, vec![7; 8 << 20]).unwrap();
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.args(["--zap-all", "-n1:2048:+2M", "-n2:8192:+2M"]);
    tool("gdisk", sgdisk.arg(&raw));
    let bytes = std::fs::read(&raw).unwrap();
    let mut image = ImageBuilder::v2().cluster_sectors(128).clusters(128);
    for index in 0..128 {
        let start = index as usize * 65536;
        let part = bytes[start..start + 65536].to_vec();
        image = image.fill(index, crate::support::Fill::Bytes(part));
    }
    let mut image = image.build();
    image.put_u32(field::entry(80), 9999);
    written(scratch, &image)
}

#[test]
fn losses_are_told_by_partition() {
    let scratch = Scratch::new();
    let path = with_partitions(&scratch);
    let whole = convert(&path, &scratch.target()).args(["--salvage", "--json"]);
    let report = whole.run().status(5).says(["partition 2"]).json();
    let parts = report["salvage"]["partitions"].as_array().unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(
        (&parts[0]["number"], &parts[0]["lost_bytes"]),
        (&2.into(), &65536.into())
    );

    // Offsets of a partition count from its start.
    let one = scratch.out().join("two.raw");
    let part = convert(&path, &one).args(["--salvage", "--partition", "2"]);
    part.run().status(5);
    assert_covers(&list_of(&one), 2 << 20);
    assert_eq!(blocks(&list_of(&one), "-", 65536), [16]);
    let first = scratch.out().join("one.raw");
    let part = convert(&path, &first).args(["--salvage", "--partition", "1"]);
    part.run().status(0);

    let dir = scratch.out().join("parts");
    let all = convert(&path, &dir).args(["--salvage", "--partitions", "--json"]);
    let report = all.run().status(5).json();
    assert_eq!(
        names_in(&dir),
        ["p1.raw", "p1.raw.lost", "p2.raw", "p2.raw.lost"]
    );
    assert_eq!(
        blocks(&dir.join("p1.raw.lost"), "-/", 65536),
        Vec::<u64>::new()
    );
    assert_eq!(blocks(&dir.join("p2.raw.lost"), "-/", 65536), [16]);
    assert_eq!(report["images"][1]["salvage"]["lost_bytes"], 65536);
    assert_eq!(report["images"][0]["salvage"]["lost_bytes"], 0);
}
