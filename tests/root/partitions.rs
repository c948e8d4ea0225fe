//! Partition tables made by sgdisk, sfdisk and parted, inside ploop images that `qemu-img` wrote:
//! read as `sfdisk` reads them, and one partition taken out of the disk.

use crate::support::divided::{MIB, Raw, assert_content, ext4, places, run, sfdisk, sgdisk};
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::{Scratch, convert, info, map};
use crate::tools::tool;
use ploopconv::disk::{RawDisk, VirtualDisk};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;

#[test]
fn tables_of_sfdisk_and_parted_are_read_as_sfdisk_reads_them() {
    let scripts = [
        "label: dos\nsize=8M, type=83\nsize=4M, type=82\ntype=5\n\
         size=4M, type=83\nsize=5M, type=8e\nsize=1M",
        "label: dos\nstart=2048, size=8M, type=c\n",
        "label: dos\n4: size=3M\n2: size=2M, type=f\n5: size=1M",
        "label: gpt\nsize=8M, name=\"eins\"\n7: size=4M, type=S\n",
        "label: gpt\ntable-length: 8\nsize=8M\n",
        "label: gpt\ntable-length: 500\nsize=8M\n400: size=1M\n",
    ];
    for script in scripts {
        let raw = Raw::new(64 * MIB);
        let file = raw.scratch.path().join("script");
        std::fs::write(&file, script).unwrap();
        tool(
            "fdisk",
            Command::new("sfdisk")
                .arg("-q")
                .arg(&raw.path)
                .stdin(File::open(file).unwrap()),
        );
        assert_table(&raw, script);
    }
    let parted: [&[&str]; 3] = [
        &["mklabel", "gpt", "mkpart", "primary", "1MiB", "63MiB"],
        &[
            "mklabel", "gpt", "mkpart", "a", "9MiB", "20MiB", "mkpart", "b", "1MiB", "9MiB",
        ],
        &[
            "mklabel", "msdos", "mkpart", "primary", "1MiB", "9MiB", "mkpart", "extended", "9MiB",
            "60MiB", "mkpart", "logical", "30MiB", "40MiB", "mkpart", "logical", "10MiB", "20MiB",
        ],
    ];
    for args in parted {
        let raw = Raw::new(64 * MIB);
        tool(
            "parted",
            Command::new("parted")
                .arg("--script")
                .arg(&raw.path)
                .args(args),
        );
        assert_table(&raw, &args.join(" "));
    }
}

#[track_caller]
fn assert_table(raw: &Raw, what: &str) {
    let (table, expected) = sfdisk(&raw.path);
    let report = raw.info();
    let label = table["label"].as_str().unwrap().replace("dos", "mbr");
    assert_eq!(report["partition_table"]["kind"], label, "{what}");
    assert_eq!(report["partition_table"]["warnings"], json!([]), "{what}");
    assert_eq!(places(&report), expected, "{what}");
}

#[test]
fn one_partition_is_the_bytes_that_sgdisk_says() {
    let raw = Raw::sgdisk(
        64 * MIB,
        &["-a1", "-n1:2048:+7M", "-n5:40001:60002", "-n2:61000:0"],
    );
    for at in (MIB..62 * MIB).step_by(3 << 19) {
        raw.write(&[(at >> 19) as u8; 300_001], at);
    }
    let image = raw.image();
    let whole = map(&image).run().done().json();
    for number in ["1", "2", "5"] {
        let text = tool(
            "gdisk",
            Command::new("sgdisk").args(["-i", number]).arg(&raw.path),
        );
        let sector = |name: &str| -> u64 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let start = sector("First sector: ") * 512;
        let size = (sector("Last sector: ") + 1) * 512 - start;
        let expected = raw.read(start, size);

        for sparse in ["auto", "always", "never"] {
            let target = raw.scratch.out().join(format!("{number}-{sparse}.raw"));
            convert(&image, &target)
                .args(["--partition", number, &format!("--sparse={sparse}")])
                .run()
                .done();
            assert!(
                std::fs::read(&target).unwrap() == expected,
                "partition {number}, {sparse}"
            );
        }
        let sent = run("convert", &image, &["--partition", number, "-o", "-"]).done();
        assert!(sent.stdout == expected, "partition {number} to stdout");

        let mapped = run("map", &image, &["--json", "--partition", number])
            .done()
            .json();
        assert_eq!(mapped["size"], size);
        assert_eq!(
            mapped["extents"],
            json!(cut(&whole, start, size)),
            "partition {number}"
        );

        let shown = run("info", &image, &["--json", "--partition", number])
            .done()
            .json();
        assert_eq!(shown["virtual_size"], size);
        assert_eq!(shown["partition"].to_string(), number);
        let parts = shown["partitions"].as_array().unwrap();
        assert_eq!((parts.len(), &parts[0]["start"]), (1, &json!(start)));
        let plan = run(
            "convert",
            &image,
            &[
                "--partition",
                number,
                "-o",
                "/nowhere/x",
                "--dry-run",
                "--json",
            ],
        );
        assert_eq!(plan.status(1).json()["code"], "cannot-create");
    }
}

