//! Conversions that are ended at any moment: nothing wrong is ever called as the target, and what
//! cannot be helped by a killed program is gone with the next one.

use crate::support::running::{big, signal, stopped_in_its_middle};
use crate::support::{Outcome, Scratch, SourceGuard, convert_to, md5_hex, names_in, program};
use crate::tools::tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What is converted to: the target's name, and options.
const WAYS: [(&str, &[&str]); 4] = [
    ("disk.raw", &["--checksum"]),
    ("disk.raw", &["--sparse=never", "-f"]),
    ("disk.qcow2", &["--checksum=blkhash"]),
    ("disk.qcow2", &["--compress", "-f"]),
];
/// How many runs are ended in each way.
const RUNS: u32 = 50;

struct Conversion {
    scratch: Scratch,
    image: PathBuf,
    expected: String,
    name: &'static str,
    options: &'static [&'static str],
    /// How long it takes undisturbed.
    takes: Duration,
}

impl Conversion {
    fn new((name, options): (&'static str, &'static [&'static str])) -> Self {
        let scratch = Scratch::new();
        let image = big(&scratch, 3);
        convert_to(&image, &scratch.target());
        let expected = md5_hex(&std::fs::read(scratch.target()).unwrap());
        std::fs::remove_file(scratch.target()).unwrap();
        let mut this = Self {
            scratch,
            image,
            expected,
            name,
            options,
            takes: Duration::ZERO,
        };
        let start = Instant::now();
        let status = this.start().wait().unwrap();
        this.takes = start.elapsed();
        assert!(status.success());
        this.clear();
        this
    }

    fn start(&self) -> Child {
        Command::new(program::path())
            .arg(&self.image)
            .arg("-o")
            .arg(self.target())
            .args(self.options)
            .arg("-q")
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn target(&self) -> PathBuf {
        self.scratch.out().join(self.name)
    }

    fn clear(&self) {
        for name in names_in(&self.scratch.out()) {
            std::fs::remove_file(self.scratch.out().join(name)).unwrap();
        }
    }

    /// Ends the run numbered `number` after a part of the time that it needs; the parts are
    /// spread evenly and in no order.
    fn end(&self, number: u32, with: Signal) -> ExitStatus {
        let mut child = self.start();
        let part = number.wrapping_mul(2_654_435_769) >> 16;
        std::thread::sleep(self.takes * part / 0xFFFF * 11 / 10);
        // Fails where the child is over already.
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), with);
        child.wait().unwrap()
    }

    /// Asserts that what has its name is whole and right.
    #[track_caller]
    fn assert_right(&self) {
        let target = self.target();
        let raw = if self.name == "disk.raw" {
            target.clone()
        } else {
            let raw = self.scratch.path().join("raw");
            let mut qemu = Command::new("qemu-img");
            qemu.args(["convert", "-f", "qcow2", "-O", "raw"]);
            tool("qemu-utils", qemu.arg(&target).arg(&raw));
            raw
        };
        assert_eq!(md5_hex(&std::fs::read(raw).unwrap()), self.expected);
        let sum = Path::new(&format!("{}.sha256", target.display())).to_owned();
        if sum.exists() {
            let mut check = Command::new("sha256sum");
            check.current_dir(self.scratch.out()).arg("-c").arg(&sum);
            tool("coreutils", &mut check);
        }
    }

    /// The names that are there and no partial file's.
    fn names(&self) -> Vec<String> {
        let mut names = names_in(&self.scratch.out());
        names.retain(|name| !name.starts_with(&format!(".{}.", self.name)));
        names
    }

    /// Lets a run end by itself, and asserts that it leaves the target and what belongs to it.
    fn finish(&self) {
        assert!(self.start().wait().unwrap().success());
        self.assert_right();
        let sum = match self.options.first() {
            Some(&"--checksum") => Some(format!("{}.sha256", self.name)),
            Some(&"--checksum=blkhash") => Some(format!("{}.blkhash", self.name)),
            _ => None,
        };
        let expected: Vec<_> = [self.name.to_owned()].into_iter().chain(sum).collect();
        assert_eq!(names_in(&self.scratch.out()), expected);
    }
}

/// SIGKILL: what has its name is whole, and a later run removes what the others left.
fn killed(way: usize) {
    let conversion = Conversion::new(WAYS[way]);
    let _guard = SourceGuard::new(&conversion.scratch.source());
    let mut left = 0;
    for number in 0..RUNS {
        let status = conversion.end(number, Signal::SIGKILL);
        let names = conversion.names();
        if names.contains(&conversion.name.to_owned()) {
            conversion.assert_right();
        } else {
            assert_eq!(names, Vec::<String>::new(), "run {number}, {status:?}");
        }
        let partial = names_in(&conversion.scratch.out()).len() - names.len();
        left = left.max(partial);
        // Only the last run's: each run removes those of the one before it.
        assert!(partial <= 2, "{:?}", names_in(&conversion.scratch.out()));
        for name in names {
            std::fs::remove_file(conversion.scratch.out().join(name)).unwrap();
        }
    }
    assert!(left > 0, "no run was killed in its middle");
    conversion.finish();
}

/// SIGINT, SIGTERM and SIGHUP: the target is whole, or nothing is there at all.
fn stopped(way: usize) {
    let conversion = Conversion::new(WAYS[way]);
    let _guard = SourceGuard::new(&conversion.scratch.source());
    let signals = [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ];
    let mut stopped = 0;
    for (number, (with, code)) in (0..RUNS).zip(signals.into_iter().cycle()) {
        let status = conversion.end(number, with);
        let names = names_in(&conversion.scratch.out());
        // A program that is just being started knows no signal yet.
        let before = status.signal() == Some(with as i32);
        if before || status.code() == Some(code) {
            assert_eq!(names, Vec::<String>::new(), "run {number}, {with}");
            stopped += u32::from(!before);
        } else {
            assert_eq!(status.code(), Some(0), "run {number}, {with}: {status:?}");
            conversion.assert_right();
            conversion.clear();
        }
    }
    assert!(stopped > 0, "no run was stopped in its middle");
    conversion.finish();
}

#[test]
fn fifty_kills_of_a_raw_target_with_a_checksum() {
    killed(0);
}

#[test]
fn fifty_kills_of_a_replaced_and_allocated_raw_target() {
    killed(1);
}

#[test]
fn fifty_kills_of_a_qcow2_target_with_a_checksum() {
    killed(2);
}

#[test]
fn fifty_kills_of_a_compressed_target() {
    killed(3);
}

#[test]
fn fifty_signals_to_a_raw_target_with_a_checksum() {
    stopped(0);
}

#[test]
fn fifty_signals_to_a_replaced_and_allocated_raw_target() {
    stopped(1);
}

#[test]
fn fifty_signals_to_a_qcow2_target_with_a_checksum() {
    stopped(2);
}

#[test]
fn fifty_signals_to_a_compressed_target() {
    stopped(3);
}

#[test]
fn a_partial_file_of_a_run_that_lives_is_left_alone_and_of_one_that_died_is_removed() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    let _guard = SourceGuard::new(&scratch.source());
    let mut child = stopped_in_its_middle(&image, &scratch.target(), &[]);
    let partial = names_in(&scratch.out());
    assert_eq!(partial.len(), 1);

    // Another run for the same target is through first.
    convert_to(&image, &scratch.target());
    let mut expected = partial.clone();
    expected.push("disk.raw".to_owned());
    assert_eq!(names_in(&scratch.out()), expected);

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names_in(&scratch.out()), expected, "SIGKILL leaves it");
    let outcome = program::convert(&image, &scratch.target()).arg("-f").run();
    outcome.done().says(["removed", &partial[0]]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn of_two_runs_for_one_target_the_second_to_end_loses() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    let child = stopped_in_its_middle(&image, &scratch.target(), &[]);
    convert_to(&image, &scratch.target());
    signal(&child, "CONT");
    let outcome = Outcome::new(child.wait_with_output().unwrap(), "the first".to_owned());
    outcome.refused(1, &["disk.raw", "exists"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}
