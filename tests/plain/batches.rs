//! `batch`: many containers with faults on the way, ended and run again.

use crate::support::chain::ChainBuilder;
use crate::support::image::{Fill, ImageBuilder};
use crate::support::running::{ended, signal};
use crate::support::samples::disk;
use crate::support::{Outcome, Program, Scratch, SourceGuard, names_in, program, repository};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Containers by their target's name, with the bytes that it has to have.
type Expected = BTreeMap<String, Vec<u8>>;

fn batch(private: &Path, out: &Path) -> Program {
    Program::new(["batch", "--all"])
        .arg(private)
        .arg("-o")
        .arg(out)
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

fn entry<'a>(report: &'a Value, target: &str) -> &'a Value {
    let disks = report["disks"].as_array().unwrap();
    let is_it = |disk: &&Value| {
        let path = disk["target"].as_str().unwrap();
        Path::new(path).file_name().unwrap() == target
    };
    disks
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{target} is not in {report}"))
}

fn text_of(out: &Path) -> String {
    fs::read_to_string(out.join("report.txt")).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Containers that can be converted: `count` of them, one with a second disk, one with a UUID.
fn sound(private: &Path, count: u64) -> Expected {
    let mut expected = Expected::new();
    for id in 200..200 + count {
        let bytes = disk(&private.join(id.to_string()).join("root.hdd"), id);
        expected.insert(format!("{id}.raw"), bytes);
    }
    let uuid = "d0c2f7a0-1111-4222-8333-444444444444";
    let bytes = disk(&private.join(uuid).join("root.hdd"), 1);
    expected.insert(format!("{uuid}.raw"), bytes);
    let bytes = disk(&private.join("200/data.hdd"), 2);
    expected.insert("200-data.raw".to_owned(), bytes);
    expected
}

/// Containers that cannot be converted, with the status and code of each.
fn unsound(private: &Path) -> Vec<(&'static str, u8, &'static str)> {
    let running = ImageBuilder::v2().in_use(0x746F_6E59).store(0);
    ChainBuilder::base(&running).write(&private.join("101/root.hdd"));
    let mut broken = ImageBuilder::v2().store_all([0, 1]).build();
    broken.put_u32(64 + 4, 0xFFFF);
    ChainBuilder::base_file(broken).write(&private.join("102/root.hdd"));
    for dir in ["etc", "usr", "bin", "var"] {
        fs::create_dir_all(private.join("103/fs").join(dir)).unwrap();
    }
    vec![
        ("101.raw", 4, "in-use"),
        ("102.raw", 3, "damaged"),
        ("103.raw", 1, "simfs"),
    ]
}

/// Whether the targets are those of the containers, complete, and nothing else is there.
#[track_caller]
fn assert_targets(out: &Path, expected: &Expected) {
    let mut sums = String::new();
    for (name, bytes) in expected {
        assert!(fs::read(out.join(name)).unwrap() == *bytes, "{name}");
        sums += &format!("{}  {name}\n", sha256(bytes));
    }
    let written = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(lines(&written), lines(&sums));
    let targets = names_in(out)
        .into_iter()
        .filter(|name| name.ends_with(".raw"));
    assert_eq!(
        targets.collect::<Vec<_>>(),
        expected.keys().cloned().collect::<Vec<_>>()
    );
    let left = names_in(out)
        .into_iter()
        .filter(|name| name.starts_with('.'));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_converted_does_not_stop_the_others_and_a_second_run_does_what_is_missing() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    let mut expected = sound(&private, 30);
    let unsound = unsound(&private);
    let out = scratch.out().join("new/folder");
    let guard = SourceGuard::new(&scratch.source());
    let run = batch(&private, &out).args(["--jobs", "3"]).run().status(4);
    run.says(["35 disks: 32 done, 3 failed", "report.txt"]);
    assert_targets(&out, &expected);
    let first = report(&out);
    assert_eq!(first["status"], 4);
    for (target, status, code) in &unsound {
        let entry = entry(&first, target);
        assert_eq!(entry["status"], *status, "{entry}");
        assert_eq!(entry["code"], *code, "{entry}");
        assert_eq!(entry["state"], "failed");
        assert!(!entry["hints"].as_array().unwrap().is_empty(), "{entry}");
    }
    // What the report proposes does what it says.
    let hints = entry(&first, "102.raw")["hints"].as_array().unwrap();
    let commands = hints.iter().filter_map(|hint| hint["command"].as_str());
    let salvage = commands.into_iter().find(|text| text.contains("--salvage"));
    let salvage = salvage.unwrap();
    assert!(text_of(&out).contains(salvage), "{salvage}");
    let program = program::path().display().to_string();
    let command = salvage.replacen("ploopconv", &program, 1);
    let run = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(run.status.code(), Some(5), "{salvage}: {run:?}");
    for left in ["102.raw", "102.raw.lost"] {
        fs::remove_file(out.join(left)).unwrap();
    }
    let done = entry(&first, "200-data.raw");
    assert_eq!(done["report"]["digest"], sha256(&expected["200-data.raw"]));
    let text = fs::read_to_string(out.join("report.txt")).unwrap();
    assert!(
        text.contains("101.raw: failed: ") && text.contains("200-data.raw: done"),
        "{text}"
    );
    drop(guard);

    // The second run makes what is missing, and leaves the rest as it is.
    let inode = |name: &str| fs::metadata(out.join(name)).unwrap().ino();
    let before = inode("201.raw");
    fs::remove_file(out.join("202.raw")).unwrap();
    expected.insert("102.raw".to_owned(), {
        fs::remove_dir_all(private.join("102")).unwrap();
        disk(&private.join("102/root.hdd"), 5)
    });
    let run = batch(&private, &out).run().status(4);
    run.says(["35 disks: 2 done, 31 kept, 2 failed"]);
    assert_targets(&out, &expected);
    assert_eq!(inode("201.raw"), before);
    assert_eq!(entry(&report(&out), "201.raw")["report"]["status"], 0);
}

#[test]
fn a_target_that_is_no_longer_what_the_image_holds_is_never_kept() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    let mut expected = sound(&private, 4);
    let out = scratch.out().join("targets");
    batch(&private, &out).run().status(0);
    // A container that started since, a target that was written to, one that was made with
    // other options, and one whose state is lost.
    expected.insert(
        "200.raw".to_owned(),
        disk(&private.join("200/root.hdd"), 77),
    );
    fs::write(out.join("201.raw"), "something else").unwrap();
    fs::remove_file(out.join("202.raw.ploopconv")).unwrap();
    let run = batch(&private, &out).run().status(1);
    run.says(["-f replaces it", "4 kept, 2 failed"]);
    let found = report(&out);
    for name in ["200.raw", "201.raw"] {
        assert_eq!(entry(&found, name)["code"], "exists", "{name}");
    }
    let run = batch(&private, &out)
        .args(["--sparse=never"])
        .run()
        .status(1);
    run.says(["6 disks", "failed"]);
    batch(&private, &out)
        .arg("-f")
        .run()
        .status(0)
        .says(["2 done, 4 kept"]);
    assert_targets(&out, &expected);

    // With the old time and size only its bytes tell.
    let path = out.join("203.raw");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[5] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(times)
        .unwrap();
    let run = batch(&private, &out).arg("--verify").run().status(1);
    run.says(["5 kept, 1 failed"]);
    assert_eq!(entry(&report(&out), "203.raw")["code"], "exists");
}

