//! Bundles of virtual machines: which disk is meant, and what says that it is in use.

use crate::support::field;
use crate::support::hints::{Right, follow, quoted};
use crate::support::split::{Part, SplitBuilder};
use crate::support::{ChainBuilder, ImageBuilder, Program, Scratch, convert, names_in};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A disk of two layers whose content is its seed's.
fn disk(seed: u64) -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().seed(seed).store_all([0, 2]))
        .child(&ImageBuilder::v2().seed(seed + 1).store(1))
}

fn config(disks: &[(&str, &str, u32)]) -> String {
    let disks = disks.iter().map(|(file, label, number)| {
        format!(
            "<Hdd id=\"{number}\" dyn_lists=\"Partition 0\"><Index>{number}</Index>\
             <SystemName>{file}</SystemName><UserFriendlyName>{label}</UserFriendlyName></Hdd>"
        )
    });
    let disks: String = disks.collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ParallelsVirtualMachine><Hardware>{disks}\
         <CdRom><Index>0</Index><SystemName>x.iso</SystemName></CdRom>\
         </Hardware></ParallelsVirtualMachine>"
    )
}

/// A bundle with these disks, and what each holds.
fn bundle(scratch: &Scratch, names: &[&str]) -> (PathBuf, Vec<Vec<u8>>) {
    let pvm = scratch.source().join("Win 10.pvm");
    let contents = (0..).zip(names).map(|(at, name)| {
        let chain = disk(at * 10 + 1).write(&pvm.join(name));
        chain.model().content()
    });
    let contents = contents.collect();
    (pvm, contents)
}

#[track_caller]
fn assert_disk(pvm: &Path, options: &[&str], expected: &[u8]) {
    let scratch = Scratch::new();
    convert(pvm, &scratch.target())
        .args(options)
        .run()
        .status(0);
    assert!(
        fs::read(scratch.target()).unwrap() == expected,
        "{options:?}"
    );
}

#[test]
fn a_disk_is_chosen_by_its_name_its_label_and_its_number() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd", "1.hdd"]);
    let disks = [
        ("a.hdd", "System", 1),
        ("b.hdd", "Data", 0),
        ("1.hdd", "Old", 7),
    ];
    let text = config(&disks);
    let le = text.encode_utf16().flat_map(u16::to_le_bytes);
    for bytes in [text.clone().into_bytes(), le.collect()] {
        fs::write(pvm.join("config.pvs"), bytes).unwrap();
        for (name, at) in [
            ("a.hdd", 0),
            ("a", 0),
            ("System", 0),
            ("b", 1),
            ("Data", 1),
            ("0", 1),
            ("7", 2),
            // A name comes before a number.
            ("1", 2),
        ] {
            assert_disk(&pvm, &["--disk", name], &contents[at]);
        }
    }
    let run = convert(&pvm, &scratch.target()).args(["--disk", "1"]).run();
    run.status(0)
        .says(["1 is the name of 1.hdd and the number of a.hdd"]);
    fs::remove_file(scratch.target()).unwrap();
    // Without its own list the folder still has names.
    for bytes in [&b"\xff\xfe\x00\xd8"[..], b"<a", b"", b"\xe9<x/>"] {
        fs::write(pvm.join("config.pvs"), bytes).unwrap();
        assert_disk(&pvm, &["--disk", "b"], &contents[1]);
        let run = convert(&pvm, &scratch.target()).args(["--disk", "0"]).run();
        run.refused(1, &["no disk called 0", "a.hdd"]);
    }
}

#[test]
fn several_disks_without_a_choice_lead_to_a_command_for_each() {
    for has_config in [true, false] {
        for names in [["a.hdd", "b.hdd"], ["root.hdd", "b.hdd"]] {
            if names[0] == "root.hdd" && !has_config {
                continue; // a container, whose root disk it is
            }
            let scratch = Scratch::new();
            let (pvm, contents) = bundle(&scratch, &names);
            if has_config {
                let disks = [(names[0], "System", 0), (names[1], "Data", 1)];
                fs::write(pvm.join("config.pvs"), config(&disks)).unwrap();
            }
            let right = Right::OneOf(contents);
            let typed = format!("{} -o OUT", quoted(&pvm));
            let said = follow(&scratch, &typed, 1, &right).says(names);
            if has_config {
                said.says(["disk 1, \"Data\""]);
            }
            let typed = format!("{} --disk nothing -o OUT", quoted(&pvm));
            follow(&scratch, &typed, 1, &right).says(["no disk called nothing"]);
        }
    }
}

