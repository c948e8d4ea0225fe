//! `--salvage`: readable bytes of damaged images are read, others are zeros, and both are reported.

use crate::support::image::Version;
use crate::support::mapfile::{assert_covers, list_of};
use crate::support::spoiled::{Byte, salvaged};
use crate::support::spoiled::{CLUSTER, damaged, good, written};
use crate::support::{
    ChainBuilder, ImageBuilder, ImageFile, NO_PARENT, Outcome, Program, Scratch, SourceGuard,
    check, convert, field, guid, info, map,
};
use crate::tools::tool;
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Converts with `--salvage`, and asserts that target, list, report and status tell what `layers`
/// read as by the model.
#[track_caller]
fn assert_salvages(scratch: &Scratch, image: &Path, layers: &[Vec<u8>]) -> Outcome {
    let _guard = SourceGuard::new(&scratch.source());
    let expected = salvaged(layers);
    let is = |wanted: fn(&Byte) -> bool| expected.iter().filter(|byte| wanted(byte)).count();
    let lost = is(|byte| *byte == Byte::Lost);
    let doubtful = is(|byte| matches!(byte, Byte::Doubtful(_)));

    let target = scratch.target();
    let status = if lost + doubtful == 0 { 0 } else { 5 };
    let outcome = convert(image, &target)
        .args(["--salvage", "-f", "--json"])
        .run()
        .status(status);
    let content: Vec<u8> = expected.iter().map(|byte| byte.value()).collect();
    assert!(std::fs::read(&target).unwrap() == content, "the target");
    let report = &outcome.json()["salvage"];
    assert_eq!(report["lost_bytes"], lost, "{report}");
    assert_eq!(report["doubtful_bytes"], doubtful, "{report}");
    let list = list_of(&target);
    assert_covers(&list, content.len() as u64);
    let told = told(&list);
    for (at, byte) in expected.iter().enumerate() {
        let kind = told.iter().rev().find(|(start, _)| *start <= at).unwrap().1;
        let right = match byte {
            Byte::Read(_) => '+',
            Byte::Lost => '-',
            Byte::Doubtful(_) => '/',
        };
        assert_eq!(kind, right, "offset {at:#x}");
    }
    outcome
}

/// The starts and kinds of the blocks of a list.
fn told(list: &Path) -> Vec<(usize, char)> {
    let text = std::fs::read_to_string(list).unwrap();
    let blocks = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    blocks
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let start = usize::from_str_radix(words[0].trim_start_matches("0x"), 16).unwrap();
            (start, words[2].chars().next().unwrap())
        })
        .collect()
}

#[track_caller]
fn assert_image_salvages(image: &ImageFile) -> Outcome {
    let scratch = Scratch::new();
    let path = written(&scratch, image);
    convert(&path, &scratch.target()).run().status(3);
    scratch.assert_nothing_left();
    assert_salvages(&scratch, &path, &[image.bytes()])
}

#[test]
fn an_entry_past_the_end_of_the_file_is_zeros() {
    for (version, unit) in [(Version::V1, 64), (Version::V2, 1)] {
        for cluster in [4, 1000, u32::MAX / 64 / unit * unit] {
            let mut image = good(version).build();
            image.put_u32(field::entry(1), cluster * unit);
            assert_image_salvages(&image);
        }
        let mut image = good(version).build();
        assert_image_salvages(image.put_u32(field::entry(3), u32::MAX));
    }
}

#[test]
fn of_a_cluster_that_is_cut_off_what_exists_is_kept() {
    for version in Version::BOTH {
        for missing in [1, 512, 16384, 32767] {
            let mut image = good(version).build();
            image.set_len(image.len - missing);
            assert_image_salvages(&image);
        }
        let mut image = ImageBuilder::new(version)
            .sectors(130)
            .store_all([0, 2])
            .build();
        image.set_len(image.len - 62 * 512 - 1);
        assert_image_salvages(&image);
    }
}

#[test]
fn an_entry_inside_the_table_is_zeros() {
    let mut image = good(Version::V1).build();
    assert_image_salvages(image.put_u32(field::entry(1), 1));
    let mut image = ImageBuilder::v2().clusters(90).cluster_sectors(1);
    image = image.store_all([2, 0]);
    let mut image = image.build();
    assert_image_salvages(image.put_u32(field::entry(1), 0x1));
}

#[test]
fn a_misaligned_entry_is_read_from_its_sector_and_doubtful() {
    for sector in [65, 129, 191] {
        let mut image = ImageBuilder::v1().store_all([2]).gap(2).store(0).build();
        assert_image_salvages(image.put_u32(field::entry(1), sector));
    }
}

#[test]
fn both_of_two_entries_of_one_place_are_read_and_doubtful() {
    for (version, unit) in [(Version::V1, 64), (Version::V2, 1)] {
        let mut image = good(version).build();
        assert_image_salvages(image.put_u32(field::entry(3), 2 * unit));
    }
}

