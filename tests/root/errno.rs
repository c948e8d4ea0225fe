//! Every system call that a conversion stands on, failing at its first, a middle and its last time
//! with every error that a file system gives. `strace` makes them fail, so that it is the built
//! program that is looked at, and the kernel's own answer that it gets.

use crate::support::running::{big, signal, stopped_in_its_middle};
use crate::support::{Outcome, Scratch, convert_to, md5_hex, names_in, program};
use crate::tools::tool;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A conversion that can be run again and again.
struct Job {
    scratch: Scratch,
    image: PathBuf,
    /// What the disk holds.
    expected: String,
    target: PathBuf,
    args: Vec<OsString>,
    /// What the existing target holds, where one is to be replaced.
    old: Option<&'static str>,
}

impl Job {
    /// A disk of three MiB to this name, with these options.
    fn new(name: &str, options: &[&str]) -> Self {
        let scratch = Scratch::new();
        let image = big(&scratch, 3);
        let old = options.contains(&"-f").then_some("the only copy");
        Self::with(scratch, image, name, options, old)
    }

    fn with(
        scratch: Scratch,
        image: PathBuf,
        name: &str,
        options: &[&str],
        old: Option<&'static str>,
    ) -> Self {
        let raw = scratch.path().join("expected");
        convert_to(&image, &raw);
        let expected = md5_hex(&std::fs::read(raw).unwrap());
        let target = scratch.out().join(name);
        let mut args: Vec<OsString> =
            vec![image.clone().into(), "-o".into(), target.clone().into()];
        // One worker, so that the calls of each thread can be counted.
        args.extend(options.iter().chain(&["-j", "1"]).map(OsString::from));
        let this = Self {
            scratch,
            image,
            expected,
            target,
            args,
            old,
        };
        this.reset();
        this
    }