#[test]
fn all_disks_are_converted_together_under_their_names() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd"]);
    let disks = [("a.hdd", "System", 1), ("b.hdd", "Data", 0)];
    fs::write(pvm.join("config.pvs"), config(&disks)).unwrap();
    let run = convert(&pvm, &scratch.target()).run();
    run.refused(1, &["--disks, with a folder as the target"]);
    let folder = scratch.out().join("all");
    let all = |more: &[&str]| convert(&pvm, &folder).arg("--disks").args(more).run();
    let report = all(&["--dry-run", "--json"]).status(0).json();
    assert_eq!(report["images"].as_array().unwrap().len(), 2);
    assert!(!folder.exists());
    let report = all(&["--checksum", "--verify", "--json"]).status(0).json();
    for (at, name) in ["a", "b"].iter().enumerate() {
        let target = folder.join(format!("{name}.raw"));
        assert!(fs::read(&target).unwrap() == contents[at], "{name}");
        let images = report["images"].as_array().unwrap();
        let image = images
            .iter()
            .find(|image| image["target"] == target.to_str().unwrap());
        let image = image.unwrap()["image"].as_str().unwrap();
        assert!(image.ends_with(&format!("{name}.hdd")), "{image}");
    }
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for content in &contents {
        let line = sums.lines().any(|line| line.starts_with(&sha256(content)));
        assert!(line, "{sums}");
    }
    assert_eq!(names_in(&folder), ["SHA256SUMS", "a.raw", "b.raw"]);
    // What is there stays, and nothing else is made.
    fs::remove_file(folder.join("b.raw")).unwrap();
    all(&["--checksum"]).refused(1, &["exists"]);
    assert_eq!(names_in(&folder), ["SHA256SUMS", "a.raw"]);
    all(&["--checksum", "-f"]).status(0);
    assert!(fs::read(folder.join("b.raw")).unwrap() == contents[1]);
}

#[test]
fn one_disk_that_cannot_be_read_keeps_all_from_being_made() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd"]);
    let folder = scratch.out().join("all");
    let all = |more: &[&str]| convert(&pvm, &folder).arg("--disks").args(more).run();
    let chain = disk(11).write(&pvm.join("b.hdd"));
    let top = fs::File::options().write(true).open(&chain.files[1]);
    let top = top.unwrap();
    top.write_all_at(&field::DIRTY.to_le_bytes(), field::IN_USE)
        .unwrap();
    all(&[]).refused(4, &["b.hdd", "in use"]);
    assert!(!folder.exists());
    all(&["--allow-dirty"]).status(0);
    assert!(fs::read(folder.join("b.raw")).unwrap() == contents[1]);
    fs::remove_dir_all(&folder).unwrap();
    let base = fs::File::options().write(true).open(&chain.files[0]);
    base.unwrap().set_len(70_000).unwrap();
    all(&["--allow-dirty"]).status(3);
    assert!(!folder.exists());
    let lost = all(&["--allow-dirty", "--salvage"]).status(5);
    lost.says(["b.raw"]);
    assert!(fs::read(folder.join("a.raw")).unwrap() == contents[0]);
}

