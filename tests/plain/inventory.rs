//! `list`: a folder of containers of all kinds, of which some cannot be converted.

use crate::support::chain::ChainBuilder;
use crate::support::image::{Fill, ImageBuilder};
use crate::support::samples::disk;
use crate::support::{Outcome, Program, Scratch, SourceGuard, info, repository};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const UUID: &str = "d0c2f7a0-1111-4222-8333-444444444444";

fn text(outcome: &Outcome) -> String {
    String::from_utf8(outcome.stdout.clone()).unwrap()
}

fn list(folder: &Path) -> Outcome {
    Program::new(["list"]).arg(folder).run()
}

#[track_caller]
fn report(folder: &Path) -> Value {
    let listed = Program::new(["list"]).arg(folder).arg("--json").run();
    listed.status(0).json()
}

fn container<'a>(report: &'a Value, id: &str) -> &'a Value {
    let containers = report["containers"].as_array().unwrap();
    let found = containers.iter().find(|one| one["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {report}"))
}

/// A folder like `/vz/private`: sixty containers, sound or not.
fn host(private: &Path) {
    for id in 200..250 {
        disk(&private.join(id.to_string()).join("root.hdd"), id);
    }
    let area = private.join("101");
    disk(&area.join("root.hdd"), 1);
    disk(&area.join("data.hdd"), 2);
    fs::write(
        area.join("ve.conf"),
        "HOSTNAME=\"www.example.org\"\nIP_ADDRESS=\"192.0.2.10/24 2001:db8::5\"\n\
         OSTEMPLATE=\".centos-6-x86_64\"\n",
    )
    .unwrap();
    disk(&private.join(UUID).join("root.hdd"), 3);
    // One that runs, with two snapshots.
    let running = ImageBuilder::v2().in_use(0x746F_6E59).store(0);
    ChainBuilder::base(&ImageBuilder::v2().store(0))
        .child(&ImageBuilder::v2().store(1))
        .child(&running)
        .write(&private.join("102/root.hdd"));
    // One whose table leads past the end of its file.
    let mut broken = ImageBuilder::v2().store_all([0, 1]).build();
    broken.put_u32(64 + 4, 0xFFFF);
    ChainBuilder::base_file(broken).write(&private.join("103/root.hdd"));
    // One without a disk, on which nothing is looked for.
    for dir in ["etc", "usr", "bin", "var/lib/root.hdd"] {
        fs::create_dir_all(private.join("104/fs").join(dir)).unwrap();
    }
    // A layer that is gone.
    let gone = private.join("105/root.hdd");
    ChainBuilder::base(&ImageBuilder::v2().store(0))
        .child(&ImageBuilder::v2().store(1))
        .write(&gone);
    fs::remove_file(gone.join("root.hds")).unwrap();
    fs::create_dir_all(private.join("106/root.hdd")).unwrap();
    fs::create_dir_all(private.join("107")).unwrap();
    fs::write(private.join("107/ve.conf"), "NAME=\"empty\"\n").unwrap();
}

