//! Bundles of virtual machines: which disk is meant, and what says that it is in use.

use crate::support::field;
use crate::support::hints::{Right, follow, quoted};
use crate::support::split::{Part, SplitBuilder};
use crate::support::{ChainBuilder, ImageBuilder, Program, Scratch, convert};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

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
