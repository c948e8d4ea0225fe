//! `compare`, `verify` and `convert --verify`: what they say of disks in which one byte is wrong,
//! of sizes that differ, of devices, and of sides that cannot be read.

use crate::support::compared::{byte_of, compare, differ_at, equal, verify};
use crate::support::running::{signal, stopped_in_its_middle};
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert_to, guid,
};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[test]
fn one_byte_anywhere_in_a_raw_disk_is_found_and_its_layer_told() {
    let scratch = Scratch::new();
    let image = |seed| ImageBuilder::v2().clusters(6).seed(seed);
    let chain = ChainBuilder::base(&image(1).store_all([0, 1, 2]))
        .child(&image(2).store_all([2, 4]))
        .write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.target();
    convert_to(&chain.dir, &target);
    let report = equal(compare(&chain.dir, &target).run());
    let model = chain.model();
    assert_eq!(report["compared_bytes"], model.data_bytes());
    assert_eq!(report["skipped_bytes"], model.size() - model.data_bytes());
    equal(verify(&target, &chain.dir).run());

    let file = File::options()
        .read(true)
        .write(true)
        .open(&target)
        .unwrap();
    for extent in model.extents() {
        for at in [
            extent.offset,
            extent.offset + extent.len / 2,
            extent.offset + extent.len - 1,
        ] {
            let was = byte_of(&target, at);
            file.write_all_at(&[was ^ 1], at).unwrap();
            let found = differ_at(compare(&chain.dir, &target).run(), at);
            let told = differ_at(verify(&target, &chain.dir).run(), at);
            assert_eq!(told["image"], found["a"]);
            assert_eq!(told["target"], found["b"]);
            assert_eq!(found["b"]["host_offset"], at);
            match &extent.stored {
                None => assert_eq!(found["a"]["kind"], "hole"),
                Some(place) => {
                    assert_eq!(found["a"]["layer"], place.layer);
                    let within = at - extent.offset;
                    assert_eq!(found["a"]["host_offset"], place.host_offset + within);
                    let name = found["a"]["file"].as_str().unwrap();
                    assert!(name.ends_with(model.file_of(place.layer)), "{name}");
                }
            }
            file.write_all_at(&[was], at).unwrap();
        }
    }
    equal(verify(&target, &chain.dir).run());
}

