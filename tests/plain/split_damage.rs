//! Split disks that are damaged, or whose descriptor contradicts itself.

use crate::support::image::{ImageBuilder, ImageFile, SECTOR, Version, field};
use crate::support::split::{Part, SplitBuilder};
use crate::support::{Descriptor, Outcome, Program, Scratch, check, convert};
use std::fs;
use std::path::Path;

fn three() -> SplitBuilder {
    SplitBuilder::new([
        Part::full(1, Version::V1, 64),
        Part::plain(2, 64),
        Part::full(3, Version::V2, 64),
    ])
}

fn cut_off(file: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - bytes).unwrap();
}

/// The disk with this descriptor is refused, and salvage does not help.
#[track_caller]
fn refuse(disk: &SplitBuilder, parts: &[&str], bend: impl Fn(&mut Descriptor)) -> Outcome {
    let scratch = Scratch::new();
    let split = disk.write_with(&scratch.source(), &bend);
    convert(&split.dir, &scratch.target())
        .arg("--salvage")
        .run()
        .refused(3, parts);
    let run = convert(&split.dir, &scratch.target())
        .run()
        .refused(3, parts);
    scratch.assert_nothing_left();
    run
}

#[test]
fn gaps_overlaps_and_ranges_that_are_none_are_refused() {
    refuse(&three(), &["no part of the disk has"], |it| {
        it.storages[1].start += 1
    });
    refuse(&three(), &["no part of the disk has"], |it| {
        it.storages[0].start = 1
    });
    refuse(&three(), &["two parts of the disk both"], |it| {
        it.storages[1].start -= 1
    });
    refuse(&three(), &["two parts of the disk both"], |it| {
        it.storages[1].start = 0
    });
    refuse(&three(), &["is no range"], |it| it.storages[2].end = 128);
    refuse(&three(), &["is no range"], |it| {
        it.storages[2].end = u64::MAX
    });
    refuse(&three(), &["a part is missing"], |it| it.disk_size += 1);
    refuse(&three(), &["a part is missing"], |it| {
        drop(it.storages.pop())
    });
    refuse(&three(), &["no image of snapshot"], |it| {
        it.storages[1].images[0].guid = crate::support::guid(9);
    });
}

#[test]
fn ranges_that_do_not_fit_the_images_are_refused() {
    for (at, by) in [(0, 8), (1, 65), (2, 9)] {
        refuse(&three(), &["it is not this part"], |it| {
            it.storages[at].blocksize = 8;
            it.storages[at].end -= by.min(63);
            for later in at + 1..3 {
                it.storages[later].start -= by.min(63);
                it.storages[later].end -= by.min(63);
            }
            it.disk_size -= by.min(63);
        });
    }
    refuse(&three(), &["the rest is missing"], |it| {
        it.storages[2].end += 8;
        it.disk_size += 8;
    });
}

#[test]
fn salvage_reads_what_is_left_and_tells_the_losses_by_part() {
    let disk = three();
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    // A raw part that was cut, and an image that lost its last cluster.
    cut_off(&split.files[1][0], 3 * SECTOR);
    cut_off(&split.files[2][0], 8 * SECTOR);
    convert(&split.dir, &scratch.target())
        .run()
        .refused(3, &["the rest is missing"]);
    let run = convert(&split.dir, &scratch.target())
        .args(["--salvage", "--json"])
        .run();
    let run = run
        .status(5)
        .says(["part 1 of the split disk", "part 2 of the split disk"]);
    let mut expected = disk.content();
    expected[125 * 512..128 * 512].fill(0);
    expected[184 * 512..].fill(0);
    assert!(fs::read(scratch.target()).unwrap() == expected);
    let images = &run.json()["salvage"]["images"];
    let lost = |at: usize| (&images[at]["part"], &images[at]["lost_bytes"]);
    assert_eq!(lost(0), (&1.into(), &(3 * SECTOR).into()));
    assert_eq!(lost(1), (&2.into(), &(8 * SECTOR).into()));
    let list = fs::read_to_string(scratch.out().join("disk.raw.lost")).unwrap();
    for line in [
        "0x000000fa00  0x0000000600  -",
        "0x0000017000  0x0000001000  -",
    ] {
        assert!(list.contains(line), "{list}");
    }
    Program::new(["map"])
        .arg(&split.dir)
        .arg("--salvage")
        .run()
        .status(5)
        .prints("lost");
}

