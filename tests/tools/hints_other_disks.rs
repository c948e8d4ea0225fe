//! Names that lead to other disks: clones, links, folders of several disks, files of other kinds.

use crate::support::{Program, Scratch};
use std::fs;
use std::process::Command;

#[test]
fn a_simfs_container_leads_to_an_archive_of_its_files() {
    let scratch = Scratch::new();
    let root = scratch.source().join("301");
    for dir in ["etc", "usr", "var", "bin"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::write(root.join("etc/hostname"), "ct\n").unwrap();
    let run = Program::new([&root]).args(["-o", "x"]).run();
    let run = run.refused(1, &["simfs", "tar --numeric-owner"]);
    let command = run
        .stderr
        .lines()
        .find_map(|line| line.find("tar --").map(|at| &line[at..]));
    let run = Command::new("sh")
        .args(["-c", command.unwrap()])
        .current_dir(scratch.out())
        .status();
    assert!(run.unwrap().success());
    let archive = scratch.out().join("301.tar");
    let list = Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains("./etc/hostname"));
    // An archive that is there is not replaced by a command that is pasted.
    let again = Program::new([&root]).args(["-o", "x"]);
    let run = again.directory(scratch.out()).run();
    let run = run.refused(1, &["simfs", "a file that is not there yet"]);
    assert!(!run.stderr.contains("tar --"), "{}", run.stderr);
}