/// The extents of a whole disk that lie in a range, counted from its start.
fn cut(map: &Value, start: u64, size: u64) -> Vec<Value> {
    let extents = map["extents"].as_array().unwrap().iter();
    let parts = extents.filter_map(|extent| {
        let number = |name: &str| extent[name].as_u64().unwrap();
        let from = number("offset").max(start);
        let to = (number("offset") + number("length")).min(start + size);
        (from < to).then(|| {
            let mut part = extent.clone();
            part["offset"] = json!(from - start);
            part["length"] = json!(to - from);
            if extent["kind"] == "data" {
                part["host_offset"] = json!(number("host_offset") + from - number("offset"));
            }
            part
        })
    });
    parts.collect()
}

#[test]
fn tables_that_count_in_other_sectors_are_read_and_explained() {
    for sector_size in [512, 1024, 2048, 4096] {
        let raw = Raw::new(64 * MIB);
        let expected = {
            let device = Loop::with_sectors(&raw.path, sector_size);
            sgdisk(&device.path, &["-n1:0:+20M", "-n2:0:+9M", "-c2:zwei"]);
            // A device is a disk for the library too.
            let disk = RawDisk::open(&device.path).unwrap();
            assert_eq!(disk.size(), 64 * MIB);
            let layout = ploopconv::partition::read(&disk).unwrap();
            assert_eq!(layout.table.unwrap().sector_size, sector_size);
            sfdisk(&device.path).1
        };
        let start = expected[0]["start"].as_u64().unwrap();
        raw.fill(start, 20 * MIB, ext4("large"));
        let image = raw.image();

        let report = info(&image).run().done().json();
        let table = &report["partition_table"];
        assert_eq!(
            (&table["kind"], &table["sector_size"]),
            (&json!("gpt"), &json!(sector_size))
        );
        assert_eq!(places(&report), expected);
        assert_content(&report["partitions"][0], &raw.path, start, 20 * MIB);

        let explained = table["warnings"].to_string().contains("512-byte");
        assert_eq!(explained, sector_size != 512, "{table}");
        let text = String::from_utf8(run("info", &image, &[]).stdout).unwrap();
        assert_eq!(text.contains("512-byte"), sector_size != 512, "{text}");
        let said = convert(&image, &raw.scratch.target()).run().status(0);
        assert_eq!(said.stderr.contains("512-byte"), sector_size != 512);

        let target = raw.scratch.out().join("p1.raw");
        let said = convert(&image, &target)
            .args(["--partition", "1"])
            .run()
            .done();
        assert!(
            !said.stderr.contains("512-byte"),
            "a partition has no table"
        );
        assert!(std::fs::read(&target).unwrap() == raw.read(start, 20 * MIB));
        tool("e2fsprogs", Command::new("e2fsck").arg("-fn").arg(&target));
        let mounted = Mounted::image(&target, &raw.scratch.path().join("mnt"), "loop,ro");
        assert!(mounted.dir.join("lost+found").is_dir());
    }
}

#[test]
fn a_partition_of_a_chain_is_that_part_of_the_whole_disk() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let scratch = Scratch::new();
    let whole = scratch.out().join("whole.raw");
    convert(&image, &whole).run().done();
    let (_, expected) = sfdisk(&whole);
    let report = info(&image).run().done().json();
    assert_eq!(places(&report), expected);
    let (start, size) = (
        expected[0]["start"].as_u64().unwrap(),
        expected[0]["size"].as_u64().unwrap(),
    );
    assert_content(&report["partitions"][0], &whole, start, size);
    let part = scratch.out().join("part.raw");
    for sparse in ["auto", "always", "never"] {
        convert(&image, &part)
            .args(["--partition", "1", "-f", &format!("--sparse={sparse}")])
            .run()
            .done();
        let disk = std::fs::read(&whole).unwrap();
        let range = usize::try_from(start).unwrap()..usize::try_from(start + size).unwrap();
        assert!(std::fs::read(&part).unwrap() == disk[range], "{sparse}");
    }
    tool("e2fsprogs", Command::new("e2fsck").arg("-fn").arg(&part));
    let mapped = run("map", &image, &["--json", "--partition", "1"])
        .done()
        .json();
    let all = map(&image).run().done().json();
    assert_eq!(mapped["extents"], json!(cut(&all, start, size)));
}

