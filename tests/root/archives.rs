//! `-O tar`: what GNU tar and bsdtar unpack is what the kernel shows of the same disk.

use crate::support::divided::{MIB, Raw};
use crate::support::system::Mounted;
use crate::support::{Outcome, Program, SourceGuard, convert, names_in, repository};
use crate::tools::tool;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python's own program, and the script of this name in `tests/files`.
fn script(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(repository("tests/files").join(name));
    command
}

/// All that the kernel says of the files in a folder, a line each.
pub(crate) fn list(folder: &Path) -> Vec<String> {
    let text = tool("python3", script("list").arg(folder));
    text.lines().map(str::to_owned).collect()
}

/// A disk with a file system of this size, made by `mke2fs` with these options, and filled.
fn disk(size: u64, options: &[&str], fill: impl FnOnce(&Path)) -> Raw {
    let raw = Raw::new(size);
    make(&raw.path, options, fill);
    raw
}

pub(crate) fn make(file: &Path, options: &[&str], fill: impl FnOnce(&Path)) {
    let mut mke2fs = Command::new("mke2fs");
    tool(
        "e2fsprogs",
        mke2fs.args(["-q", "-F"]).args(options).arg(file),
    );
    let folder = tempfile::tempdir().unwrap();
    fill(&Mounted::image(file, folder.path(), "loop").dir);
}

/// Fills a folder with all that is hard; a file system may take a file of this many bytes.
fn hard(largest: u64) -> impl FnOnce(&Path) {
    move |folder| {
        tool(
            "python3",
            script("fill").arg(folder).arg(largest.to_string()),
        );
    }
}

const TIB: u64 = 1 << 40;

/// What the kernel shows of the files of a disk.
fn kernel(raw: &Raw) -> Vec<String> {
    let folder = raw.scratch.path().join("kernel");
    list(&Mounted::image(&raw.path, &folder, "loop,ro").dir)
}

/// Where an archive is unpacked: a file system that keeps everything.
pub(crate) struct Place {
    mounted: Mounted,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        File::create(&disk).unwrap().set_len(2 << 30).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-t", "ext4", "-b", "4096"]);
        tool("e2fsprogs", mke2fs.arg(&disk));
        let mounted = Mounted::image(&disk, &folder.path().join("place"), "loop");
        Self {
            mounted,
            _folder: folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.mounted.dir
    }

    /// What a program leaves that unpacks the archive.
    pub(crate) fn unpacked(&self, archive: &Path, package: &str, program: &[&str]) -> Vec<String> {
        let folder = self.mounted.dir.join(program[0]);
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg("-C").arg(&folder);
        tool(package, command.arg("-xpf").arg(archive));
        list(&folder)
    }
}

pub(crate) const GNU: [&str; 6] = [
    "tar",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--sparse",
];

#[track_caller]
pub(crate) fn assert_same(found: &[String], expected: &[String], what: &str) {
    let differ = |one: &[String], other: &[String]| {
        let other: BTreeSet<_> = other.iter().cloned().collect();
        let lines = one.iter().filter(|line| !other.contains(*line));
        lines.take(5).cloned().collect::<Vec<_>>()
    };
    let (more, less) = (differ(found, expected), differ(expected, found));
    assert!(
        more.is_empty() && less.is_empty(),
        "{what}: {more:#?}\n{less:#?}"
    );
    assert_eq!(found.len(), expected.len());
}

fn pack(raw: &Raw, name: &str, options: &[&str]) -> (PathBuf, Outcome) {
    let target = raw.scratch.out().join(name);
    let image = raw.scratch.source().join("root.hdd");
    let run = convert(&image, &target).args(options).run();
    (target, run)
}

