//! A disk that boots has the same bytes in every kind of target, and what is said of disks that are
//! not as they should be leads on.

use crate::support::divided::{MIB, Raw, make};
use crate::support::kernels::{RELEASE, container, for_kvm, initramfs, kernel};
use crate::support::{Program, convert};
use crate::tools::tool;
use ploopconv::disk::RawDisk;
use ploopconv::partition;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A target's disk as a raw one, by another program.
fn as_raw(target: &Path) -> Vec<u8> {
    let raw = target.with_extension("check");
    let is_qcow2 = target.extension().unwrap() == "qcow2";
    let format = if is_qcow2 { "qcow2" } else { "raw" };
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", format, "-O", "raw"]);
    tool("qemu-utils", convert.arg(target).arg(&raw));
    if is_qcow2 {
        tool(
            "qemu-utils",
            Command::new("qemu-img").arg("check").arg(target),
        );
    }
    fs::read(raw).unwrap()
}

fn assert_sound(disk: &Path) {
    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(disk));
    assert!(found.contains("No problems found"), "{found}");
}

#[test]
fn every_kind_of_target_has_the_same_disk() {
    let raw = container("ext4");
    let image = raw.image();
    let target = |name: &str| raw.scratch.out().join(name);
    let first = target("first.raw");
    for_kvm(&raw, &image, &first).run().status(0);
    let expected = fs::read(&first).unwrap();
    assert!(expected[MIB as usize..61 * MIB as usize] == raw.read(MIB, 60 * MIB));
    assert_sound(&first);
    for (number, (end, options)) in [
        ("raw", &["--sparse"][..]),
        ("raw", &["--sparse=never"]),
        ("raw", &["--reflink=never", "--checksum"]),
        ("raw", &["--verify", "-j", "1"]),
        ("raw", &["--json"]),
        ("qcow2", &[]),
        ("qcow2", &["--verify", "--checksum"]),
        ("qcow2", &["--compress", "--verify"]),
        ("qcow2", &["--compress=zlib"]),
        ("qcow2", &["--cluster-size", "4K", "--json"]),
    ]
    .into_iter()
    .enumerate()
    {
        let target = target(&format!("{number}.{end}"));
        let run = for_kvm(&raw, &image, &target).args(options).run().status(0);
        assert!(as_raw(&target) == expected, "{end} {options:?}");
        if options.contains(&"--json") {
            let report = run.json();
            assert_eq!(report["machine"]["kernel_version"], RELEASE, "{report}");
        }
        if options.contains(&"--checksum") {
            Program::new(["verify"]).arg(&target).run().status(0);
        }
    }
    let streamed = for_kvm(&raw, &image, "-".as_ref())
        .args(["-O", "raw"])
        .run();
    assert!(streamed.status(0).stdout == expected);
    // It is what the same command of the source leads to.
    let verify = Program::new(["verify"])
        .arg(&first)
        .arg("--against")
        .arg(&image);
    let folder = raw.scratch.path().join("boot");
    let verify = verify.args(["--for", "kvm", "--modules", "none", "--kernel"]);
    verify.arg(kernel(&folder, true)).run().status(0);
}

