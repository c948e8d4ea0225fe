//! `compare`, `verify` and `convert --verify`: what they say of disks that QEMU made, and of
//! disks in which one byte is wrong.

use crate::fixtures::disks;
use crate::support::image::pattern;
use crate::support::running::{signal, stopped_in_its_middle};
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert, convert_to,
    guid, info,
};
use crate::tools::tool;
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::qcow2::Qcow2Disk;
use ploopconv::sink::{BlockSink, Sink};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::Value;
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not a multiple of most cluster sizes.
const SIZE: u64 = (5 << 20) + 3 * 512;

fn compare(a: &Path, b: &Path) -> Program {
    Program::new([
        "compare".as_ref(),
        a.as_os_str(),
        b.as_os_str(),
        "--json".as_ref(),
    ])
}

fn verify(target: &Path, image: &Path) -> Program {
    Program::new([
        "verify".as_ref(),
        target.as_os_str(),
        "--against".as_ref(),
        image.as_os_str(),
        "--json".as_ref(),
    ])
}

#[track_caller]
fn equal(outcome: Outcome) -> Value {
    let report = outcome.status(0).json();
    assert_eq!(report["equal"], true, "{report}");
    assert_eq!(report["first_difference"], Value::Null, "{report}");
    report
}

/// Asserts a difference at exactly this offset; gives what is said about it.
#[track_caller]
fn differ_at(outcome: Outcome, offset: u64) -> Value {
    let report = outcome.status(1).json();
    assert_eq!(report["equal"], false, "{report}");
    assert_eq!(report["first_difference"]["offset"], offset, "{report}");
    report["first_difference"].clone()
}

fn qemu_img<I: IntoIterator<Item = A>, A: AsRef<std::ffi::OsStr>>(args: I) {
    tool("qemu-utils", Command::new("qemu-img").args(args));
}

/// Runs commands of `qemu-io` on a disk.
fn qemu_io(format: &str, file: &Path, commands: &[String]) {
    let mut command = Command::new("qemu-io");
    command.args(["-f", format]);
    for each in commands {
        command.args(["-c", each]);
    }
    let said = tool("qemu-utils", command.arg(file));
    assert!(!said.contains("failed"), "{commands:?}: {said}");
}

/// Writes a raw disk of noise, text and holes.
fn raw_disk(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    let put = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).unwrap();
    put(&pattern(1, 0, 300_000), 0);
    put(
        &b"all work and no play makes jack a dull boy\n".repeat(40_000),
        700_000,
    );
    put(&pattern(2, 0, 5000), 3_000_000);
    put(&[0; 70_000], 3_300_000);
    put(b"the end", SIZE - 7);
}

fn to_qcow2(raw: &Path, target: &Path, options: &str, compressed: bool) {
    let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", options];
    if compressed {
        args.push("-c");
    }
    let args = args.iter().map(AsRef::as_ref);
    qemu_img(args.chain([raw.as_os_str(), target.as_os_str()]));
}

/// Everything that QEMU makes of the disk in clusters of one size.
fn variants(cluster: u64) -> [(&'static str, String, bool); 4] {
    let options = |more: &str| format!("cluster_size={cluster},{more}");
    [
        ("v2", options("compat=0.10"), false),
        ("v3", options("compat=1.1"), false),
        ("v2 zlib", options("compat=0.10"), true),
        ("v3 zstd", options("compat=1.1,compression_type=zstd"), true),
    ]
}

#[test]
fn qcow2_images_of_every_kind_are_equal_to_the_raw_disk_and_one_byte_is_found() {
    for bits in 9..=21 {
        let scratch = Scratch::new();
        let raw = scratch.source().join("disk.raw");
        raw_disk(&raw);
        for (name, options, compressed) in variants(1 << bits) {
            let image = scratch.source().join("told by what it holds");
            to_qcow2(&raw, &image, &options, compressed);
            let report = equal(compare(&raw, &image).run());
            assert_eq!(report["size_b"], SIZE, "{name} {options}");
            // Clusters of 2 MiB may leave no hole in this disk.
            let skipped = report["skipped_bytes"].as_u64().unwrap();
            assert!(skipped > 0 || bits == 21, "{report}");
            equal(compare(&image, &raw).arg("-j1").run());

            for at in [0, 65_535, 1_234_567, 3_004_999, 4 << 20, SIZE - 1] {
                let change = [format!("write -P 0xA5 {at} 1")];
                qemu_io("qcow2", &image, &change);
                let found = differ_at(compare(&raw, &image).run(), at);
                assert_eq!(found["b"]["kind"], "data", "{found}");
                let place = found["b"]["host_offset"].as_u64().unwrap();
                let mut byte = [0];
                let file = File::open(&image).unwrap();
                file.read_exact_at(&mut byte, place).unwrap();
                assert_eq!(byte, [0xA5], "the byte is where the report says");
                // And back, so that the next one is the first again.
                let was = byte_of(&raw, at);
                qemu_io("qcow2", &image, &[format!("write -P {was} {at} 1")]);
            }
            equal(compare(&raw, &image).run());
        }
    }
}

fn byte_of(file: &Path, at: u64) -> u8 {
    let mut byte = [0];
    let file = File::open(file).unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0]
}

