//! `--update` of disks that boot: after it a target is what a conversion of all of the disk makes,
//! what was added for the machine included.

use crate::support::divided::{MIB, Raw, make};
use crate::support::hints::{proposed, quoted, shell};
use crate::support::kernels::{container, kernel};
use crate::support::machines::{Machine, Saved, debugfs, states, write};
use crate::support::qcow2::{assert_clean, qemu_img, qemu_json};
use crate::support::{Program, SourceGuard, convert, names_in};
use crate::tools::tool;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// A target holds a disk, by other programs.
#[track_caller]
fn assert_holds(target: &Path, disk: &Path, what: &str) {
    if target.extension().is_some_and(|end| end == "qcow2") {
        assert_clean(target);
        let size = &qemu_json("info", target)["virtual-size"];
        assert_eq!(*size, fs::metadata(disk).unwrap().len(), "{what}");
        let (disk, target) = (disk.to_str().unwrap(), target.to_str().unwrap());
        qemu_img(["compare", "-f", "raw", "-F", "qcow2", disk, target]);
        return;
    }
    let output = Command::new("cmp").arg(disk).arg(target).output().unwrap();
    assert!(output.status.success(), "{what}: {output:?}");
}

/// Runs the only command that the refusal of a command line proposes.
#[track_caller]
fn follow(line: &str) {
    let [command] = &proposed(&shell(line).status(1), line)[..] else {
        panic!("one command")
    };
    shell(command).status(0);
}

#[test]
fn rounds_of_updates_end_with_the_disk_that_a_conversion_makes() {
    let machine = Machine::new();
    let _guard = SourceGuard::new(&machine.chain.dir);
    let fresh = [0, 1, 2].map(|number| machine.fresh(number));
    // The partition alone does not tell them apart: the first boot makes other changes.
    let boot = |disk: &Path| fs::read(disk).unwrap()[64 * MIB as usize..].to_vec();
    assert!(boot(&fresh[0]) != boot(&fresh[1]) && boot(&fresh[1]) != boot(&fresh[2]));
    for (number, (end, options)) in [
        ("raw", &["--reflink=never"][..]),
        ("raw", &["--sparse", "--verify"]),
        ("raw", &["--checksum", "-j", "1"]),
        ("qcow2", &["--verify", "--checksum"]),
        ("qcow2", &["--cluster-size", "4K", "--checksum=blkhash"]),
        ("qcow2", &["--cluster-size", "2M", "--reflink=never"]),
    ]
    .into_iter()
    .enumerate()
    {
        let target = machine.out(&format!("{number}.{end}"));
        let what = format!("{end} {options:?}");
        machine.first(0, &target, options);
        for round in [1, 1, 2, 2] {
            let snapshot = ["--snapshot", &machine.chain.guids[round]];
            let snapshot = if round == 2 { &[][..] } else { &snapshot };
            let all = [options, &["--update"], snapshot].concat();
            machine.run(&target, &all).status(0);
            assert_holds(&target, &fresh[round], &what);
            if options
                .iter()
                .any(|option| option.starts_with("--checksum"))
            {
                Program::new(["verify"]).arg(&target).run().status(0);
            }
        }
    }
}

#[test]
fn an_update_reports_what_a_conversion_does_and_copies_no_more_than_it_has_to() {
    let machine = Machine::new();
    let target = machine.out("101.raw");
    let whole = machine.run(&target, &["--json", "-q"]).status(0).json();
    machine.first(0, &target, &["-f"]);
    assert_eq!(
        names_in(&machine.raw.scratch.out()),
        ["101.raw", "101.raw.ploopconv"]
    );
    let before = SourceGuard::new(&machine.raw.scratch.out());
    let planned = machine
        .run(&target, &["--update", "--dry-run", "-v"])
        .status(0);
    let lines = [
        "to copy: ",
        "boot:    kernel",
        "change:  write  /etc/fstab",
        "next: ",
    ];
    lines
        .into_iter()
        .fold(planned, |planned, line| planned.prints(line));
    drop(before);
    let planned = machine.run(&target, &["--update", "--dry-run", "--json", "-q"]);
    let report = machine
        .run(&target, &["--update", "--json", "-q"])
        .status(0)
        .json();
    for report in [planned.status(0).json(), report] {
        for field in ["container", "machine", "next", "virtual_size"] {
            assert_eq!(report[field], whole[field], "{field}");
        }
        assert!(report["next"][0]["commands"][0].is_string(), "{report}");
        // Of the container's 64 MiB no more than the clusters of the layers above.
        let added = whole["virtual_size"].as_u64().unwrap() - 63 * MIB;
        let changed = report["changed_bytes"].as_u64().unwrap() - added;
        let stored = |layer: usize| fs::metadata(&machine.chain.files[layer]).unwrap().len();
        assert!(changed > 0 && changed < stored(1) + stored(2), "{report}");
    }
    assert_holds(&target, &machine.fresh(2), "reported");
    // The text for people has the same.
    let said = machine.run(&target, &["--update", "-v"]).status(0);
    said.says(["of it copied", "next: "]);
}

