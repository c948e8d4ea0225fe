//! Every system call that a conversion stands on, failing at its first, a middle and its last time
//! with every error that a file system gives. `strace` makes them fail, so that it is the built
//! program that is looked at, and the kernel's own answer that it gets.

mod job;

use self::job::*;
use crate::support::loops::Loop;
use crate::support::running::{big, signal, stopped_in_its_middle};
use crate::support::{Outcome, Scratch, md5_hex, names_in, program};
use crate::tools::tool;
use std::fs::File;
use std::path::Path;
use std::process::Command;

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

#[test]
fn a_block_device() {
    let mut job = Job::new("disk.raw", &["-f"]);
    let backing = job.scratch.path().join("backing");
    std::fs::write(&backing, vec![0xEE; 4 << 20]).unwrap();
    let device = Loop::new(&backing);
    let name = device.path.to_str().unwrap();
    job.args[2] = name.into();
    let head_is_zeros = || {
        let bytes = std::fs::read(&device.path).unwrap();
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
            outcome.refused(1, &["writing", name, place, text]);
            assert!(head_is_zeros(), "{what}");
        }
    }
    // A device that cannot make zeros at all, and one that fails while it does.
    job.fail("fallocate", "EOPNOTSUPP", 1).status(0);
    assert_eq!(
        md5_hex(&std::fs::read(&device.path).unwrap()[..3 << 20]),
        job.expected
    );
    job.fail("fallocate", "EIO", 1)
        .refused(1, &["zeroing", name, "offset"]);
    for when in 1..=job.calls("fsync")[0] {
        let outcome = job.fail("fsync", "EIO", when);
        outcome.refused(1, &["syncing", name]);
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