#[test]
fn clusters_that_say_zeros_and_snapshots_inside_are_read_as_qemu_reads_them() {
    for bits in [9, 12, 16, 21] {
        for (name, options, compressed) in variants(1 << bits) {
            let scratch = Scratch::new();
            let raw = scratch.source().join("disk.raw");
            let image = scratch.source().join("disk.qcow2");
            raw_disk(&raw);
            to_qcow2(&raw, &image, &options, compressed);
            let snapshot = ["snapshot", "-c", "before"].iter().map(AsRef::as_ref);
            qemu_img(snapshot.chain([image.as_os_str()]));
            let changes = [
                "write -z 1000 200000".to_owned(),
                "write -z -u 800k 1M".to_owned(),
                "write -P 9 3M 100000".to_owned(),
                "write -z 3100k 8k".to_owned(),
                format!("write -z {} 512", SIZE - 512),
            ];
            qemu_io("raw", &raw, &changes);
            qemu_io("qcow2", &image, &changes);
            let report = equal(compare(&raw, &image).run());
            assert_eq!(report["size_a"], report["size_b"], "{name}");
        }
    }
}

#[test]
fn an_image_of_every_preallocation_is_read_though_its_file_may_end_early() {
    for preallocation in ["off", "metadata", "falloc"] {
        for bits in [9, 16, 21] {
            let scratch = Scratch::new();
            let raw = scratch.source().join("disk.raw");
            let image = scratch.source().join("disk.qcow2");
            let options = format!("cluster_size={},preallocation={preallocation}", 1 << bits);
            let create = ["create", "-f", "qcow2", "-o", &options].map(AsRef::as_ref);
            let size = SIZE.to_string();
            qemu_img(create.into_iter().chain([image.as_os_str(), size.as_ref()]));
            let changes = [
                "write -P 3 100 70000".to_owned(),
                "write -P 4 4M 5".to_owned(),
            ];
            qemu_io("qcow2", &image, &changes);
            File::create(&raw).unwrap().set_len(SIZE).unwrap();
            qemu_io("raw", &raw, &changes);
            equal(compare(&image, &raw).run());
        }
    }
}

#[test]
fn a_qcow2_image_that_needs_more_than_itself_is_refused_and_told_why() {
    let scratch = Scratch::new();
    let raw = scratch.source().join("disk.raw");
    raw_disk(&raw);
    let make = |name: &str, args: &[&str]| {
        let image = scratch.source().join(name);
        let args = ["create", "-q", "-f", "qcow2"].iter().chain(args);
        let args = args.map(AsRef::as_ref);
        qemu_img(args.chain([image.as_os_str(), "4M".as_ref()]));
        image
    };
    let data = format!("data_file={}", scratch.source().join("outside").display());
    let raw_name = raw.to_str().unwrap();
    let cases = [
        (
            make("overlay", &["-b", raw_name, "-F", "raw"]),
            vec!["backing file", raw_name],
        ),
        (make("split", &["-o", &data]), vec!["external data file"]),
        (make("ext", &["-o", "extended_l2=on"]), vec!["extended L2"]),
        (
            make(
                "secret",
                &[
                    "--object",
                    "secret,id=s,data=x",
                    "-o",
                    // Not LUKS: for that QEMU measures how fast the machine is, and may fail.
                    "encrypt.format=aes,encrypt.key-secret=s",
                ],
            ),
            vec!["encrypted"],
        ),
    ];
    for (image, words) in cases {
        let _guard = SourceGuard::new(&scratch.source());
        compare(&raw, &image).run().refused(1, &words);
        compare(&image, &raw).run().refused(1, &words);
        verify(&image, &raw).run().status(1);
    }
}