/// A kernel, an initramfs or options that are others when the update is made.
#[test]
fn what_starts_the_machine_is_that_of_the_update() {
    let mut machine = Machine::new();
    let (raw, qcow2) = (machine.out("101.raw"), machine.out("101.qcow2"));
    let targets = [&raw, &qcow2];
    for target in targets {
        machine.first(0, target, &[]);
    }
    let other = machine.raw.scratch.path().join("other");
    let len = |path: &Path| fs::metadata(path).unwrap().len();
    let small = len(&machine.fresh(2));
    // So large that the boot partition, and with it the disk, grows.
    for size in [1 << 20, 80 << 20, 100 << 20] {
        let mut bytes = b"\xfd7zXZ\0".to_vec();
        bytes.extend((0..size).map(|at: u32| (at % 251) as u8));
        machine.kernel = kernel(&other.join(size.to_string()), true);
        fs::write(machine.initrd(), bytes).unwrap();
        let fresh = machine.fresh(2);
        for target in targets {
            machine
                .run(target, &["--update", "--append", "quiet", "--verify"])
                .status(0);
            machine.run(target, &["--update"]).status(0);
            assert_holds(target, &fresh, "another kernel");
        }
    }
    assert!(len(&raw) > small);
}

/// An initramfs that is so large that the boot partition needs more room than the least.
fn large() -> Vec<u8> {
    let mut bytes = b"\xfd7zXZ\0".to_vec();
    bytes.resize(80 << 20, 7);
    bytes
}

#[test]
fn a_disk_gets_smaller_or_is_converted_by_the_command_of_the_message() {
    let machine = Machine::new();
    let fresh = machine.fresh(2);
    let small = fs::read(machine.initrd()).unwrap();
    let targets = ["101.raw", "101.qcow2"].map(|name| machine.out(name));
    fs::write(machine.initrd(), large()).unwrap();
    for target in &targets {
        machine.first(0, target, &[]);
    }
    fs::write(machine.initrd(), small).unwrap();
    let [raw, qcow2] = targets;
    machine.run(&raw, &["--update", "--verify"]).status(0);
    assert_holds(&raw, &fresh, "smaller");

    let guard = SourceGuard::new(&machine.raw.scratch.out());
    let refused = machine.run(&qcow2, &["--update", "--json"]);
    let report = refused.refused(1, &["get smaller"]).json();
    assert_eq!(report["code"], "no-update", "{report}");
    drop(guard);
    let line = machine.line(&qcow2, "--update");
    follow(&line);
    assert_holds(&qcow2, &fresh, "converted");
}