#[test]
fn what_lies_in_the_folder_of_targets_is_not_lost() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    let mut expected = sound(&private, 3);
    let out = scratch.out().join("targets");
    let one = |name: &str| {
        let run = Program::new(["batch"]).arg(private.join(name)).arg("-o");
        run.arg(&out)
    };
    // A list that somebody else made.
    fs::create_dir(&out).unwrap();
    fs::write(out.join("SHA256SUMS"), "mine").unwrap();
    let refused = one("200").run();
    refused.refused(1, &["SHA256SUMS exists", "-f replaces it"]);
    assert_eq!(fs::read(out.join("SHA256SUMS")).unwrap(), b"mine");
    assert_eq!(names_in(&out), ["SHA256SUMS"]);
    one("200").arg("-f").run().status(0);
    // Targets of two batches are all in the list.
    one("201").run().status(0);
    one("201").run().status(0);
    expected.retain(|name, _| name.starts_with("200") || name.starts_with("201"));
    assert_targets(&out, &expected);
}

#[test]
fn a_target_with_free_blocks_left_out_is_compared_so() {
    let scratch = Scratch::new();
    let mut copied = Command::new("cp");
    copied
        .arg("-r")
        .arg(repository("fixtures/101"))
        .arg(scratch.source());
    assert!(copied.status().unwrap().success());
    let out = scratch.out().join("targets");
    let batch = || batch(&scratch.source(), &out).args(["--compact"]);
    batch().run().status(0).says(["1 done"]);
    batch().arg("--verify").run().status(0).says(["1 kept"]);
    fs::remove_file(out.join("101.raw.ploopconv")).unwrap();
    batch().run().status(0).says(["1 kept"]);
}