#[test]
fn a_qcow2_image_that_is_dirty_or_damaged_is_not_read() {
    let scratch = Scratch::new();
    let raw = scratch.source().join("disk.raw");
    raw_disk(&raw);
    let spoil = |name: &str, options: &str, spoil: &dyn Fn(&File)| {
        let image = scratch.source().join(name);
        to_qcow2(&raw, &image, options, true);
        spoil(&File::options().read(true).write(true).open(&image).unwrap());
        image
    };
    let bit = |bit: u8| move |file: &File| file.write_all_at(&[bit], 79).unwrap();
    let dirty = spoil("dirty", "compat=1.1", &bit(1));
    compare(&raw, &dirty).run().refused(4, &["dirty"]);
    let corrupt = spoil("corrupt", "compat=1.1", &bit(2));
    compare(&raw, &corrupt).run().refused(3, &["corrupt"]);
    let cut = spoil("cut", "compat=1.1", &|file| {
        let len = file.metadata().unwrap().len();
        file.set_len(len / 2).unwrap();
    });
    compare(&raw, &cut).run().refused(3, &["cut", "file"]);
    // Nothing but text, so that every cluster is compressed.
    std::fs::write(&raw, b"a dull boy ".repeat(200_000)).unwrap();
    for kind in ["zlib", "zstd"] {
        let options = format!("compat=1.1,compression_type={kind}");
        let spoiled = spoil(kind, &options, &|file| {
            // The first compressed clusters lie behind the tables, of a cluster each.
            file.write_all_at(&[0xff; 40_000], 0x5_0000).unwrap();
        });
        let outcome = compare(&raw, &spoiled).run();
        outcome.refused(3, &[kind, "unpacked", "offset"]);
    }
}

#[test]
fn damage_anywhere_in_a_qcow2_image_gives_an_error_or_other_bytes_and_never_a_panic() {
    let scratch = Scratch::new();
    let raw = scratch.source().join("disk.raw");
    let text = b"all work and no play ".repeat(9000);
    std::fs::write(&raw, &text[..text.len() / 512 * 512]).unwrap();
    let name = Path::new("memory");
    let read = |bytes: Vec<u8>| -> ploopconv::Result<()> {
        let disk = Qcow2Disk::over(RawDisk::over(Box::new(bytes), name)?, name)?;
        let mut buf = vec![0; 100_000];
        for at in (0..disk.size().min(1 << 20)).step_by(buf.len()) {
            let len = buf.len().min(usize::try_from(disk.size() - at).unwrap());
            disk.read_at(&mut buf[..len], at)?;
        }
        disk.extents()
            .take(10_000)
            .try_for_each(|each| each.map(|_| ()))
    };
    let mut errors = 0;
    for (bits, kind) in [(9, "zlib"), (9, "zstd"), (12, "zlib"), (12, "zstd")] {
        let image = scratch.source().join("disk.qcow2");
        let options = format!("cluster_size={},compression_type={kind}", 1 << bits);
        to_qcow2(&raw, &image, &options, true);
        let sound = std::fs::read(&image).unwrap();
        read(sound.clone()).unwrap();
        let noise = pattern(bits, 0, 12 * 400);
        for words in noise.chunks(12) {
            let number = |at: usize| {
                words[at..at + 8]
                    .iter()
                    .fold(0, |n, &b| n << 8 | usize::from(b))
            };
            let mut bad = sound.clone();
            // Half of the damage in the tables in front.
            let within = [sound.len().min(3 << bits), sound.len()][number(4) % 2];
            let at = number(0) % within;
            bad[at] ^= words[11] | 1;
            errors += usize::from(read(bad).is_err());
        }
    }
    assert!(errors > 100, "{errors}");
}

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

/// A loop device over a file, gone when it goes out of scope.
struct Loop(PathBuf);