/// The container's disk grows, and what was added lies where the container's bytes are now.
#[test]
fn a_disk_that_has_grown_takes_what_was_added_further_behind() {
    // A file system without a partition table is moved to make room for one.
    let raw = Raw::new(64 * MIB);
    let tree = container("ext4").read(MIB, 60 * MIB);
    raw.write(&tree, 0);
    let before = fs::read(&raw.path).unwrap();
    let mut after = before.clone();
    after.resize(90 * MIB as usize + 512, 0);
    after[70 * MIB as usize..][..3 << 20].fill(0x77);
    let moved = Machine::of(raw, &[before, after]);
    // A partition that was made larger with the disk, and one behind it.
    let raw = container("ext4");
    let first = fs::read(&raw.path).unwrap();
    File::options()
        .write(true)
        .open(&raw.path)
        .unwrap()
        .set_len(200 * MIB)
        .unwrap();
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.args(["-e", "-d", "1", "-n", "1:2048:+150M", "-n", "2:0:+20M"]);
    tool("gdisk", sgdisk.arg(&raw.path));
    raw.fill(
        151 * MIB,
        20 * MIB,
        make("e2fsprogs", "mke2fs", &["-q", "-F"]),
    );
    let grown = fs::read(&raw.path).unwrap();
    let divided = Machine::of(raw, &[first, grown]);
    for (machine, moves) in [(moved, MIB), (divided, 0)] {
        let fresh = machine.fresh(1);
        for name in ["101.raw", "101.qcow2"] {
            let target = machine.out(name);
            machine.first(0, &target, &[]);
            let options = ["--update", "--verify", "--json", "-q"];
            let report = machine.run(&target, &options).status(0).json();
            assert_eq!(report["machine"]["moved_bytes"], moves, "{report}");
            assert_holds(&target, &fresh, name);
        }
    }
}

#[test]
fn a_partition_alone_becomes_a_machine_that_is_brought_up_to_date() {
    let machine = Machine::new();
    let part = ["--partition", "1"];
    for name in ["101.raw", "101.qcow2"] {
        let (target, whole) = (machine.out(name), machine.out("whole.raw"));
        machine.first(0, &target, &part);
        machine
            .run(&target, &["--update"])
            .refused(1, &["began at 1048576"]);
        machine
            .run(&target, &["--update", "--partition", "1"])
            .status(0);
        machine.run(&whole, &["-f", "--partition", "1"]).status(0);
        assert_holds(&target, &whole, name);
    }
}

/// What a container that was killed had written is in its journal: the first boot finds it there.
#[test]
fn a_journal_that_is_to_be_replayed_is_no_obstacle() {
    let raw = container("ext4");
    let mut all = states(&raw);
    // The log has another first block of a file, as a container leaves it that was killed.
    let text = "/dev/simfs / simfs defaults 0 0\ntmpfs /srv/log tmpfs size=9m 0 0\n";
    let file = raw.scratch.path().join("block");
    let mut block = text.as_bytes().to_vec();
    block.resize(1024, b'\n');
    write(&raw, "etc", "fstab", &[b'#'; 1024]);
    let mut debugfs_of = Command::new("debugfs");
    debugfs_of.args(["-R", "bmap /etc/fstab 0"]);
    let device = format!("{}?offset={MIB}", raw.path.display());
    let number = tool("e2fsprogs", debugfs_of.arg(device));
    let size = tool(
        "e2fsprogs",
        Command::new("dumpe2fs")
            .arg("-h")
            .arg(format!("{}?offset={MIB}", raw.path.display())),
    );
    let size = size
        .lines()
        .find_map(|line| line.strip_prefix("Block size:"));
    block.resize(size.unwrap().trim().parse().unwrap(), 0);
    fs::write(&file, &block).unwrap();
    let write = format!("jw -b {} {}", number.trim(), file.display());
    debugfs(&raw, &["jo", &write, "jc"]);
    all.push(fs::read(&raw.path).unwrap());
    let machine = Machine::of(raw, &all);
    for name in ["101.raw", "101.qcow2"] {
        let target = machine.out(name);
        machine.first(1, &target, &[]);
        let report = machine.run(&target, &["--update", "--json", "-q"]);
        assert!(report.status(0).json()["machine"].is_object());
        assert_holds(&target, &machine.fresh(3), name);
    }
    let changes = machine.run(&machine.out("no.raw"), &["--dry-run", "-v"]);
    let changes = String::from_utf8(changes.status(0).stdout).unwrap();
    assert!(changes.contains("/srv/log"), "{changes}");
}