    /// As before the run.
    fn reset(&self) {
        for name in names_in(&self.scratch.out()) {
            let path = self.scratch.out().join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        if let Some(old) = self.old {
            std::fs::write(&self.target, old).unwrap();
        }
    }

    /// Lets what the kernel copies from file to file fail: then the bytes are read and written, or
    /// the run fails like any other.
    #[track_caller]
    fn copying_fails(&self) {
        for (error, _) in WRITING {
            for when in [1, 2, 12] {
                let outcome = self.fail("copy_file_range", error, when);
                let what = format!("copy_file_range {error} {when}: {outcome:?}");
                if outcome.status == Some(0) {
                    self.assert_complete(&what);
                    self.reset();
                } else {
                    let name = self.target.file_name().unwrap().to_str().unwrap();
                    outcome.refused(1, &says_of(error, &[name, "offset"]));
                    self.assert_nothing_happened(&what);
                }
            }
        }
    }

    /// Runs under `strace` with these options.
    fn strace(&self, options: &[&str]) -> Outcome {
        let _guards = program::guards(Path::new("."), &self.args);
        let output = assert_cmd::Command::new("strace")
            .args(["-f", "-qq", "--seccomp-bpf"])
            .args(options)
            .arg(program::path())
            .args(&self.args)
            .timeout(Duration::from_secs(60))
            .output()
            .expect("strace runs (Debian package strace)");
        Outcome::new(output, format!("{options:?} {:?}", self.args))
    }

    /// How often each thread makes this call, the one that makes it most often last.
    fn calls(&self, call: &str) -> Vec<u32> {
        let log = self.scratch.path().join("log");
        let trace = format!("trace={call},copy_file_range");
        let options = ["-o", log.to_str().unwrap(), "-e", &trace];
        self.strace(&[&options[..], no_copying(call)].concat())
            .status(0);
        self.reset();
        let mut threads: BTreeMap<String, u32> = BTreeMap::new();
        for line in std::fs::read_to_string(log).unwrap().lines() {
            // A line that goes on after another thread's has an arrow here.
            if let Some((thread, made)) = line.split_once(' ')
                && made.trim_start().starts_with(&format!("{call}("))
            {
                *threads.entry(thread.to_owned()).or_default() += 1;
            }
        }
        let mut counts: Vec<u32> = threads.into_values().collect();
        counts.sort_unstable();
        counts
    }

    fn fail(&self, call: &str, error: &str, when: u32) -> Outcome {
        let inject = format!("inject={call}:error={error}:when={when}");
        let trace = format!("trace={call},copy_file_range");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        self.strace(&[&options[..], no_copying(call)].concat())
    }

    /// Asserts that nothing was left, and what was there is as it was.
    #[track_caller]
    fn assert_nothing_happened(&self, what: &str) {
        let name = self
            .target
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let expected: Vec<_> = self.old.map(|_| name).into_iter().collect();
        assert_eq!(names_in(&self.scratch.out()), expected, "{what}");
        if let Some(old) = self.old {
            assert_eq!(
                std::fs::read(&self.target).unwrap(),
                old.as_bytes(),
                "{what}"
            );
        }
    }

    /// Asserts that the target is whole, whatever else is there.
    #[track_caller]
    fn assert_complete(&self, what: &str) {
        let mut raw = self.target.clone();
        if raw
            .extension()
            .is_some_and(|extension| extension == "qcow2")
        {
            raw = self.scratch.path().join("raw");
            let mut qemu = Command::new("qemu-img");
            qemu.args(["convert", "-f", "qcow2", "-O", "raw"]);
            tool("qemu-utils", qemu.arg(&self.target).arg(&raw));
        }
        assert_eq!(
            md5_hex(&std::fs::read(raw).unwrap()),
            self.expected,
            "{what}"
        );
    }

    /// Lets a call fail at the first, a middle and the last time, with each of the errors.
    #[track_caller]
    fn fails_everywhere(&self, call: &str, errors: &[(&str, &str)], says: &[&str]) {
        let counts = self.calls(call);
        let Some(&most) = counts.last() else {
            panic!("{call} is not called by {:?}", self.args);
        };
        let mut times: Vec<u32> = [1, most / 2, most].into_iter().filter(|&n| n > 0).collect();
        times.dedup();
        for &(error, text) in errors {
            for &when in &times {
                let what = format!("{call} {when} of {counts:?}: {error}");
                let outcome = self.fail(call, error, when);
                assert_eq!(outcome.status, Some(1), "{what}: {outcome:?}");
                outcome.refused(1, &says_of(error, says)).says([text]);
                self.assert_nothing_happened(&what);
            }
        }
    }
}

/// What an error says: where the room has run out, what became of the target in place of an offset.
fn says_of<'a>(error: &str, says: &[&'a str]) -> Vec<&'a str> {
    let is_full = ["ENOSPC", "EDQUOT", "EFBIG"].contains(&error);
    let instead = |text: &&'a str| match *text {
        "offset" if is_full => "left behind",
        other => other,
    };
    says.iter().map(instead).collect()
}

/// What lets every byte be written by this program where that is looked at: a kernel that does not
/// copy from file to file.
fn no_copying(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" | "pread64" => &["-e", "inject=copy_file_range:error=EOPNOTSUPP"],
        _ => &[],
    }
}

const NO_ROOM: (&str, &str) = ("ENOSPC", "No space left on device");
const QUOTA: (&str, &str) = ("EDQUOT", "quota exceeded");
const TOO_LARGE: (&str, &str) = ("EFBIG", "File too large");
const BROKEN: (&str, &str) = ("EIO", "Input/output error");
const READ_ONLY: (&str, &str) = ("EROFS", "Read-only file system");
const WRITING: [(&str, &str); 4] = [NO_ROOM, QUOTA, TOO_LARGE, BROKEN];

/// The calls that every file target makes.
#[track_caller]
fn every_call_fails(job: &Job) {
    let name = job.target.file_name().unwrap().to_str().unwrap().to_owned();
    job.copying_fails();
    job.fails_everywhere("pwrite64", &WRITING, &[&name, "writing", "offset"]);
    // The last one may be the directory's.
    let syncing = [NO_ROOM, QUOTA, BROKEN];
    for (error, text) in syncing {
        let outcome = job.fail("fsync", error, 1);
        outcome.refused(1, &[&name, "syncing", text]);
        job.assert_nothing_happened(error);
    }
    let rename = if job.old.is_some() {
        "renameat"
    } else {
        "renameat2"
    };
    let renaming = [NO_ROOM, BROKEN, READ_ONLY, QUOTA];
    job.fails_everywhere(rename, &renaming, &[&name, "renaming"]);
}

