//! Disks that are split into several parts: right to the byte, whatever they are made of.

use crate::support::image::{ImageBuilder, ImageFile, SECTOR, Version, pattern};
use crate::support::split::{Part, SplitBuilder};
use crate::support::{Program, Scratch, SourceGuard, check, convert, info, map};
use std::fs;
use std::path::Path;

/// Numbers that are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) % end
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// An image that stores some clusters.
fn image(seeded: &mut Seeded, seed: u64, sectors: u64) -> ImageFile {
    let cluster = seeded.one_of(&[8, 32, 64, 128]);
    let version = seeded.one_of(&Version::BOTH);
    let builder = ImageBuilder::new(version)
        .cluster_sectors(cluster)
        .sectors(sectors)
        .seed(seed);
    let clusters = sectors.div_ceil(u64::from(cluster)) as u32;
    let mut order: Vec<u32> = (0..clusters).filter(|_| seeded.below(3) > 0).collect();
    if seeded.below(2) == 0 {
        order.reverse();
    }
    builder.store_all(order).build()
}

/// One to four parts of anything that can be a part.
fn any_disk(seeded: &mut Seeded, case: u64) -> SplitBuilder {
    let (parts, layers) = (2 + seeded.below(3), 1 + seeded.below(4));
    SplitBuilder::new((0..parts).map(|part| {
        let sectors = 1 + seeded.below(400);
        let seed = case * 1000 + part * 10;
        let is_plain = seeded.below(2) == 0;
        let files = (0..layers).map(|layer| {
            if layer == 0 && is_plain {
                let bytes = pattern(seed, 0, (sectors * SECTOR) as usize);
                ImageFile::raw(&bytes, 64)
            } else {
                image(seeded, seed + layer, sectors)
            }
        });
        Part {
            sectors,
            layers: files.collect(),
            is_plain,
        }
    }))
}

fn assert_holds(dir: &Path, options: &[&str], expected: &[u8], what: &str) {
    let scratch = Scratch::new();
    convert(dir, &scratch.target())
        .args(options)
        .run()
        .status(0);
    assert!(fs::read(scratch.target()).unwrap() == expected, "{what}");
}

#[test]
fn any_mix_of_parts_layers_versions_and_clusters_is_right_in_every_state_or_refused() {
    for case in 0..60 {
        let mut seeded = Seeded(case);
        let disk = any_disk(&mut seeded, case);
        let scratch = Scratch::new();
        let split = disk.write_with(&scratch.source(), |descriptor| {
            // The order in the text says nothing.
            let parts = descriptor.storages.len();
            for at in 0..parts {
                let other = seeded.below(parts as u64) as usize;
                descriptor.storages.swap(at, other);
            }
        });
        let guard = SourceGuard::new(&split.dir);
        let what = format!("case {case}: {:?}", disk.descriptor().storages);
        assert_holds(&split.dir, &[], &disk.content(), &what);
        for layer in 0..disk.layers() {
            let guid = disk.guid_of(layer);
            let options = ["--snapshot", &guid];
            let expected = disk.content_of(layer + 1);
            assert_holds(&split.dir, &options, &expected, &what);
        }
        drop(guard);
        // Without one of its files it is no disk, damaged or not.
        let part = seeded.below(split.files.len() as u64) as usize;
        let layer = seeded.below(disk.layers() as u64) as usize;
        fs::remove_file(&split.files[part][layer]).unwrap();
        for option in ["--sparse", "--salvage"] {
            let run = convert(&split.dir, &scratch.target()).arg(option).run();
            run.refused(3, &["part", "is missing"]);
        }
        scratch.assert_nothing_left();
    }
}

#[test]
fn every_reading_command_reads_it_as_one_disk() {
    let disk = SplitBuilder::new([
        Part::full(1, Version::V1, 33),
        Part::plain(2, 7),
        Part::full(3, Version::V2, 100),
    ]);
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let dir = &split.dir;
    let text = |command: &str| Program::new([command]).arg(dir).run().status(0);
    text("check").prints("clean");
    text("info").prints("part 0:").prints("part 2:");
    text("map").prints(" PART LAYER ");
    let report = info(dir).run().status(0).json();
    assert_eq!(report["virtual_size"], 140 * SECTOR);
    assert_eq!(report["parts"][1]["offset"], 33 * SECTOR);
    assert_eq!(report["parts"][1]["length"], 7 * SECTOR);
    assert_eq!(report["layers"][2]["part"], 2);
    assert_eq!(check(dir).run().status(0).json()["parts"], 3);
    let report = map(dir).run().status(0).json();
    let extents = report["extents"].as_array().unwrap();
    let raw = extents.iter().find(|extent| extent["part"] == 1).unwrap();
    assert_eq!(raw["layer"], 0);
    assert_eq!(raw["host_offset"], 0);
    assert_eq!(raw["offset"], 33 * SECTOR);

    let raw = scratch.out().join("raw");
    let mut bytes = disk.content();
    fs::write(&raw, &bytes).unwrap();
    let compare = |raw: &Path| Program::new(["compare"]).arg(dir).arg(raw).run();
    compare(&raw).status(0);
    Program::new(["verify"])
        .arg(&raw)
        .arg("--against")
        .arg(dir)
        .run()
        .status(0);
    bytes[35 * 512] ^= 1;
    fs::write(&raw, &bytes).unwrap();
    compare(&raw).status(1).prints("part 1, layer 0");
}

#[test]
fn what_an_image_rounds_up_past_its_part_is_left_out() {
    let mut disk = SplitBuilder::new([
        Part::full(1, Version::V2, 40),
        Part::full(2, Version::V2, 40),
    ]);
    for part in &mut disk.parts {
        part.sectors = 33;
    }
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let codes = check(&split.dir).run().status(0).codes();
    assert_eq!(codes, ["cluster-size-unusual", "part-longer"]);
    assert_holds(&split.dir, &[], &disk.content(), "rounded up");
    // A whole cluster is no rounding.
    for part in &mut disk.parts {
        part.sectors = 32;
    }
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    convert(&split.dir, &scratch.target())
        .run()
        .refused(3, &["it is not this part"]);
}

#[test]
fn two_thousand_parts_need_more_open_files_than_most_shells_allow() {
    let disk = SplitBuilder::new((0..2000).map(|part| Part::plain(part, 1)));
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let _guard = SourceGuard::quick(&split.dir);
    let script = "ulimit -S -n 1024 && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script])
        .arg(crate::support::program::path());
    command
        .arg(&split.dir)
        .arg("-o")
        .arg(scratch.target())
        .arg("--quiet");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(scratch.target()).unwrap() == disk.content());
}
