//! Archives and extractions that are ended at any moment, or have no room: what has its name is
//! whole, and what cannot be helped by a killed program is gone with the next one.

use crate::support::divided::{MIB, Raw};
use crate::support::running::until_it_waits;
use crate::support::system::Mounted;
use crate::support::{Program, SourceGuard, convert, names_in, program};
use crate::tools::tool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How many runs are ended in each way.
const RUNS: u32 = 100;

/// Files of noise, of sizes around those of blocks and of units.
fn files() -> (Raw, PathBuf) {
    let raw = Raw::new(48 * MIB);
    let root = raw.scratch.path().join("root");
    let mut seed = 1u64;
    for number in 0..60usize {
        let folder = root.join(format!("folder{}", number % 5));
        fs::create_dir_all(&folder).unwrap();
        let len = [0, 1, 4095, 4096, 70_000, 400_000, 1 << 20][number % 7];
        let bytes = (0..len).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(seed >> 56).unwrap()
        });
        fs::write(
            folder.join(format!("file{number}")),
            bytes.collect::<Vec<_>>(),
        )
        .unwrap();
    }
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&root);
    tool("e2fsprogs", mke2fs.arg(&raw.path));
    let image = raw.image();
    (raw, image)
}

/// The names below a folder, and the bytes of files.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for name in names_in(&at) {
            let path = at.join(name);
            let inside = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(inside, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A job that is ended in its middle.
struct Job {
    arguments: Vec<String>,
    /// How long it takes undisturbed.
    takes: Duration,
}

impl Job {
    fn new(arguments: Vec<String>) -> Self {
        let mut job = Self {
            arguments,
            takes: Duration::ZERO,
        };
        let start = Instant::now();
        assert!(job.start().wait().unwrap().success());
        job.takes = start.elapsed();
        job
    }

    fn start(&self) -> Child {
        let mut command = Command::new(program::path());
        command.args(&self.arguments).stderr(Stdio::null());
        command.spawn().unwrap()
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
}

const SIGNALS: [(Signal, i32); 4] = [
    (Signal::SIGKILL, 0),
    (Signal::SIGINT, 130),
    (Signal::SIGTERM, 143),
    (Signal::SIGHUP, 129),
];

/// How a run ended that was sent a signal: `true` where it heard it and ended because of it.
#[track_caller]
fn heard(status: ExitStatus, with: Signal, code: i32) -> bool {
    if status.signal() == Some(with as i32) || status.success() {
        return false;
    }
    assert_eq!(status.code(), Some(code), "{with}: {status:?}");
    true
}

#[test]
fn a_hundred_ends_of_an_archive() {
    let (raw, image) = files();
    let _guard = SourceGuard::new(image.parent().unwrap());
    for name in ["ct.tar", "ct.tar.zst"] {
        let target = raw.scratch.out().join(name);
        let words = [
            image.to_str().unwrap(),
            "-o",
            target.to_str().unwrap(),
            "-q",
            "-f",
        ];
        let job = Job::new(words.map(str::to_owned).to_vec());
        let whole = fs::read(&target).unwrap();
        fs::remove_file(&target).unwrap();
        let mut partial_files = 0;
        for number in 0..RUNS {
            let (with, code) = SIGNALS[number as usize % SIGNALS.len()];
            let heard = heard(job.end(number, with), with, code);
            let mut names = names_in(&raw.scratch.out());
            if names.contains(&name.to_owned()) {
                assert!(fs::read(&target).unwrap() == whole, "run {number}, {with}");
                fs::remove_file(&target).unwrap();
            }
            names.retain(|known| known != name);
            // What a killed run left goes with the next one, and others leave nothing.
            assert!(names.len() <= 1, "run {number}, {with}: {names:?}");
            assert!(
                !heard || names.is_empty(),
                "run {number}, {with}: {names:?}"
            );
            partial_files += names.len();
        }
        assert!(partial_files > 0, "no run was killed in its middle");
        assert!(job.start().wait().unwrap().success());
        assert!(fs::read(&target).unwrap() == whole);
        assert_eq!(names_in(&raw.scratch.out()), [name]);
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn a_hundred_ends_of_an_extraction() {
    let (raw, image) = files();
    let _guard = SourceGuard::new(image.parent().unwrap());
    let into = raw.scratch.out().join("into");
    fs::create_dir(&into).unwrap();
    let words = [
        "extract",
        image.to_str().unwrap(),
        "-C",
        into.to_str().unwrap(),
        "-f",
    ];
    let job = Job::new(words.map(str::to_owned).to_vec());
    let whole = tree(&into);
    let mut incomplete = 0;
    for number in 0..RUNS {
        fs::remove_dir_all(&into).unwrap();
        fs::create_dir(&into).unwrap();
        let (with, code) = SIGNALS[number as usize % SIGNALS.len()];
        heard(job.end(number, with), with, code);
        let found = tree(&into);
        incomplete += u32::from(!found.is_empty() && found.len() < whole.len());
        // Every file that is there is whole, and has a name of its own: none was half made.
        for (path, bytes) in found {
            let is_beside = path.to_str().unwrap().contains(".part-");
            assert!(
                is_beside || whole.get(&path) == Some(&bytes),
                "run {number}: {path:?}"
            );
            assert!(
                !is_beside || with == Signal::SIGKILL,
                "run {number}: {path:?}"
            );
        }
    }
    assert!(incomplete > 0, "no run was ended in its middle");
    assert!(job.start().wait().unwrap().success());
    let found = tree(&into);
    let named = |path: &&PathBuf| !path.to_str().unwrap().contains(".part-");
    assert!(found.keys().filter(named).eq(whole.keys()));
}

#[test]
fn an_archive_without_room_leaves_nothing_and_says_how_much_it_needs() {
    let (raw, image) = files();
    let small = Mounted::memory("2m", &raw.scratch.path().join("small"));
    for name in ["ct.tar", "ct.tar.zst", "ct.tar.gz"] {
        let run = convert(&image, &small.dir.join(name)).run();
        let said = run.refused(1, &["small"]).stderr;
        // Before the first byte where the size is known, and while it is written elsewhere.
        let says = ["bytes free", "No space left on device"];
        assert!(says.iter().any(|words| said.contains(words)), "{said}");
        assert_eq!(names_in(&small.dir), [""; 0], "{said}");
    }
}

#[test]
fn a_full_target_is_filled_by_the_command_of_the_message_once_it_has_room() {
    let (raw, image) = files();
    let whole = raw.scratch.out().join("whole");
    fs::create_dir(&whole).unwrap();
    let extract = |into: &Path| {
        let words = [
            "extract".as_ref(),
            image.as_os_str(),
            "-C".as_ref(),
            into.as_os_str(),
        ];
        Program::new(words).run()
    };
    extract(&whole).status(0);
    let small = Mounted::memory("4m", &raw.scratch.path().join("small"));
    let run = extract(&small.dir);
    let run = run.refused(
        1,
        &[
            "No space left on device",
            "small is full",
            "once there is room",
        ],
    );
    let (whole, found) = (tree(&whole), tree(&small.dir));
    assert!(!found.is_empty() && found.len() < whole.len());
    for (path, bytes) in found {
        assert!(whole.get(&path) == Some(&bytes), "{path:?}");
    }
    let mut mount = Command::new("mount");
    tool(
        "mount",
        mount.args(["-o", "remount,size=64m"]).arg(&small.dir),
    );
    let option = run
        .stderr
        .lines()
        .find_map(|line| line.rsplit_once(": add "));
    let (_, option) = option.unwrap();
    let words = [
        "extract".as_ref(),
        image.as_os_str(),
        "-C".as_ref(),
        small.dir.as_os_str(),
    ];
    Program::new(words).arg(option).run().status(0);
    assert!(tree(&small.dir) == whole);
}

#[test]
fn a_directory_that_is_missing_is_made_by_the_command_of_the_message() {
    let (raw, image) = files();
    let into = raw.scratch.out().join("a b/c");
    let words = [
        "extract".as_ref(),
        image.as_os_str(),
        "-C".as_ref(),
        into.as_os_str(),
    ];
    let run = Program::new(words).run();
    let run = run.refused(1, &["No such file or directory"]);
    let command = run
        .stderr
        .lines()
        .find_map(|line| line.split_once("to make it: "));
    let (_, command) = command.unwrap_or_else(|| panic!("{}", run.stderr));
    tool("dash", Command::new("sh").args(["-ec", command]));
    Program::new(words).run().status(0);
    assert_eq!(names_in(&into).len(), 6);
}

#[test]
fn a_reader_of_an_archive_that_goes_away_ends_the_run_quietly() {
    let (_raw, image) = files();
    let _guard = SourceGuard::new(image.parent().unwrap());
    for options in [&["-O", "tar"][..], &["-O", "tar", "--compress"]] {
        let mut command = Command::new(program::path());
        command.arg(&image).args(["-o", "-"]).args(options);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 512]).unwrap();
        until_it_waits(&child);
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.lines().count() <= 1 && !said.contains("rror"),
            "{said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// An NTFS that a program serves.
struct InUserSpace {
    dir: PathBuf,
}

impl InUserSpace {
    fn new(folder: &Path) -> Self {
        let disk = folder.join("ntfs");
        fs::File::create(&disk).unwrap().set_len(64 << 20).unwrap();
        let mut mkntfs = Command::new("mkntfs");
        tool("ntfs-3g", mkntfs.args(["-F", "-Q", "-q"]).arg(&disk));
        let dir = folder.join("served");
        fs::create_dir(&dir).unwrap();
        tool("ntfs-3g", Command::new("ntfs-3g").arg(&disk).arg(&dir));
        Self { dir }
    }
}

impl Drop for InUserSpace {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.dir).status();
    }
}

/// A file system in user space without nameless files: names are temporary, and nothing half made
/// has its own.
#[test]
fn files_are_extracted_where_no_file_can_be_without_a_name() {
    let (raw, image) = files();
    let whole = raw.scratch.out().join("whole");
    fs::create_dir(&whole).unwrap();
    let other = InUserSpace::new(raw.scratch.path());
    for into in [&whole, &other.dir] {
        for options in [&[][..], &["-f"]] {
            let words = [
                "extract".as_ref(),
                image.as_os_str(),
                "-C".as_ref(),
                into.as_os_str(),
            ];
            Program::new(words).args(options).run().status(0);
        }
    }
    assert!(tree(&other.dir) == tree(&whole));
    let words = [
        "extract",
        image.to_str().unwrap(),
        "-C",
        other.dir.to_str().unwrap(),
        "-f",
    ];
    let job = Job::new(words.map(str::to_owned).to_vec());
    let mut ended = 0;
    for number in 0..30 {
        let (with, code) = SIGNALS[1 + number as usize % 3];
        ended += u32::from(heard(job.end(number, with), with, code));
        for path in tree(&other.dir).keys() {
            assert!(
                !path.to_str().unwrap().contains(".part-"),
                "run {number}: {path:?}"
            );
        }
    }
    assert!(ended > 0, "no run was ended in its middle");
}
