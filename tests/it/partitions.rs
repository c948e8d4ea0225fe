//! Partition tables made by sgdisk, sfdisk and parted, with file systems made by their own tools,
//! inside ploop images that `qemu-img` wrote; `sfdisk`, `blkid` and `dumpe2fs` say what is there.

use crate::support::system::Mounted;
use crate::support::{Outcome, Program, Scratch, SourceGuard, convert, info, map};
use crate::tools::tool;
use ploopconv::disk::{RawDisk, VirtualDisk};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;

/// A raw disk that tools divide and fill, and that is put into an image at the end.
struct Raw {
    scratch: Scratch,
    path: PathBuf,
}

impl Raw {
    fn new(size: u64) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path().join("disk.raw");
        File::create_new(&path).unwrap().set_len(size).unwrap();
        Self { scratch, path }
    }

    /// Divided by `sgdisk` with these arguments.
    fn sgdisk(size: u64, args: &[&str]) -> Self {
        let raw = Self::new(size);
        sgdisk(&raw.path, args);
        raw
    }

    fn write(&self, bytes: &[u8], offset: u64) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let file = File::open(&self.path).unwrap();
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    /// A file system of this size, made in a file by `make`, and copied to `offset`.
    fn fill(&self, offset: u64, size: u64, make: impl FnOnce(&Path)) {
        let path = self.scratch.path().join("part");
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        make(&path);
        let file = File::open(&path).unwrap();
        let mut piece = vec![0; MIB as usize];
        for at in (0..size).step_by(piece.len()) {
            let piece = &mut piece[..usize::try_from((size - at).min(MIB)).unwrap()];
            file.read_exact_at(piece, at).unwrap();
            if piece.iter().any(|byte| *byte != 0) {
                self.write(piece, offset + at);
            }
        }
    }

    /// The disk as a ploop image.
    fn image(&self) -> PathBuf {
        let image = self.scratch.source().join("root.hdd");
        tool(
            "qemu-utils",
            Command::new("qemu-img")
                .args(["convert", "-f", "raw", "-O", "parallels"])
                .args([&self.path, &image]),
        );
        image
    }

    fn info(&self) -> Value {
        let image = self.image();
        let _guard = SourceGuard::new(&self.scratch.source());
        info(&image).run().done().json()
    }
}

fn sgdisk(disk: &Path, args: &[&str]) {
    tool("gdisk", Command::new("sgdisk").args(args).arg(disk));
}

/// A raw disk as a block device with sectors of this size.
struct Loop(PathBuf);

impl Loop {
    fn new(file: &Path, sector_size: u64) -> Self {
        let path = tool(
            "mount",
            Command::new("losetup")
                .args(["--find", "--show", "--sector-size"])
                .arg(sector_size.to_string())
                .arg(file),
        );
        Self(path.trim().into())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

/// Numbers, starts, sizes (in bytes) and types of the partitions, as `sfdisk` sees them.
fn sfdisk(disk: &Path) -> (Value, Vec<Value>) {
    let text = tool("fdisk", Command::new("sfdisk").arg("--json").arg(disk));
    let table = serde_json::from_str::<Value>(&text).unwrap()["partitiontable"].clone();
    let sector = table["sectorsize"].as_u64().unwrap();
    let parts = table["partitions"].as_array().cloned().unwrap_or_default();
    let parts = parts.iter().map(|part| {
        let node = part["node"].as_str().unwrap();
        let number = &node[disk.to_str().unwrap().len()..];
        let kind = part["type"].as_str().unwrap().to_lowercase();
        let kind = match table["label"].as_str().unwrap() {
            "dos" => format!("0x{kind:0>2}"),
            _ => kind,
        };
        json!({
            "number": number.trim_start_matches('p').parse::<u32>().unwrap(),
            "start": part["start"].as_u64().unwrap() * sector,
            "size": part["size"].as_u64().unwrap() * sector,
            "type": kind,
            "name": part["name"],
        })
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|part| part["number"].as_u64());
    (table, parts)
}

/// The same fields of our report.
fn places(report: &Value) -> Vec<Value> {
    let parts = report["partitions"].as_array().unwrap().iter();
    parts
        .map(|part| {
            json!({
                "number": part["number"],
                "start": part["start"],
                "size": part["size"],
                "type": part["type"],
                "name": part["name"],
            })
        })
        .collect()
}

/// What `blkid` finds in a range of a disk.
fn blkid(disk: &Path, start: u64, size: u64) -> BTreeMap<String, String> {
    let text = tool(
        "util-linux",
        Command::new("blkid")
            .args(["--probe", "--output", "udev"])
            .args(["--usages", "filesystem,raid,crypto,other"])
            .args(["--offset", &start.to_string(), "--size", &size.to_string()])
            .arg(disk),
    );
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Compares what a report says of a range with what `blkid` says.
#[track_caller]
fn assert_content(content: &Value, disk: &Path, start: u64, size: u64) {
    let theirs = blkid(disk, start, size);
    let kind = match theirs["ID_FS_TYPE"].as_str() {
        "crypto_LUKS" => "luks",
        "LVM2_member" => "lvm2",
        other => other,
    };
    assert_eq!(content["filesystem"], kind, "{content}");
    assert_eq!(
        content["uuid"].as_str(),
        theirs.get("ID_FS_UUID").map(|uuid| uuid.as_str())
    );
    // The udev format writes what is not plain as \x20; LABEL is only given where there is one.
    let label = theirs
        .get("ID_FS_LABEL_ENC")
        .map(|label| label.replace("\\x20", " "));
    assert_eq!(content["label"].as_str(), label.as_deref());
}

/// Makes a file system in a file.
type Maker = Box<dyn FnOnce(&Path)>;

fn make(package: &str, program: &str, args: &[&str]) -> Maker {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let (package, program) = (package.to_owned(), program.to_owned());
    Box::new(move |path| {
        tool(&package, Command::new(program).args(args).arg(path));
    })
}

fn ext4(label: &str) -> Maker {
    make(
        "e2fsprogs",
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-L", label],
    )
}

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

/// Runs `ploopconv COMMAND IMAGE ARGS`.
fn run(command: &str, image: &Path, args: &[&str]) -> Outcome {
    Program::new([command.as_ref(), image.as_os_str()])
        .args(args)
        .run()
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
fn tables_of_sfdisk_and_parted_are_read_as_sfdisk_reads_them() {
    let scripts = [
        "label: dos\nsize=8M, type=83\nsize=4M, type=82\ntype=5\nsize=4M, type=83\nsize=5M, type=8e\nsize=1M",
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
        assert_eq!(plan.status(1).stdout, b"");
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
            let device = Loop::new(&raw.path, sector_size);
            sgdisk(&device.0, &["-n1:0:+20M", "-n2:0:+9M", "-c2:zwei"]);
            // A device is a disk for the library too.
            let disk = RawDisk::open(&device.0).unwrap();
            assert_eq!(disk.size(), 64 * MIB);
            let layout = ploopconv::partition::read(&disk).unwrap();
            assert_eq!(layout.table.unwrap().sector_size, sector_size);
            sfdisk(&device.0).1
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
    // What is overwritten, and what the user is told.
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
