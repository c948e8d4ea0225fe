//! Files of other programs given as IMAGE: each is named, with the command that reads or unpacks it,
//! and the command gives the right bytes.

use crate::support::hints::paste;
use crate::support::image::{divided, pattern};
use crate::support::{ImageBuilder, Scratch, convert};
use crate::tools::tool;
use std::fs;
use std::process::Command;

#[test]
fn disks_of_other_programs_lead_to_qemu_img_and_the_same_bytes() {
    let scratch = Scratch::new();
    let bytes = pattern(5, 0, 4 << 20);
    let raw = scratch.path().join("disk");
    fs::write(&raw, &bytes).unwrap();
    for (format, name) in [
        ("qcow2", "qcow2"),
        ("vmdk", "vmdk"),
        ("vdi", "vdi"),
        ("vpc", "vhd"),
        ("vhdx", "vhdx"),
        ("qed", "qed"),
    ] {
        let file = scratch.source().join(format!("my disk.{name}"));
        let mut qemu = Command::new("qemu-img");
        qemu.args(["convert", "-f", "raw", "-O", format])
            .args([&raw, &file]);
        assert!(qemu.status().unwrap().success());
        let run = convert(&file, &scratch.target()).run().refused(1, &[]);
        paste(&run, "qemu-img reads it: ", scratch.path());
        let made = fs::read(scratch.target()).unwrap();
        assert!(made[..bytes.len()] == bytes, "{format}");
        fs::remove_file(scratch.target()).unwrap();
    }
    let table = scratch.source().join("table");
    fs::write(&table, divided(bytes)).unwrap();
    let run = convert(&table, &scratch.target()).run();
    run.refused(1, &["boot sector", "if it is the whole disk"]);
}

#[test]
fn packed_images_lead_to_what_unpacks_them() {
    let scratch = Scratch::new();
    let original = scratch.path().join("root.hds");
    ImageBuilder::v2()
        .seed(1)
        .store_all([0, 2])
        .write(&original);
    let bytes = fs::read(&original).unwrap();
    for (end, pack) in [
        ("gz", "gzip -c root.hds >"),
        ("xz", "xz -c root.hds >"),
        ("bz2", "bzip2 -c root.hds >"),
        ("zst", "zstd -qc root.hds >"),
        ("lz4", "lz4 -qc root.hds >"),
        ("lzo", "lzop -c root.hds >"),
        ("zip", "zip -q - root.hds >"),
        (
            "7z",
            "7z a -si'root.hds' -bd x.7z < root.hds >/dev/null; mv x.7z",
        ),
        ("cpio", "echo root.hds | cpio -o -H newc >"),
        ("tar", "tar -cf - root.hds >"),
        ("tar.gz", "tar -czf - root.hds >"),
        ("tar.zst", "tar -cf - root.hds | zstd -qc >"),
        ("tar.lz4", "tar -cf - root.hds | lz4 -qc >"),
    ] {
        let packed = scratch.source().join(format!("root.hds.{end}"));
        let mut sh = Command::new("sh");
        let command = format!("{pack} {}", packed.display());
        sh.args(["-c", &command]).current_dir(scratch.path());
        assert!(sh.output().unwrap().status.success(), "{command}");
        let run = convert(&packed, &scratch.target())
            .run()
            .refused(1, &["packed"]);
        paste(&run, "unpack it first: ", &scratch.out());
        let made = scratch.out().join("root.hds");
        assert!(fs::read(&made).unwrap() == bytes, "{end}");
        fs::remove_file(made).unwrap();
        fs::remove_file(packed).unwrap();
    }
}

#[test]
fn what_only_another_program_reads_is_named_with_it() {
    let scratch = Scratch::new();
    for (name, bytes, says) in [
        (
            "a.tib",
            b"\xce\x24\xb9\xa2\x20\0\0\0rest".to_vec(),
            ["Acronis", "restore"],
        ),
        (
            "a.pvmp",
            pattern(1, 0, 5000),
            ["packed virtual machine", "prlctl unpack"],
        ),
        ("a.wim", b"MSWIM\0\0\0rest".to_vec(), ["WIM", "wimlib"]),
        (
            "a.dmg",
            [vec![1; 1024], b"koly\0\0\0\x04".to_vec(), vec![0; 504]].concat(),
            ["DMG", "qemu-img"],
        ),
    ] {
        let file = scratch.source().join(name);
        fs::write(&file, bytes).unwrap();
        convert(&file, &scratch.target()).run().refused(1, &says);
    }
}

#[test]
fn an_iso_leads_to_what_lists_its_files() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("readme"), "in the image").unwrap();
    let file = scratch.source().join("a cd.iso");
    let mut bsdtar = Command::new("bsdtar");
    bsdtar
        .args(["--format=iso9660", "-cf"])
        .arg(&file)
        .arg("readme");
    tool("libarchive-tools", bsdtar.current_dir(scratch.path()));
    let run = convert(&file, &scratch.target()).run().refused(1, &["ISO"]);
    paste(&run, "to see what it holds: ", scratch.path());
}
