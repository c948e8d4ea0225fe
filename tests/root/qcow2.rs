//! qcow2 targets: what `qemu-img` and qcow2-rs say of every cluster size and compression.

use crate::support::image::pattern;
use crate::support::qcow2::{
    Disk, SIZES, allocated, assert_clean, assert_holds, bytes_of, disks, qemu_img, qemu_json,
    to_qcow2,
};
use crate::support::{ChainBuilder, ImageBuilder, Scratch, SourceGuard, convert};
use qcow2_rs::dev::Qcow2DevParams;
use qcow2_rs::utils::qcow2_setup_dev_sync;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[track_caller]
fn assert_info(target: &Path, sectors: u64, cluster: u64, compression: &str) {
    let info = qemu_json("info", target);
    assert_eq!(info["format"], "qcow2");
    assert_eq!(info["virtual-size"], sectors);
    assert_eq!(info["cluster-size"], cluster);
    let data = &info["format-specific"]["data"];
    assert_eq!(data["compat"], "1.1");
    assert_eq!(data["lazy-refcounts"], false);
    assert_eq!(data["refcount-bits"], 16);
    assert_eq!(data["corrupt"], false);
    assert_eq!(data["extended-l2"], false);
    assert_eq!(data["compression-type"], compression);
    assert!(info["backing-filename"].is_null() && info["snapshots"].is_null());
}

/// Asserts which clusters are allocated: every one that holds something, and none that is stored
/// nowhere or, with `always`, that is all zeros.
#[track_caller]
fn assert_allocated(disk: &Disk, target: &Path, cluster: u64, always: bool) {
    let cluster = usize::try_from(cluster).unwrap();
    let found = allocated(target, disk.content.len(), cluster);
    let pieces = disk
        .content
        .chunks(cluster)
        .zip(disk.stored.chunks(cluster));
    for (number, (bytes, stored)) in pieces.enumerate() {
        let holds = bytes.iter().any(|byte| *byte != 0);
        let may_be = if always {
            holds
        } else {
            stored.contains(&true)
        };
        assert!(
            found[number] >= holds && found[number] <= may_be,
            "{}: cluster {number} of {cluster}: allocated {}, holds something {holds}",
            disk.name,
            found[number]
        );
    }
}

/// Runs a future of qcow2-rs, whose synchronous reader never waits, so that no runtime is needed.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("the synchronous reader waits"),
    }
}