#[test]
fn gnu_tar_restores_what_the_kernel_shows_of_file_systems_of_every_kind() {
    let small = [
        &["-t", "ext4", "-b", "4096"][..],
        &["-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^64bit"],
        &["-t", "ext4", "-b", "1024"],
        &["-t", "ext3", "-b", "4096", "-I", "256"],
        &["-t", "ext2", "-b", "2048", "-I", "256", "-O", "ext_attr"],
        &["-t", "ext4", "-b", "4096", "-O", "inline_data,ea_inode"],
        &["-t", "ext4", "-b", "4096", "-O", "bigalloc"],
    ];
    for options in small {
        let largest = match options[1] {
            "ext4" if options.contains(&"1024") => 3 * TIB,
            "ext4" => 16 * TIB - 4096,
            _ => 200 << 30,
        };
        let raw = disk(400 * MIB, options, hard(largest));
        raw.image();
        let expected = kernel(&raw);
        assert!(expected.len() > 3000, "{options:?}: {}", expected.len());
        let (archive, run) = pack(&raw, "ct.tar", &["--verify"]);
        run.done();
        let found = Place::new().unpacked(&archive, "tar", &GNU);
        assert_same(&found, &expected, &options.join(" "));
    }
}

/// bsdtar keeps the escapes in the name of an attribute, cuts the owner of an ACL to 31 bits, reads
/// -1.25 seconds as -0.75, and leaves the folder alone that it unpacks into.
#[test]
fn bsdtar_restores_all_that_it_can() {
    let raw = disk(
        400 * MIB,
        &["-t", "ext4", "-b", "4096"],
        hard(16 * TIB - 4096),
    );
    raw.image();
    let (archive, run) = pack(&raw, "ct.tar", &[]);
    run.done();
    let wrong = |line: &String| {
        let name = |name: &str| line.starts_with(&format!("[b'{name}',"));
        name("acl/f") || name("time0") || name(".")
    };
    let is_right = |line: &String| !wrong(line);
    let found = Place::new().unpacked(&archive, "libarchive-tools", &["bsdtar", "--numeric-owner"]);
    let expected = kernel(&raw);
    assert_eq!(expected.iter().filter(|line| wrong(line)).count(), 3);
    let kept = |lines: Vec<String>| lines.into_iter().filter(is_right).collect::<Vec<_>>();
    assert_same(&kept(found), &kept(expected), "bsdtar");
}

#[test]
fn the_same_image_gives_the_same_bytes_in_every_way() {
    let raw = disk(
        400 * MIB,
        &["-t", "ext4", "-b", "4096"],
        hard(16 * TIB - 4096),
    );
    let image = raw.image();
    let (plain, run) = pack(&raw, "ct.tar", &["--checksum", "--json", "-j", "1"]);
    let report = run.done().json();
    let bytes = fs::read(&plain).unwrap();
    assert_eq!(report["files"]["archive_bytes"], bytes.len());
    assert_eq!(report["files"]["sockets_left_out"], 1);
    assert_eq!(report["written_bytes"], bytes.len());
    let mut sums = Command::new("sha256sum");
    sums.args(["-c", "--quiet", "ct.tar.sha256"]);
    tool("coreutils", sums.current_dir(raw.scratch.out()));
    let (_, run) = pack(&raw, "other.tar", &["--dry-run", "--json"]);
    assert_eq!(run.done().json()["needed_bytes"], bytes.len());
    assert!(!names_in(&raw.scratch.out()).contains(&"other.tar".to_owned()));

    let against = Program::new(["verify"]).arg(&plain).arg("--against");
    against.clone().arg(&image).run().done();
    let mut wrong = bytes.clone();
    wrong[1_000_000] ^= 1;
    fs::write(&plain, &wrong).unwrap();
    let report = against.arg(&image).arg("--json").run().status(1).json();
    assert_eq!(report["first_difference"], 1_000_000);

    let stream = |options: &[&str]| {
        let run = convert(&image, Path::new("-")).args(["-O", "tar"]);
        run.args(options).run().done().stdout.clone()
    };
    assert!(stream(&["-j", "7"]) == bytes);
    for (name, how, unpack) in [
        ("ct.tar.gz", "--compress=gzip", ["gzip", "-dc"]),
        ("ct.tgz", "--compress=gzip", ["gzip", "-dc"]),
        ("ct.tar.zst", "--compress", ["zstd", "-dcq"]),
        ("ct.tzst", "--compress=zstd", ["zstd", "-dcq"]),
    ] {
        let (target, run) = pack(&raw, name, &["--verify", "-j", "3"]);
        run.done();
        let against = Program::new(["verify"]).arg(&target).arg("--against");
        against.arg(&image).run().done();
        assert!(
            stream(&[how, "-j", "1"]) == fs::read(&target).unwrap(),
            "{name}"
        );
        let unpacked = Command::new(unpack[0]).arg(unpack[1]).arg(&target).output();
        assert!(unpacked.unwrap().stdout == bytes, "{name}");
        // GNU tar sees by itself how it is packed.
        let names = tool("tar", Command::new("tar").arg("-tf").arg(&target));
        assert!(names.starts_with("./\n") && names.lines().count() > 3000);
    }
}

