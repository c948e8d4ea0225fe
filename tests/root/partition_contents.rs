//! What is inside partitions, and inside disks that have none: file systems made by their own
//! tools, and their journals; `blkid`, `dumpe2fs` and `xfs_logprint` say what is there.

use crate::support::divided::{MIB, Maker, Raw, assert_content, ext4, make, places, run, sfdisk};
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::{convert, info};
use crate::tools::tool;
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::process::Command;

fn luks(version: &'static str) -> Maker {
    Box::new(move |path| {
        let key = path.with_file_name("key");
        std::fs::write(&key, "not very secret").unwrap();
        let mut command = Command::new("cryptsetup");
        command.args(["-q", "luksFormat", "--type", version]);
        command.args(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]);
        if version == "luks2" {
            command.args(["--label", "sealed"]);
        }
        tool("cryptsetup-bin", command.arg(path).arg(key));
    })
}

#[test]
fn what_is_inside_is_named_as_blkid_names_it() {
    let mke2fs = |args: &[&str]| make("e2fsprogs", "mke2fs", &[&["-q", "-F"], args].concat());
    let mkswap = |args: &[&str]| make("util-linux", "mkswap", &[&["-q"], args].concat());
    let vfat = |args: &[&str]| make("dosfstools", "mkfs.vfat", args);
    let contents: Vec<(u64, Maker)> = vec![
        (16, ext4("wur zel")),
        (16, mke2fs(&["-t", "ext3", "-L", "größe"])),
        (16, mke2fs(&["-t", "ext2"])),
        (16, mke2fs(&["-t", "ext4", "-O", "^has_journal"])),
        (
            320,
            make("xfsprogs", "mkfs.xfs", &["-q", "-L", "zwölf byte"]),
        ),
        (
            120,
            make("btrfs-progs", "mkfs.btrfs", &["-q", "-L", "b tree"]),
        ),
        (16, mkswap(&["-L", "swap space"])),
        (16, mkswap(&["-p", "65536"])),
        (32, luks("luks1")),
        (32, luks("luks2")),
        (34, vfat(&["-F", "32", "-n", "FAT LABEL"])),
        (16, vfat(&["-F", "16"])),
    ];
    let mut args = vec!["-a".to_owned(), "64".to_owned()];
    for (number, (size, _)) in (1..).zip(&contents) {
        args.push(format!("-n{}:0:+{size}M", number * 2));
        args.push(format!("-c{}:part {number} ü", number * 2));
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let raw = Raw::sgdisk(700 * MIB, &args);
    let (_, expected) = sfdisk(&raw.path);
    for ((size, make), part) in contents.into_iter().zip(&expected) {
        raw.fill(part["start"].as_u64().unwrap(), size * MIB, make);
    }

    let report = raw.info();

    assert_eq!(
        report["partition_table"],
        json!({"kind": "gpt", "damaged": false, "sector_size": 512, "warnings": []})
    );
    assert_eq!(places(&report), expected);
    for part in report["partitions"].as_array().unwrap() {
        let number = |name: &str| part[name].as_u64().unwrap();
        assert_content(part, &raw.path, number("start"), number("size"));
        assert_ne!(part["journal_dirty"], true, "{part}");
    }
}

#[test]
fn a_physical_volume_of_lvm_is_named() {
    let raw = Raw::sgdisk(40 * MIB, &["-n1:0:+32M", "-t1:8e00"]);
    raw.fill(MIB, 32 * MIB, |path| {
        let device = Loop::new(path);
        tool(
            "lvm2",
            Command::new("pvcreate")
                .args(["-q", "--devices"])
                .args([&device.path, &device.path]),
        );
    });
    let report = raw.info();
    assert_eq!(report["partitions"][0]["filesystem"], "lvm2");
    assert_content(&report["partitions"][0], &raw.path, MIB, 32 * MIB);
}

#[test]
fn a_disk_that_is_one_file_system_is_named_as_blkid_names_it() {
    let kinds: [(&str, Maker); 4] = [
        ("ext4", ext4("whole")),
        ("xfs", make("xfsprogs", "mkfs.xfs", &["-q", "-f"])),
        ("luks", luks("luks2")),
        ("btrfs", make("btrfs-progs", "mkfs.btrfs", &["-q", "-f"])),
    ];
    for (kind, make) in kinds {
        // What a partition table leaves behind must not matter.
        let raw = Raw::sgdisk(320 * MIB, &["-n1:0:0"]);
        make(&raw.path);
        let image = raw.image();
        let report = info(&image).run().done().json();
        assert_eq!(report["whole_disk"]["filesystem"], kind);
        assert_content(&report["whole_disk"], &raw.path, 0, 320 * MIB);
        assert_eq!(report["partition_table"]["kind"], "none", "{report}");
        assert_eq!(report["partitions"], json!([]));

        let said = if kind == "luks" {
            "cryptsetup"
        } else {
            "no partition table"
        };
        for command in ["map", "info", "check"] {
            run(command, &image, &["--partition", "1"]).refused(1, &[said]);
        }
        convert(&image, &raw.scratch.target())
            .args(["--partition", "1"])
            .run()
            .refused(1, &[said, if kind == "luks" { "LUKS" } else { kind }]);
        raw.scratch.assert_nothing_left();
        let explained = report["partition_table"]["warnings"]
            .to_string()
            .contains("LUKS");
        assert_eq!(explained, kind == "luks");
    }
}

#[test]
fn a_journal_that_was_not_replayed_is_told() {
    let mkfs: [(&str, &[&str]); 3] = [("ext4", &[]), ("ext3", &[]), ("ext2", &[])];
    for (kind, more) in mkfs {
        let raw = Raw::sgdisk(80 * MIB, &["-n1:0:+64M"]);
        let args = [&["-q", "-F", "-t", kind], more].concat();
        raw.fill(MIB, 64 * MIB, make("e2fsprogs", "mke2fs", &args));
        let dirty = |raw: &Raw| raw.info()["partitions"][0]["journal_dirty"].clone();
        assert_eq!(dirty(&raw), false, "{kind} as it was made");

        let part = raw.scratch.path().join("part");
        let copy = raw.scratch.path().join("copy");
        {
            let mounted = Mounted::image(&part, &raw.scratch.path().join("mnt"), "loop");
            std::fs::write(mounted.dir.join("file"), vec![7; 100_000]).unwrap();
            tool(
                "coreutils",
                Command::new("sync").arg("-f").arg(&mounted.dir),
            );
            std::fs::copy(&part, &copy).unwrap();
            tool("mount", Command::new("umount").arg(&mounted.dir));
        }
        for (file, expected) in [(&copy, true), (&part, false)] {
            let header = tool("e2fsprogs", Command::new("dumpe2fs").arg("-h").arg(file));
            let theirs = header.contains("needs_recovery") || header.contains("not clean");
            assert_eq!(theirs, expected, "{kind}: {header}");
            raw.write(&std::fs::read(file).unwrap(), MIB);
            assert_eq!(dirty(&raw), expected, "{kind}");
        }
    }
}

#[test]
fn the_log_of_an_xfs_is_dirty_where_xfs_logprint_says_so() {
    let raw = Raw::sgdisk(340 * MIB, &["-n1:0:+320M"]);
    // The smallest log, so that it is written around its end.
    let args = ["-q", "--unsupported", "-l", "size=6m"];
    raw.fill(MIB, 320 * MIB, make("xfsprogs", "mkfs.xfs", &args));
    let part = raw.scratch.path().join("part");
    let copy = raw.scratch.path().join("copy");
    let check = |file: &Path, expected: bool| {
        let log = {
            let device = Loop::new(file);
            let mut print = Command::new("xfs_logprint");
            tool("xfsprogs", print.arg("-t").arg(&device.path))
        };
        let state = if expected { "<DIRTY>" } else { "<CLEAN>" };
        assert!(log.contains(state), "{log}");
        raw.write(&std::fs::read(file).unwrap(), MIB);
        let report = raw.info();
        assert_eq!(report["partitions"][0]["journal_dirty"], expected, "{log}");
    };
    check(&part, false);
    for _round in 0..4 {
        let mounted = Mounted::image(&part, &raw.scratch.path().join("mnt"), "loop");
        for _ in 0..20 {
            let names = (0..250).map(|number| mounted.dir.join(number.to_string()));
            names
                .clone()
                .for_each(|name| File::create(name).map(drop).unwrap());
            File::open(&mounted.dir).unwrap().sync_all().unwrap();
            names.for_each(|name| std::fs::remove_file(name).unwrap());
        }
        tool(
            "coreutils",
            Command::new("sync").arg("-f").arg(&mounted.dir),
        );
        std::fs::copy(&part, &copy).unwrap();
        tool("mount", Command::new("umount").arg(&mounted.dir));
        check(&copy, true);
        check(&part, false);
    }
}

#[test]
fn names_and_labels_do_not_reach_the_terminal() {
    let evil = "a\u{1b}[2J\u{202e}b";
    let name = format!("-c1:{evil}");
    let raw = Raw::sgdisk(64 * MIB, &["-n1:0:+32M", &name]);
    raw.fill(MIB, 32 * MIB, ext4(evil));
    let image = raw.image();
    let report = info(&image).run().done();
    let part = &report.json()["partitions"][0];
    assert_eq!(part["name"], evil);
    assert_eq!(part["label"], evil);
    let text = run("info", &image, &[]).done();
    for out in [&report.stdout, &text.stdout] {
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(text.contains("[2J"), "{text}");
    }
}

/// Bytes at offsets of a disk.
type Pieces = Vec<(u64, Vec<u8>)>;

/// Contents of systems whose tools Debian does not have, or only with drivers of the kernel.
fn by_hand() -> Vec<Pieces> {
    let uuid = (1..=16).collect::<Vec<u8>>();
    let hfs_plus = [b"H+\0\x04\x80\0\x01\0".to_vec(), vec![0; 32]].concat();
    let blocks = [4096u32.to_be_bytes(), 8192u32.to_be_bytes()].concat();
    let apfs = [
        b"NXSB".to_vec(),
        4096u32.to_le_bytes().to_vec(),
        8192u64.to_le_bytes().to_vec(),
    ];
    let pair = |name: &str, kind: u32, value: Vec<u8>| {
        let mut pair = u32::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        pair.extend(name.as_bytes());
        pair.resize(pair.len().div_ceil(4) * 4, 0);
        pair.extend(kind.to_be_bytes());
        pair.extend(1u32.to_be_bytes());
        pair.extend(value);
        let size = u32::try_from(pair.len() + 8).unwrap().to_be_bytes();
        [size.to_vec(), size.to_vec(), pair].concat()
    };
    let text = |text: &str| {
        let len = u32::try_from(text.len()).unwrap().to_be_bytes();
        let mut value = [len.to_vec(), text.as_bytes().to_vec()].concat();
        value.resize(value.len().div_ceil(4) * 4, 0);
        value
    };
    let list = [
        vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        pair("name", 9, text("tank")),
        pair("pool_guid", 8, 77u64.to_be_bytes().to_vec()),
        pair("guid", 8, 78u64.to_be_bytes().to_vec()),
        vec![0; 8],
    ];
    let mut zfs = vec![(16 << 10, list.concat())];
    for number in 0..8u64 {
        let words = [0x00ba_b10c_u64, 5000, number + 1, 1, 1];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        zfs.push(((128 + number) << 10, bytes));
    }
    let bpb =
        |oem: &[u8; 8]| [b"\xeb\x58\x90".to_vec(), oem.to_vec(), vec![0, 2, 8, 0, 0]].concat();
    let bitlocker = vec![
        (0, bpb(b"-FVE-FS-")),
        (0xa0, vec![0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a]),
        (0xa8, vec![0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01]),
        (0xb0, (1u64 << 20).to_le_bytes().to_vec()),
        (510, vec![0x55, 0xaa]),
        (1 << 20, b"-FVE-FS-\0\0\x02\0".to_vec()),
    ];
    let reiserfs = vec![
        (65_536, 8192u32.to_le_bytes().to_vec()),
        (65_536 + 12, 40u32.to_le_bytes().to_vec()), // where the journal is
        (65_536 + 44, 4096u16.to_le_bytes().to_vec()),
        (65_536 + 52, b"ReIsEr2Fs\0".to_vec()),
        (65_536 + 84, uuid.clone()),
        (65_536 + 100, b"old root".to_vec()),
    ];
    vec![
        vec![(1024, hfs_plus), (1024 + 40, blocks)],
        vec![(32, apfs.concat()), (24, vec![1, 0, 0, 0x80]), (72, uuid)],
        zfs,
        bitlocker,
        reiserfs,
    ]
}

#[test]
fn what_other_systems_put_on_a_disk_is_named_as_blkid_names_it() {
    let mut disks: Vec<Raw> = Vec::new();
    for (package, program, args) in [
        ("ntfs-3g", "mkntfs", &["-F", "-q", "-L", "win"][..]),
        ("exfatprogs", "mkfs.exfat", &[]),
        ("f2fs-tools", "mkfs.f2fs", &["-q", "-l", "flash drive"]),
    ] {
        let raw = Raw::new(64 * MIB);
        make(package, program, args)(&raw.path);
        disks.push(raw);
    }
    for pieces in by_hand() {
        let raw = Raw::new(64 * MIB);
        for (offset, bytes) in pieces {
            raw.write(&bytes, offset);
        }
        disks.push(raw);
    }
    let mut kinds = Vec::new();
    for raw in &disks {
        let whole = &raw.info()["whole_disk"];
        let probe = |tag| {
            let mut blkid = Command::new("blkid");
            blkid.args(["-p", "-o", "value", "-s", tag]).arg(&raw.path);
            tool("util-linux", &mut blkid).trim().to_owned()
        };
        let theirs = probe("TYPE").to_lowercase();
        let theirs = theirs.trim_end_matches("_member");
        assert_eq!(whole["filesystem"], theirs, "{whole}");
        // blkid gives the pool's number, and makes an identity of an HFS+ of its own.
        if !["zfs", "hfsplus"].contains(&theirs) {
            assert_eq!(whole["uuid"].as_str().unwrap_or_default(), probe("UUID"));
        }
        if ["f2fs", "zfs", "reiserfs"].contains(&theirs) {
            assert_eq!(whole["label"].as_str().unwrap(), probe("LABEL"));
        }
        kinds.push(theirs.to_owned());
    }
    let all = [
        "ntfs",
        "exfat",
        "f2fs",
        "hfsplus",
        "apfs",
        "zfs",
        "bitlocker",
        "reiserfs",
    ];
    assert_eq!(kinds, all);
}

#[test]
fn types_of_partitions_have_the_names_that_sfdisk_gives_them() {
    let types = |label: &str| -> Vec<(String, String)> {
        let mut sfdisk = Command::new("sfdisk");
        let text = tool("fdisk", sfdisk.args(["-T", "-X", label]));
        let pairs = text.lines().filter_map(|line| line.trim().split_once(' '));
        let pairs = pairs.map(|(id, name)| (id.to_lowercase(), name.trim().to_owned()));
        pairs.collect()
    };
    let mut known = 0;
    for (label, most) in [("gpt", 100), ("dos", 4)] {
        // An empty slot, extended partitions, which need more than a line, and what announces a
        // GPT.
        let single =
            |(id, _): &(String, String)| !["id", "0", "5", "f", "85", "ee"].contains(&id.as_str());
        let types: Vec<_> = types(label).into_iter().filter(single).collect();
        for types in types.chunks(most) {
            let raw = Raw::new(128 * MIB);
            let lines: String = types
                .iter()
                .map(|(id, _)| format!("size=1M,type={id}\\n"))
                .collect();
            let path = raw.path.display();
            let script = format!("printf 'label: {label}\\n{lines}' | sfdisk -q {path}");
            tool("fdisk", Command::new("sh").args(["-c", &script]));
            let report = raw.info();
            let parts = report["partitions"].as_array().unwrap();
            assert_eq!(parts.len(), types.len());
            for (part, (id, name)) in parts.iter().zip(types) {
                if let Some(ours) = part["type_name"].as_str() {
                    assert_eq!(ours, name, "{label} {id}");
                    known += 1;
                }
            }
        }
    }
    assert!(known > 45, "{known}");
}