#[test]
fn text_says_what_json_says() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.source().join("a"), scratch.source().join("b"));
    std::fs::write(&a, [7; 2000]).unwrap();
    std::fs::write(&b, [7; 2000]).unwrap();
    let run = || Program::new(["compare".as_ref(), a.as_os_str(), b.as_os_str()]).run();
    let said = String::from_utf8(run().done().stdout).unwrap();
    assert!(said.starts_with("equal: "), "{said}");
    std::fs::write(&b, [&[7; 1000][..], &[8; 1000]].concat()).unwrap();
    let outcome = run().status(1);
    let said = String::from_utf8(outcome.stdout).unwrap();
    assert!(
        said.starts_with("different, first at offset 0x3e8\n"),
        "{said}"
    );
    assert!(
        said.contains(&format!("{}: layer 0", b.display())),
        "{said}"
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn options_of_reading_are_for_the_sides_that_are_ploop_images() {
    let scratch = Scratch::new();
    let image = |seed| ImageBuilder::v2().clusters(4).seed(seed).store_all([0, 1]);
    let chain = ChainBuilder::base(&image(1))
        .child(&image(2))
        .write(&scratch.source());
    let base = scratch.target();
    let snapshot = ["--snapshot", &guid(0)];
    let dir = chain.dir.as_path();
    Program::new([dir.as_os_str(), "-o".as_ref(), base.as_os_str()])
        .args(snapshot)
        .run()
        .done();
    equal(compare(dir, &base).args(snapshot).run());
    equal(compare(&base, dir).args(snapshot).run());
    equal(verify(&base, dir).args(snapshot).run());
    differ_at(compare(dir, &base).run(), 0);
    let outcome = compare(&base, &base).args(snapshot).run();
    outcome.refused(2, &["--snapshot", "ploop"]);
}

#[test]
fn a_refusal_names_the_side_and_the_command_that_works() {
    let scratch = Scratch::new();
    let image = |seed| ImageBuilder::v2().clusters(4).seed(seed).store_all([0, 1]);
    let chain = ChainBuilder::base(&image(1))
        .child(&image(2))
        .write(&scratch.source());
    let other = scratch.path().join("other");
    std::fs::write(&other, b"a raw disk").unwrap();
    let layer = &chain.files[0];
    let (dir, other_name) = (chain.dir.display(), other.display());
    let second = format!("ploopconv compare {other_name} {dir}");
    compare(&other, layer).run().refused(1, &[&second]);
    let first = format!("ploopconv compare {dir} {other_name}");
    compare(layer, &other).run().refused(1, &[&first]);
    let again = format!("ploopconv verify {other_name} --against {dir}");
    verify(&other, layer).run().refused(1, &[&again]);

    let packed = scratch.path().join("disk.gz");
    std::fs::write(&packed, b"\x1f\x8b and so on").unwrap();
    compare(&other, &packed)
        .run()
        .refused(1, &["disk.gz", "packed"]);
    compare(&other, Path::new("/nowhere"))
        .run()
        .refused(1, &["/nowhere"]);
    Program::new(["compare".as_ref(), other.as_os_str()])
        .run()
        .status(2);
    // Without --against there has to be a checksum file.
    Program::new(["verify".as_ref(), other.as_os_str()])
        .run()
        .refused(1, &["--against"]);
}

#[test]
fn of_sizes_that_differ_compare_warns_and_verify_says_no() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2()
        .clusters(3)
        .store_all([0, 2])
        .write(&image);
    let target = scratch.target();
    convert_to(&image, &target);
    let file = File::options().write(true).open(&target).unwrap();
    let size = file.metadata().unwrap().len();

    file.set_len(size + 4096).unwrap();
    let outcome = compare(&image, &target).run().says(["sizes differ"]);
    let report = equal(outcome);
    assert_eq!(report["size_a"], size);
    assert_eq!(report["size_b"], size + 4096);
    let report = verify(&target, &image).run().status(1).json();
    assert_eq!(report["equal"], false);
    assert_eq!(report["first_difference"], Value::Null);

    file.write_all_at(b"x", size + 9).unwrap();
    let found = differ_at(compare(&target, &image).run(), size + 9);
    assert_eq!(found["b"]["kind"], "end");

    file.set_len(size - 1).unwrap();
    let found = differ_at(compare(&image, &target).run(), size - 1);
    assert_eq!(found["b"]["kind"], "end");
}

#[test]
fn a_target_that_was_spoiled_before_it_is_named_is_removed() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    // A hole that stays a hole, and data enough to stop the conversion in its middle.
    (1..60)
        .fold(
            ImageBuilder::v2().cluster_sectors(2048).clusters(60),
            |image, k| image.fill(k, Fill::Byte(k as u8 | 1)),
        )
        .write(&image);
    let child = stopped_in_its_middle(&image, &scratch.target(), &["--verify"]);
    let partial = crate::support::names_in(&scratch.out()).remove(0);
    let partial = File::options()
        .write(true)
        .open(scratch.out().join(partial))
        .unwrap();
    partial.write_all_at(b"not mine", 77_777).unwrap();
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome::new(output, "convert --verify".to_owned());
    outcome.refused(1, &["read back", "0x12fd1", "hole", "removed"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_target_is_verified_where_it_can_be_and_the_report_says_so() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let written = ImageBuilder::v2()
        .clusters(5)
        .store_all([4, 1])
        .write(&image);
    let target = scratch.target();
    let convert = |target: &Path, more: &[&str]| {
        Program::new([image.as_os_str(), "-o".as_ref(), target.as_os_str()])
            .args(more)
            .run()
    };
    for mode in ["--sparse=auto", "--sparse=always", "--sparse=never"] {
        let report = convert(&target, &["--verify", "--json", "-f", mode]).done();
        assert_eq!(report.json()["verified"], true);
        crate::support::assert_file_holds(&target, &written.model("disk.hds"));
    }
    let report = convert(&target, &["--json", "-f"]).done();
    assert_eq!(report.json()["verified"], false);
    convert(Path::new("-"), &["--verify"]).refused(2, &["--verify"]);
    convert(&target, &["-f", "--verify", "--no-sync"]).status(2);
}
