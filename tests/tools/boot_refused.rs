//! Kernels and disks that no machine starts from, or not surely.

use crate::support::convert;
use crate::support::divided::{MIB, Raw};
use crate::support::kernels::{RELEASE, container, for_kvm};
use crate::tools::tool;
use std::fs;
use std::process::Command;

#[test]
fn a_uuid_that_two_partitions_have_is_no_name_for_the_root() {
    let raw = container("ext4");
    let part = raw.read(MIB, 60 * MIB);
    let two = Raw::sgdisk(128 * MIB, &["--new=1:2048:+60M", "--new=2:131072:+60M"]);
    two.write(&part, MIB);
    two.write(&part, 64 * MIB);
    // A file system without a system: an older copy that was emptied.
    let at = format!("{}?offset={}", two.path.display(), 64 * MIB);
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-R", "unlink /sbin", &at]);
    tool("e2fsprogs", &mut debugfs);
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-R", "unlink /etc", &at]);
    tool("e2fsprogs", &mut debugfs);
    let image = two.image();
    let target = two.scratch.target();
    for_kvm(&two, &image, &target).run().refused(
        1,
        &[
            "partitions 1, 2 have file systems with the same UUID",
            "--partition N",
        ],
    );
    two.scratch.assert_nothing_left();
    for_kvm(&two, &image, &target)
        .args(["--partition", "1"])
        .run()
        .status(0);
    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(&target));
    assert!(found.contains("No problems found"), "{found}");
}

#[test]
fn a_kernel_without_what_a_machine_needs_is_refused_or_told() {
    let raw = container("ext4");
    let image = raw.image();
    let settings = raw.scratch.path().join(format!("boot/config-{RELEASE}"));
    let all = [
        "BLK_DEV_INITRD",
        "EXT4_FS",
        "VIRTIO_BLK",
        "VIRTIO_PCI",
        "VIRTIO_NET",
        "SATA_AHCI",
        "SERIAL_8250_CONSOLE",
        "EFI",
    ];
    let with = |missing: &str| {
        let run = for_kvm(&raw, &image, &raw.scratch.target()).arg("--dry-run");
        let lines = all.iter().filter(|name| **name != missing);
        let lines: Vec<_> = lines.map(|name| format!("CONFIG_{name}=y\n")).collect();
        fs::write(&settings, lines.concat()).unwrap();
        run.run()
    };
    for (missing, said) in [
        ("BLK_DEV_INITRD", "it has no driver for an initramfs"),
        ("EXT4_FS", "it has no driver for ext4"),
        ("VIRTIO_BLK", "it has no driver for virtio disks"),
        ("VIRTIO_PCI", "it has no driver for virtio devices"),
    ] {
        with(missing).refused(1, &[said, "--kernel FILE"]);
    }
    let notes = [
        ("VIRTIO_NET", "no driver for the network cards of virtio"),
        ("SATA_AHCI", "no driver for SATA"),
        ("SERIAL_8250_CONSOLE", "no console on a serial port"),
        ("EFI", "this kernel knows no UEFI"),
    ];
    for (missing, _) in notes {
        let plan = with(missing).status(0);
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        for (name, said) in notes {
            assert_eq!(plan.contains(said), name == missing, "{missing}: {plan}");
        }
    }
    // What the kernel would cut off is refused.
    let long = "x=".to_owned() + &"y".repeat(1900);
    let run = for_kvm(&raw, &image, &raw.scratch.target());
    run.args(["--append", &long]).run().refused(
        1,
        &[
            "takes a command line of 2047 bytes",
            "--append takes fewer words",
        ],
    );
    raw.scratch.assert_nothing_left();
}

#[test]
fn a_damaged_partition_table_leads_to_the_disk_as_it_is() {
    let raw = container("ext4");
    // A partition past the end, in the table and in its copy.
    let disk = raw.read(0, 64 * MIB);
    let half = Raw::new(32 * MIB);
    half.write(&disk[..32 * MIB as usize], 0);
    let image = half.image();
    let target = half.scratch.target();
    let run = for_kvm(&half, &image, &target).run();
    let run = run.refused(3, &["without --for the disk is converted as it is"]);
    assert!(!run.stderr.contains("--partition"), "{}", run.stderr);
    half.scratch.assert_nothing_left();
    convert(&image, &target).run().status(0);
    assert!(fs::read(&target).unwrap() == half.read(0, 32 * MIB));
}
