//! With `--json` a command that fails prints a report, whatever went wrong: exactly one document on
//! stdout, with the exit status, a stable code and what stderr says.

mod files;
mod machines;
mod updates;

use crate::support::guide::listed;
use crate::support::imports::rust_files;
use crate::support::running::{big, signal, until_it_waits};
use crate::support::samples::two_layers;
use crate::support::system::Mounted;
use crate::support::{
    Chain, Fill, ImageBuilder, Outcome, Program, Scratch, SourceGuard, field, program,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every code that the program can print, as its source has them: in the library, where an error or
/// a room's detail gives its code.
fn codes() -> BTreeSet<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src).into_iter();
    let files = files.filter(|path| !path.ends_with("tests.rs"));
    let texts = files.map(|path| std::fs::read_to_string(path).unwrap());
    let library = texts.flat_map(|text| {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code: String = text.split_inclusive('\n').filter(is_code).collect();
        let bodies = code.split("fn code(&self) -> &'static str {").skip(1);
        let bodies = bodies.map(|rest| rest.split("\n    }\n").next().unwrap().to_owned());
        bodies.collect::<Vec<_>>()
    });
    let failures = include_str!("../../src/cli/exit.rs");
    let verdicts = include_str!("../../src/cli/outcome.rs");
    let texts = library.chain([failures.to_owned(), verdicts.to_owned()]);
    let is_code = |text: &String| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let codes = texts.flat_map(|text| {
        let codes = text.lines().filter_map(|line| line.split('"').nth(1));
        codes.map(str::to_owned).collect::<Vec<_>>()
    });
    codes.filter(is_code).collect()
}

/// Those that no command line leads to here, and why.
const NOT_PROVOKED: [(&str, &str); 10] = [
    ("attach", "attach and detach have no report"),
    ("compressor", "zstd refuses to start only without memory"),
    ("disk-too-large", "it takes a disk of 2^63 bytes"),
    (
        "lost",
        "only the library reads what is lost without --salvage",
    ),
    ("mount", "mount has no report"),
    ("out-of-range", "only the library can be asked for it"),
    ("socket-taken", "serve has no report"),
    ("too-deep", "it takes more than 4096 nested directories"),
    (
        "too-many-losses",
        "it takes a device with more than a million bad sectors",
    ),
    (
        "unplanned",
        "a hole of the image has to be filled between two calls of the program",
    ),
];

#[test]
fn the_page_lists_every_code() {
    let list = listed("docs/json.md", "json-error-codes");
    let listed: BTreeSet<_> = list.split('`').skip(1).step_by(2).collect();
    let codes = codes();
    assert!(codes.len() > 40, "{codes:?}");
    for code in &codes {
        assert!(listed.contains(code.as_str()), "docs/json.md lacks {code}");
    }
    for code in listed {
        assert!(codes.contains(code), "docs/json.md lists {code}");
    }
}

/// Every command that has `--json`, with a mistake in its words.
#[test]
fn a_wrong_command_line_has_a_report_too() {
    for args in [
        &["--json"][..],
        &["info", "--json"],
        &["check", "--json", "a", "b"],
        &["map", "--jsno", "--json"],
        &["compare", "a", "--json"],
        &["verify", "--json"],
        &["attached", "--json", "what"],
        &["a", "b", "--json"],
        &["a", "-o", "b", "-j", "0", "--json"],
        &["a", "-o", "b.vmdk", "--json"],
        &["a", "-o", "b", "--compress", "--json"],
        &["ls", "--json"],
        &["extract", "a", "--json"],
    ] {
        let outcome = Program::new(args).run().status(2);
        outcome.assert_failure_report(2);
        assert_eq!(outcome.json()["code"], "usage", "{args:?}");
    }
    // After `--` there is no option.
    let outcome = Program::new(["info", "a", "--", "--json"]).run();
    assert_eq!(outcome.status(2).stdout, b"");
    // Where stdout takes the disk, nothing else goes there.
    let outcome = Program::new(["a", "-o", "-", "--json"]).run();
    assert_eq!(outcome.status(2).stdout, b"");
}

/// What the cases are made of.
struct Cases {
    scratch: Scratch,
    image: PathBuf,
    found: BTreeSet<String>,
}

