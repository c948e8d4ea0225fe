//! `compare`, `verify` and `convert --verify`: what they say of disks in which one byte is wrong,
//! of sizes that differ, of devices, and of sides that cannot be read.

use crate::support::compared::{compare, differ_at, equal, verify};
use crate::support::loops::Loop;
use crate::support::qcow2::qemu_img;
use crate::support::{Fill, ImageBuilder, Scratch, convert, convert_to};
use ploopconv::sink::{BlockSink, Durability, Sink};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

#[test]
fn a_device_may_be_larger_than_the_disk_it_holds() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let written = ImageBuilder::v2()
        .clusters(3)
        .store_all([0, 2])
        .write(&image);
    let size = written.sectors * 512;
    let backing = scratch.target();
    convert_to(&image, &backing);
    let file = File::options().write(true).open(&backing).unwrap();
    file.set_len(size + 8192).unwrap();
    file.write_all_at(b"an older disk", size + 4000).unwrap();
    let device = Loop::new(&backing);
    equal(verify(&device.path, &image).run());
    differ_at(compare(&device.path, &image).run(), size + 4000);
    // Through the device, so that no cache hides it.
    let writer = File::options().write(true).open(&device.path).unwrap();
    writer.write_all_at(b"\0", size - 100).unwrap();
    writer.sync_all().unwrap();
    differ_at(verify(&device.path, &image).run(), size - 100);
}

#[test]
fn targets_of_every_format_are_verified_and_so_are_devices() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    // A size that is no multiple of a cluster, and zeros that are stored.
    ImageBuilder::v2()
        .cluster_sectors(63)
        .sectors(63 * 40 + 5)
        .store_all((0..40).filter(|k| k % 3 > 0))
        .fill(9, Fill::Byte(0))
        .write(&image);
    let target = scratch.out().join("disk.qcow2");
    for options in [
        &["--cluster-size", "4K"][..],
        &["--cluster-size", "2M"],
        &["--compress=zlib"],
        &["--compress=zstd", "--cluster-size", "512K"],
        &["--sparse"],
        &["--sparse=never", "--checksum=blkhash"],
    ] {
        convert(&image, &target)
            .args(["-f", "--verify"])
            .args(options)
            .run()
            .status(0);
        qemu_img(["check".as_ref(), "-q".as_ref(), target.as_os_str()]);
        equal(verify(&target, &image).run());
    }
    let backing = scratch.out().join("backing");
    std::fs::write(&backing, vec![0xEE; 3 << 20]).unwrap();
    let device = Loop::new(&backing);
    let report = convert(&image, &device.path).args(["-f", "--verify", "--json"]);
    assert_eq!(report.run().status(0).json()["verified"], true);
    equal(verify(&device.path, &image).run());
}

#[test]
fn a_device_that_was_completed_and_not_finished_does_not_look_like_a_disk() {
    let scratch = Scratch::new();
    let backing = scratch.out().join("backing");
    std::fs::write(&backing, vec![0xEE; 3 << 20]).unwrap();
    let device = Loop::new(&backing);
    for finish in [false, true] {
        let sink = BlockSink::open(&device.path, 2 << 20, Durability::Synced).unwrap();
        sink.write_at(&vec![7; 2 << 20], 0).unwrap();
        sink.complete().unwrap();
        let held = std::fs::read(sink.readable_at().unwrap()).unwrap();
        assert!(held[..2 << 20].iter().all(|&byte| byte == 7));
        if finish {
            Box::new(sink).finish().unwrap();
        } else {
            drop(sink);
        }
        let held = std::fs::read(&device.path).unwrap();
        let head = if finish { 7 } else { 0 };
        assert!(held[..1 << 20].iter().all(|&byte| byte == head));
        assert!(held[1 << 20..2 << 20].iter().all(|&byte| byte == 7));
    }
}