#[test]
fn sixty_containers_of_all_kinds_are_listed_whatever_is_wrong_with_some() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    host(&private);
    symlink(private.join("101"), private.join("www")).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let report = report(&private);
    let ids: Vec<&str> = report["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let mut expected: Vec<String> = (101..108)
        .chain(200..250)
        .map(|id| id.to_string())
        .collect();
    expected.push(UUID.to_owned());
    assert_eq!(
        ids, expected,
        "by number, and a link to one that is there is none"
    );

    let www = container(&report, "101");
    assert_eq!(www["name"], "www.example.org");
    assert_eq!(www["system"], "centos-6-x86_64");
    assert_eq!(www["addresses"], json!(["192.0.2.10", "2001:db8::5"]));
    let disks = www["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2);
    assert!(disks.iter().all(|disk| disk["obstacle"].is_null()), "{www}");
    let first = info(&private.join("101")).run().status(0).json();
    assert_eq!(disks[0]["virtual_size"], first["virtual_size"]);
    assert!(
        disks[1]["image"]
            .as_str()
            .unwrap()
            .ends_with("101/data.hdd")
    );

    let running = &container(&report, "102")["disks"][0];
    assert_eq!(running["in_use"], true);
    assert_eq!(running["layers"], 3);
    assert_eq!(running["snapshots"], 2);
    assert_eq!(running["obstacle"]["code"], "in-use");
    for (id, code) in [("103", "damaged"), ("105", "damaged"), ("106", "no-image")] {
        let disk = &container(&report, id)["disks"][0];
        assert_eq!(disk["obstacle"]["code"], code, "{id}");
        assert_eq!(disk["in_use"], false, "{id}");
    }
    assert_eq!(container(&report, "104")["storage"], "simfs");
    assert_eq!(container(&report, "107")["name"], "empty");
    let totals = &report["totals"];
    assert_eq!(totals["containers"], 58);
    assert_eq!(totals["disks"], 58);
    assert_eq!(totals["in_use"], 1);
    assert_eq!(totals["simfs"], 1);
    assert_eq!(totals["refused"], 5);
    let sum = |field: &str| -> u64 {
        let disks = report["containers"].as_array().unwrap().iter();
        let disks = disks.flat_map(|one| one["disks"].as_array().unwrap());
        disks.filter_map(|disk| disk[field].as_u64()).sum()
    };
    assert_eq!(totals["virtual_size"], sum("virtual_size"));
    assert_eq!(totals["stored_bytes"], sum("stored_bytes"));

    // The same for people: a disk a line, and the sums.
    let shown = list(&private).status(0);
    let text = text(&shown);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 59 + 1, "{text}");
    assert!(
        lines[0].starts_with("ID ") && lines[0].ends_with(" STATE"),
        "{text}"
    );
    assert!(
        lines[1].contains("www.example.org") && lines[1].ends_with(" ready"),
        "{text}"
    );
    assert!(
        text.contains("3 (2 snapshots)") && text.contains("in use: "),
        "{text}"
    );
    assert!(text.contains("simfs: its files lie in "), "{text}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("58 containers, 58 disks: "), "{last}");
    assert!(
        last.ends_with("; 1 in use; 4 not convertible as they are; 1 without a disk"),
        "{last}"
    );

    // What was asked to tell about all containers tells the same.
    let asked = info(&private).run().status(0);
    assert_eq!(asked.json(), report);
    let asked = Program::new(["info"]).arg(&private).run().status(0);
    assert_eq!(asked.stdout, shown.stdout);
}

#[test]
fn room_counts_the_layers_of_snapshots_that_are_not_read() {
    let scratch = Scratch::new();
    let stored = |layer: u8| {
        (0..4).fold(ImageBuilder::v2().clusters(4), |image, at| {
            image.fill(at, Fill::Byte(layer))
        })
    };
    ChainBuilder::base(&stored(1))
        .child(&stored(2))
        .branch(0, &stored(3))
        .write(&scratch.source().join("101/root.hdd"));
    let report = report(&scratch.source());
    let disk = &container(&report, "101")["disks"][0];
    let files = fs::read_dir(scratch.source().join("101/root.hdd")).unwrap();
    let files = files.map(|entry| {
        use std::os::unix::fs::MetadataExt as _;
        entry.unwrap().metadata().unwrap().blocks() * 512
    });
    assert_eq!(disk["layers"], 2);
    assert_eq!(disk["stored_bytes"], files.sum::<u64>());
}

#[test]
fn what_a_file_system_uses_and_which_system_it_is_are_read_from_it() {
    let report = report(&repository("fixtures/101"));
    let disk = &container(&report, "101")["disks"][0];
    assert_eq!(disk["filesystems"], json!(["ext4"]));
    // dumpe2fs: 4096 blocks of 1 KiB less the free ones, in the tables of a partition of 15 MiB.
    let used = disk["used_bytes"].as_u64().unwrap();
    assert!(used > 1 << 20 && used < 15 << 20, "{used}");
    // What is known of nothing is nothing, and no zero.
    let scratch = Scratch::new();
    self::disk(&scratch.source().join("9/root.hdd"), 1);
    let other = self::report(&scratch.source());
    assert_eq!(
        container(&other, "9")["disks"][0]["used_bytes"],
        Value::Null
    );
}

#[test]
fn disks_at_any_depth_are_found_and_links_are_followed_to_disks_only() {
    let scratch = Scratch::new();
    let backup = scratch.source().join("backup");
    disk(&backup.join("host1/vz/private/101/root.hdd"), 1);
    disk(&backup.join("vm/Windows.pvm/harddisk.hdd"), 2);
    disk(&scratch.path().join("elsewhere/202/root.hdd"), 3);
    symlink(scratch.path().join("elsewhere/202"), backup.join("202")).unwrap();
    symlink(scratch.path().join("elsewhere"), backup.join("more")).unwrap();
    symlink(&backup, backup.join("round")).unwrap();
    let report = report(&backup);
    let ids: Vec<_> = report["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["101", "202", "Windows.pvm"]);
}

#[test]
fn a_folder_that_cannot_be_listed_is_said_and_the_rest_is_listed() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    disk(&private.join("101/root.hdd"), 1);
    let missing = private.join("nothing");
    let listed = Program::new(["list"]).arg(&private).arg(&missing).run();
    listed
        .status(1)
        .says(["nothing: No such file"])
        .prints("101 ");
    fs::create_dir(&missing).unwrap();
    let listed = list(&missing);
    listed
        .status(1)
        .says(["no container and no disk lies below"])
        .prints("");
    let listed = Program::new(["list"]).arg(&missing).arg("--json").run();
    let report = listed.status(1).json();
    assert_eq!(report["code"], "incomplete");
    assert_eq!(report["containers"], json!([]));
}

#[test]
fn names_of_other_people_are_harmless_on_a_terminal() {
    let scratch = Scratch::new();
    let area = scratch.source().join("101");
    disk(&area.join("root.hdd"), 1);
    fs::write(area.join("ve.conf"), "NAME=\"a\u{1b}[2Jb\"\n").unwrap();
    let listed = list(&scratch.source()).status(0);
    assert!(!listed.stdout.contains(&0x1B));
    let unreadable = scratch.source().join("102/root.hdd");
    disk(&unreadable, 1);
    fs::write(unreadable.join("DiskDescriptor.xml"), "<no").unwrap();
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o755)).unwrap();
    let listed = list(&scratch.source()).status(0);
    assert_eq!(text(&listed).lines().count(), 4);
}