#[test]
fn raw() {
    let job = Job::new("disk.raw", &[]);
    every_call_fails(&job);
    let size = [NO_ROOM, TOO_LARGE, BROKEN];
    job.fails_everywhere("ftruncate", &size, &["disk.raw", "size"]);
    // Every byte reached the disk and only the name may not: that is no success either.
    let outcome = job.fail("fsync", "EIO", 2);
    outcome.refused(1, &["syncing", "out"]);
    job.assert_nothing_happened("the directory");
}

#[test]
fn raw_in_the_place_of_another() {
    let job = Job::new("disk.raw", &["-f"]);
    every_call_fails(&job);
    // The one thing that cannot be taken back: the new file is complete.
    let outcome = job.fail("fsync", "EIO", 2);
    outcome.refused(1, &["syncing", "out"]);
    job.assert_complete("the directory");
}

#[test]
fn raw_with_all_its_room() {
    let job = Job::new("disk.raw", &["--sparse=never"]);
    every_call_fails(&job);
    let room = [NO_ROOM, QUOTA, TOO_LARGE, BROKEN];
    job.fails_everywhere("fallocate", &room, &["disk.raw", "allocating"]);
}

#[test]
fn raw_with_a_checksum() {
    let job = Job::new("disk.raw", &["--checksum"]);
    job.fails_everywhere("pwrite64", &WRITING, &["disk.raw", "writing"]);
    // The target's file, its directory, the checksum's file and its directory.
    for when in 1..=4 {
        let what = format!("fsync {when}");
        job.fail("fsync", "EIO", when).refused(1, &["syncing"]);
        job.assert_nothing_happened(&what);
    }
    for when in 1..=2 {
        let what = format!("renameat2 {when}");
        job.fail("renameat2", "EIO", when).refused(1, &["renaming"]);
        job.assert_nothing_happened(&what);
    }
}

#[test]
fn qcow2() {
    let job = Job::new("disk.qcow2", &[]);
    every_call_fails(&job);
    // The tables, which another thread writes.
    let counts = job.calls("pwrite64");
    assert!(counts.len() > 1 && counts[0] > 1, "{counts:?}");
}

/// The kernel begins to write while the rest is being copied, so that the sync at the end has
/// little to wait for. It is that sync which says whether all of it arrived.
#[test]
fn bytes_go_to_the_disk_before_the_end() {
    for name in ["disk.raw", "disk.qcow2"] {
        let job = |options| {
            let scratch = Scratch::new();
            let image = big(&scratch, 70);
            Job::with(scratch, image, name, options, None)
        };
        let synced = job(&[]);
        let calls: u32 = synced.calls("sync_file_range").iter().sum();
        assert!((2..5).contains(&calls), "{name}: {calls}");
        synced.fail("sync_file_range", "EIO", 1).status(0);
        synced.assert_complete(name);
        synced.reset();
        synced
            .fail("fsync", "EIO", 1)
            .refused(1, &[name, "syncing"]);
        let calls = job(&["--no-sync"]).calls("sync_file_range");
        assert_eq!(calls, [] as [u32; 0], "{name}");
    }
}

#[test]
fn the_tables_of_a_qcow2_target() {
    // One cluster of data, so that most writes are tables.
    let scratch = Scratch::new();
    let image = big(&scratch, 1);
    let options = ["-f", "--cluster-size", "2M"];
    let job = Job::with(
        scratch,
        image,
        "disk.qcow2",
        &options,
        Some("the only copy"),
    );
    every_call_fails(&job);
}

#[test]
fn qcow2_with_all_its_room() {
    let job = Job::new("disk.qcow2", &["--sparse=never"]);
    every_call_fails(&job);
    let room = [NO_ROOM, QUOTA, BROKEN];
    job.fails_everywhere("fallocate", &room, &["disk.qcow2"]);
}

