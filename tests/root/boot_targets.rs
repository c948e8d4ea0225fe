//! A disk that boots on a block device and on a file system that shares blocks, and a kernel that
//! only root may read.

use crate::support::SourceGuard;
use crate::support::kernels::{container, for_kvm, initramfs, kernel};
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::tools::tool;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

#[test]
fn a_device_and_a_file_that_shares_blocks_have_the_same_disk() {
    let raw = container("ext4");
    let image = raw.image();
    let first = raw.scratch.target();
    for_kvm(&raw, &image, &first).run().status(0);
    let expected = fs::read(&first).unwrap();

    // A device that is larger and full of noise: its end has no second table of another disk.
    let backing = raw.scratch.path().join("device");
    fs::write(&backing, vec![0xdb; expected.len() + (4 << 20)]).unwrap();
    let device = Loop::new(&backing);
    let moves = format!(
        "after the copy `sgdisk -e {}` moves it",
        device.path.display()
    );
    for_kvm(&raw, &image, &device.path)
        .args(["-f", "--verify"])
        .run()
        .status(0)
        .says([&*moves]);
    tool(
        "util-linux",
        Command::new("blockdev")
            .arg("--flushbufs")
            .arg(&device.path),
    );
    assert!(fs::read(&backing).unwrap()[..expected.len()] == expected);
    // As the kernel sees it.
    let mut partx = Command::new("partx");
    partx.args(["--raw", "--noheadings", "--output", "NR"]);
    let numbers = tool("util-linux", partx.arg(&device.path));
    assert_eq!(
        numbers.split_whitespace().collect::<Vec<_>>(),
        ["1", "2", "3"]
    );

    // As the note says: now nothing is found.
    tool("gdisk", Command::new("sgdisk").arg("-e").arg(&device.path));
    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(&device.path));
    assert!(found.contains("No problems found"), "{found}");

    let xfs = raw.scratch.path().join("xfs");
    File::create(&xfs).unwrap().set_len(512 << 20).unwrap();
    tool("xfsprogs", Command::new("mkfs.xfs").arg("-q").arg(&xfs));
    let sharing = Mounted::image(&xfs, &raw.scratch.path().join("sharing"), "loop");
    let here = sharing.dir.join("root.hdd");
    fs::copy(&image, &here).unwrap();
    for (name, how) in [
        ("auto.raw", "--reflink=auto"),
        ("never.raw", "--reflink=never"),
        // What is added has no block to share, and is not asked for one.
        ("always.raw", "--reflink=always"),
    ] {
        let target = sharing.dir.join(name);
        for_kvm(&raw, &here, &target).arg(how).run().status(0);
        assert!(fs::read(&target).unwrap() == expected, "{how}");
    }
    let mut filefrag = Command::new("filefrag");
    let shared = tool(
        "e2fsprogs",
        filefrag.arg("-v").arg(sharing.dir.join("auto.raw")),
    );
    assert!(shared.contains("shared"), "{shared}");
}

#[test]
fn a_kernel_that_only_root_may_read_is_copied_by_the_command_of_the_guide() {
    let raw = container("ext4");
    let image = raw.image();
    let boot = raw.scratch.path().join("boot");
    let kernel = kernel(&boot, true);
    let initrd = initramfs(&boot);
    fs::set_permissions(&kernel, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(raw.scratch.out(), Permissions::from_mode(0o777)).unwrap();
    let _guard = SourceGuard::new(&raw.scratch.source());
    let run = |kernel: &Path, more: &[&Path]| {
        let mut command = raw.scratch.as_nobody();
        command.arg(&image).arg("-o").arg(raw.scratch.target());
        command.args(["--for", "kvm", "--modules", "none", "--kernel"]);
        let output = command.arg(kernel).args(more).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, said) = run(&kernel, &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("vmlinuz-6.1.0-test: Permission denied"),
        "{said}"
    );
    assert!(said.contains("run the same command as root"), "{said}");
    raw.scratch.assert_nothing_left();

    // The guide's way, and what the message of the next step proposes.
    let copy = raw.scratch.out().join("vmlinuz");
    let mut install = Command::new("install");
    tool(
        "coreutils",
        install.args(["-m", "644"]).arg(&kernel).arg(&copy),
    );
    let (status, said) = run(&copy, &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("--initrd FILE names it"), "{said}");
    let (status, said) = run(&copy, &["--initrd".as_ref(), &initrd]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_disk_whose_machine_runs_gets_no_new_boot_partition() {
    let raw = container("ext4");
    let image = raw.image();
    let disk = raw.scratch.out().join("101.raw");
    for_kvm(&raw, &image, &disk).run().status(0);
    let target = raw.scratch.out().join("again.raw");
    let again = |disk: &Path| for_kvm(&raw, disk, &target);

    // Somebody has the file open for writing, as a machine has.
    let writer = File::options().append(true).open(&disk).unwrap();
    again(&disk).run().refused(
        4,
        &[
            "is in use: open for writing in",
            "turn the machine off first",
        ],
    );
    drop(writer);
    // Once it is off, the hint leads to a disk.
    again(&disk).run().status(0);
    fs::remove_file(&target).unwrap();

    // A device is a disk, too, and somebody looks at its files.
    let device = Loop::new(&disk);
    again(&device.path).run().status(0);
    fs::remove_file(&target).unwrap();
    tool(
        "util-linux",
        Command::new("partx").arg("--update").arg(&device.path),
    );
    let part = format!("{}p1", device.path.display());
    let mounted = Mounted::image(Path::new(&part), &raw.scratch.path().join("mnt"), "ro");
    again(&device.path)
        .run()
        .refused(4, &["is in use: mounted, swap, or part of another device"]);
    mounted.end();
    again(&device.path).arg("--verify").run().status(0);
}
