//! Real input: a Debian system on a disk of three layers. `tests/debian` makes it with Debian's own
//! tools and says what is on it; here the changes of the file system are put into the layers.

use crate::attach::assert_attached_holds;
use crate::support::debian::{fill, layers, script, state};
use crate::support::vm::Vm;
use crate::support::{Program, Scratch, check, names_in};
use crate::tools::tool;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

/// Asserts that `disk.raw` is the disk of moment `number`, byte by byte and file by file.
fn assert_moment(dir: &Path, number: usize, target: &Path) {
    let raw = dir.join(format!("{number}.raw"));
    tool(
        "diffutils",
        Command::new("cmp").args([target, raw.as_path()]),
    );
    assert!(
        target.metadata().unwrap().blocks() * 512 < 400 << 20,
        "the target of a disk that is mostly empty is sparse"
    );
    assert_contents(dir, number, "list", target);
}

/// Asserts that the file system is whole and holds what it held at moment `number`; `list` is how
/// the script finds it in `image`.
fn assert_contents(dir: &Path, number: usize, list: &str, image: &Path) {
    let found = tool("mount", script().arg(list).arg(image));
    let expected = std::fs::read_to_string(dir.join(format!("{number}.list"))).unwrap();
    let first = found
        .lines()
        .zip(expected.lines())
        .find(|(found, expected)| found != expected);
    assert_eq!(first, None, "first difference in what is on disk {number}");
    assert_eq!(
        found.lines().count(),
        expected.lines().count(),
        "things on disk {number}"
    );
}

#[test]
fn a_debian_system_reads_as_it_was_at_the_top_and_at_each_snapshot() {
    let scratch = Scratch::new();
    let dir = scratch.source();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tool(
        "debootstrap",
        script().arg("build").args([dir.as_path(), cache]),
    );

    let disk = dir.join("disk");
    let files = layers(&disk);
    assert_eq!(files.len(), 3);
    for (number, file) in files.iter().enumerate().skip(1) {
        let (before, after) = (
            dir.join(format!("{number}.raw")),
            dir.join(format!("{}.raw", number + 1)),
        );
        let filled = fill(file, &before, &after);
        assert!(
            filled.written > 10,
            "change {number} is worth a test: {filled:?}"
        );
        assert!(
            number < 2 || filled.punched > 5,
            "change {number} frees clusters: {filled:?}"
        );
    }

    let untouched = state(&disk);
    let report = check(&disk).run().status(0);
    assert_eq!(report.codes(), Vec::<String>::new());
    for (number, sparse) in [
        (1, "--sparse=auto"),
        (2, "--sparse=auto"),
        (3, "--sparse=auto"),
        (3, "--sparse"),
    ] {
        let target = scratch.target();
        let mut program =
            Program::new([disk.as_os_str(), "-o".as_ref(), target.as_os_str()]).arg(sparse);
        if number < 3 {
            program = program.args([
                "--snapshot",
                &format!("{{0000000{number}-dddd-4222-8333-444444444444}}"),
            ]);
        }
        program.run().done();
        // What a snapshot was converted to can be updated later: its state is beside it.
        let names: &[&str] = match number {
            3 => &["disk.raw"],
            _ => &["disk.raw", "disk.raw.ploopconv"],
        };
        assert_eq!(names_in(&scratch.out()), names);
        assert_moment(&dir, number, &target);
        for name in names {
            std::fs::remove_file(scratch.out().join(name)).unwrap();
        }
    }
    assert_qcow2(&dir, &disk, &scratch);
    assert_runs(&disk, &scratch);
    assert_partitions(&dir, &disk, &scratch);
    assert_attached_holds(&disk, &dir.join("3.list"), &scratch);
    assert_eq!(state(&disk), untouched, "the source was changed");
}

/// Every kind of qcow2 target is whole and holds the disk, as QEMU says.
fn assert_qcow2(dir: &Path, disk: &Path, scratch: &Scratch) {
    let raw = dir.join("3.raw");
    let (target, back) = (scratch.out().join("disk.qcow2"), scratch.out().join("back"));
    let qemu_img = |args: &[&str], files: &[&Path]| {
        let mut command = Command::new("qemu-img");
        tool("qemu-utils", command.args(args).args(files))
    };
    for options in [
        &["--checksum"][..],
        &["--checksum", "--sparse", "--cluster-size=4K"],
        &["--checksum=blkhash", "--cluster-size=2M"],
        &["--checksum", "--compress"],
        &["--checksum=blkhash", "--compress=zlib"],
    ] {
        Program::new([disk.as_os_str(), "-o".as_ref(), target.as_os_str()])
            .args(options)
            .run()
            .done();
        let checked = qemu_img(&["check", "-f", "qcow2"], &[&target]);
        assert!(checked.contains("No errors were found"), "{checked}");
        let compare = ["compare", "-f", "raw", "-F", "qcow2"];
        qemu_img(&compare, &[&raw, &target]);
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw"], &[&target, &back]);
        tool("diffutils", Command::new("cmp").args([&back, &raw]));
        Program::new(["verify"]).arg(&target).run().status(0);
        if options.contains(&"--checksum") {
            tool(
                "coreutils",
                Command::new("sha256sum")
                    .args(["-c", "disk.qcow2.sha256"])
                    .current_dir(scratch.out()),
            );
        }
        for name in names_in(&scratch.out()) {
            std::fs::remove_file(scratch.out().join(name)).unwrap();
        }
    }
}

/// A machine that has a target as its disk runs the system on it, whatever the format.
fn assert_runs(disk: &Path, scratch: &Scratch) {
    let targets = [
        ("disk.raw", &[][..]),
        ("disk.qcow2", &[]),
        ("packed.qcow2", &["--compress", "--sparse"]),
    ];
    let said = targets.map(|(name, options)| {
        let target = scratch.out().join(name);
        Program::new([disk.as_os_str(), "-o".as_ref(), target.as_os_str()])
            .args(options)
            .run()
            .done();
        let said = Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
            .with("--module", &["ext4"])
            .with("--disk", &[&format!("{}:rw", target.display())])
            .run("boot-guest", &[]);
        if name.ends_with("qcow2") {
            // What a machine wrote into it left it as sound as it was.
            tool(
                "qemu-utils",
                Command::new("qemu-img").arg("check").arg(&target),
            );
        }
        std::fs::remove_file(target).unwrap();
        said
    });
    assert!(said[0].starts_with("ploop\nchanged\n"), "{}", said[0]);
    assert!(said[0].ends_with("written\n"), "{}", said[0]);
    assert_eq!(said[1], said[0], "qcow2");
    assert_eq!(said[2], said[0], "compressed qcow2");
}

/// Images of the only partition hold its file system, and are the same either way.
fn assert_partitions(dir: &Path, disk: &Path, scratch: &Scratch) {
    let parts = scratch.out().join("parts");
    Program::new([disk.as_os_str(), "-o".as_ref(), parts.as_os_str()])
        .args(["--partitions", "--checksum"])
        .run()
        .done();
    assert_eq!(names_in(&parts), ["SHA256SUMS", "p1.raw"]);
    tool(
        "coreutils",
        Command::new("sha256sum")
            .args(["-c", "SHA256SUMS"])
            .current_dir(&parts),
    );
    let (all, one) = (parts.join("p1.raw"), scratch.out().join("one.raw"));
    Program::new([disk.as_os_str(), "-o".as_ref(), one.as_os_str()])
        .args(["--partition", "1"])
        .run()
        .done();
    tool("diffutils", Command::new("cmp").args([&all, &one]));
    assert_contents(dir, 3, "list-partition", &all);
}