#[test]
fn digests_of_targets_with_odd_names_are_those_of_sha256sum() {
    let scratch = Scratch::new();
    for name in ["a b", "line\nend", "back\\slash", "-dash"] {
        disk(&scratch.source().join(name).join("root.hdd"), 1);
    }
    let out = scratch.out().join("targets");
    let _guard = SourceGuard::new(&scratch.source());
    batch(&scratch.source(), &out).run().status(0);
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]);
    let checked = check.current_dir(&out).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(checked.stdout.split(|byte| *byte == b'\n').count(), 5);
}

#[test]
fn what_would_be_done_is_said_and_nothing_is_written() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    sound(&private, 3);
    unsound(&private);
    let out = scratch.out().join("targets");
    let run = batch(&private, &out)
        .args(["--dry-run", "--json"])
        .run()
        .status(4);
    let report = run.json();
    assert_eq!(entry(&report, "201.raw")["state"], "planned");
    assert_eq!(entry(&report, "103.raw")["code"], "simfs");
    assert!(!out.exists());
}

#[test]
fn options_are_those_of_each_conversion_and_name_the_targets() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    fs::create_dir_all(private.join("101")).unwrap();
    for dir in ["root.hdd", "data.hdd"] {
        let copied = Command::new("cp")
            .arg("-r")
            .args([
                repository("fixtures/101/root.hdd"),
                private.join("101").join(dir),
            ])
            .status();
        assert!(copied.unwrap().success());
    }
    for (options, names) in [
        (
            &["-O", "qcow2", "--compress"][..],
            ["101-data.qcow2", "101.qcow2"],
        ),
        (&["-O", "tar"], ["101-data.tar", "101.tar"]),
        (&["--for", "lxc"], ["101-data.tar.zst", "101.tar.zst"]),
        (
            &["-O", "tar", "--compress=gzip"],
            ["101-data.tar.gz", "101.tar.gz"],
        ),
    ] {
        let out = scratch.out().join(names[0]);
        let run = Program::new(["batch"])
            .arg(private.join("101"))
            .arg("-o")
            .arg(&out);
        run.args(options).run().status(0);
        let there = names_in(&out).into_iter();
        let there = there.filter(|name| names.contains(&name.as_str()));
        assert_eq!(there.collect::<Vec<_>>(), names, "{options:?}");
        let report = report(&out);
        let first = entry(&report, names[1]);
        let has_next = !first["report"]["next"].as_array().unwrap().is_empty();
        assert_eq!(has_next, options.contains(&"--for"));
        if let Some(qcow2) = names[1].strip_suffix(".qcow2") {
            assert_eq!(qcow2, "101");
            assert_eq!(first["report"]["compression"], "zstd");
        }
    }
    let run = Program::new(["batch"])
        .arg(&private)
        .args(["--for", "lxc", "-O", "raw", "-o"]);
    run.arg(scratch.out())
        .run()
        .refused(2, &["leave -O raw out"]);
}

#[test]
fn what_names_nothing_or_one_target_twice_is_refused() {
    let scratch = Scratch::new();
    for host in ["one", "two"] {
        disk(&scratch.source().join(host).join("101/root.hdd"), 1);
    }
    let out = scratch.out().join("targets");
    let run = batch(&scratch.source(), &out).run();
    run.refused(1, &["one/101", "two/101", "would both be"]);
    assert!(!out.exists());
    fs::create_dir(scratch.source().join("empty")).unwrap();
    batch(&scratch.source().join("empty"), &out)
        .run()
        .refused(1, &["no container"]);
    // An id is looked for where that was asked for.
    let by_id = Program::new(["batch", "101", "-o"]).arg(&out);
    let by_id = by_id.directory(scratch.path()).arg("--private-dir");
    by_id.arg(scratch.source().join("one")).run().status(0);
    assert!(out.join("101.raw").exists());
    let missing = Program::new(["batch", "4711", "-o"]).arg(&out);
    missing.run().refused(1, &["4711"]);
    Program::new(["batch", "-o"])
        .arg(&out)
        .run()
        .refused(2, &["CONTAINER"]);
}

/// Starts a batch of slow containers, and waits until the first one is complete.
fn started(private: &Path, out: &Path) -> (Child, Expected, SourceGuard) {
    let mut expected = Expected::new();
    for id in 1..=8_u32 {
        let clusters = 24;
        let image = (0..clusters).fold(
            ImageBuilder::v2().cluster_sectors(2048).clusters(clusters),
            |image, at| image.fill(at, Fill::Byte(u8::try_from(at + id).unwrap() | 1)),
        );
        let chain = ChainBuilder::base(&image).write(&private.join(format!("{id}/root.hdd")));
        expected.insert(format!("{id}.raw"), chain.model().content());
    }
    let guard = SourceGuard::new(private);
    let child = Command::new(program::path())
        .args(["batch", "--all", "--progress=never"])
        .arg(private)
        .arg("-o")
        .arg(out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !out.join("1.raw").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no target came to be"
        );
        std::thread::yield_now();
    }
    (child, expected, guard)
}

