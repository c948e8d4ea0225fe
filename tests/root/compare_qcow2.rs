//! qcow2 images that QEMU made, read by `compare` and `verify`: every kind there is, what is
//! refused, damage, and random pairs of which `qemu-img compare` says the same.

use crate::support::compared::{byte_of, compare, differ_at, equal, qemu_io, to_qcow2, verify};
use crate::support::image::pattern;
use crate::support::qcow2::qemu_img;
use crate::support::{Scratch, SourceGuard};
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::format::qcow2::Qcow2Disk;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not a multiple of most cluster sizes.
const SIZE: u64 = (5 << 20) + 3 * 512;

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
            // The first compressed clusters lie after the tables, of a cluster each.
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
        let disk = Qcow2Disk::over(RawDisk::over(std::sync::Arc::new(bytes), name)?, name)?;
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