#[test]
fn all_disks_are_those_of_one_machine_and_no_file_of_theirs_is_written() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["root.hdd", "b.hdd"]);
    let folder = scratch.out().join("all");
    let all = |image: &Path, more: &[&str]| convert(image, &folder).arg("--disks").args(more).run();
    // A container's: the root disk, and the others.
    all(&pvm, &[]).status(0);
    assert!(fs::read(folder.join("root.raw")).unwrap() == contents[0]);
    assert!(fs::read(folder.join("b.raw")).unwrap() == contents[1]);
    fs::remove_dir_all(&folder).unwrap();
    for option in [
        "--for=lxc",
        "--partitions",
        "--disk=b",
        "--snapshot=x",
        "-Otar",
    ] {
        all(&pvm, &[option]).status(2);
    }
    let mut to_stdout = Program::new(["convert", "-o", "-", "--disks"]).arg(&pvm);
    to_stdout = to_stdout.arg("--no-sync");
    to_stdout.run().refused(2, &["has to be a directory"]);
    fs::create_dir_all(scratch.source().join("two")).unwrap();
    disk(51).write(&scratch.source().join("two/c.hdd"));
    all(&scratch.source(), &[]).refused(1, &["one virtual machine or container"]);
    all(&pvm.join("nowhere"), &[]).refused(1, &["nowhere"]);
    fs::write(&folder, "").unwrap();
    all(&pvm, &[]).refused(1, &["--disks needs a directory"]);
    fs::remove_file(&folder).unwrap();
    // A target that is a file of another of the disks.
    fs::create_dir(&folder).unwrap();
    let file = fs::read_dir(pvm.join("b.hdd")).unwrap().flatten();
    let file = file
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "hds"));
    std::os::unix::fs::symlink(file.unwrap(), folder.join("root.raw")).unwrap();
    all(&pvm, &["-f"]).refused(1, &["is a file of the image"]);
}

#[test]
fn every_hint_about_a_chosen_disk_is_about_that_disk() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd"]);
    let b = pvm.join("b.hdd");
    // The label of its base is wrong.
    let chain = disk(11).write_with(&b, |it| "Plain".clone_into(&mut it.images()[0].kind));
    let typed = format!("{} --disk b -o OUT", quoted(&pvm));
    for typed in [typed.clone(), typed.replace("--disk b", "--disk=b.hdd")] {
        follow(&scratch, &typed, 3, &Right::Bytes(contents[1].clone()));
    }
    // Its top is in use.
    disk(11).write(&b);
    let top = fs::File::options()
        .write(true)
        .open(&chain.files[1])
        .unwrap();
    top.write_all_at(&field::DIRTY.to_le_bytes(), field::IN_USE)
        .unwrap();
    let older = chain.model_of(0).content();
    let right = Right::OneOf(vec![contents[1].clone(), older]);
    follow(&scratch, &typed, 4, &right).says(["--disk b"]);
    // Damage leads to a check of that disk.
    let base = fs::File::options()
        .write(true)
        .open(&chain.files[0])
        .unwrap();
    base.set_len(70_000).unwrap();
    let run = convert(&pvm, &scratch.target()).args(["--disk", "b"]).run();
    run.status(3).says(["ploopconv check", "--disk b"]);
    let check = |disk| {
        Program::new(["check"])
            .arg(&pvm)
            .args(["--disk", disk])
            .run()
    };
    check("b").status(3);
    check("a").status(0);
}

#[test]
fn layers_are_named_by_hand_in_the_folder_of_the_chosen_disk() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd"]);
    let chain = disk(11).write(&pvm.join("b.hdd"));
    let names = chain.files.iter().map(|file| file.file_name().unwrap());
    let names: Vec<_> = names.map(|name| name.to_str().unwrap()).collect();
    assert_disk(
        &pvm,
        &["--disk", "b", "--layers", &names.join(",")],
        &contents[1],
    );
}

#[test]
fn a_moved_bundle_has_its_disks_whatever_absolute_names_say() {
    for file in [
        "/Users/me/Parallels/Win 10.pvm/b.hdd",
        "C:\\VMs\\Win 10.pvm\\b.hdd",
    ] {
        let scratch = Scratch::new();
        let (pvm, contents) = bundle(&scratch, &["a.hdd", "b.hdd"]);
        fs::write(
            pvm.join("config.pvs"),
            config(&[("a.hdd", "A", 0), (file, "B", 1)]),
        )
        .unwrap();
        assert_disk(&pvm, &["--disk", "1"], &contents[1]);
        assert_disk(&pvm, &["--disk", "B"], &contents[1]);
        // One that is not there any more.
        fs::remove_dir_all(pvm.join("b.hdd")).unwrap();
        let run = convert(&pvm, &scratch.target()).args(["--disk", "1"]).run();
        run.refused(1, &["No such file"]);
        convert(&pvm, &scratch.target())
            .run()
            .status(0)
            .says(["missing"]);
    }
}

