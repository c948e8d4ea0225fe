//! What a directory stands for: a container's private area, a bundle, all containers of a host, one
//! without a disk; and what cannot be looked at is never taken for absent.

use crate::support::samples::disk;
use crate::support::{Outcome, Program, Scratch, convert, info};
use ploopconv::ploop::{OpenOptions, examine};
use std::fs::{self};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[track_caller]
fn reads(scratch: &Scratch, image: &Path, right: &[u8]) -> Outcome {
    let run = convert(image, &scratch.target()).run().status(0);
    assert!(fs::read(scratch.target()).unwrap() == right);
    fs::remove_file(scratch.target()).unwrap();
    run
}

#[test]
fn a_bundle_or_a_container_with_one_disk_of_any_name_is_that_disk() {
    for (area, name) in [
        ("Win 10.pvm", "harddisk.hdd"),
        ("Win 10.pvm", "Windows 10-0.HDD"),
        ("101", "system.hdd"),
    ] {
        let scratch = Scratch::new();
        let area = scratch.source().join(area);
        let right = disk(&area.join(name), 3);
        fs::write(
            area.join("config.pvs"),
            "<?xml version=\"1.0\"?><ParallelsVirtualMachine/>",
        )
        .unwrap();
        reads(&scratch, &area, &right).done();
        // Layers that are named by hand lie there too.
        let by_hand = convert(&area, &scratch.target()).args(["--layers", "root.hds"]);
        by_hand.run().status(0);
    }
}

#[test]
fn a_second_disk_is_named_wherever_it_is_known_from() {
    let scratch = Scratch::new();
    let area = scratch.source().join("302");
    let right = disk(&area.join("root.hdd"), 1);
    disk(&area.join("data.hdd"), 2);
    disk(&scratch.source().join("elsewhere/logs.hdd"), 3);
    let logs = scratch.source().join("elsewhere/logs.hdd");
    let config = format!(
        "OSTEMPLATE=\"debian-8\"\nDISK=\"image={},mnt=/var/log,image={}\"\n",
        logs.display(),
        area.join("root.hdd").display()
    );
    fs::write(area.join("ve.conf"), config).unwrap();
    let run = reads(&scratch, &area, &right).says(["another disk", "data.hdd", "logs.hdd"]);
    assert_eq!(
        run.stderr.matches("another disk").count(),
        2,
        "{}",
        run.stderr
    );
    let report = info(&area).run().status(0).json();
    assert_eq!(report["other_disks"].as_array().unwrap().len(), 2);
    let text = Program::new(["info"]).arg(&area).run().status(0);
    text.prints("data.hdd").prints("logs.hdd");
    // A disk that is named itself has no others.
    reads(&scratch, &area.join("root.hdd"), &right).done();
}

#[test]
fn the_hosts_configuration_of_a_container_names_its_disks() {
    let scratch = Scratch::new();
    let area = scratch.source().join("302");
    disk(&area.join("root.hdd"), 1);
    let config = scratch.path().join("conf");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("302.conf"), "DISK=\"image=/vz/d2.hdd\"\n").unwrap();
    let options = OpenOptions {
        private_dirs: vec![scratch.source()],
        config_dir: config,
        ..OpenOptions::default()
    };
    let examined = examine(Path::new("302"), &options).unwrap();
    assert_eq!(examined.other_disks, [PathBuf::from("/vz/d2.hdd")]);
}

#[test]
fn several_disks_and_none_called_root_are_named_and_none_is_taken() {
    let scratch = Scratch::new();
    let area = scratch.source().join("vm.pvm");
    disk(&area.join("a.hdd"), 1);
    disk(&area.join("b.hdd"), 2);
    let run = convert(&area, &scratch.target()).run();
    run.refused(
        1,
        &[
            "several disks: a.hdd, b.hdd",
            "to read a.hdd",
            "to read b.hdd",
        ],
    );
}

#[test]
fn the_folder_of_all_containers_is_no_container_and_they_are_named() {
    let scratch = Scratch::new();
    let uuid = "d0c2f7a0-1111-4222-8333-444444444444";
    for id in ["101", "102", uuid] {
        disk(&scratch.source().join(id).join("root.hdd"), 1);
    }
    fs::create_dir_all(scratch.source().join("103/fs/etc")).unwrap();
    for dir in ["usr", "var", "bin"] {
        fs::create_dir(scratch.source().join("103/fs").join(dir)).unwrap();
    }
    fs::create_dir(scratch.source().join("empty")).unwrap();
    let run = convert(&scratch.source(), &scratch.target()).run();
    run.refused(
        1,
        &["holds containers", "101, 102, 103", uuid, "to read 101"],
    );
}

#[test]
fn a_container_of_plain_files_is_named_with_what_to_do() {
    for layout in ["", "fs"] {
        let scratch = Scratch::new();
        let root = scratch.source().join("301").join(layout);
        for dir in ["etc", "usr", "var", "bin", "home"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for image in [scratch.source().join("301"), PathBuf::from("301")] {
            let run = convert(&image, &scratch.target())
                .args(["--private-dir", scratch.source().to_str().unwrap()])
                .run();
            run.refused(1, &["simfs", "tar --numeric-owner"]);
        }
    }
}

#[test]
fn links_in_a_circle_are_said_to_be_that() {
    let scratch = Scratch::new();
    let area = scratch.source().join("101");
    fs::create_dir(&area).unwrap();
    symlink("root.hdd", area.join("root.hdd")).unwrap();
    symlink("b", scratch.source().join("a")).unwrap();
    symlink("a", scratch.source().join("b")).unwrap();
    for image in [area, scratch.source().join("a")] {
        let run = convert(&image, &scratch.target()).run();
        run.refused(1, &["symbolic links", "circle"]);
    }
}
