//! Disks without a usable descriptor: chains named by hand, what `info` lists, and tables that an
//! interrupted conversion had saved.

use crate::support::image::{Version, divided, pattern};
use crate::support::{
    Chain, ChainBuilder, ImageBuilder, ImageFile, Scratch, SourceGuard, assert_file_holds,
    assert_map_matches, check, convert, field, info, map, names_in, program,
};
use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

fn layer(seed: u64, clusters: u32) -> ImageBuilder {
    let image = ImageBuilder::v2().clusters(clusters).seed(seed);
    image.store_all([0, seed as u32])
}

fn two() -> ChainBuilder {
    ChainBuilder::base(&layer(1, 4)).child(&layer(2, 4))
}

fn three() -> ChainBuilder {
    two().child(&layer(3, 5))
}

/// The files' names, joined as an option takes them.
fn names(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(name).collect::<Vec<_>>().join(",")
}

/// A chain whose descriptor is gone, each layer last written to a day after the one below.
fn without_descriptor(scratch: &Scratch) -> Chain {
    let chain = dated(three().write(&scratch.source()));
    std::fs::remove_file(chain.descriptor()).unwrap();
    chain
}

fn dated(chain: Chain) -> Chain {
    for (day, file) in (1u64..).zip(&chain.files) {
        let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000 + day * 86_400);
        let file = File::options().write(true).open(file).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    chain
}

