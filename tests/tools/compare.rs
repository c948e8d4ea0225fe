//! `compare`, `verify` and `convert --verify`: what they say of disks in which one byte is wrong,
//! of sizes that differ, of devices, and of sides that cannot be read.

use crate::support::compared::{byte_of, compare, differ_at, equal, qemu_io, to_qcow2, verify};
use crate::support::fixtures::disks;
use crate::support::{Scratch, convert, convert_to, info};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[test]
fn every_fixture_is_equal_to_its_conversion_and_its_qcow2() {
    for disk in disks() {
        let scratch = Scratch::new();
        let target = scratch.target();
        disk.done(&disk.convert(&target).arg("--verify"));
        let qcow2 = scratch.path().join("disk.qcow2");
        to_qcow2(&target, &qcow2, "compression_type=zstd", true);
        for made in [&target, &qcow2] {
            equal(disk.choose(compare(&disk.path(), made)).run());
            equal(disk.choose(compare(made, &disk.path())).run());
            equal(disk.choose(verify(made, &disk.path())).run());
        }
    }
}

#[test]
fn the_partition_of_a_difference_is_told_and_one_partition_can_be_compared_alone() {
    let scratch = Scratch::new();
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let report = info(&container).run().status(0).json();
    let partition = &report["partitions"][0];
    let [start, size] = ["start", "size"].map(|name| partition[name].as_u64().unwrap());
    let target = scratch.target();
    convert_to(&container, &target);
    let file = File::options().write(true).open(&target).unwrap();
    for (at, number) in [
        (440, Value::Null),
        (start, partition["number"].clone()),
        (start + size - 1, partition["number"].clone()),
    ] {
        let was = byte_of(&target, at);
        file.write_all_at(&[was ^ 1], at).unwrap();
        let found = differ_at(compare(&target, &container).run(), at);
        assert_eq!(found["partition"], number);
        let found = differ_at(verify(&target, &container).run(), at);
        assert_eq!(found["partition"], number);
        file.write_all_at(&[was], at).unwrap();
    }

    let number = partition["number"].to_string();
    let part = scratch.out().join("p1.qcow2");
    convert(&container, &part)
        .args(["--partition", &number, "--verify"])
        .run()
        .done();
    equal(
        verify(&part, &container)
            .args(["--partition", &number])
            .run(),
    );
    qemu_io("qcow2", &part, &["write -P 0x5A 70000 1".to_owned()]);
    let outcome = compare(&container, &part).args(["--partition", &number]);
    let found = differ_at(outcome.run(), 70_000);
    assert_eq!(found["partition"], partition["number"]);
}
