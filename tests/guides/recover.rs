//! `docs/recover.md` and `docs/damage.md`, run on what `tests/recover-images` made: here, and
//! what needs the kernel's NBD driver or device mapper in a virtual machine.

use crate::support::Scratch;
use crate::support::guide::{Guide, Place};
use crate::support::sparse::content_digest;
use crate::support::vm::Vm;
use crate::tools::tool;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What needs no driver of the kernel, in the order of the page.
const HERE: [&str; 20] = [
    "recover-start",
    "recover-mount",
    "recover-ddrescue",
    "recover-configuration",
    "recover-info",
    "recover-partition",
    "recover-simfs",
    "recover-simfs-tar",
    "recover-snapshots",
    "recover-orphans",
    "recover-layers",
    "recover-in-use",
    "recover-journal",
    "recover-luks",
    "recover-balloon",
    "recover-use-idx",
    "recover-holes",
    "recover-damaged",
    "recover-proof",
    "recover-end",
];

fn guide() -> Guide {
    Guide::read("docs/recover.md")
}

/// The file system of a dead host.
fn old_disk(scratch: &Scratch) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recover-images");
    tool("qemu-utils", Command::new(script).arg(scratch.source()));
    scratch.source().join("vz.img")
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let scratch = Scratch::new();
    let disk = old_disk(&scratch);
    let before = content_digest(&disk);
    let rescue = scratch.out();
    Place::new(&scratch.path().join("place"))
        .with(&disk, "/disks/sdb2")
        .with(&rescue, "/rescue")
        .run(&guide().blocks(&HERE).at("/dev/sdb2", "/disks/sdb2"));
    Place::new(&scratch.path().join("another"))
        .with(&disk, "/disks/sdb2")
        .before("mkdir /vz && mount -o loop,ro,noload /disks/sdb2 /vz")
        .run(&Guide::read("docs/damage.md").blocks(&["damage-salvage", "damage-layers"]));
    assert_eq!(before, content_digest(&disk));
    // Where the balloon was is room for the host.
    let copy = rescue.join("106.ext4").metadata().unwrap();
    assert!(copy.blocks() * 512 < 6 << 20, "{}", copy.blocks());
}

#[test]
fn what_needs_drivers_of_the_kernel_does_what_it_says() {
    let scratch = Scratch::new();
    let disk = old_disk(&scratch);
    let key = scratch.path().join("key");
    std::fs::write(&key, "secret\n").unwrap();
    let modules = ["nbd", "ext4", "loop", "dm_crypt", "xts", "ecb"];
    let before = "modprobe ext4; modprobe loop; modprobe dm_crypt; modprobe xts; mkdir /old
        mount -o ro,noload /dev/vda /old && cd /tmp
        ploopconv 105 --private-dir /old/private -o 105.raw -q && exec </key";
    let guide = guide();
    let vm = Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
        .with("--module", &modules)
        .with(
            "--binary",
            &["cryptsetup", "losetup", "mount", "umount", "ls"],
        )
        .with("--disk", &[&disk.display().to_string()])
        .file(&key, "/key");
    vm.run_guide(
        &guide.blocks(&["recover-overlay", "recover-cryptsetup"]),
        before,
    );
}