#[test]
fn qcow2_compressed_with_a_checksum() {
    let job = Job::new("disk.qcow2", &["--compress", "--checksum=blkhash"]);
    job.fails_everywhere("pwrite64", &WRITING, &["disk.qcow2", "writing", "offset"]);
    for when in 1..=4 {
        job.fail("fsync", "EIO", when).refused(1, &["syncing"]);
        job.assert_nothing_happened(&format!("fsync {when}"));
    }
}

#[test]
fn every_partition() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let options = ["--partitions", "--checksum"];
    let job = Job::with(Scratch::new(), fixture, "parts", &options, None);
    job.fails_everywhere("pwrite64", &WRITING, &["p1.raw", "writing", "offset"]);
    for when in 1..=4 {
        job.fail("fsync", "EIO", when).refused(1, &["syncing"]);
        job.assert_nothing_happened(&format!("fsync {when}"));
    }
    job.fails_everywhere("renameat2", &[BROKEN, READ_ONLY], &["renaming"]);
    let making = [NO_ROOM, QUOTA, READ_ONLY];
    job.fails_everywhere("mkdir", &making, &["parts", "creat"]);
}

#[test]
fn a_stream() {
    let mut job = Job::new("disk.raw", &[]);
    job.args[2] = "-".into();
    let out = job.scratch.path().join("stream");
    let write = |when: u32, error: &str| {
        let inject = format!("inject=write:error={error}:when={when}");
        let output = Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=write",
                "-e",
                &inject,
            ])
            .arg("-P")
            .arg(&out)
            .arg(program::path())
            .args(&job.args)
            .stdout(File::create(&out).unwrap())
            .output()
            .unwrap();
        Outcome::new(output, inject)
    };
    for (error, text) in WRITING {
        for when in [1, 6, 12] {
            let outcome = write(when, error);
            if error == "EIO" {
                outcome.refused(1, &["writing stdout", "offset", text]);
            } else {
                let fate = "what was sent is part of the disk";
                outcome.refused(1, &["writing stdout", fate, text]);
            }
        }
    }
    assert_eq!(write(13, "EIO").status, Some(0), "there are twelve");
    assert_eq!(md5_hex(&std::fs::read(&out).unwrap()), job.expected);
}

/// A loop device for the time of a test.
struct Device(String);

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

#[test]
fn a_block_device() {
    let mut job = Job::new("disk.raw", &["-f"]);
    let backing = job.scratch.path().join("backing");
    std::fs::write(&backing, vec![0xEE; 4 << 20]).unwrap();
    let mut losetup = Command::new("losetup");
    let device = tool("mount", losetup.args(["--find", "--show"]).arg(&backing));
    let device = Device(device.trim().to_owned());
    job.args[2] = device.0.clone().into();
    let head_is_zeros = || {
        let bytes = std::fs::read(&device.0).unwrap();
        bytes[..1 << 20].iter().all(|&byte| byte == 0)
    };
    let most = *job.calls("pwrite64").last().unwrap();
    assert!(!head_is_zeros(), "an undisturbed copy has a head");
    for (error, text) in [NO_ROOM, BROKEN] {
        for when in [1, most / 2, most] {
            let outcome = job.fail("pwrite64", error, when);
            let what = format!("{error} at {when} of {most}");
            let place = if error == "EIO" {
                "offset"
            } else {
                "without its first MiB"
            };
            outcome.refused(1, &["writing", &device.0, place, text]);
            assert!(head_is_zeros(), "{what}");
        }
    }
    // A device that cannot make zeros at all, and one that fails while it does.
    job.fail("fallocate", "EOPNOTSUPP", 1).status(0);
    assert_eq!(
        md5_hex(&std::fs::read(&device.0).unwrap()[..3 << 20]),
        job.expected
    );
    job.fail("fallocate", "EIO", 1)
        .refused(1, &["zeroing", &device.0, "offset"]);
    for when in 1..=job.calls("fsync")[0] {
        let outcome = job.fail("fsync", "EIO", when);
        outcome.refused(1, &["syncing", &device.0]);
    }
}