#[test]
fn free_blocks_are_left_out_in_every_kind_of_target_alike() {
    let raw = container("ext3");
    // Something that a file had: free, and not zeros.
    raw.write(&[0x77; 1 << 20], 50 * MIB);
    let image = raw.image();
    let target = |name: &str| raw.scratch.out().join(name);
    let first = target("first.raw");
    for_kvm(&raw, &image, &first)
        .arg("--compact")
        .run()
        .status(0);
    let expected = fs::read(&first).unwrap();
    assert!(
        expected[50 * MIB as usize..51 * MIB as usize]
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_sound(&first);
    let part = target("part");
    fs::write(&part, &expected[MIB as usize..61 * MIB as usize]).unwrap();
    tool("e2fsprogs", Command::new("e2fsck").arg("-fn").arg(&part));
    for (name, options) in [
        ("a.qcow2", &["--compact"][..]),
        ("b.qcow2", &["--compact", "--compress", "--verify"]),
        ("c.raw", &["--compact", "--sparse", "--verify"]),
    ] {
        let target = target(name);
        for_kvm(&raw, &image, &target).args(options).run().status(0);
        assert!(as_raw(&target) == expected, "{name}");
    }
}

/// The bytes of a partition from 1 MiB on are those of the source, compared by another program.
fn assert_partition_kept(raw: &Raw, target: &Path, len: u64) {
    let mut cmp = Command::new("cmp");
    cmp.arg("-n").arg(len.to_string());
    cmp.args(["-i", &MIB.to_string()]);
    tool("diffutils", cmp.arg(&raw.path).arg(target));
}

/// The configuration of the boot loader, on the last partition.
fn configuration(disk: &Path) -> String {
    let layout = partition::read(&RawDisk::open(disk).unwrap()).unwrap();
    let start = layout.partitions.last().unwrap().start;
    let mut mtype = Command::new("mtype");
    mtype.arg("-i").arg(format!("{}@@{start}", disk.display()));
    tool("mtools", mtype.arg("::/grub/grub.cfg"))
}

/// What holds an XFS root or a volume group, whose files are not read.
fn unread(kind: &str) -> Raw {
    let raw = Raw::sgdisk(400 * MIB, &["--new=1:2048:0"]);
    match kind {
        "xfs" => raw.fill(MIB, 398 * MIB, make("xfsprogs", "mkfs.xfs", &["-q"])),
        _ => {
            let mut label = vec![0; 1024];
            label[512..520].copy_from_slice(b"LABELONE");
            label[536..544].copy_from_slice(b"LVM2 001");
            raw.write(&label, MIB);
            raw.write(&[0x5a; 4096], 300 * MIB);
        }
    }
    raw
}

#[test]
fn a_root_whose_files_are_not_read_boots_as_it_is_and_that_is_said() {
    let says = "so nothing is changed in them: a login on the console, udev and the network";
    for (kind, options, title) in [
        ("xfs", &[][..], "files of XFS are not read"),
        ("lvm", &["--append", "root=/dev/vg/root"], "files of LVM"),
    ] {
        let raw = unread(kind);
        let image = raw.image();
        let target = raw.scratch.target();
        let run = for_kvm(&raw, &image, &target).args(options).run().status(0);
        let run = run.says([says, title]);
        assert!(!run.stderr.contains("vsyscall"), "{}", run.stderr);
        assert_partition_kept(&raw, &target, 398 * MIB);
        assert_sound(&target);
        // The root is named: XFS by its UUID, a volume by the operator.
        let root = match kind {
            "xfs" => {
                let mut blkid = Command::new("blkid");
                blkid
                    .args(["-p", "-s", "UUID", "-o", "value", "-O"])
                    .arg(MIB.to_string());
                let uuid = tool("util-linux", blkid.arg(&raw.path));
                format!("'root=UUID={}'", uuid.trim())
            }
            _ => "'root=/dev/vg/root'".to_owned(),
        };
        let config = configuration(&target);
        assert!(config.contains(&root), "{config}");
        assert!(config.contains("'ro' 'console=tty0'"), "{config}");
    }
    // A driver that the kernel lacks is said before anything is written.
    let raw = unread("xfs");
    let image = raw.image();
    let run = for_kvm(&raw, &image, &raw.scratch.target());
    let settings = raw.scratch.path().join(format!("boot/config-{RELEASE}"));
    fs::write(
        settings,
        "CONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=y\n",
    )
    .unwrap();
    run.run()
        .refused(1, &["no driver for", "XFS", "--kernel FILE"]);
    raw.scratch.assert_nothing_left();
}

/// A name of a file that is not one, and what is said of it.
#[test]
fn files_that_are_missing_or_something_else_are_named() {
    let raw = container("ext4");
    let image = raw.image();
    let target = raw.scratch.target();
    let nowhere = raw.scratch.path().join("nowhere");
    let folder = raw.scratch.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let text = raw.scratch.path().join("text");
    fs::write(&text, "no kernel").unwrap();
    let good = kernel(&raw.scratch.path().join("boot"), true);
    initramfs(&raw.scratch.path().join("boot"));
    let run = |option: &str, value: &PathBuf| {
        let run = convert(&image, &target).args(["--for", "kvm"]);
        let run = match option {
            "--kernel" => run,
            _ => run.arg("--kernel").arg(&good),
        };
        run.arg(option).arg(value).run()
    };
    for (option, value, said) in [
        ("--kernel", &nowhere, &["nowhere", "No such file"][..]),
        ("--kernel", &folder, &["folder", "Is a directory"]),
        ("--kernel", &text, &["text is no kernel of Linux"]),
        ("--initrd", &nowhere, &["nowhere", "No such file"]),
        ("--initrd", &folder, &["folder", "Is a directory"]),
        (
            "--modules",
            &nowhere,
            &["has no modules of the kernel 6.1.0-test", "--modules none"],
        ),
        (
            "--modules",
            &folder,
            &["has no modules of the kernel 6.1.0-test", "--modules none"],
        ),
        (
            "--modules",
            &text,
            &["has no modules of the kernel 6.1.0-test", "--modules none"],
        ),
    ] {
        run(option, value).refused(1, said);
        raw.scratch.assert_nothing_left();
    }
    // What the last message proposes does it.
    run("--modules", &PathBuf::from("none")).status(0);
}

/// What the messages propose does what they say.
#[test]
fn hints_lead_to_a_disk_that_boots_or_to_the_disk_as_it_is() {
    let one = container("ext4");
    let part = one.read(MIB, 60 * MIB);
    let two = Raw::sgdisk(128 * MIB, &["--new=1:2048:+60M", "--new=2:131072:+60M"]);
    two.write(&part, MIB);
    two.write(&part, 64 * MIB);
    let image = two.image();
    let target = two.scratch.target();
    let run = for_kvm(&two, &image, &target).run();
    run.refused(
        1,
        &[
            "several partitions",
            "1, 2",
            "--partition N makes a disk of one",
        ],
    );
    two.scratch.assert_nothing_left();
    for number in ["1", "2"] {
        let target = two.scratch.out().join(number);
        let run = for_kvm(&two, &image, &target).args(["--partition", number]);
        run.run().status(0);
        assert!(fs::read(&target).unwrap()[MIB as usize..61 * MIB as usize] == part);
        assert_sound(&target);
    }

    let none = Raw::sgdisk(64 * MIB, &["--new=1:2048:0"]);
    none.fill(
        MIB,
        60 * MIB,
        make("e2fsprogs", "mke2fs", &["-q", "-F", "-t", "ext4"]),
    );
    let image = none.image();
    let target = none.scratch.target();
    let run = for_kvm(&none, &image, &target).run();
    run.refused(
        1,
        &[
            "no partition holds a Linux system",
            "without --for the disk is converted",
        ],
    );
    none.scratch.assert_nothing_left();
    convert(&image, &target).run().status(0);
    assert!(fs::read(&target).unwrap() == none.read(0, 64 * MIB));
}