#[test]
fn a_disk_that_boots_is_updated_as_one_by_the_command_of_the_message() {
    let machine = Machine::new();
    let fresh = machine.fresh(2);
    let target = machine.out("101.raw");
    machine.first(0, &target, &[]);
    let guard = SourceGuard::new(&machine.raw.scratch.out());
    let update = ["--update", "-f", "--json"];
    let plain = convert(&machine.chain.dir, &target).args(update).run();
    assert_eq!(
        plain.refused(1, &["for=kvm"]).json()["code"],
        "other-options"
    );
    drop(guard);
    // The newest kernel of a host may be any: this one is named in front.
    let [dir, out, kernel] =
        [&machine.chain.dir, &target, &machine.kernel].map(|path| quoted(path));
    let line = format!("ploopconv {dir} -o {out} --update");
    let commands = proposed(&shell(&line).status(1), &line);
    let [update, whole] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!(*update, format!("{line} --for kvm"));
    shell(&format!("{update} --modules none --kernel {kernel}")).status(0);
    assert_holds(&target, &fresh, "updated");
    shell(whole).status(0);
    assert!(fs::read(&target).unwrap() == machine.chain.model().content());

    // And the other way round.
    let first = ["--snapshot", &machine.chain.guids[0], "-f"];
    convert(&machine.chain.dir, &target)
        .args(first)
        .run()
        .status(0);
    let report = machine
        .run(&target, &["--update", "--json"])
        .refused(1, &["for=kvm"]);
    assert_eq!(report.json()["code"], "other-options");
    let line = machine.line(&target, "--update");
    follow(&line);
    assert_holds(&target, &fresh, "converted");
}

#[test]
fn a_machine_that_does_not_fit_or_was_started_meanwhile_is_refused() {
    let machine = Machine::new();
    for name in ["101.raw", "101.qcow2"] {
        let target = machine.out(name);
        let refused = |code: &str, options: &[&str]| {
            let guard = SourceGuard::new(&machine.raw.scratch.out());
            let options = [&["--update", "-f", "--json"], options].concat();
            let report = machine.run(&target, &options).refused(1, &[]).json();
            assert_eq!(report["code"], code, "{report}");
            drop(guard);
        };
        machine.first(1, &target, &["-f"]);
        refused("other-layers", &["--snapshot", &machine.chain.guids[0]]);
        refused("other-options", &["--sparse"]);
        for options in [&["--compact"][..], &["--salvage"], &["--no-sync"]] {
            let options = [&["--update"], options].concat();
            machine.run(&target, &options).refused(2, &["--update"]);
        }
        // What a guest writes first: its root's superblock, far from both ends of the file.
        let (format, at) = match name {
            "101.raw" => ("raw", "write -P 1 1049700 4"),
            _ => ("qcow2", "write -P 1 1049700 4"),
        };
        crate::support::compared::qemu_io(format, &target, &[at.to_owned()]);
        refused("target-changed", &[]);
        machine.first(1, &target, &["-f"]);
        crate::support::compared::qemu_io(format, &target, &["write -P 9 40m 512".to_owned()]);
        refused("target-changed", &[]);
        let line = machine.line(&target, "--update");
        let [command] = &proposed(&shell(&line).status(1), &line)[..] else {
            panic!("one command")
        };
        shell(command).status(0);
        assert_holds(&target, &machine.fresh(2), "converted");
    }
    let target = machine.out("ct.tar");
    let update = ["--update", "--for", "lxc"];
    let tar = convert(&machine.chain.dir, &target).args(update).run();
    tar.refused(2, &["--update is for disks"]);
}

/// Ended anywhere, an update is made right by the same command. How many times:
/// `PLOOPCONV_UPDATE_KILLS`.
#[test]
fn an_update_of_a_machine_that_is_killed_is_made_right_by_the_same_command() {
    let machine = Machine::new();
    let fresh = machine.fresh(2);
    let _guard = SourceGuard::new(&machine.chain.dir);
    let small = fs::read(machine.initrd()).unwrap();
    for (name, initrd) in [
        ("101.raw", &small),
        ("101.qcow2", &small),
        ("smaller.raw", &large()),
    ] {
        let target = machine.out(name);
        fs::write(machine.initrd(), initrd).unwrap();
        machine.first(0, &target, &[]);
        fs::write(machine.initrd(), &small).unwrap();
        let state = machine.out(&format!("{name}.ploopconv"));
        let saved = Saved::of(&machine, &target, &state);
        let ended = |what: &str| assert_holds(&target, &fresh, &format!("{name}: {what}"));
        machine.killed(&target, &["--reflink=never"], || saved.restore(), ended);
    }
}