/// Reads a whole target with qcow2-rs. It is asked for no byte past the end, where it answers
/// wrongly.
fn read_with_qcow2_rs(target: &Path, len: usize) -> Vec<u8> {
    let params = Qcow2DevParams::new(9, None, None, true, false);
    let device = qcow2_setup_dev_sync(target, &params).unwrap();
    // Without it, every cluster is a hole.
    at_once(device.qcow2_prep_io()).unwrap();
    let mut all = vec![0xAA; len];
    for (number, piece) in (0u64..).zip(all.chunks_mut(1 << 20)) {
        let asked = piece.len();
        let done = at_once(device.read_at(piece, number << 20)).unwrap();
        assert_eq!(done, asked, "a short read at {number} MiB");
    }
    all
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_and_qcow2_rs_reads_the_same() {
    let scratch = Scratch::new();
    let disks = disks(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.out().join("disk.qcow2");
    for disk in &disks {
        let sectors = disk.sectors();
        for size in SIZES {
            for (sparse, always) in [("--sparse=auto", false), ("--sparse", true)] {
                let what = format!("{} {size} {sparse}", disk.name);
                to_qcow2(&disk.image, &target, size, &[sparse])
                    .run()
                    .status(0);
                assert_holds(&target, &sectors, &what);
                assert_info(&target, sectors.len() as u64, bytes_of(size), "zlib");
                assert_allocated(disk, &target, bytes_of(size), always);
                let read = read_with_qcow2_rs(&target, sectors.len());
                if let Some(at) = (0..read.len()).find(|&at| read[at] != sectors[at]) {
                    panic!(
                        "{what}: byte {at} is {:#x} to qcow2-rs, not {:#x}",
                        read[at], sectors[at]
                    );
                }
            }
        }
    }
}

fn assert_every_size_compressed(compression: &str) {
    let scratch = Scratch::new();
    let target = scratch.out().join("disk.qcow2");
    for disk in &disks(&scratch) {
        let sectors = disk.sectors();
        for size in SIZES {
            for (sparse, always) in [("--sparse=auto", false), ("--sparse", true)] {
                let how = format!("--compress={compression}");
                let what = format!("{} {size} {sparse} {how}", disk.name);
                let options = [sparse, &how, "-j", "3"];
                to_qcow2(&disk.image, &target, size, &options)
                    .run()
                    .status(0);
                assert_holds(&target, &sectors, &what);
                assert_info(&target, sectors.len() as u64, bytes_of(size), compression);
                assert_allocated(disk, &target, bytes_of(size), always);
            }
        }
    }
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_compressed_with_zstd() {
    assert_every_size_compressed("zstd");
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_compressed_with_zlib() {
    assert_every_size_compressed("zlib");
}

#[test]
fn a_raw_base_of_any_number_of_bytes_is_filled_up_to_a_sector() {
    let scratch = Scratch::new();
    let bytes = pattern(5, 0, 300_077);
    let chain = ChainBuilder::raw_base(&bytes, 128).write(&scratch.source());
    let mut sectors = bytes;
    sectors.resize(300_544, 0);
    for options in [&[][..], &["--compress"], &["--sparse=never"]] {
        let target = scratch.out().join("disk.qcow2");
        to_qcow2(&chain.dir, &target, "64K", options)
            .run()
            .status(0);
        assert_holds(&target, &sectors, &format!("{options:?}"));
    }
}

#[test]
fn a_qcow2_target_and_a_raw_one_hold_the_same() {
    let scratch = Scratch::new();
    for disk in &disks(&scratch) {
        let (raw, target) = (scratch.target(), scratch.out().join("disk.qcow2"));
        convert(&disk.image, &raw).arg("-f").run().status(0);
        convert(&disk.image, &target).arg("-f").run().status(0);
        let paths = [raw.to_str().unwrap(), target.to_str().unwrap()];
        qemu_img(["compare", "-f", "raw", "-F", "qcow2", paths[0], paths[1]]);
    }
}

#[test]
fn the_format_is_told_by_the_name_or_by_the_option() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(1).write(&image);
    let format = |target: &Path| {
        let text = qemu_img(["info", "--output=json", target.to_str().unwrap()]);
        let info: Value = serde_json::from_str(&text).unwrap();
        info["format"].as_str().unwrap().to_owned()
    };
    for (name, options, expected) in [
        ("a.qcow2", &[][..], "qcow2"),
        ("b.QCOW", &[], "qcow2"),
        ("c.raw", &["-O", "qcow2"], "qcow2"),
        ("d", &["--format=qcow2"], "qcow2"),
        ("e.qcow2", &["-O", "raw"], "raw"),
        ("f.img", &[], "raw"),
    ] {
        let target = scratch.out().join(name);
        convert(&image, &target).args(options).run().status(0);
        assert_eq!(format(&target), expected, "{name} {options:?}");
    }
}

#[test]
fn options_that_cannot_be_followed_are_mistakes_of_the_command_line() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(1).write(&image);
    let pipe = scratch.path().join("pipe.qcow2");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (raw, target) = (scratch.target(), scratch.out().join("disk.qcow2"));
    for (target, options, says) in [
        (&raw, &["--compress"][..], "--compress is for qcow2"),
        (
            &raw,
            &["--cluster-size", "64K"],
            "--cluster-size is for qcow2",
        ),
        (
            &target,
            &["-O", "raw", "--compress=zlib"],
            "--compress is for qcow2",
        ),
        (&target, &["--compress", "--sparse=never"], "--sparse=never"),
        (&target, &["--compress=lzma"], "zstd"),
        (&target, &["--cluster-size=2K"], "4K"),
        (&target, &["--cluster-size=4M"], "2M"),
        (&target, &["--cluster-size=65537"], "64K"),
        (&PathBuf::from("-"), &["-O", "qcow2"], "has to be a file"),
        (&pipe, &[], "has to be a file"),
    ] {
        let outcome = convert(&image, target).args(options).run();
        outcome.status(2).says([says]);
    }
    scratch.assert_nothing_left();
}

#[test]
fn a_disk_beyond_the_bound_is_refused_with_the_cluster_size_that_would_do() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters((8 << 20) + 1)
        .store(0)
        .write(&image);
    let target = scratch.out().join("disk.qcow2");
    let outcome = to_qcow2(&image, &target, "4K", &[]).run();
    outcome.refused(
        1,
        &[
            "8796094070784 bytes",
            "4K",
            "8K would do",
            "--cluster-size 8K",
        ],
    );
    scratch.assert_nothing_left();
    to_qcow2(&image, &target, "8K", &[]).run().status(0);
    assert_clean(&target);
}
