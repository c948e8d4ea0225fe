//! What a message advises fits the command that was typed and what is there: it speaks of no
//! conversion where none was asked for, and proposes no option that was given.

use crate::support::hints::{image, two};
use crate::support::hints::{quoted, shell};
use crate::support::{ChainBuilder, Program, Scratch, convert, info};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_damaged_disk_is_converted_only_where_that_was_asked_for() {
    let scratch = Scratch::new();
    let whole = scratch.source().join("whole.hds");
    image(1).store_all([2, 0]).write(&whole);
    let bytes = fs::read(&whole).unwrap();
    let cut = scratch.source().join("cut.hds");
    fs::write(&cut, &bytes[..bytes.len() - 700]).unwrap();
    let (cut, whole) = (quoted(&cut), quoted(&whole));
    for (typed, does, status) in [
        (format!("map {cut}"), "see", 5),
        (format!("compare {cut} {whole}"), "compare", 1),
        (format!("verify {whole} --against={cut}"), "compare", 1),
        (
            format!("{cut} -o {}", quoted(&scratch.target())),
            "convert",
            5,
        ),
    ] {
        let run = shell(&format!("ploopconv {typed}")).status(3);
        let line = run
            .stderr
            .lines()
            .find(|line| line.contains("what is left"));
        let line = line.unwrap_or_else(|| panic!("{typed}: {}", run.stderr));
        assert!(
            line.contains(&format!(": to {does} what is left")),
            "{line}"
        );
        let added = line.ends_with("add --salvage");
        assert!(added, "{line}");
        shell(&format!("ploopconv {typed} --salvage")).status(status);
    }
    let serve = format!(
        "ploopconv serve {cut} --socket {}",
        quoted(&scratch.target())
    );
    let run = shell(&serve).status(3);
    run.says(["to let clients read what is left, and get I/O errors for the rest"]);
}

#[test]
fn partitions_that_are_not_there_name_the_option_that_was_given() {
    let scratch = Scratch::new();
    let file = scratch.source().join("root.hds");
    image(1).store(0).write(&file);
    let dir = scratch.out().join("parts");
    let all = convert(&file, &dir).arg("--partitions").run();
    all.refused(1, &["without --partitions the whole disk is read"]);
    let one = convert(&file, &dir).args(["--partition", "1"]).run();
    one.refused(1, &["without --partition the whole disk is read"]);
}

#[test]
fn a_folder_with_root_hdd_in_it_is_not_said_to_hold_none() {
    let scratch = Scratch::new();
    image(1).store(0).write(&scratch.source().join("root.hdd"));
    for run in [
        convert(&scratch.source(), &scratch.target()).run(),
        Program::new([Path::new("info"), &scratch.source()]).run(),
    ] {
        let run = run.status(1).says(["holds no DiskDescriptor.xml"]);
        assert!(!run.stderr.contains("nor root.hdd"), "{}", run.stderr);
    }
    let empty = scratch.source().join("empty");
    fs::create_dir(&empty).unwrap();
    let run = convert(&empty, &scratch.target()).run();
    run.refused(1, &["holds neither DiskDescriptor.xml nor root.hdd"]);
}

#[test]
fn a_link_that_leads_nowhere_does_not_look_like_itself() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    fs::remove_file(&chain.files[0]).unwrap();
    symlink("/nowhere/root.hds", &chain.files[0]).unwrap();
    let run = convert(&chain.dir, &scratch.target()).run();
    let run = run.refused(3, &["symbolic link", "what it leads to is not there"]);
    assert!(!run.stderr.contains("look alike"), "{}", run.stderr);
    // Another file that looks like it is still named.
    fs::remove_file(&chain.files[0]).unwrap();
    let name = chain.files[0].file_name().unwrap().to_str().unwrap();
    for other in [
        name.to_uppercase(),
        format!("{name} "),
        name.replace('r', "R"),
    ] {
        fs::write(chain.dir.join(other), "").unwrap();
    }
    let run = convert(&chain.dir, &scratch.target()).run();
    run.refused(3, &["these look alike"]);
}

#[test]
fn a_disk_that_a_configuration_names_and_that_is_not_there_is_missing() {
    let scratch = Scratch::new();
    let area = scratch.source().join("302");
    ChainBuilder::base(&image(1).store(0)).write(&area.join("root.hdd"));
    ChainBuilder::base(&image(2).store(0)).write(&area.join("logs.hdd"));
    fs::write(area.join("ve.conf"), "DISK=\"image=/no/such/data.hdd\"\n").unwrap();
    let run = convert(&area, &scratch.target()).run().status(0);
    let run = run.says(["names a disk that is missing: /no/such/data.hdd"]);
    assert_eq!(
        run.stderr.matches("another disk").count(),
        1,
        "{}",
        run.stderr
    );
    let text = Program::new(["info"]).arg(&area).run().status(0);
    text.prints("missing disk: /no/such/data.hdd")
        .prints("other disk:");
    let report = info(&area).run().status(0).json();
    assert_eq!(report["other_disks"].as_array().unwrap().len(), 2);
}
