//! What keeps a disk from booting.

use super::files::as_ploop;
use super::{Cases, path};
use crate::support::kernels::{initramfs, kernel};
use crate::tools::tool;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A partition with a small system on it, at a number, with files more.
fn system(cases: &Cases, name: &str, numbers: &[&str], more: &[&str]) -> PathBuf {
    let tree = cases.scratch.path().join(format!("{name}.tree"));
    for folder in ["etc", "sbin", "boot/grub"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    fs::copy("/bin/true", tree.join("sbin/init")).unwrap();
    for file in more {
        fs::write(tree.join(file), "x").unwrap();
    }
    let raw = cases.scratch.path().join(format!("{name}.raw"));
    File::create(&raw).unwrap().set_len(64 << 20).unwrap();
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.arg("--resize-table=256");
    for (at, number) in numbers.iter().enumerate() {
        sgdisk.arg(format!("--new={number}:{}:+20M", 2048 + at * 40960));
    }
    tool("gdisk", sgdisk.arg(&raw));
    for at in 0..numbers.len() {
        let offset = format!("offset={}", (1 << 20) + (at << 20) * 20);
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4", "-E", &offset, "-d"]);
        tool("e2fsprogs", mke2fs.arg(&tree).arg(&raw).arg("20M"));
    }
    as_ploop(cases, &raw)
}

/// An archive of empty files, with the folders that they are in.
fn cpio(archive: &Path, names: &[&str]) {
    let mut list = String::new();
    let folder = archive.with_extension("tree");
    for name in names {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        list += &format!("{name}\n");
    }
    let lines = folder.join("list");
    fs::write(&lines, list).unwrap();
    let mut cpio = Command::new("sh");
    cpio.args(["-c", "cpio --quiet -o -H newc <list >\"$0\""]);
    tool("cpio", cpio.arg(archive).current_dir(&folder));
}

pub(super) fn disks_that_boot(cases: &mut Cases) {
    let for_kvm = |cases: &mut Cases, code: &str, image: &Path, more: &[&Path]| {
        let target = cases.scratch.target();
        let mut args = vec![image, path("-o"), &target, path("--for"), path("kvm")];
        args.extend(more);
        cases.fails(code, 1, &args);
    };
    let noise = cases.image.clone();
    for_kvm(cases, "no-system", &noise, &[]);
    let good = system(cases, "good", &["1"], &[]);
    let two = system(cases, "two", &["1", "2"], &[]);
    for_kvm(cases, "several-systems", &two, &[]);
    // A second file system with the UUID of the root.
    let alike = cases.scratch.path().join("two.raw");
    let uuid = "10101010-0000-4000-8000-000000000001";
    let mut tune2fs = Command::new("tune2fs");
    let at = format!("{}?offset=1048576", alike.display());
    tool("e2fsprogs", tune2fs.args(["-f", "-U", uuid, &at]));
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-U",
        uuid,
        "-E",
        "offset=22020096",
    ]);
    tool("e2fsprogs", mke2fs.arg(&alike).arg("20M"));
    let alike = as_ploop(cases, &alike);
    for_kvm(cases, "shared-uuid", &alike, &[]);
    let machine = system(
        cases,
        "machine",
        &["1"],
        &["boot/vmlinuz-4", "boot/grub/grub.cfg"],
    );
    for_kvm(cases, "boots-itself", &machine, &[]);
    let short = cases.scratch.path().join("short.raw");
    File::create(&short).unwrap().set_len(64 << 20).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-E", "offset=1048576", "-d"]);
    let tree = cases.scratch.path().join("good.tree");
    tool("e2fsprogs", mke2fs.arg(tree).arg(&short).arg("20M"));
    let mut sgdisk = Command::new("sgdisk");
    tool("gdisk", sgdisk.arg("--new=1:2048:+19M").arg(&short));
    let short = as_ploop(cases, &short);
    let target = cases.scratch.target();
    let args = [&*short, path("-o"), &target, path("--for"), path("kvm")];
    cases.fails("cut-file-system", 3, &args);
    let far = system(cases, "far", &["200"], &[]);
    for_kvm(cases, "partition-number", &far, &[]);
    let quoted = [path("--append"), path("a=\"b c\"")];
    for_kvm(cases, "kernel-command-line", &good, &quoted);

    let lvm = cases.scratch.path().join("lvm.raw");
    let mut label = vec![0; 64 << 20];
    label[512..520].copy_from_slice(b"LABELONE");
    label[536..544].copy_from_slice(b"LVM2 001");
    fs::write(&lvm, label).unwrap();
    let lvm = as_ploop(cases, &lvm);
    for_kvm(cases, "unnamed-root", &lvm, &[]);

    // A system of another processor, as the header of its programs says (e_machine 3).
    let tree = cases.scratch.path().join("other.tree");
    fs::create_dir_all(tree.join("sbin")).unwrap();
    let mut program = fs::read("/bin/true").unwrap();
    (program[4], program[18]) = (1, 3);
    fs::write(tree.join("sbin/init"), program).unwrap();
    fs::create_dir(tree.join("etc")).unwrap();
    let other = cases.scratch.path().join("other.raw");
    File::create(&other).unwrap().set_len(16 << 20).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    tool(
        "e2fsprogs",
        mke2fs
            .args(["-q", "-F", "-t", "ext4", "-d"])
            .arg(&tree)
            .arg(&other),
    );
    let other = as_ploop(cases, &other);
    for_kvm(cases, "no-kernel", &other, &[]);

    let kernels = cases.scratch.path().to_owned();
    let old = kernel(&kernels.join("32"), false);
    let new = kernel(&kernels.join("64"), true);
    for_kvm(
        cases,
        "not-a-kernel",
        &good,
        &[path("--kernel"), path("/bin/true")],
    );
    let cut = kernels.join("cut");
    let mut bytes = fs::read(&new).unwrap();
    bytes[0x1f4..0x1f8].copy_from_slice(&0x1000_u32.to_le_bytes());
    fs::write(&cut, bytes).unwrap();
    for_kvm(cases, "cut-kernel", &good, &[path("--kernel"), &cut]);
    for_kvm(cases, "other-processor", &good, &[path("--kernel"), &old]);
    for_kvm(cases, "no-initramfs", &good, &[path("--kernel"), &new]);
    let folder = new.parent().unwrap().to_owned();
    let initrd = folder.join("initrd.img-6.1.0-test");
    fs::write(&initrd, "").unwrap();
    for_kvm(cases, "broken-initramfs", &good, &[path("--kernel"), &new]);
    cpio(&initrd, &["init", "hooks/virtio_blk.ko"]);
    for_kvm(cases, "other-initramfs", &good, &[path("--kernel"), &new]);
    initramfs(&folder);
    let other = cases.folder("5.10.0-other");
    fs::write(other.join("modules.dep"), "").unwrap();
    let wanted = [path("--kernel"), &new, path("--modules"), &other];
    for_kvm(cases, "other-modules", &good, &wanted);
    let wanted = [
        path("--kernel"),
        &new,
        path("--modules"),
        path("/var/empty"),
    ];
    for_kvm(cases, "no-modules", &good, &wanted);
    fs::write(
        folder.join("config-6.1.0-test"),
        "CONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_EXT4_FS=y\n",
    )
    .unwrap();
    for_kvm(cases, "no-driver", &good, &[path("--kernel"), &new]);

    // GRUB's program, which is looked for where programs are.
    let target = cases.scratch.target();
    let args = [&*good, path("-o"), &target, path("--for"), path("kvm")];
    let nowhere = cases.folder("no-programs");
    cases.fails_with_path(&nowhere, "no-grub", &args);
    let wrong = nowhere.join("grub-mkimage");
    fs::write(&wrong, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).unwrap();
    cases.fails_with_path(&nowhere, "grub-failed", &args);
    fs::remove_dir_all(nowhere).unwrap();
}