impl Loop {
    fn new(file: &Path) -> Self {
        let mut command = Command::new("losetup");
        let name = tool("mount", command.args(["--find", "--show"]).arg(file));
        Self(PathBuf::from(name.trim()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

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
    equal(verify(&device.0, &image).run());
    differ_at(compare(&device.0, &image).run(), size + 4000);
    // Through the device, so that no cache hides it.
    let writer = File::options().write(true).open(&device.0).unwrap();
    writer.write_all_at(b"\0", size - 100).unwrap();
    writer.sync_all().unwrap();
    differ_at(verify(&device.0, &image).run(), size - 100);
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
    let report = convert(&image, &device.0).args(["-f", "--verify", "--json"]);
    assert_eq!(report.run().status(0).json()["verified"], true);
    equal(verify(&device.0, &image).run());
}

#[test]
fn a_device_that_was_completed_and_not_finished_does_not_look_like_a_disk() {
    let scratch = Scratch::new();
    let backing = scratch.out().join("backing");
    std::fs::write(&backing, vec![0xEE; 3 << 20]).unwrap();
    let device = Loop::new(&backing);
    for finish in [false, true] {
        let sink = BlockSink::open(&device.0, 2 << 20, true).unwrap();
        sink.write_at(&vec![7; 2 << 20], 0).unwrap();
        sink.complete().unwrap();
        let held = std::fs::read(sink.readable_at().unwrap()).unwrap();
        assert!(held[..2 << 20].iter().all(|&byte| byte == 7));
        if finish {
            Box::new(sink).finish().unwrap();
        } else {
            drop(sink);
        }
        let held = std::fs::read(&device.0).unwrap();
        let head = if finish { 7 } else { 0 };
        assert!(held[..1 << 20].iter().all(|&byte| byte == head));
        assert!(held[1 << 20..2 << 20].iter().all(|&byte| byte == 7));
    }
}

#[test]
fn a_target_that_was_spoiled_before_it_is_named_is_removed() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    // A hole that nobody writes to, and data enough to stop the conversion in its middle.
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

/// A disk as a list of runs, and how it is stored.
#[derive(Clone, Debug)]
struct Plan {
    /// What fills each block of 8 KiB: 0 nothing, 1 zeros, else noise of that name.
    blocks: Vec<u8>,
    /// Bytes that the disk is longer than its blocks, in sectors.
    tail: u64,
    /// Cluster bits; `None` is raw.
    bits: Option<u32>,
    compressed: bool,
}

impl Plan {
    fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let raw = dir.join(format!("{name}.raw"));
        let file = File::create(&raw).unwrap();
        file.set_len(self.blocks.len() as u64 * 8192 + self.tail * 512)
            .unwrap();
        for (at, &fill) in (0u64..).step_by(8192).zip(&self.blocks) {
            let bytes = match fill {
                0 => continue,
                1 => vec![0; 8192],
                name => pattern(u64::from(name), 0, 8192),
            };
            file.write_all_at(&bytes, at).unwrap();
        }
        let Some(bits) = self.bits else { return raw };
        let image = dir.join(name);
        let options = format!("cluster_size={}", 1 << bits);
        to_qcow2(&raw, &image, &options, self.compressed);
        image
    }
}

fn plans() -> impl Strategy<Value = (Plan, Plan)> {
    let blocks = prop::collection::vec(0..5u8, 0..40);
    let stored = (0..3u64, prop::option::of(9..22u32), any::<bool>());
    let change = prop::option::weighted(0.6, (0..40usize, 0..5u8));
    let parts = (blocks, stored.clone(), stored, change);
    parts.prop_map(|(blocks, a, b, change)| {
        let of = |blocks: Vec<u8>, (tail, bits, compressed): (u64, Option<u32>, bool)| Plan {
            blocks,
            tail,
            bits,
            compressed,
        };
        let mut other = blocks.clone();
        if let Some((at, fill)) = change {
            match other.get_mut(at) {
                Some(block) => *block = fill,
                None => other.push(fill),
            }
        }
        (of(blocks, a), of(other, b))
    })
}

#[test]
fn qemu_img_says_the_same_of_random_pairs() {
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        max_shrink_iters: 100,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    };
    let verdicts = Cell::new([0; 2]);
    let check = |(a, b): (Plan, Plan)| {
        let scratch = Scratch::new();
        let a_path = a.write(&scratch.source(), "a");
        let b_path = b.write(&scratch.source(), "b");
        let format = |plan: &Plan| plan.bits.map_or("raw", |_| "qcow2");
        let theirs = Command::new("qemu-img")
            .args(["compare", "-f", format(&a), "-F", format(&b)])
            .args([&a_path, &b_path])
            .output()
            .expect("qemu-img runs (Debian package qemu-utils)");
        let said = String::from_utf8(theirs.stdout).unwrap();
        let ours = compare(&a_path, &b_path).run();
        assert_eq!(ours.status, theirs.status.code(), "{said}");
        let mut seen = verdicts.get();
        seen[usize::from(theirs.status.success())] += 1;
        verdicts.set(seen);
        if let Some(at) = said.split("at offset ").nth(1) {
            let at: u64 = at.trim_end().trim_end_matches('!').parse().unwrap();
            let found = ours.json()["first_difference"]["offset"].as_u64().unwrap();
            // QEMU counts in sectors.
            assert_eq!(found / 512, at / 512, "{said}");
        }
        Ok(())
    };
    let ran = TestRunner::new(config).run(&plans(), check);
    ran.unwrap_or_else(|error| panic!("{error}"));
    let [different, equal] = verdicts.get();
    assert!(different > 15 && equal > 15, "{different}, {equal}");
}