#[test]
fn a_call_that_is_interrupted_is_made_again() {
    for (name, options) in [
        ("disk.raw", &["--checksum"][..]),
        ("disk.qcow2", &["--compress"]),
    ] {
        let job = Job::new(name, options);
        // The first ones are those that load the program.
        for (call, first) in [
            ("pwrite64", 1),
            ("pread64", 4),
            ("fsync", 1),
            ("ftruncate", 1),
        ] {
            let inject = format!("inject={call}:error=EINTR:when={first}+2");
            let trace = format!("trace={call}");
            job.strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject])
                .done();
            job.assert_complete(call);
            job.reset();
        }
    }
}

#[test]
fn whatever_fails_while_reading_there_is_a_whole_target_or_none() {
    let job = Job::new("disk.raw", &[]);
    for call in [
        "pread64",
        "lseek",
        "statx",
        "getdents64",
        "readlink",
        "fcntl",
        "statfs",
    ] {
        for error in ["EIO", "EACCES"] {
            for when in [1, 2, 3, 5, 8, 13] {
                let outcome = job.fail(call, error, when);
                let what = format!("{call} {error} {when}: {outcome:?}");
                assert!(!outcome.stderr.contains("panicked"), "{what}");
                if outcome.stderr.contains("shared libraries") {
                    continue; // it was not even loaded
                }
                if outcome.status == Some(0) {
                    assert_eq!(names_in(&job.scratch.out()), ["disk.raw"], "{what}");
                    job.assert_complete(&what);
                } else {
                    assert!(matches!(outcome.status, Some(1 | 3)), "{what}");
                    assert!(outcome.stderr.contains("ploopconv: "), "{what}");
                    job.assert_nothing_happened(&what);
                }
                job.reset();
            }
        }
    }
}

#[test]
fn a_read_error_names_the_file_and_the_offset() {
    let job = Job::new("disk.raw", &[]);
    let most = *job.calls("pread64").last().unwrap();
    let image = job.image.file_name().unwrap().to_str().unwrap();
    for when in [most / 2, most] {
        job.fail("pread64", "EIO", when)
            .refused(1, &["reading", image, "offset", "Input/output error"]);
        job.assert_nothing_happened("a read error");
    }
}

#[test]
fn a_run_killed_at_any_step_of_its_end_leaves_no_wrong_target() {
    for (name, options) in [
        ("disk.raw", &["--checksum"][..]),
        ("disk.raw", &["-f"]),
        ("disk.qcow2", &["--checksum=blkhash"]),
    ] {
        let job = Job::new(name, options);
        for (call, most) in [
            ("ftruncate", 1),
            ("pwrite64", 2),
            ("fsync", 4),
            ("renameat", 1),
            ("renameat2", 2),
            ("unlink", 1),
            ("write", 2),
        ] {
            for when in 1..=most {
                let inject = format!("inject={call}:signal=KILL:when={when}");
                let trace = format!("trace={call}");
                let outcome = job.strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject]);
                let what = format!("{name}: {inject}: {outcome:?}");
                let left = names_in(&job.scratch.out());
                if left.contains(&name.to_owned()) {
                    let old = std::fs::read(&job.target).unwrap();
                    if job.old.is_none_or(|text| old != text.as_bytes()) {
                        job.assert_complete(&what);
                    }
                }
                let sum = left
                    .iter()
                    .find(|name| name.starts_with("disk") && name.ends_with("256"));
                if let Some(sum) = sum {
                    let mut check = Command::new("sha256sum");
                    tool(
                        "coreutils",
                        check.current_dir(job.scratch.out()).args(["-c", sum]),
                    );
                }
                job.reset();
            }
        }
    }
}

#[test]
fn a_directory_that_is_removed_meanwhile_ends_the_run() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    for options in [&[][..], &["-O", "qcow2"]] {
        let child = stopped_in_its_middle(&image, &scratch.target(), options);
        std::fs::remove_dir_all(scratch.out()).unwrap();
        signal(&child, "CONT");
        let outcome = Outcome::new(child.wait_with_output().unwrap(), format!("{options:?}"));
        outcome.refused(1, &["disk.raw", "renaming", "No such file"]);
        assert!(!scratch.out().exists());
        std::fs::create_dir(scratch.out()).unwrap();
    }
}
