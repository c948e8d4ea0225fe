//! `docs/parallels-desktop.md`, run on a bundle of two disks, one of them split.

use crate::support::descriptor::TOP;
use crate::support::divided::{MIB, Raw};
use crate::support::guide::{Guide, Place};
use crate::support::image::{Fill, ImageBuilder, ImageFile};
use crate::support::split::{Part, SplitBuilder};
use crate::support::{ChainBuilder, Scratch};
use crate::tools::tool;
use std::fs;
use std::path::Path;
use std::process::Command;

/// In the order of the page.
const BLOCKS: [&str; 5] = [
    "parallels-look",
    "parallels-all",
    "parallels-suspended",
    "parallels-qemu",
    "parallels-others",
];

/// A disk in two parts: a plain one and an expandable one.
fn split(bytes: &[u8]) -> SplitBuilder {
    let (first, second) = bytes.split_at(32 << 20);
    let sectors = 32 * MIB / 512;
    let image = ImageBuilder::v1().cluster_sectors(2048).sectors(sectors);
    let clusters = (0..).zip(second.chunks(1 << 20));
    let image = clusters.fold(image, |image, (at, cluster)| {
        image.fill(at, Fill::Bytes(cluster.to_vec()))
    });
    let part = |file, is_plain| Part {
        sectors,
        layers: vec![file],
        is_plain,
    };
    SplitBuilder::new([
        part(ImageFile::raw(first, 2048), true),
        part(image.build(), false),
    ])
}

fn config(disks: &[(&str, &str)]) -> String {
    let disks = (0..).zip(disks).map(|(number, (file, label))| {
        format!(
            "<Hdd id=\"{number}\"><Index>{number}</Index><SystemName>{file}</SystemName>\
             <UserFriendlyName>{label}</UserFriendlyName></Hdd>"
        )
    });
    let disks: String = disks.collect();
    format!("<?xml version=\"1.0\"?><ParallelsVirtualMachine>{disks}</ParallelsVirtualMachine>")
}

fn assert_same(file: &Path, format: &str, raw: &Path) {
    let mut qemu = Command::new("qemu-img");
    qemu.args(["compare", "-f", "raw", "-F", format]);
    tool("qemu-utils", qemu.arg(raw).arg(file));
}

#[test]
fn a_bundle_becomes_disks_of_other_hypervisors() {
    let raw = Raw::sgdisk(64 * MIB, &["--new=1:2048:0", "--typecode=1:0700"]);
    let mut bytes = fs::read(&raw.path).unwrap();
    // Something on both sides of the place where the parts meet.
    bytes[(31 << 20)..(34 << 20)].fill(0xa7);
    fs::write(&raw.path, &bytes).unwrap();
    let scratch = Scratch::new();
    let backup = scratch.source();
    let pvm = backup.join("Win 10.pvm");
    split(&bytes).write(&pvm.join("harddisk.hdd"));
    let data = ChainBuilder::base(&ImageBuilder::v2().store(1));
    data.write(&pvm.join("data.hdd"));
    let disks = [("harddisk.hdd", "System"), ("data.hdd", "Documents")];
    fs::write(pvm.join("config.pvs"), config(&disks)).unwrap();
    let other = backup.join("Suspended.pvm");
    data.write(&other.join("harddisk.hdd"));
    fs::write(other.join("config.pvs"), config(&disks[..1])).unwrap();
    fs::write(other.join(format!("{TOP}.mem")), "memory").unwrap();
    let home = scratch.out();
    Place::new(&scratch.path().join("place"))
        .with(&backup, "/backup")
        .with(&home, "/root")
        .run(&Guide::read("docs/parallels-desktop.md").blocks(&BLOCKS));
    for (file, format) in [
        ("win10.qcow2", "qcow2"),
        ("win10.vdi", "vdi"),
        ("win10.vmdk", "vmdk"),
        ("esxi.vmdk", "vmdk"),
    ] {
        assert_same(&home.join(file), format, &raw.path);
    }
}