#[test]
fn a_mark_of_use_counts_in_the_top_of_any_part() {
    let mut disk = three();
    disk.parts[2].layers[0].put_u32(field::IN_USE, field::DIRTY);
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    convert(&split.dir, &scratch.target())
        .run()
        .refused(4, &["marked in use"]);
    convert(&split.dir, &scratch.target())
        .arg("--allow-dirty")
        .run()
        .status(0);
    assert!(fs::read(scratch.target()).unwrap() == disk.content());
}

#[test]
fn a_file_is_one_image_and_no_older_state_reads_a_delta_as_the_base() {
    let layer = |seed| {
        let image = ImageBuilder::v2().cluster_sectors(8).sectors(64).seed(seed);
        image.store_all(0..4).build()
    };
    let part = |seed| Part {
        sectors: 64,
        layers: vec![layer(seed), layer(seed + 1)],
        is_plain: false,
    };
    let disk = SplitBuilder::new([part(1), part(5)]);
    for (from, to) in [((0, 1), (0, 0)), ((0, 1), (1, 0)), ((1, 0), (1, 1))] {
        let run = refuse(&disk, &["file"], |it| {
            let file = it.storages[from.0].images[from.1].file.clone();
            it.storages[to.0].images[to.1].file = file;
        });
        assert!(!run.stderr.contains("--snapshot"), "{run:?}");
    }
}

#[test]
fn plain_over_a_header_is_raw_only_where_it_fits_as_a_raw_disk() {
    let image: ImageFile = ImageBuilder::v2()
        .cluster_sectors(8)
        .sectors(64)
        .store(0)
        .build();
    // An image has a header more than the part is long.
    let disk = SplitBuilder::new([Part::plain(1, 64), Part::plain(2, 64)]);
    let with = |file: ImageFile, layers: usize| {
        let mut disk = disk.clone();
        for part in &mut disk.parts {
            let delta = ImageBuilder::v2().cluster_sectors(8).sectors(64).build();
            part.layers.resize(layers, delta);
        }
        disk.parts[1].layers[0] = file;
        disk
    };
    refuse(
        &with(image.clone(), 1),
        &["begins like a ploop image"],
        |_| {},
    );
    let mut fitting = ImageFile::raw(&image.bytes(), 64);
    fitting.set_len(64 * SECTOR);
    refuse(
        &with(fitting.clone(), 2),
        &["begins like a ploop image"],
        |_| {},
    );
    let scratch = Scratch::new();
    let split = with(fitting, 1).write(&scratch.source());
    let codes = check(&split.dir).run().status(0).codes();
    assert_eq!(codes, ["plain-with-header"]);
    convert(&split.dir, &scratch.target()).run().status(0);
}

#[test]
fn names_that_count_otherwise_than_the_descriptor_are_warned_about() {
    let scratch = Scratch::new();
    let disk = SplitBuilder::new([Part::plain(1, 9), Part::plain(2, 9)]);
    let split = disk.write_with(&scratch.source(), |it| {
        let [a, b] = &mut it.storages[..] else {
            panic!()
        };
        std::mem::swap(&mut a.images, &mut b.images);
    });
    convert(&split.dir, &scratch.target())
        .run()
        .status(0)
        .says(["[part-order]"]);
    let mut expected = disk.content();
    expected.rotate_left(9 * 512);
    assert!(fs::read(scratch.target()).unwrap() == expected);
}
