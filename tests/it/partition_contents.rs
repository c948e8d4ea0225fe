//! What is inside partitions, and inside disks that have none: file systems made by their own tools,
//! and their journals; `blkid`, `dumpe2fs` and `xfs_logprint` say what is there.

use crate::support::divided::{
    Loop, MIB, Maker, Raw, assert_content, ext4, make, places, run, sfdisk,
};
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
        let device = Loop::new(path, 512);
        tool(
            "lvm2",
            Command::new("pvcreate")
                .args(["-q", "--devices"])
                .args([&device.0, &device.0]),
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
            let device = Loop::new(file, 512);
            let mut print = Command::new("xfs_logprint");
            tool("xfsprogs", print.arg("-t").arg(&device.0))
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