impl Cases {
    fn new() -> Self {
        let scratch = Scratch::new();
        let image = scratch.source().join("disk.hds");
        ImageBuilder::v2().store_all([2, 0]).write(&image);
        Self {
            scratch,
            image,
            found: BTreeSet::new(),
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let dir = self.scratch.source().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.scratch.source().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn chain(&self, name: &str) -> Chain {
        two_layers().write(&self.folder(name))
    }

    /// A command that fails in this way.
    #[track_caller]
    fn fails(&mut self, code: &str, status: i32, args: &[&Path]) {
        let args: Vec<OsString> = args.iter().map(|arg| arg.into()).collect();
        let outcome = Program::new(args).arg("--json").run();
        self.is(code, &outcome.refused(status, &[]));
    }

    /// The same where programs are looked for elsewhere.
    #[track_caller]
    fn fails_with_path(&mut self, folder: &Path, code: &str, args: &[&Path]) {
        let args: Vec<OsString> = args.iter().map(|arg| arg.into()).collect();
        let outcome = Program::new(args).arg("--json").env("PATH", folder).run();
        self.is(code, &outcome.refused(1, &[]));
    }

    #[track_caller]
    fn is(&mut self, code: &str, outcome: &Outcome) {
        let report = outcome.json();
        assert_eq!(report["code"], code, "{report}");
        self.found.insert(code.to_owned());
    }

    /// A conversion that fails in this way.
    #[track_caller]
    fn converts(&mut self, code: &str, status: i32, image: &Path, options: &[&str]) {
        let target = self.scratch.target();
        let options = options.iter().map(Path::new);
        let mut args = vec![image, Path::new("-o"), &target];
        args.extend(options);
        self.fails(code, status, &args);
    }
}

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// What is wrong with IMAGE.
fn images(cases: &mut Cases) {
    let missing = cases.scratch.source().join("missing");
    let image = cases.image.clone();
    for command in ["info", "check", "map"] {
        cases.fails("no-such-file", 1, &[path(command), &missing]);
    }
    cases.fails("no-such-file", 1, &[path("compare"), &image, &missing]);
    cases.fails("no-such-file", 1, &[path("verify"), &missing]);
    let against = [path("verify"), &image, path("--against"), &missing];
    cases.fails("no-such-file", 1, &against);
    cases.converts("no-such-file", 1, &missing, &[]);
    cases.converts("no-container", 1, path("4711"), &[]);
    cases.converts("not-a-file", 1, path("/dev/null"), &[]);
    cases.converts("io", 1, path(&"long/".repeat(900)), &[]);
    let raw = cases.file("noise", &[0x5A; 4096]);
    cases.converts("not-ploop", 1, &raw, &[]);
    cases.converts(
        "wrong-input",
        1,
        &cases.chain("whole").dir,
        &["--single-layer"],
    );
    let cut = cases.file("cut.hds", b"WithoutFreeSpace");
    cases.converts("header", 3, &cut, &[]);
    let qcow2 = cases.file("cut.qcow2", b"QFI\xfb\0\0\0\x03");
    cases.fails("qcow2-image", 3, &[path("compare"), &image, &qcow2]);
    let spoiled = std::fs::read(&image).unwrap();
    let spoiled = cases.file("spoiled.hds", &spoiled[..spoiled.len() - 700]);
    cases.converts("damaged", 3, &spoiled, &[]);
    cases.fails("damaged", 3, &[path("map"), &spoiled]);
    let used = cases.scratch.source().join("used.hds");
    let built = ImageBuilder::v2().store(0).in_use(field::DIRTY);
    built.write(&used);
    cases.converts("in-use", 4, &used, &[]);
    let part = cases
        .scratch
        .source()
        .join("disk.hdd.1.{00000000-1111-4222-8333-444444444444}.hds");
    std::fs::copy(&image, &part).unwrap();
    cases.converts("part", 1, &part, &[]);
    saved_table(cases);
}

/// The saved table of an interrupted conversion that is one of another image.
fn saved_table(cases: &mut Cases) {
    let converting = cases.scratch.source().join("converting.hds");
    let mut image = ImageBuilder::v2().store(0).build();
    image
        .put_u32(field::IN_USE, field::DIRTY)
        .put_u32(field::FLAGS, 2);
    image.write(&converting);
    let saved = cases.scratch.source().join("converting.hds.idx");
    ImageBuilder::v2()
        .clusters(99)
        .store(0)
        .build()
        .write(&saved);
    cases.converts("saved-table", 3, &converting, &["--use-idx"]);
}

/// What is wrong with a chain, or a folder.
fn chains(cases: &mut Cases) {
    let image = cases.image.clone();
    let chain = cases.chain("chain");
    cases.converts("lone-layer", 1, &chain.files[0], &[]);
    let other = ["--snapshot", "01234567-89ab-4cde-8f01-23456789abcd"];
    cases.converts("snapshot", 1, &chain.dir, &other);
    cases.converts("not-a-layer", 1, &image, &["--layers", "noise"]);
    cases.converts(
        "layer-order",
        1,
        &image,
        &["--layers", "disk.hds,raw:noise"],
    );
    let broken = cases.chain("broken");
    std::fs::write(broken.descriptor(), "<Parallels").unwrap();
    cases.converts("descriptor", 3, &broken.dir, &[]);
    cases.converts("unknown-role", 3, &broken.files[0], &[]);
    let outside = cases.chain("outside");
    let text = std::fs::read_to_string(outside.descriptor()).unwrap();
    let base = outside.files[0].file_name().unwrap().to_str().unwrap();
    std::fs::write(outside.descriptor(), text.replacen(base, "../disk.hds", 1)).unwrap();
    cases.converts("outside", 1, &outside.dir, &[]);

    let empty = cases.folder("empty");
    cases.converts("no-image", 1, &empty, &[]);
    cases.folder("two/a.hdd");
    cases.folder("two/b.hdd");
    cases.converts("several-disks", 1, &cases.folder("two"), &[]);
    cases.converts("no-such-disk", 1, &cases.folder("two"), &["--disk", "c"]);
    cases.converts("not-one-container", 1, &empty, &["--disks"]);
    let files = cases.folder("simfs/fs");
    for name in [
        "bin", "etc", "usr", "var", "root", "dev", "proc", "sbin", "lib",
    ] {
        std::fs::create_dir(files.join(name)).unwrap();
    }
    cases.converts("simfs", 1, &cases.folder("simfs"), &[]);
    cases.folder("private/101/root.hdd");
    cases.folder("private/102/root.hdd");
    cases.converts("containers", 1, &cases.folder("private"), &[]);
}

/// A disk of 64 clusters whose first sector is this.
fn disk_with(cases: &Cases, name: &str, sector: &[u8]) -> PathBuf {
    let path = cases.scratch.source().join(name);
    let built = ImageBuilder::v2().clusters(64);
    built.fill(0, Fill::Bytes(sector.to_owned())).write(&path);
    path
}

/// What is wrong with the partition.
fn partitions(cases: &mut Cases) {
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    cases.converts("no-such-partition", 1, &container, &["--partition", "7"]);
    let args = [path("info"), &container, path("--partition"), path("7")];
    cases.fails("no-such-partition", 1, &args);
    let image = cases.image.clone();
    cases.converts("no-partition-table", 1, &image, &["--partition", "1"]);
    let mut mbr = vec![0; 512];
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    // Type 5, from sector 8, 8 sectors; an empty table of logical ones.
    mbr[446 + 4] = 5;
    mbr[446 + 8] = 8;
    mbr[446 + 12] = 8;
    let mut extended = vec![0; 9 * 512];
    extended[..512].copy_from_slice(&mbr);
    extended[9 * 512 - 2..].copy_from_slice(&[0x55, 0xAA]);
    let extended = disk_with(cases, "extended.hds", &extended);
    cases.converts("extended-partition", 1, &extended, &["--partition", "1"]);
    // Past the end of the disk.
    mbr[446 + 4] = 0x83;
    mbr[446 + 15] = 0x40;
    let past = disk_with(cases, "past.hds", &mbr);
    cases.converts("partition-table", 3, &past, &["--partition", "1"]);
}

/// What is wrong with the target.
fn targets(cases: &mut Cases) {
    let image = cases.image.clone();
    let out = cases.scratch.out();
    let to = |target: &Path| vec![image.clone(), "-o".into(), target.to_owned()];
    let mut fails = |code: &str, status: i32, target: &Path, options: &[&str]| {
        let mut args = to(target);
        args.extend(options.iter().map(PathBuf::from));
        let args: Vec<_> = args.iter().map(PathBuf::as_path).collect();
        cases.fails(code, status, &args);
    };
    fails("usage", 2, &out.join("disk.vmdk"), &[]);
    fails("usage", 2, &out.join("disk.raw"), &["--compress"]);
    fails("target-kind", 1, &out, &[]);
    fails("target-is-source", 1, &image, &["-O", "raw"]);
    fails("cannot-create", 1, &out.join("no/disk.raw"), &[]);
    let there = out.join("there.raw");
    std::fs::write(&there, "the only copy").unwrap();
    fails("target-exists", 1, &there, &[]);
    std::fs::remove_file(&there).unwrap();
    fails(
        "cannot-share",
        1,
        Path::new("/dev/shm/ploopconv-it-failures"),
        &["--reflink=always"],
    );
}

/// Where there is no room.
fn rooms(cases: &mut Cases) {
    let image = cases.scratch.source().join("large.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(16);
    built.store_all(0..16).write(&image);
    let small = Mounted::memory("4m", &cases.scratch.path().join("small"));
    let target = small.dir.join("disk.raw");
    let dry = Program::new([&image, path("-o"), &target, path("--dry-run")]);
    let dry = dry.arg("--json").run().status(1).json();
    assert_eq!(
        (&dry["status"], &dry["code"]),
        (&1.into(), &"no-room".into())
    );
    let option = path("--sparse");
    cases.fails("no-room", 1, &[&image, path("-o"), &target]);
    cases.fails("full", 1, &[&image, path("-o"), &target, option]);
    let guard = SourceGuard::new(&cases.scratch.source());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\""]);
    command.arg(program::path()).arg(&image).arg("-o");
    command.arg(cases.scratch.target()).arg("--json");
    let what = "[\"--json\"]".to_owned();
    let outcome = Outcome::new(command.output().unwrap(), what);
    cases.is("file-too-large", &outcome.refused(1, &["too large"]));
    drop(guard);
    // So large a disk needs larger clusters than these.
    let huge = cases.scratch.source().join("huge.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(16 << 20);
    built.store(0).write(&huge);
    cases.converts(
        "qcow2-plan",
        1,
        &huge,
        &["-O", "qcow2", "--cluster-size", "4K"],
    );
}

/// What ends a run from outside.
fn ends(cases: &mut Cases) {
    let scratch = Scratch::new();
    let image = big(&scratch, 16);
    let pipe = scratch.out().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let start = || {
        let mut command = Command::new(program::path());
        command.arg(&image).arg("-o").arg(&pipe).arg("--json");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let what = "[\"--json\"]".to_owned();
    let child = start();
    until_it_waits(&child);
    signal(&child, "TERM");
    let outcome = Outcome::new(child.wait_with_output().unwrap(), what.clone());
    cases.is("interrupted", &outcome.refused(143, &["SIGTERM"]));
    let child = start();
    let mut reader = File::open(&pipe).unwrap();
    reader.read_exact(&mut [0; 1]).unwrap();
    drop(reader);
    let outcome = Outcome::new(child.wait_with_output().unwrap(), what);
    cases.is(
        "closed-pipe",
        &outcome.refused(1, &["only part of the disk"]),
    );
}

/// What a user may not do.
fn permissions(cases: &mut Cases) {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&image);
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&image, mode).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.arg("info").arg(&image).arg("--json");
    let what = "[\"--json\"]".to_owned();
    let outcome = Outcome::new(command.output().unwrap(), what);
    cases.is(
        "permission-denied",
        &outcome.refused(1, &["Permission denied"]),
    );
}

/// What an image that changes, a device that is full, and a kernel that refuses lead to.
fn rare(cases: &mut Cases) {
    let scratch = Scratch::new();
    let image = big(&scratch, 16);
    let pipe = scratch.out().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let what = || "[\"--json\"]".to_owned();
    let guard = SourceGuard::new(&scratch.source());
    let mut strace = |code: &str, options: &[&str], args: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]).args(options);
        command.arg(program::path()).arg(&image).args(args);
        command.arg("--json").current_dir(scratch.out());
        let output = command
            .output()
            .expect("strace runs (Debian package strace)");
        cases.is(code, &Outcome::new(output, what()).refused(1, &[]));
    };
    let fails = "inject=pwrite64,copy_file_range:error=EDQUOT";
    strace("quota", &["-e", fails], &["-o", "disk.raw"]);
    let fails = "inject=clone3:error=EAGAIN:when=2+";
    strace("threads", &["-e", fails], &["-o", "disk.raw", "-j", "8"]);
    drop(guard);

    let mut command = Command::new(program::path());
    command.arg(&image).arg("-o").arg(&pipe).arg("--json");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let mut reader = File::open(&pipe).unwrap();
    reader.read_exact(&mut [0; 1]).unwrap();
    let now = std::time::SystemTime::now();
    let file = File::options().append(true).open(&image).unwrap();
    file.set_modified(now).unwrap();
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let outcome = Outcome::new(child.wait_with_output().unwrap(), what());
    cases.is("changed", &outcome.refused(4, &["changed while"]));
    // No checksum file tells what the target should be.
    let image = cases.image.clone();
    cases.fails("failed", 1, &[path("verify"), &image]);
}

