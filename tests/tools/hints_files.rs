//! Files of other programs given as IMAGE: each is named, with the command that reads or unpacks
//! it, and the command gives the right bytes.

use crate::support::hints::paste;
use crate::support::image::{divided, pattern};
use crate::support::{ImageBuilder, Scratch, convert};
use crate::tools::tool;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
    // The format that was asked for is what is made, whatever the name says.
    let file = scratch.source().join("my disk.vmdk");
    let run = convert(&file, &scratch.target())
        .args(["-O", "qcow2"])
        .run();
    let run = run.refused(1, &["-f vmdk -O qcow2"]);
    paste(&run, "qemu-img reads it: ", scratch.path());
    assert!(fs::read(scratch.target()).unwrap().starts_with(b"QFI\xfb"));
    fs::remove_file(scratch.target()).unwrap();

    let file = scratch.source().join("my disk.dmg");
    fs::write(&file, dmg(&bytes)).unwrap();
    let run = convert(&file, &scratch.target()).run();
    let run = run.refused(1, &["-f dmg -O raw"]);
    paste(&run, "qemu-img reads it: ", scratch.path());
    assert!(fs::read(scratch.target()).unwrap() == bytes);
    fs::remove_file(scratch.target()).unwrap();

    let table = scratch.source().join("table");
    fs::write(&table, divided(bytes)).unwrap();
    let run = convert(&table, &scratch.target()).run();
    run.refused(1, &["boot sector", "if it is the whole disk"]);
}

/// A DMG image with one run of sectors, stored as they are: nothing in Debian makes one.
fn dmg(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u64;
    let sectors = (len / 512).to_be_bytes();
    // The table of runs: 1 is stored, !0 is the end.
    let mut table = [
        b"mish\0\0\0\x01".as_slice(),
        &[0; 8],
        &sectors,
        &[0; 8 + 8 + 24 + 136],
    ]
    .concat();
    table.extend(2u32.to_be_bytes());
    for (kind, start, sectors, len) in [(1u32, 0, len / 512, len), (u32::MAX, len / 512, 0, 0)] {
        table.extend(kind.to_be_bytes());
        table.extend([0; 4]);
        for value in [start, sectors, 0, len] {
            table.extend(value.to_be_bytes());
        }
    }
    let mut child = Command::new("base64")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&table).unwrap();
    let table = child.wait_with_output().unwrap().stdout;
    let list = [
        b"<plist><dict><key>resource-fork</key><dict>".as_slice(),
        b"<key>blkx</key><array><dict><key>Data</key><data>\n",
        &table,
        b"</data></dict></array></dict></dict></plist>\n",
    ]
    .concat();
    let mut end = vec![0; 512];
    end[..12].copy_from_slice(b"koly\0\0\0\x04\0\0\x02\0");
    end[32..40].copy_from_slice(&len.to_be_bytes());
    end[216..224].copy_from_slice(&len.to_be_bytes());
    end[224..232].copy_from_slice(&(list.len() as u64).to_be_bytes());
    end[492..500].copy_from_slice(&sectors);
    [bytes, &list, &end].concat()
}

/// A RAR archive (version 4) of one file, stored as it is: nothing in Debian makes one.
fn rar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let header = |header: &[u8]| [&sum(header).to_le_bytes()[..2], header].concat();
    let len = (bytes.len() as u32).to_le_bytes();
    let file = [
        &b"\x74\0\x80"[..],
        &(32 + name.len() as u16).to_le_bytes(),
        &len,
        &len,
        &[3],
        &sum(bytes).to_le_bytes(),
        &[0, 0, 0x21, 0x50, 20, 0x30],
        &(name.len() as u16).to_le_bytes(),
        &0o10_0644u32.to_le_bytes(),
        name.as_bytes(),
    ]
    .concat();
    [
        &b"Rar!\x1a\x07\0"[..],
        &header(b"\x73\0\0\x0d\0\0\0\0\0\0\0"),
        &header(&file),
        bytes,
        &header(b"\x7b\0\x40\x07\0"),
    ]
    .concat()
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
        // With the names that it could have taken, no command is proposed that replaces a file.
        if ["gz", "zst"].contains(&end) {
            fs::write(scratch.out().join("root.hds.unpacked"), "another one").unwrap();
            let again = convert(&packed, Path::new("x"));
            let run = again.directory(scratch.out()).run();
            let run = run.refused(1, &["unpack it first, with "]);
            assert!(!run.stderr.contains('>'), "{}", run.stderr);
            fs::remove_file(scratch.out().join("root.hds.unpacked")).unwrap();
        }
        fs::remove_file(made).unwrap();
        fs::remove_file(packed).unwrap();
    }
    let packed = scratch.source().join("root.hds.rar");
    fs::write(&packed, rar("root.hds", &bytes)).unwrap();
    let run = convert(&packed, &scratch.target()).run();
    let run = run.refused(1, &["packed"]);
    paste(&run, "unpack it first: ", &scratch.out());
    assert!(fs::read(scratch.out().join("root.hds")).unwrap() == bytes);
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