#[test]
fn a_damaged_table_is_read_from_its_backup_and_never_guessed() {
    let sector = |number: u64| number * 512;
    // What is overwritten, and the message to the user.
    let harmless: [(u64, &[u8], &str); 5] = [
        (sector(1), &[0; 512], "no signature"),
        (sector(1) + 56, b"x", "header checksum"),
        (sector(2) + 33, b"x", "checksum of the entries"),
        (sector(1), b"XXX PART", "interrupted"),
        (64 * MIB - 512, &[0; 512], "backup"),
    ];
    for (at, bytes, said) in harmless {
        let raw = Raw::sgdisk(64 * MIB, &["-n1:0:+8M", "-n2:0:+8M"]);
        let (_, expected) = sfdisk(&raw.path);
        raw.write(bytes, at);
        let report = raw.info();
        let warnings = &report["partition_table"]["warnings"];
        assert!(warnings.to_string().contains(said), "{warnings}");
        assert_eq!(places(&report), expected);
        let target = raw.scratch.target();
        convert(&raw.scratch.source().join("root.hdd"), &target)
            .args(["--partition", "2"])
            .run()
            .done();
        assert_eq!(target.metadata().unwrap().len(), 8 * MIB);
    }

    let raw = Raw::sgdisk(64 * MIB, &["-n1:0:+8M"]);
    raw.write(&[1; 60], 512 + 30);
    raw.write(&[1; 60], 64 * MIB - 512 + 30);
    let image = raw.image();
    let report = info(&image).run().done().json();
    assert_eq!(report["partition_table"]["damaged"], true);
    assert_eq!(report["partition_table"]["kind"], "gpt");
    assert_eq!(report["partitions"], json!([]));
    let text = String::from_utf8(run("info", &image, &[]).status(0).stdout).unwrap();
    assert!(text.contains("damaged"), "{text}");
    for command in ["map", "info", "check"] {
        run(command, &image, &["--partition", "1"]).refused(3, &["partition table", "checksum"]);
    }
    convert(&image, &raw.scratch.target())
        .args(["--partition", "1"])
        .run()
        .refused(3, &["partition table", "checksum"]);
    raw.scratch.assert_nothing_left();
    // The disk itself is as good as ever.
    convert(&image, &raw.scratch.target()).run().done();
}

#[test]
fn a_partition_past_the_end_of_the_disk_is_refused_and_not_cut() {
    let raw = Raw::sgdisk(64 * MIB, &["-n1:0:+8M", "-n2:0:0"]);
    OpenOptions::new()
        .write(true)
        .open(&raw.path)
        .unwrap()
        .set_len(40 * MIB)
        .unwrap();
    let image = raw.image();
    let report = info(&image).run().done().json();
    let warnings = report["partition_table"]["warnings"].to_string();
    assert!(
        warnings.contains("partition 2 reaches past the end"),
        "{warnings}"
    );
    for number in ["1", "2"] {
        run("map", &image, &["--partition", number]).refused(3, &["partition 2", "past the end"]);
    }
}

#[test]
fn a_partition_that_is_not_there_is_refused_with_those_that_are() {
    let raw = Raw::sgdisk(64 * MIB, &["-n1:0:+8M", "-n7:0:+8M"]);
    let image = raw.image();
    for command in ["map", "info", "check"] {
        run(command, &image, &["--partition", "2"]).refused(1, &["no partition 2", "1 7"]);
    }
    convert(&image, &raw.scratch.target())
        .args(["--partition", "2"])
        .run()
        .refused(1, &["no partition 2", "1 7"]);
    for wrong in ["0", "-1", "one", "4294967296"] {
        run("map", &image, &[&format!("--partition={wrong}")]).status(2);
    }
    run("check", &image, &["--partition", "7"]).status(0);

    let raw = Raw::new(64 * MIB);
    let image = raw.image();
    assert_eq!(info(&image).run().done().json()["whole_disk"], Value::Null);
    run("map", &image, &["--partition", "1"]).refused(1, &["no partition table"]);
}