#[test]
fn what_a_layer_lost_is_never_taken_from_the_layer_below() {
    for number in 0..2 {
        let scratch = Scratch::new();
        let base = ImageBuilder::v2().seed(1).store_all([0, 1, 2, 3]).build();
        let top = ImageBuilder::v2().seed(2).store_all([1, 2]).build();
        let mut images = [base, top];
        images[number].put_u32(field::entry(2), 77);
        images[number].put_u32(field::entry(0), if number == 0 { 78 } else { 0 });
        let layers = images.each_ref().map(ImageFile::bytes);
        let [base, top] = images;
        let chain = ChainBuilder::base_file(base)
            .child_file(top)
            .write(&scratch.source());
        assert_salvages(&scratch, &chain.dir, &layers);
        assert_eq!(
            salvaged(&layers)[2 * CLUSTER as usize] == Byte::Lost,
            number == 1,
            "the base's is masked"
        );
    }
}

type SpoilHeader = fn(&mut ImageFile);

#[test]
fn damage_whose_cost_nobody_knows_is_refused_all_the_same() {
    let spoil: [(&str, SpoilHeader); 9] = [
        ("header", |image| {
            image.set_len(40);
        }),
        ("BAT", |image| {
            image.set_len(70);
        }),
        ("type", |image| {
            image.put_u32(field::TYPE, 3);
        }),
        ("cluster size", |image| {
            image.put_u32(field::CLUSTER_SECTORS, 0);
        }),
        ("size", |image| {
            image.put_u32(field::SECTORS, 0);
        }),
        ("data", |image| {
            image.put_u32(field::DATA_OFF, 1);
        }),
        ("conversion", |image| {
            image.put_u32(field::FLAGS, 2);
        }),
        ("entries", |image| {
            image.put_u32(field::ENTRIES, 3);
        }),
        ("entries", |image| {
            image
                .put_u32(field::ENTRIES, 3)
                .put_u32(field::entry(0), 99);
        }),
    ];
    for (words, spoil) in spoil {
        let mut image = good(Version::V2).build();
        spoil(&mut image);
        let scratch = Scratch::new();
        let path = written(&scratch, &image);
        let _guard = SourceGuard::new(&scratch.source());
        convert(&path, &scratch.target())
            .arg("--salvage")
            .run()
            .refused(3, &[words]);
        scratch.assert_nothing_left();
        info(&path).arg("--salvage").run().status(3);
        check(&path).arg("--salvage").run().status(3);
    }
    let scratch = Scratch::new();
    let mut image = good(Version::V2).build();
    let path = written(&scratch, image.put(field::MAGIC, b"?"));
    let refused = convert(&path, &scratch.target()).arg("--salvage").run();
    refused.refused(1, &["ploop"]);
}

#[test]
fn a_chain_that_is_not_whole_is_refused_all_the_same() {
    let chain = || {
        let image = |seed| ImageBuilder::v2().seed(seed).store_all([0, 2]);
        ChainBuilder::base(&image(1))
            .child(&image(2))
            .child(&image(3))
    };
    let refuse = |scratch: &Scratch, words: &[&str]| {
        let salvage = convert(&scratch.source(), &scratch.target()).arg("--salvage");
        salvage.run().refused(3, words);
        scratch.assert_nothing_left();
    };
    let scratch = Scratch::new();
    let written = chain().write(&scratch.source());
    std::fs::remove_file(&written.files[1]).unwrap();
    refuse(&scratch, &["missing"]);

    let scratch = Scratch::new();
    chain().write_with(&scratch.source(), |disk| disk.shots[0].parent = guid(1));
    refuse(&scratch, &["ancestor"]);

    let scratch = Scratch::new();
    chain().write_with(&scratch.source(), |disk| {
        disk.shots.retain(|shot| shot.parent != NO_PARENT);
    });
    refuse(&scratch, &["snapshot"]);

    let scratch = Scratch::new();
    ChainBuilder::base(&ImageBuilder::v2().clusters(8).store(0))
        .child(&ImageBuilder::v2().clusters(4).store(1))
        .write(&scratch.source());
    refuse(&scratch, &["smaller"]);
}

#[test]
fn an_image_in_use_needs_its_own_option() {
    let mut image = good(Version::V2).in_use(field::DIRTY).build();
    image.put_u32(field::entry(3), 99);
    let scratch = Scratch::new();
    let path = written(&scratch, &image);
    let salvage = convert(&path, &scratch.target()).arg("--salvage");
    salvage.run().refused(4, &["in use", "--allow-dirty"]);
    salvage
        .arg("--allow-dirty")
        .run()
        .status(5)
        .says(["in use"]);
}

