//! A split disk through programs that we did not write.

use crate::support::image::Version;
use crate::support::served::Served;
use crate::support::split::{Part, SplitBuilder};
use crate::support::{Program, Scratch, convert};
use crate::tools::{nbdsh, tool};
use std::fs;
use std::process::Command;

fn disk() -> SplitBuilder {
    SplitBuilder::new([
        Part::full(1, Version::V1, 640),
        Part::plain(2, 41),
        Part::full(3, Version::V2, 999),
    ])
}

#[test]
fn clients_of_nbd_see_one_disk() {
    let disk = disk();
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let served = Served::new(&split.dir, &scratch);
    let said = tool(
        "libnbd-bin",
        Command::new("nbdinfo").args(["--size", &served.uri]),
    );
    assert_eq!(said.trim(), (disk.sectors() * 512).to_string());
    let copy = scratch.out().join("copy");
    let mut nbdcopy = Command::new("nbdcopy");
    tool("libnbd-bin", nbdcopy.arg(&served.uri).arg(&copy));
    assert!(fs::read(&copy).unwrap() == disk.content());
}

#[test]
fn qemu_reads_each_part_and_together_they_are_the_disk() {
    let disk = disk();
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let mut together = Vec::new();
    for (part, format) in [(0, "parallels"), (1, "raw"), (2, "parallels")] {
        let (copy, raw) = (scratch.out().join("copy"), scratch.out().join("raw"));
        fs::copy(&split.files[part][0], &copy).unwrap();
        let mut qemu = Command::new("qemu-img");
        qemu.args(["convert", "-f", format, "-O", "raw"]);
        tool("qemu-utils", qemu.arg(&copy).arg(&raw));
        together.extend(fs::read(&raw).unwrap());
    }
    convert(&split.dir, &scratch.target()).run().status(0);
    assert!(fs::read(scratch.target()).unwrap() == together);
    let qcow2 = scratch.out().join("disk.qcow2");
    convert(&split.dir, &qcow2).arg("--verify").run().status(0);
    let compare = Program::new(["compare"]).arg(&split.dir).arg(&qcow2);
    compare.run().status(0);
}

#[test]
fn a_cut_part_is_served_up_to_where_it_ends_and_errors_after_that() {
    let disk = disk();
    let scratch = Scratch::new();
    let split = disk.write(&scratch.source());
    let file = fs::File::options().write(true).open(&split.files[1][0]);
    file.unwrap().set_len(40 * 512).unwrap();
    let served = Served::with(&split.dir, &scratch, &["--salvage"]);
    let read = |offset: u64| {
        let command = format!("h.pread(512, {offset})");
        let mut nbdsh = nbdsh();
        nbdsh
            .args(["-u", &served.uri, "-c", &command])
            .output()
            .unwrap()
    };
    assert!(read((640 + 39) * 512).status.success());
    assert!(!read((640 + 40) * 512).status.success());
    assert!(read((640 + 41) * 512).status.success());
}