#[test]
fn a_disk_outside_of_the_bundle_is_somebody_elses_until_that_is_allowed() {
    let scratch = Scratch::new();
    let (pvm, _) = bundle(&scratch, &["a.hdd"]);
    let other = disk(91).write(&scratch.source().join("other.hdd"));
    let disks = [("a.hdd", "A", 0), ("../other.hdd", "Other", 1)];
    fs::write(pvm.join("config.pvs"), config(&disks)).unwrap();
    let run = convert(&pvm, &scratch.target())
        .args(["--disk", "Other"])
        .run();
    run.refused(1, &["outside"]);
    let by_hand = ["--disk", "Other", "--layers", "root.hds"];
    let run = convert(&pvm, &scratch.target()).args(by_hand).run();
    run.refused(1, &["outside"]);
    let options = ["--disk", "Other", "--allow-outside"];
    assert_disk(&pvm, &options, &other.model().content());
}

#[test]
fn a_suspended_machine_uses_its_disks_and_not_its_snapshots() {
    for state in ["{1}.mem", "{1}.SAV"] {
        let scratch = Scratch::new();
        let (pvm, contents) = bundle(&scratch, &["a.hdd"]);
        fs::write(pvm.join(state), "memory").unwrap();
        convert(&pvm, &scratch.target()).run().status(0);
        fs::remove_file(scratch.target()).unwrap();
        fs::write(pvm.join("config.pvs"), config(&[("a.hdd", "A", 0)])).unwrap();
        let inside = pvm.join("a.hdd");
        for image in [&pvm, &inside, &inside.join("DiskDescriptor.xml")] {
            let run = convert(image, &scratch.target()).run();
            run.refused(4, &["saved memory", "resume", "--allow-dirty"]);
            Program::new(["info"])
                .arg(image)
                .run()
                .status(0)
                .prints("[suspended]");
            assert_disk(image, &["--allow-dirty"], &contents[0]);
        }
        let older = disk(1)
            .write(&scratch.path().join("copy"))
            .model_of(0)
            .content();
        let guid = crate::support::guid(0);
        assert_disk(&pvm, &["--snapshot", &guid], &older);
        let right = Right::OneOf(vec![older, contents[0].clone()]);
        follow(&scratch, &format!("{} -o OUT", quoted(&pvm)), 4, &right);
    }
}

#[test]
fn a_choice_of_disks_is_for_what_has_some() {
    let scratch = Scratch::new();
    let (pvm, contents) = bundle(&scratch, &["a.hdd"]);
    let disk = pvm.join("a.hdd");
    for image in [
        &disk,
        &disk.join("DiskDescriptor.xml"),
        &disk.join("root.hds"),
    ] {
        let run = convert(image, &scratch.target())
            .args(["--disk", "a"])
            .run();
        run.refused(1, &["chosen by its name"]);
    }
    // A raw file has no disks to choose from, and is compared all the same.
    let raw = scratch.out().join("raw");
    fs::write(&raw, &contents[0]).unwrap();
    let compare = Program::new(["compare"])
        .arg(&pvm)
        .arg(&raw)
        .args(["--disk", "a"]);
    compare.run().status(0);
}

#[test]
fn a_split_disk_of_a_bundle_is_read_whole() {
    let scratch = Scratch::new();
    let pvm = scratch.source().join("x.pvm");
    let split = SplitBuilder::new([Part::plain(1, 5), Part::plain(2, 6)]);
    split.write(&pvm.join("x.hdd"));
    fs::write(pvm.join("config.pvs"), config(&[("x.hdd", "X", 0)])).unwrap();
    assert_disk(&pvm, &[], &split.content());
}
