//! The disk of a machine that was made before gets a new boot partition.

use crate::support::divided::{MIB, Raw};
use crate::support::kernels::{container, for_kvm, kernel};
use crate::support::{Program, convert};
use crate::tools::tool;
use ploopconv::disk::RawDisk;
use ploopconv::partition;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same kernel by another name and of another release.
fn newer_kernel(raw: &Raw) -> PathBuf {
    let folder = raw.scratch.path().join("newer");
    let mut bytes = fs::read(kernel(&folder, true)).unwrap();
    bytes[0x280..0x28b].copy_from_slice(b"6.9.0-test ");
    let path = folder.join("vmlinuz-6.9.0-test");
    fs::write(&path, bytes).unwrap();
    fs::write(folder.join("initrd.img-6.9.0-test"), b"\xfd7zXZ\0").unwrap();
    path
}

fn again(raw: &Raw, disk: &Path, target: &Path) -> Program {
    convert(disk, target)
        .args(["--for", "kvm", "--modules", "none", "--kernel"])
        .arg(newer_kernel(raw))
}

#[test]
fn a_disk_that_was_made_before_gets_a_new_boot_partition() {
    let raw = container("ext4");
    let image = raw.image();
    let target = |name: &str| raw.scratch.out().join(name);
    let (first, packed) = (target("101.raw"), target("101.qcow2"));
    for_kvm(&raw, &image, &first).run().status(0);
    for_kvm(&raw, &image, &packed).run().status(0);

    // What the machine did since then stays, the journal that it left behind included.
    let at = format!("{}?offset={MIB}", first.display());
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-R", "mkdir /srv/since", &at]);
    tool("e2fsprogs", &mut debugfs);
    let before = fs::read(&first).unwrap();
    let second = target("again.raw");
    let run = again(&raw, &first, &second)
        .args(["--verify", "--json"])
        .run();
    let run = run
        .status(0)
        .says(["takes the place of the one that was there"]);
    let report = run.json();
    assert_eq!(
        report["machine"]["kernel_version"], "6.9.0-test",
        "{report}"
    );
    let next = report["next"].to_string();
    assert!(
        next.contains("--name ct101 ") && !next.contains("101.raw"),
        "{next}"
    );
    let made = fs::read(&second).unwrap();
    assert!(fs::read(&first).unwrap() == before);
    assert!(made[MIB as usize..61 * MIB as usize] == before[MIB as usize..61 * MIB as usize]);
    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(&second));
    assert!(found.contains("No problems found"), "{found}");
    let layout = |disk: &Path| partition::read(&RawDisk::open(disk).unwrap()).unwrap();
    let numbers = |disk: &Path| {
        let layout = layout(disk);
        let parts = layout.partitions.iter();
        parts
            .map(|part| (part.number, part.start))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&second), numbers(&first));
    let start = layout(&second).partitions.last().unwrap().start;
    let loaded = raw.scratch.path().join("loaded");
    let mut mcopy = Command::new("mcopy");
    mcopy
        .arg("-i")
        .arg(format!("{}@@{start}", second.display()));
    tool("mtools", mcopy.arg("::/vmlinuz").arg(&loaded));
    assert!(fs::read(&loaded).unwrap() == fs::read(newer_kernel(&raw)).unwrap());

    // From qcow2 to qcow2; the same disk is proved against what it was made of.
    let repacked = target("again.qcow2");
    again(&raw, &packed, &repacked)
        .arg("--compact")
        .run()
        .status(0);
    let verify = Program::new(["verify"])
        .arg(&repacked)
        .arg("--against")
        .arg(&packed);
    let verify = verify.args(["--for", "kvm", "--modules", "none", "--compact", "--kernel"]);
    verify.arg(newer_kernel(&raw)).run().status(0);
    // A third time: nothing piles up.
    let third = target("third.raw");
    again(&raw, &second, &third).run().status(0);
    assert_eq!(numbers(&third), numbers(&first));

    // A copy that was cut short is damaged, and no option changes that.
    let cut = target("cut.raw");
    fs::write(&cut, &before[..40 * MIB as usize]).unwrap();
    let run = again(&raw, &cut, &target("x.raw")).run();
    let run = run.refused(3, &["reaches past the end of the disk"]);
    assert!(!run.stderr.contains("--partition"), "{}", run.stderr);

    // The disk itself is no target, and no other disk is taken.
    again(&raw, &first, &first)
        .arg("-f")
        .run()
        .refused(1, &["is a file of the image that is being read"]);
    again(&raw, &first, &target("x.raw"))
        .args(["--snapshot", "now"])
        .run()
        .refused(2, &["--snapshot is for ploop images"]);
    convert(&first, &target("x.raw"))
        .run()
        .refused(1, &["not a ploop image"]);
    let other = target("other.raw");
    convert(&image, &other).run().status(0);
    let only = "--for kvm takes a container's image, or a disk that it made itself";
    again(&raw, &other, &target("x.raw"))
        .run()
        .refused(1, &["not a ploop image", only]);
    convert(&image, &target("other.qcow2")).run().status(0);
    again(&raw, &target("other.qcow2"), &target("x.raw"))
        .run()
        .refused(1, &[only]);
    assert!(!target("x.raw").exists());
}