/// Reports of commands that did what they were asked, and whose answer is no.
fn answers(cases: &mut Cases) {
    let image = cases.image.clone();
    let other = cases.scratch.source().join("other.hds");
    ImageBuilder::v2().seed(9).store(1).write(&other);
    let bytes = std::fs::read(&image).unwrap();
    let cut = cases.file("cut-off.hds", &bytes[..bytes.len() - 700]);
    let used = cases.scratch.source().join("used.hds");
    let target = cases.scratch.out().join("answers.raw");
    crate::support::convert_to(&image, &target);
    std::fs::write(
        cases.scratch.out().join("answers.raw.sha256"),
        format!("{}  answers.raw\n", "0".repeat(64)),
    )
    .unwrap();
    let salvaged = cases.scratch.out().join("salvaged.raw");
    let mut answers = |code: Option<&str>, status: i32, args: &[&Path]| {
        let args: Vec<OsString> = args.iter().map(|arg| arg.into()).collect();
        let outcome = Program::new(args).arg("--json").run().status(status);
        let report = outcome.json();
        assert_eq!(report["status"], status, "{report}");
        assert_eq!(report["code"].as_str(), code, "{report}");
        let message = report["message"].as_str();
        assert_eq!(message.is_some(), code.is_some(), "{report}");
        assert!(message.is_none_or(|text| !text.is_empty()), "{report}");
        cases.found.extend(code.map(str::to_owned));
    };
    for command in ["info", "check", "map"] {
        answers(None, 0, &[path(command), &image]);
    }
    answers(Some("damaged"), 3, &[path("info"), &cut]);
    answers(Some("damaged"), 3, &[path("check"), &cut]);
    answers(Some("in-use"), 4, &[path("check"), &used]);
    let salvage = path("--salvage");
    for command in ["info", "map"] {
        answers(Some("salvaged"), 5, &[path(command), &cut, salvage]);
    }
    answers(None, 0, &[path("compare"), &image, &image]);
    answers(Some("different"), 1, &[path("compare"), &image, &other]);
    answers(Some("salvaged"), 5, &[path("compare"), &cut, &cut, salvage]);
    let against = path("--against");
    let verify = path("verify");
    answers(None, 0, &[verify, &target, against, &image]);
    answers(Some("different"), 1, &[verify, &target, against, &other]);
    answers(Some("different"), 1, &[verify, &target]);
    let output = path("-o");
    answers(Some("salvaged"), 5, &[&cut, output, &salvaged, salvage]);
    answers(
        Some("salvaged"),
        5,
        &[verify, &salvaged, against, &cut, salvage],
    );
    answers(
        None,
        0,
        &[&image, output, &cases.scratch.target(), path("--dry-run")],
    );
    answers(None, 0, &[path("attached")]);
    for name in [
        "answers.raw",
        "answers.raw.sha256",
        "salvaged.raw",
        "salvaged.raw.lost",
    ] {
        std::fs::remove_file(cases.scratch.out().join(name)).unwrap();
    }
}