#[test]
fn a_snapshot_and_a_partition_are_packed_and_several_are_a_question() {
    let raw = Raw::sgdisk(64 * MIB, &["--new=1:2048:+20M", "--new=2:0:+20M"]);
    for (number, offset) in [(1, MIB), (2, 21 * MIB)] {
        raw.fill(offset, 20 * MIB, |file| {
            make(file, &["-t", "ext4"], |folder| {
                fs::write(folder.join("number"), format!("{number}")).unwrap();
            });
        });
    }
    raw.image();
    let (_, run) = pack(&raw, "ct.tar", &["--json"]);
    let report = run.refused(1, &["several partitions have files: 1 (ext4), 2 (ext4)"]);
    let report = report.json();
    assert_eq!(report["code"], "several-file-systems");
    // Each hint is a command that packs that partition.
    for (at, number) in [(0, "1"), (1, "2")] {
        let command = report["hints"][at]["command"].as_str().unwrap();
        let words = command.split(' ').skip(1).filter(|word| *word != "--json");
        Program::new(words).arg("-f").run().done();
        let target = raw.scratch.out().join("ct.tar");
        let mut tar = Command::new("tar");
        let found = tool("tar", tar.args(["-xOf"]).arg(&target).arg("./number"));
        assert_eq!(found, number);
    }
    let (_, run) = pack(&raw, "other.tar", &["--partition", "3"]);
    run.refused(1, &["no partition 3"]);
}

/// What other programs pack comes through a pipe, and the command of the message makes it.
#[test]
fn names_of_other_packers_lead_to_archives() {
    let raw = disk(16 * MIB, &["-t", "ext4"], |folder| {
        fs::write(folder.join("kept"), "x").unwrap();
    });
    raw.image();
    for (name, unpack) in [
        ("ct.tar.xz", "xz -dc"),
        ("ct.tbz2", "bzip2 -dc"),
        ("ct.tar.lz4", "lz4 -dc"),
        ("ct.tar.gz.xz", "xz -dc"),
        ("ct.tar.zip", ""),
    ] {
        let (target, run) = pack(&raw, name, &[]);
        let run = run.refused(2, &[": ploopconv "]);
        let line = run
            .stderr
            .lines()
            .find_map(|line| line.split_once(": ploopconv "));
        let program = crate::support::program::path();
        let command = format!("{} {}", program.display(), line.unwrap().1);
        let _guard = SourceGuard::new(&raw.scratch.source());
        tool("dash", Command::new("sh").args(["-ec", &command]));
        let list = match unpack {
            // What is proposed in place of a zip file is the archive alone.
            "" => "tar -tf $0".to_owned(),
            unpack => format!("{unpack} $0 | tar -tzf - || {unpack} $0 | tar -tf -"),
        };
        let made = if unpack.is_empty() {
            target.with_extension("")
        } else {
            target
        };
        let names = tool("tar", Command::new("sh").args(["-c", &list]).arg(&made));
        assert!(names.contains("./kept"), "{name}: {names}");
    }
}

#[test]
fn file_systems_that_are_not_read_are_named() {
    let raw = Raw::new(320 * MIB);
    tool(
        "xfsprogs",
        Command::new("mkfs.xfs").arg("-q").arg(&raw.path),
    );
    raw.image();
    let (_, run) = pack(&raw, "ct.tar", &["--json"]);
    let attach = "ploopconv attach";
    let run = run.refused(
        1,
        &[
            "the disk is XFS",
            attach,
            "--overlay",
            "-caf",
            "detach /mnt",
        ],
    );
    assert_eq!(run.json()["code"], "other-file-system");

    let empty = Raw::sgdisk(16 * MIB, &["--new=1:2048:+4M"]);
    empty.image();
    let (_, run) = pack(&empty, "ct.tar", &["--json"]);
    assert_eq!(
        run.refused(1, &["no file system"]).json()["code"],
        "no-file-system"
    );
}

