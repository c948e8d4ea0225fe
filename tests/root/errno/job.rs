//! A conversion under `strace`, which lets a call of it fail.

use crate::support::running::big;
use crate::support::{Outcome, Scratch, convert_to, md5_hex, names_in, program};
use crate::tools::tool;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(super) const NO_ROOM: (&str, &str) = ("ENOSPC", "No space left on device");
pub(super) const QUOTA: (&str, &str) = ("EDQUOT", "quota exceeded");
pub(super) const TOO_LARGE: (&str, &str) = ("EFBIG", "File too large");
pub(super) const BROKEN: (&str, &str) = ("EIO", "Input/output error");
pub(super) const READ_ONLY: (&str, &str) = ("EROFS", "Read-only file system");
pub(super) const WRITING: [(&str, &str); 4] = [NO_ROOM, QUOTA, TOO_LARGE, BROKEN];

/// A conversion that can be run again and again.
pub(super) struct Job {
    pub(super) scratch: Scratch,
    pub(super) image: PathBuf,
    /// What the disk holds.
    pub(super) expected: String,
    pub(super) target: PathBuf,
    pub(super) args: Vec<OsString>,
    /// What the existing target holds, where one is to be replaced.
    pub(super) old: Option<&'static str>,
}

impl Job {
    /// A disk of three MiB to this name, with these options.
    pub(super) fn new(name: &str, options: &[&str]) -> Self {
        let scratch = Scratch::new();
        let image = big(&scratch, 3);
        let old = options.contains(&"-f").then_some("the only copy");
        Self::with(scratch, image, name, options, old)
    }

    pub(super) fn with(
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
    pub(super) fn reset(&self) {
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
    pub(super) fn copying_fails(&self) {
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
    pub(super) fn strace(&self, options: &[&str]) -> Outcome {
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
    pub(super) fn calls(&self, call: &str) -> Vec<u32> {
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

    pub(super) fn fail(&self, call: &str, error: &str, when: u32) -> Outcome {
        let inject = format!("inject={call}:error={error}:when={when}");
        let trace = format!("trace={call},copy_file_range");
        let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        self.strace(&[&options[..], no_copying(call)].concat())
    }

    /// Asserts that nothing was left, and what was there is as it was.
    #[track_caller]
    pub(super) fn assert_nothing_happened(&self, what: &str) {
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
    pub(super) fn assert_complete(&self, what: &str) {
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
    pub(super) fn fails_everywhere(&self, call: &str, errors: &[(&str, &str)], says: &[&str]) {
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
pub(super) fn says_of<'a>(error: &str, says: &[&'a str]) -> Vec<&'a str> {
    let is_full = ["ENOSPC", "EDQUOT", "EFBIG"].contains(&error);
    let instead = |text: &&'a str| match *text {
        "offset" if is_full => "left behind",
        other => other,
    };
    says.iter().map(instead).collect()
}

/// What lets every byte be written by this program where that is looked at: a kernel that does not
/// copy from file to file.
pub(super) fn no_copying(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" | "pread64" => &["-e", "inject=copy_file_range:error=EOPNOTSUPP"],
        _ => &[],
    }
}