#[test]
fn every_failure_has_a_report_with_a_code() {
    let mut cases = Cases::new();
    images(&mut cases);
    chains(&mut cases);
    partitions(&mut cases);
    files::packed_files(&mut cases);
    files::free_blocks(&mut cases);
    files::listed_files(&mut cases);
    machines::disks_that_boot(&mut cases);
    targets(&mut cases);
    updates::updates(&mut cases);
    rooms(&mut cases);
    ends(&mut cases);
    permissions(&mut cases);
    rare(&mut cases);
    answers(&mut cases);
    cases.scratch.assert_nothing_left();
    let found: BTreeSet<_> = cases.found.iter().map(String::as_str).collect();
    let mut missing = codes();
    missing.retain(|code| !found.contains(code.as_str()));
    let missing: Vec<_> = missing.iter().map(String::as_str).collect();
    let known: Vec<_> = NOT_PROVOKED.iter().map(|(code, _)| *code).collect();
    assert_eq!(missing, known);
}

#[test]
fn info_of_an_empty_folder_has_a_report_too() {
    let scratch = crate::support::Scratch::new();
    let run = crate::support::info(&scratch.source()).run().status(1);
    assert_eq!(run.json()["code"], "no-image");
    // As has one of a folder whose images nothing describes.
    ImageBuilder::v2()
        .store(0)
        .write(&scratch.source().join("root.hds"));
    let report = crate::support::info(&scratch.source()).run().status(1);
    let report = report.json();
    assert_eq!(
        (&report["status"], &report["code"]),
        (&1.into(), &"no-image".into())
    );
    assert!(report["found_images"].is_array(), "{report}");
}