#[test]
fn options_of_disks_are_refused_for_files() {
    let raw = disk(16 * MIB, &["-t", "ext4"], |_| ());
    raw.image();
    for (name, options, says) in [
        ("ct.tar", &["--sparse"][..], "--sparse is for disks"),
        ("ct.tar", &["--reflink=never"], "--reflink is for disks"),
        (
            "ct.tar",
            &["--cluster-size", "4K"],
            "--cluster-size is for qcow2",
        ),
        ("ct.tar", &["--compress=zlib"], "--compress=gzip"),
        ("ct.tar.gz", &["--compress=zstd"], "different things"),
        ("ct", &["-O", "tar", "--partitions"], "--partition N"),
        ("ct.raw", &["--compress=gzip"], "tar targets"),
        ("ct.qcow2", &["--compress=gzip"], "--compress=zlib"),
    ] {
        let (_, run) = pack(&raw, name, options);
        run.refused(2, &[says]);
    }
    raw.scratch.assert_nothing_left();
    let (target, run) = pack(&raw, "ct.tar.gz", &["--compress"]);
    run.done();
    assert!(fs::read(target).unwrap().starts_with(&[0x1f, 0x8b]));
}

/// Bytes that no compressor makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn an_archive_is_complete_or_absent_and_replaced_only_when_asked() {
    let raw = disk(16 * MIB, &["-t", "ext4"], |folder| {
        fs::write(folder.join("f"), noise(3 << 20)).unwrap();
    });
    raw.image();
    let (target, run) = pack(&raw, "ct.tar", &[]);
    run.done();
    let before = fs::read(&target).unwrap();
    let (_, run) = pack(&raw, "ct.tar", &[]);
    run.refused(1, &["-f"]);
    let (_, run) = pack(&raw, "ct.tar", &["-f"]);
    run.done();
    assert!(fs::read(&target).unwrap() == before);
    // Where there is no room, nothing is left; of a compressed one that shows only at the end.
    let full = Mounted::memory("2m", &raw.scratch.path().join("full"));
    let image = raw.scratch.source().join("root.hdd");
    for (name, says) in [("ct.tar", "--compress"), ("ct.tar.zst", "at most")] {
        let run = convert(&image, &full.dir.join(name)).run();
        run.refused(1, &[says]);
        assert!(names_in(&full.dir).is_empty(), "{name}");
    }
}

/// A container that was killed has its newest files in the journal only.
#[test]
fn files_in_the_journal_are_packed() {
    let raw = disk(64 * MIB, &["-t", "ext4", "-b", "4096"], |_| ());
    let folder = raw.scratch.path().join("live");
    let live = Mounted::image(&raw.path, &folder, "loop");
    fs::write(live.dir.join("newest"), "of all").unwrap();
    tool(
        "coreutils",
        Command::new("sync").arg(live.dir.join("newest")),
    );
    let copy = raw.scratch.path().join("copy");
    fs::copy(&raw.path, &copy).unwrap();
    drop(live);
    fs::rename(&copy, &raw.path).unwrap();
    let text = tool(
        "e2fsprogs",
        Command::new("dumpe2fs").arg("-h").arg(&raw.path),
    );
    assert!(
        text.contains("needs_recovery"),
        "the journal is to be replayed"
    );
    raw.image();
    let (target, run) = pack(&raw, "ct.tar", &[]);
    let run = run.done();
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let mut tar = Command::new("tar");
    let found = tool("tar", tar.arg("-xOf").arg(&target).arg("./newest"));
    assert_eq!(found, "of all");
}

