//! File systems that are damaged or made up, and what must not become of them.

use crate::support::divided::run;
use crate::support::{Fill, ImageBuilder, Scratch, field};
use crate::tools::tool;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CLUSTER: u64 = 4096;

/// An ext4 with a file that fills many blocks, `big`, and a small one, `etc/passwd`.
fn file_system(scratch: &Scratch) -> PathBuf {
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("etc/inner")).unwrap();
    fs::write(tree.join("etc/passwd"), "root:x\n").unwrap();
    fs::write(tree.join("big"), vec![7; 400_000]).unwrap();
    let raw = scratch.path().join("fs.raw");
    fs::File::create(&raw).unwrap().set_len(16 << 20).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-O",
        "^metadata_csum",
        "-d",
    ]);
    tool("e2fsprogs", mke2fs.arg(&tree).arg(&raw));
    raw
}

/// The file system as an image that lost these clusters.
fn image(scratch: &Scratch, raw: &Path, lost: &BTreeSet<u64>) -> PathBuf {
    let bytes = fs::read(raw).unwrap();
    let clusters = u32::try_from(bytes.len() as u64 / CLUSTER).unwrap();
    let mut image = ImageBuilder::v2().cluster_sectors(8).clusters(clusters);
    for (index, piece) in (0u32..).zip(bytes.chunks(CLUSTER as usize)) {
        if piece.iter().any(|byte| *byte != 0) || lost.contains(&u64::from(index)) {
            image = image.fill(index, Fill::Bytes(piece.to_vec()));
        }
    }
    let mut image = image.build();
    for index in lost {
        image.put_u32(field::entry(*index), 0xf000_0000);
    }
    let path = scratch.source().join("fs.hds");
    image.write(&path);
    path
}

fn debugfs(raw: &Path, write: bool, request: &str) -> String {
    let mut debugfs = Command::new("debugfs");
    if write {
        debugfs.arg("-w");
    }
    tool("e2fsprogs", debugfs.args(["-R", request]).arg(raw))
}

#[test]
fn a_damaged_file_system_is_read_only_where_that_was_asked_for() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    let blocks = debugfs(&raw, false, "blocks big");
    let blocks: Vec<u64> = blocks
        .split_whitespace()
        .map(|block| block.parse().unwrap())
        .collect();
    let image = image(&scratch, &raw, &BTreeSet::from([blocks[3], blocks[40]]));
    let out = scratch.out();
    let into = ["-C", out.to_str().unwrap()];
    // The image is damaged, and is not opened.
    for (args, hint) in [
        (&["ls"][..], "to list what is left"),
        (&["cat", "big"], "to read what is left, with zeros"),
        (&["extract", into[0], into[1]], "to read what is left"),
    ] {
        run(args[0], &image, &args[1..])
            .status(3)
            .says([hint, "add --salvage"]);
    }
    run("ls", &image, &["--salvage"]).status(0).prints("big");
    let printed = run("cat", &image, &["etc/passwd", "--salvage"]).status(0);
    assert_eq!(printed.stdout, b"root:x\n");
    let printed = run("cat", &image, &["big", "--salvage"]).status(5).says([
        "big: 4096 bytes at offset 0x3000 are lost",
        "big: 4096 bytes at offset 0x28000 are lost",
    ]);
    let mut expected = vec![7; 400_000];
    expected[3 * 4096..4 * 4096].fill(0);
    expected[40 * 4096..41 * 4096].fill(0);
    assert!(printed.stdout == expected);
    let args = [&into[..], &["--salvage", "--json"]].concat();
    let report = run("extract", &image, &args).status(5).json();
    assert_eq!(report["lost"][1]["offset"], 40 * 4096);
    assert_eq!(report["code"], "salvaged");
    assert!(fs::read(out.join("big")).unwrap() == expected);
    assert_eq!(fs::read(out.join("etc/passwd")).unwrap(), b"root:x\n");
}

#[test]
fn one_damaged_file_is_an_error_and_the_others_are_extracted() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    // An extent tree that is none.
    debugfs(&raw, true, "set_inode_field big block[0] 0x12345678");
    let image = image(&scratch, &raw, &BTreeSet::new());
    let out = scratch.out();
    let into = ["-C", out.to_str().unwrap()];
    let made = run("extract", &image, &into).status(3);
    made.says(["big", "is damaged", "add --salvage"]);
    assert_eq!(fs::read(out.join("etc/passwd")).unwrap(), b"root:x\n");
    assert!(!out.join("big").exists());
    let printed = run("cat", &image, &["big", "etc/passwd"]).status(3);
    assert_eq!(printed.stdout, b"root:x\n");
    run("ls", &image, &["-l"]).status(0).prints(" big");
    let args = [&into[..], &["-f", "--salvage", "--json"]].concat();
    let report = run("extract", &image, &args).status(5).json();
    assert_eq!(report["problems"][0]["path"], "big");
    assert_eq!(report["problems"][0]["code"], "file-system");
}

#[test]
fn directories_in_a_circle_and_impossible_names_end_and_lead_nowhere() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    debugfs(&raw, true, "link etc etc/inner/again");
    debugfs(&raw, true, "link etc/passwd etc/inner/slash");
    debugfs(&raw, true, "link etc/passwd etc/inner/zeros");
    let mut bytes = fs::read(&raw).unwrap();
    for (name, bad) in [(b"slash", b"../.x"), (b"zeros", b"a\0b/c")] {
        let places: Vec<_> = (0..bytes.len() - 5)
            .filter(|at| &bytes[*at..*at + 5] == name)
            .collect();
        for at in places {
            bytes[at..at + 5].copy_from_slice(bad);
        }
    }
    fs::write(&raw, bytes).unwrap();
    let image = image(&scratch, &raw, &BTreeSet::new());
    let listed = run("ls", &image, &["-R"]).status(3);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("passwd") && !text.contains("../"), "{text}");
    let out = scratch.out().join("into");
    fs::create_dir(&out).unwrap();
    let into = ["-C", out.to_str().unwrap()];
    run("extract", &image, &into).status(3);
    assert_eq!(fs::read(out.join("etc/passwd")).unwrap(), b"root:x\n");
    assert_eq!(crate::support::names_in(&scratch.out()), ["into"]);
    run("cat", &image, &["**/passwd"]).status(3);
}