#[test]
fn a_sound_image_has_a_list_on_which_everything_is_read() {
    let scratch = Scratch::new();
    let image = good(Version::V2).build();
    let path = written(&scratch, &image);
    let outcome = assert_salvages(&scratch, &path, &[image.bytes()]);
    assert_eq!(outcome.json()["salvage"]["ranges"], 0);
    let mut done = Command::new("ddrescuelog");
    tool(
        "gddrescue",
        done.arg("--done-status").arg(list_of(&scratch.target())),
    );
}

#[test]
fn every_command_says_what_is_lost() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let salvage = |program: Program| program.arg("--salvage").run();

    let report = salvage(info(&path)).status(5).json();
    assert_eq!(report["lost_bytes"], CLUSTER);
    assert_eq!(report["damaged"], true);
    assert_eq!(report["data_bytes"], 2 * CLUSTER);
    assert_eq!(
        info(&path).run().status(3).json()["lost_bytes"],
        Value::Null
    );
    salvage(check(&path))
        .status(3)
        .finds("entry-past-end", "damage");
    let extents = salvage(map(&path)).status(5).json()["extents"].clone();
    let lost: Vec<_> = extents
        .as_array()
        .unwrap()
        .iter()
        .filter(|extent| extent["kind"] == "lost")
        .collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["offset"], CLUSTER);
    assert_eq!(lost[0]["length"], CLUSTER);

    let dry = salvage(convert(&path, &scratch.target()).args(["--dry-run", "--json"]));
    assert_eq!(dry.status(0).json()["salvage"]["lost_bytes"], CLUSTER);
    scratch.assert_nothing_left();
    salvage(convert(&path, &scratch.target()))
        .status(5)
        .says(["32 KiB", "lost", "disk.raw.lost"]);
}

#[test]
fn compare_and_verify_count_lost_ranges_as_zeros_and_say_so() {
    let scratch = Scratch::new();
    let path = damaged(&scratch);
    let target = scratch.target();
    let done = convert(&path, &target)
        .args(["--salvage", "--verify"])
        .run();
    done.status(5);
    let compare = Program::new(["compare", "--salvage", "--json"])
        .arg(&path)
        .arg(&target);
    let report = compare.run().status(5).says(["lost"]).json();
    assert_eq!(report["equal"], true);
    assert_eq!(report["lost_bytes_a"], CLUSTER);
    assert_eq!(report["lost_bytes_b"], 0);
    let verify = || {
        let verify = Program::new(["verify", "--json", "--salvage"]).arg(&target);
        verify.arg("--against").arg(&path)
    };
    let report = verify().run().status(5).says(["lost"]).json();
    assert_eq!(
        (&report["equal"], &report["lost_bytes"]),
        (&true.into(), &CLUSTER.into())
    );
    Program::new(["compare"])
        .arg(&path)
        .arg(&target)
        .run()
        .status(3);

    let mut bytes = std::fs::read(&target).unwrap();
    bytes[CLUSTER as usize + 5] = 1;
    std::fs::write(&target, bytes).unwrap();
    let report = verify().run().status(1).json();
    assert_eq!(report["first_difference"]["offset"], CLUSTER + 5);
    assert_eq!(report["first_difference"]["image"]["kind"], "lost");
}

/// One thing done to an image.
#[derive(Clone, Debug)]
enum Spoil {
    Entry { index: u64, value: u32 },
    Cut(u64),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let near = prop_oneof![0u32..12, 60u32..70, Just(u32::MAX), any::<u32>()];
    prop_oneof![
        8 => (0u64..12, near).prop_map(|(index, value)| Spoil::Entry { index, value }),
        1 => (0u64..5000).prop_map(Spoil::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chains_spoiled_at_random_read_as_the_model_says(
        spoils in prop::collection::vec((0usize..3, spoil()), 1..8),
        versions in prop::array::uniform3(any::<bool>()),
        stored in prop::array::uniform3(prop::collection::btree_set(0u32..11, 0..8)),
    ) {
        let scratch = Scratch::new();
        let seeds = (1u64..).zip(versions).zip(stored);
        let mut images: Vec<ImageFile> = seeds.map(|((seed, v1), stored)| {
            let version = if v1 { Version::V1 } else { Version::V2 };
            let image = ImageBuilder::new(version).cluster_sectors(4).sectors(45).seed(seed);
            image.store_all(stored).build()
        }).collect();
        for (number, spoil) in spoils {
            let image = &mut images[number];
            match spoil {
                Spoil::Entry { index, value } => { image.put_u32(field::entry(index), value); }
                Spoil::Cut(by) => { image.set_len(image.len.saturating_sub(by).max(2048)); }
            }
        }
        let layers: Vec<Vec<u8>> = images.iter().map(ImageFile::bytes).collect();
        let mut images = images.into_iter();
        let base = images.next().map(ChainBuilder::base_file);
        let chain = images.fold(base.unwrap(), ChainBuilder::child_file).write(&scratch.source());
        assert_salvages(&scratch, &chain.dir, &layers);
    }
}