#[test]
fn over_damage_zeros_and_missing_files_are_listed() {
    let raw = disk(
        64 * MIB,
        &["-t", "ext4", "-b", "4096", "-O", "^metadata_csum"],
        |folder| {
            for number in 0..50 {
                fs::write(folder.join(format!("f{number}")), vec![7; 100_000]).unwrap();
            }
            fs::create_dir(folder.join("folder")).unwrap();
            fs::write(folder.join("folder/inner"), "inner").unwrap();
        },
    );
    let debugfs = |request: &str| {
        let mut debugfs = Command::new("debugfs");
        tool(
            "e2fsprogs",
            debugfs.args(["-w", "-R", request]).arg(&raw.path),
        )
    };
    // A type that there is none, and an extent tree that is none.
    debugfs("sif /f3 mode 0");
    debugfs("sif /f4 block[0] 0");
    raw.image();
    let (_, run) = pack(&raw, "ct.tar", &["--json"]);
    let report = run.refused(3, &["./f", "in the image", "--salvage"]).json();
    assert_eq!(report["code"], "file-system");
    raw.scratch.assert_nothing_left();
    let (target, run) = pack(&raw, "ct.tar", &["--json", "--salvage", "--verify"]);
    let report = run.status(5).json();
    let unreadable: Vec<_> = report["files"]["unreadable"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let paths: Vec<_> = unreadable
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(BTreeSet::from_iter(paths), BTreeSet::from(["./f3", "./f4"]));
    assert_eq!(report["files"]["files"], 49);
    let names = tool("tar", Command::new("tar").arg("-tf").arg(&target));
    assert!(names.contains("./folder/inner") && !names.contains("./f4\n"));
}

/// As much memory as always, with names of hard links that do not fit into memory any more.
#[test]
fn memory_does_not_grow_with_files_and_links() {
    let raw = disk(
        600 * MIB,
        &["-t", "ext4", "-b", "4096", "-N", "120000"],
        |folder| {
            let (one, other) = (folder.join("one"), folder.join("other"));
            fs::create_dir(&one).unwrap();
            fs::create_dir(&other).unwrap();
            for number in 0..110_000 {
                let name = format!("a-name-that-takes-some-room-{number}");
                File::create(one.join(&name)).unwrap();
                fs::hard_link(one.join(&name), other.join(&name)).unwrap();
            }
        },
    );
    let image = raw.image();
    let target = raw.scratch.out().join("ct.tar");
    let measure = "import resource, subprocess, sys; subprocess.check_call(sys.argv[1:]); \
                   print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let mut command = Command::new("python3");
    command
        .args(["-c", measure])
        .arg(crate::support::program::path());
    command.arg(&image).arg("-o").arg(&target).arg("-q");
    let _guard = SourceGuard::new(&raw.scratch.source());
    let kib: u64 = tool("python3", &mut command).trim().parse().unwrap();
    assert!(kib <= 64 << 10, "{kib} KiB");
    let mut tar = Command::new("sh");
    let links = tool(
        "tar",
        tar.args(["-c", "tar -tvf $0 | grep -c '^h'"]).arg(&target),
    );
    assert_eq!(links.trim(), "110000");
    // A link leads to the same name in the other folder.
    let mut tar = Command::new("sh");
    let wrong =
        "tar -tvf $0 | grep '^h' | sed 's,.*/\\(.*\\) link to .*/\\1$,,' | grep -c . || true";
    assert_eq!(
        tool("tar", tar.args(["-c", wrong]).arg(&target)).trim(),
        "0"
    );
}

/// What a report says of an archive.
#[test]
fn the_summary_counts_what_is_in_the_archive() {
    let raw = disk(16 * MIB, &["-t", "ext4"], |folder| {
        fs::write(folder.join("f"), "x").unwrap();
        fs::hard_link(folder.join("f"), folder.join("g")).unwrap();
        std::os::unix::net::UnixListener::bind(folder.join("s")).unwrap();
    });
    raw.image();
    let (_, run) = pack(&raw, "ct.tar", &[]);
    run.done()
        .says(["1 file, 2 directories, 1 hard link", "1 socket is left out"]);
    let (_, run) = pack(&raw, "other.tar", &["--json"]);
    let report: Value = run.done().json();
    assert_eq!(report["files"]["hard_links"], 1);
    assert_eq!(report["format"], "tar");
}