#[test]
fn a_chain_named_by_hand_reads_as_its_descriptor_says() {
    let scratch = Scratch::new();
    let chain = without_descriptor(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let model = chain.model();
    let all = names(&chain.files);
    for image in [&chain.dir, &chain.files[0], &chain.files[2]] {
        let by_hand = convert(image, &scratch.target()).args(["-f", "--layers", &all]);
        by_hand.run().done();
        assert_file_holds(&scratch.target(), &model);
    }
    let told = map(&chain.dir).args(["--layers", &all]).run().done().json();
    assert_map_matches(&told, &model);
    check(&chain.dir).args(["--layers", &all]).run().status(0);
    let report = info(&chain.dir)
        .args(["--layers", &all])
        .run()
        .done()
        .json();
    assert_eq!(report["layers"].as_array().unwrap().len(), 3);

    // A part of it is a disk too, and absolute names are taken as they are.
    let two = chain.files[..2]
        .iter()
        .map(|file| file.display().to_string());
    let two = two.collect::<Vec<_>>().join(",");
    let by_hand = convert(Path::new("/"), &scratch.target()).args(["-f", "--layers", &two]);
    by_hand.run().done();
    assert_file_holds(&scratch.target(), &chain.model_of(1));
}

#[test]
fn a_descriptor_is_not_read_where_the_chain_is_named() {
    let scratch = Scratch::new();
    let chain = three().write_text(&scratch.source(), "<no descriptor");
    let all = names(&chain.files);
    let by_hand = convert(&chain.dir, &scratch.target()).args(["--layers", &all]);
    by_hand.run().done();
    assert_file_holds(&scratch.target(), &chain.model());
}

#[test]
fn a_container_that_is_named_holds_the_layers() {
    let scratch = Scratch::new();
    let area = scratch.source().join("101");
    let chain = three().write(&area.join("root.hdd"));
    let all = names(&chain.files);
    for args in [
        vec![area.as_os_str()],
        vec![
            "101".as_ref(),
            "--private-dir".as_ref(),
            scratch.source().as_os_str(),
        ],
    ] {
        let by_hand = crate::support::Program::new(args).args(["--layers", &all, "-f", "-o"]);
        by_hand.arg(scratch.target()).run().done();
        assert_file_holds(&scratch.target(), &chain.model());
    }
}

#[test]
fn a_raw_base_is_raw_only_where_it_is_called_so() {
    let scratch = Scratch::new();
    let mut raw = divided(pattern(4, 0, 3 * 32768 + 512));
    // A guest can write what an image begins with.
    raw[..16].copy_from_slice(b"WithouFreSpacExt");
    let chain = ChainBuilder::raw_base(&raw, 64)
        .child(&ImageBuilder::v2().store(1))
        .write(&scratch.source());
    std::fs::remove_file(chain.descriptor()).unwrap();
    let all = names(&chain.files);
    let by_hand = |layers: &str| {
        convert(&chain.dir, &scratch.target())
            .args(["-f", "--layers", layers])
            .run()
    };
    by_hand(&format!("raw:{all}")).done();
    assert_file_holds(&scratch.target(), &chain.model());
    by_hand(&all).refused(3, &["root.hds"]);

    std::fs::write(&chain.files[0], pattern(5, 0, 4 * 32768)).unwrap();
    by_hand(&all).refused(1, &["root.hds", "layer 0", "raw:root.hds"]);
    let top = chain.files[1].file_name().unwrap().to_str().unwrap();
    by_hand(&format!("{top},raw:root.hds")).refused(1, &["layer 1", "only the base"]);
}

#[test]
fn layers_that_cannot_be_a_chain_are_refused() {
    let scratch = Scratch::new();
    let chain = without_descriptor(&scratch);
    let names: Vec<_> = chain
        .files
        .iter()
        .map(|file| names(std::slice::from_ref(file)))
        .collect();
    let refuse = |layers: &[&str], status, words: &[&str]| {
        let by_hand = convert(&chain.dir, &scratch.target()).args(["--layers", &layers.join(",")]);
        by_hand.run().refused(status, words);
        scratch.assert_nothing_left();
    };
    refuse(&[&names[2], &names[0]], 3, &["smaller"]);
    refuse(&[&names[0], &names[0]], 1, &["same file"]);
    refuse(&[&names[0], "nothing"], 1, &["nothing"]);
    // A comma too many is a mistake of the command line; a folder is no layer.
    let nothing = convert(&chain.dir, &scratch.target()).args(["--layers", &names[0], "--layers="]);
    nothing.run().status(2).says(["without the name of a file"]);
    refuse(&[&names[0], "."], 1, &["directory"]);
    let outside = scratch.path().join("outside.hds");
    std::fs::rename(&chain.files[0], &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &chain.files[0]).unwrap();
    refuse(&[&names[0], &names[1]], 1, &["outside", "--allow-outside"]);
    for option in [
        ["--snapshot", "5fbaabe3-6958-40ff-92a7-860e329aab41"],
        ["--single-layer", "-f"],
    ] {
        let both = convert(&chain.dir, &scratch.target()).args(["--layers", &names[1]]);
        both.args(option).run().status(2).says(["--layers"]);
    }
}

#[test]
fn the_last_layer_named_is_the_one_that_may_not_be_in_use() {
    let scratch = Scratch::new();
    let dirty = ImageBuilder::v2().in_use(field::DIRTY).seed(2).store(1);
    let chain = ChainBuilder::base(&ImageBuilder::v2().store(0)).child(&dirty);
    let chain = chain.write(&scratch.source());
    let by_hand = |files: &[PathBuf]| {
        convert(&chain.dir, &scratch.target())
            .args(["-f", "--layers", &names(files)])
            .run()
    };
    by_hand(&chain.files).refused(4, &["in use"]);
    by_hand(&[chain.files[1].clone(), chain.files[0].clone()])
        .status(0)
        .says(["in use"]);
}

#[test]
fn what_lies_there_without_a_descriptor_is_listed_and_one_layer_over_a_base_has_its_command() {
    for (layers, descriptor) in [2, 3]
        .into_iter()
        .flat_map(|layers| [None, Some("<Parallels_disk_image><broken")].map(|it| (layers, it)))
    {
        let scratch = Scratch::new();
        let chain = if layers == 3 { three() } else { two() };
        let chain = dated(chain.write(&scratch.source()));
        std::fs::remove_file(chain.descriptor()).unwrap();
        if let Some(text) = descriptor {
            std::fs::write(chain.descriptor(), text).unwrap();
        }
        let _guard = SourceGuard::new(&scratch.source());
        let status = if descriptor.is_some() { 3 } else { 1 };
        let outcome = info(&chain.dir).run().status(status);
        let report = outcome.json();
        let found = report["found_images"].as_array().unwrap();
        let real: Vec<_> = found
            .iter()
            .map(|found| {
                Path::new(found["file"].as_str().unwrap())
                    .canonicalize()
                    .unwrap()
            })
            .collect();
        let expected: Vec<_> = chain
            .files
            .iter()
            .map(|file| file.canonicalize().unwrap())
            .collect();
        assert_eq!(real, expected, "base first, then by age");
        assert_eq!(found[1]["layer"]["allocated_clusters"], 2);

        let text = crate::support::Program::new(["info"]).arg(&chain.dir);
        let text = text.run().status(status).prints("2020-09-1");
        let out = String::from_utf8(text.stdout).unwrap();
        if layers == 3 {
            assert_eq!(found[2]["layer"]["virtual_size"], 5 * 32768);
            assert_eq!(report["command"], serde_json::Value::Null);
            assert!(out.contains("neither names nor times tell"), "{out}");
            assert!(!out.contains("--layers"), "{out}");
            continue;
        }
        let command = report["command"].as_str().unwrap();
        assert!(out.contains(command), "{command} in {out}");
        let command = command
            .replacen("ploopconv", program::path().to_str().unwrap(), 1)
            .replace("TARGET", scratch.target().to_str().unwrap());
        let done = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        assert_file_holds(&scratch.target(), &chain.model());
    }
}

#[test]
fn what_is_in_use_or_damaged_is_said_of_what_lies_there() {
    let scratch = Scratch::new();
    let image = ImageBuilder::v2().in_use(field::DIRTY).store(0);
    image.write(&scratch.source().join("a.hds"));
    let mut damaged = ImageBuilder::v1().store(0).build();
    damaged
        .put_u32(field::entry(1), 9999)
        .write(&scratch.source().join("b.hds"));
    let mut broken = ImageBuilder::v1().store(0).build();
    broken
        .put_u32(field::TYPE, 9)
        .write(&scratch.source().join("c.hds"));
    std::fs::write(scratch.source().join("notes.txt"), "none").unwrap();
    let text = crate::support::Program::new(["info"]).arg(scratch.source());
    text.run()
        .status(1)
        .prints("marked in use")
        .prints("damaged")
        .prints("ploop1");
    let report = info(&scratch.source()).run().status(1).json();
    let found = report["found_images"].as_array().unwrap();
    let by_name = |name: &str| {
        let ends = |found: &&serde_json::Value| found["file"].as_str().unwrap().ends_with(name);
        found.iter().find(ends).unwrap()
    };
    assert_eq!(found.len(), 3);
    assert_eq!(by_name("a.hds")["layer"]["in_use"], true);
    assert_eq!(by_name("b.hds")["damaged"], true);
    assert_eq!(by_name("c.hds")["damaged"], true);
}

#[test]
fn a_delta_read_alone_is_warned_about_and_a_base_is_not() {
    let scratch = Scratch::new();
    let chain = three().write(&scratch.source());
    let alone = |number: usize| {
        convert(&chain.files[number], &scratch.target())
            .args(["-f", "--single-layer"])
            .run()
    };
    alone(0).done();
    alone(1)
        .status(0)
        .says(["warning", "below it", "single-layer"]);
    std::fs::remove_file(chain.descriptor()).unwrap();
    // Without a descriptor only the names beside it tell that it is not the current state.
    alone(0)
        .status(0)
        .says(["warning", "names of layers over it", "single-layer"]);
    alone(1).status(0).says(["warning", "single-layer"]);
    let plain = convert(&chain.files[2], &scratch.target()).arg("-f");
    plain.run().status(0).says(["warning", "single-layer"]);
}

/// An image that a conversion from version 1 to version 2 left half-way, and its saved table.
fn half_converted(scratch: &Scratch) -> (PathBuf, PathBuf, ImageFile) {
    let image = ImageBuilder::v1()
        .clusters(6)
        .store_all([2, 0, 5, 3])
        .build();
    let path = scratch.source().join("disk.hds");
    let mut half = image.clone();
    // The order of libploop: in use, the flag, entries one by one; the magic comes last.
    half.put_u32(field::IN_USE, field::DIRTY)
        .put_u32(field::FLAGS, 2);
    half.put_u32(field::entry(0), 2).put_u32(field::entry(2), 1);
    half.write(&path);
    let saved = scratch.source().join("disk.hds.idx");
    std::fs::write(&saved, &image.bytes()[..32768]).unwrap();
    (path, saved, image)
}

#[test]
fn a_saved_table_reads_an_image_whose_conversion_was_cut_short() {
    let scratch = Scratch::new();
    let (path, _, image) = half_converted(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.target();
    convert(&path, &target)
        .run()
        .refused(3, &["conversion", "disk.hds.idx", "--use-idx"]);
    convert(&path, &target)
        .arg("--salvage")
        .run()
        .refused(3, &["--use-idx"]);
    scratch.assert_nothing_left();
    let outcome = convert(&path, &target).arg("--use-idx").run();
    outcome
        .status(0)
        .says(["warning", "disk.hds.idx", "index-used"]);
    assert_file_holds(&target, &image.model(""));
    let report = check(&path).arg("--use-idx").run();
    report.status(0).finds("index-used", "warning");
}

#[test]
fn a_saved_table_is_no_layer_of_its_own() {
    let scratch = Scratch::new();
    let (path, ..) = half_converted(&scratch);
    let folder = scratch.source();
    let report = info(&folder).run().status(1).json();
    let found = report["found_images"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0]["file"], path.to_str().unwrap());
}

type Spoil = fn(&mut Vec<u8>);

#[test]
fn a_saved_table_that_does_not_fit_is_refused() {
    let spoil: [(&str, Spoil); 6] = [
        ("sizes differ", |bytes| bytes[28] = 128),
        ("sizes differ", |bytes| bytes[36] ^= 1),
        ("sizes differ", |bytes| bytes[48] = 128),
        ("ends at", |bytes| bytes.truncate(32767)),
        ("header", |bytes| bytes.truncate(10)),
        ("conversion", |bytes| bytes[52] = 2),
    ];
    for (words, spoil) in spoil {
        let scratch = Scratch::new();
        let (path, saved, _) = half_converted(&scratch);
        let mut bytes = std::fs::read(&saved).unwrap();
        spoil(&mut bytes);
        std::fs::write(&saved, bytes).unwrap();
        let convert = convert(&path, &scratch.target()).arg("--use-idx");
        convert.run().refused(3, &["disk.hds.idx", words]);
        scratch.assert_nothing_left();
    }
    let scratch = Scratch::new();
    let (path, saved, _) = half_converted(&scratch);
    std::fs::remove_file(&saved).unwrap();
    let without = convert(&path, &scratch.target()).arg("--use-idx");
    without.run().refused(3, &["conversion"]);
    // A link that leads out of the folder is no table of the image.
    let outside = scratch.path().join("outside");
    std::fs::write(&outside, "").unwrap();
    std::os::unix::fs::symlink(&outside, &saved).unwrap();
    without.run().refused(1, &["outside", "--allow-outside"]);
}

#[test]
fn a_saved_table_beside_a_sound_image_means_nothing() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let image = ImageBuilder::new(version).store_all([1, 0]).build();
        let path = scratch.source().join("disk.hds");
        image.write(&path);
        std::fs::write(scratch.source().join("disk.hds.idx"), "old").unwrap();
        convert(&path, &scratch.target())
            .arg("--use-idx")
            .run()
            .done();
        assert_file_holds(&scratch.target(), &image.model(""));
        assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    }
}