#[track_caller]
fn completed(private: &Path, out: &Path, expected: &Expected) {
    let run = batch(private, out).run().status(0);
    let _: Outcome = run;
    assert_targets(out, expected);
    assert_eq!(report(out)["status"], 0);
}

#[test]
fn a_signal_ends_it_cleanly_and_the_same_command_completes_it() {
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let scratch = Scratch::new();
        let (private, out) = (
            scratch.source().join("private"),
            scratch.out().join("targets"),
        );
        let (mut child, expected, _guard) = started(&private, &out);
        signal(&child, name);
        let code = ended(&mut child).code();
        let left = names_in(&out)
            .into_iter()
            .filter(|name| name.starts_with("."));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
        // A machine that was faster has done all of it.
        if code != Some(0) {
            assert_eq!(code, Some(status));
            assert_eq!(report(&out)["status"], status);
        }
        for (name, bytes) in &expected {
            let there = fs::read(out.join(name));
            assert!(there.is_err() || there.unwrap() == *bytes, "{name}");
        }
        completed(&private, &out, &expected);
    }
}

#[test]
fn after_sigkill_no_conversion_goes_on_and_the_same_command_completes_it() {
    let scratch = Scratch::new();
    let (private, out) = (
        scratch.source().join("private"),
        scratch.out().join("targets"),
    );
    let (mut child, expected, _guard) = started(&private, &out);
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    while is_worked_on(&out) {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "a conversion goes on"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    for (name, bytes) in &expected {
        let there = fs::read(out.join(name));
        assert!(there.is_err() || there.unwrap() == *bytes, "{name}");
    }
    completed(&private, &out, &expected);
}

/// Whether a process writes below this folder, by its command line.
fn is_worked_on(out: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| {
        let line: PathBuf = process.path().join("cmdline");
        Some(String::from_utf8_lossy(&fs::read(line).ok()?).into_owned())
    });
    let out = out.display().to_string();
    lines
        .into_iter()
        .any(|line| line.contains("convert") && line.contains(&out))
}

#[test]
fn a_report_says_how_many_became_what() {
    let scratch = Scratch::new();
    let private = scratch.source().join("private");
    sound(&private, 1);
    let out = scratch.out().join("targets");
    let run = batch(&private, &out).arg("--json").run().status(0);
    let printed = run.json();
    assert_eq!(printed, report(&out));
    assert_eq!(printed["disks"][0]["name"], json!(null));
    assert_eq!(printed["status"], 0);
}

#[test]
fn a_second_batch_into_the_same_folder_is_refused_while_the_first_one_runs() {
    let scratch = Scratch::new();
    let out = scratch.out().join("disks");
    sound(&scratch.source(), 2);
    fs::create_dir(&out).unwrap();
    let folder = fs::File::open(&out).unwrap();
    folder.lock().unwrap();
    let refused = batch(&scratch.source(), &out).run();
    refused.refused(1, &["another batch writes to", "disks"]);
    assert_eq!(names_in(&out), [""; 0]);
    // A look writes nothing.
    batch(&scratch.source(), &out)
        .arg("--dry-run")
        .run()
        .status(0);
    drop(folder);
    batch(&scratch.source(), &out).run().status(0);
}

#[test]
fn names_that_are_no_text_and_names_of_several_lines_are_names() {
    let scratch = Scratch::new();
    let private = scratch.source().join(OsStr::from_bytes(b"priv\xffate"));
    let bytes = disk(&private.join("a\n301.raw: done").join("root.hdd"), 1);
    let other = disk(
        &private.join(OsStr::from_bytes(b"\xfe")).join("root.hdd"),
        2,
    );
    let out = scratch.out().join(OsStr::from_bytes(b"disks\xff"));
    for _ in 0..2 {
        batch(&private, &out).arg("--verify").run().status(0);
        assert!(fs::read(out.join("a\n301.raw: done.raw")).unwrap() == bytes);
        assert!(fs::read(out.join("\u{fffd}.raw")).unwrap() == other);
    }
    // What is there without a word of where it is from is compared.
    fs::remove_file(out.join("\u{fffd}.raw.ploopconv")).unwrap();
    batch(&private, &out).run().status(0);
    let text = text_of(&out);
    assert!(text.contains("a\\u{a}301.raw: done\n"), "{text}");
    assert!(
        text.lines().all(|line| !line.starts_with("301.raw")),
        "{text}"
    );
}
