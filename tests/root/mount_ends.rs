//! How a mount ends, what becomes of it when something goes wrong, and who hears of it.

use crate::support::divided::MIB;
use crate::support::ext4_kinds::mke2fs;
use crate::support::shown::{InForeground, Shown, fuse_for_users, is_mounted};
use crate::support::system::own_mounts;
use crate::support::{Fill, ImageBuilder, Program, Scratch, SourceGuard, field};
use crate::tools::tool;
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CLUSTER: u64 = 4096;

/// An ext4 with two files and a directory, as a raw file.
fn file_system(scratch: &Scratch) -> PathBuf {
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("folder")).unwrap();
    fs::write(tree.join("small"), "small\n").unwrap();
    fs::write(tree.join("other"), "other\n").unwrap();
    fs::write(tree.join("big"), vec![7; 400_000]).unwrap();
    let raw = scratch.path().join("fs.raw");
    let options = format!("-t ext4 -b 4096 -O ^metadata_csum -d {}", tree.display());
    mke2fs(&raw, 16 * MIB, &options);
    raw
}

/// A raw disk as an image that lost these clusters.
fn image_of(scratch: &Scratch, raw: &Path, lost: &[u64]) -> PathBuf {
    let bytes = fs::read(raw).unwrap();
    let clusters = u32::try_from(bytes.len() as u64 / CLUSTER).unwrap();
    let mut image = ImageBuilder::v2().cluster_sectors(8).clusters(clusters);
    for (index, piece) in (0u32..).zip(bytes.chunks(CLUSTER as usize)) {
        if piece.iter().any(|byte| *byte != 0) {
            image = image.fill(index, Fill::Bytes(piece.to_vec()));
        }
    }
    let mut image = image.build();
    for index in lost {
        image.put_u32(field::entry(*index), 0xf000_0000);
    }
    let path = scratch.source().join("fs.hds");
    image.write(&path);
    path
}

fn image(scratch: &Scratch) -> PathBuf {
    let image = scratch.source().join("fs.hds");
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", qemu.arg(file_system(scratch)).arg(&image));
    image
}

fn debugfs(raw: &Path, args: &[&str]) -> String {
    tool("e2fsprogs", Command::new("debugfs").args(args).arg(raw))
}

fn errno<T>(result: std::io::Result<T>) -> Option<Errno> {
    let error = result.err()?;
    Some(Errno::from_raw(error.raw_os_error().unwrap()))
}

/// Waits for what another process is about to do.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there, and no zombie, which this machine's first process may leave.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with('Z'))
}

fn detach(what: impl AsRef<OsStr>) -> crate::support::Outcome {
    Program::new(["detach".as_ref(), what.as_ref()]).run()
}

/// What `attached` says of the mounts here.
fn mounted() -> Vec<serde_json::Value> {
    let report = Program::new(["attached", "--json"]).run().done().json();
    report["mounted"].as_array().unwrap().clone()
}

#[test]
fn signals_and_unmounting_end_the_server() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("shown");
    for name in ["TERM", "INT", "HUP"] {
        let foreground = InForeground::start(&image, &dir, &[]);
        assert_eq!(fs::read(dir.join("small")).unwrap(), b"small\n");
        foreground.signal(name);
        foreground.ended().done();
        assert!(!is_mounted(&dir), "{name}");
    }
    for program in ["umount", "fusermount3 -u"] {
        let foreground = InForeground::start(&image, &dir, &[]);
        let command = format!("{program} \"$1\"");
        let mut sh = Command::new("sh");
        tool("fuse3", sh.args(["-c", &command, "sh"]).arg(&dir));
        foreground.ended().done();
    }
    let foreground = InForeground::start(&image, &dir, &["-j", "1"]);
    detach(&image).done();
    foreground.ended().done();
    // In the background too, and no log is left.
    let shown = Shown::new(&image, &dir, &[]);
    let listed = mounted().remove(0);
    let (pid, log) = (listed["pid"].as_u64().unwrap(), &listed["log"]);
    let log = PathBuf::from(log.as_str().unwrap());
    assert!(log.exists());
    let mut kill = Command::new("sh");
    tool("procps", kill.args(["-c", &format!("kill {pid}")]));
    until("the server ends", || !lives(pid as u32));
    assert!(!log.exists() && !is_mounted(&dir));
    drop(shown);
}

#[test]
fn what_is_in_use_stays_and_a_second_signal_ends_it_all_the_same() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("shown");
    let mut foreground = InForeground::start(&image, &dir, &[]);
    let mut user = Command::new("sleep");
    let mut user = user
        .arg("600")
        .current_dir(dir.join("folder"))
        .spawn()
        .unwrap();
    let holder = format!("used by process {} (sleep)", user.id());
    detach(&dir).refused(4, &["is in use", &holder]);
    Program::new(["detach", "--all"])
        .run()
        .refused(4, &[&holder]);
    foreground.signal("TERM");
    let said = foreground.message();
    assert!(
        said.contains(&holder) && said.contains("another signal ends it"),
        "{said}"
    );
    assert_eq!(fs::read(dir.join("small")).unwrap(), b"small\n");
    foreground.signal("TERM");
    foreground.ended().done();
    assert!(!is_mounted(&dir));
    user.kill().unwrap();
    user.wait().unwrap();
}

#[test]
fn a_server_that_was_killed_leaves_errors_and_detach_cleans_up() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("with space");
    let foreground = InForeground::start(&image, &dir, &[]);
    foreground.signal("KILL");
    let pid = foreground.pid();
    until("it dies", || !lives(pid));
    // A question that it was still asked is broken off.
    until("reads fail", || {
        errno(fs::read_dir(&dir)) == Some(Errno::ENOTCONN)
    });
    let listed = mounted();
    assert_eq!(listed[0]["served"], false);
    let text = Program::new(["attached"]).run().done();
    let text = String::from_utf8(text.stdout).unwrap();
    let command = format!("ploopconv detach '{}'", dir.display());
    assert!(
        text.contains("has died") && text.contains(&command),
        "{text}"
    );
    detach(&dir).done();
    assert!(!is_mounted(&dir) && mounted().is_empty());
    detach(&dir).refused(1, &["nothing is attached", "ploopconv attached"]);
}

#[test]
fn everything_that_is_mounted_is_listed_and_taken_away() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let dirs = ["a", "b, c", "d\u{1b}[31m\\"].map(|name| scratch.path().join(name));
    let [one, two, three] = &dirs;
    let shown = [
        Shown::new(&image, one, &[]),
        Shown::new(&image, two, &["--disk"]),
    ];
    std::fs::create_dir(three).unwrap();
    Program::new([OsStr::new("mount"), image.as_ref(), three.as_ref()])
        .run()
        .status(0);
    let real = fs::canonicalize(&image).unwrap();
    let expected = [(one, "files"), (two, "disk"), (three, "files")];
    for (entry, (dir, shows)) in mounted().iter().zip(expected) {
        assert_eq!(entry["dir"].as_str(), dir.to_str());
        assert_eq!(entry["image"].as_str(), real.to_str());
        assert_eq!(
            (&entry["shows"], &entry["served"]),
            (&shows.into(), &true.into())
        );
    }
    // An image that is there three times names none of them.
    detach(&image).refused(1, &["more than once", one.to_str().unwrap()]);
    detach(two).done();
    Program::new(["detach", "--all"]).run().done();
    assert!(mounted().is_empty() && dirs.iter().all(|dir| !is_mounted(dir)));
    drop(shown);
}

#[test]
fn what_is_damaged_is_an_error_and_never_zeros() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    let blocks = debugfs(&raw, &["-R", "blocks big"]);
    let blocks: Vec<u64> = blocks
        .split_whitespace()
        .map(|block| block.parse().unwrap())
        .collect();
    debugfs(&raw, &["-w", "-R", "sif other mode 0"]);
    let image = image_of(&scratch, &raw, &[blocks[3], blocks[40]]);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("shown");
    fs::create_dir(&dir).unwrap();
    // The command of the hint is the same one.
    Program::new([OsStr::new("mount"), image.as_ref(), dir.as_ref()])
        .run()
        .refused(3, &["to let clients read what is left", "add --salvage"]);
    let mut foreground = InForeground::start(&image, &dir, &["--salvage"]);
    while !foreground.message().contains("entry") {}
    let big = fs::File::open(dir.join("big")).unwrap();
    for page in 0..400_000u64.div_ceil(4096) {
        let mut bytes = vec![0; 4096.min(400_000 - page * 4096) as usize];
        let read = big.read_exact_at(&mut bytes, page * 4096);
        if page == 3 || page == 40 {
            assert_eq!(errno(read), Some(Errno::EIO), "{page}");
        } else {
            read.unwrap();
            assert!(bytes.iter().all(|byte| *byte == 7), "{page}");
        }
    }
    // A name leads to an error of that file only, and stays in the list.
    assert_eq!(
        errno(fs::symlink_metadata(dir.join("other"))),
        Some(Errno::EIO)
    );
    let names = crate::support::names_in(&dir);
    assert_eq!(names, ["big", "folder", "lost+found", "other", "small"]);
    assert_eq!(errno(fs::read(dir.join("other"))), Some(Errno::EIO));
    assert_eq!(fs::read(dir.join("small")).unwrap(), b"small\n");
    drop(big);
    foreground.signal("TERM");
    let said = foreground.ended().status(0).stderr;
    assert!(said.contains("answered as an I/O error"), "{said}");
}

#[test]
fn a_disk_that_lost_a_part_is_a_file_with_errors_there() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    let image = image_of(&scratch, &raw, &[100]);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("shown");
    std::fs::create_dir(&dir).unwrap();
    let mount = Program::new([OsStr::new("mount"), image.as_ref(), dir.as_ref()]);
    mount.args(["--disk", "--salvage"]).run().status(0);
    let shown = Shown { dir: dir.clone() };
    let expected = fs::read(&raw).unwrap();
    let disk = fs::File::open(dir.join("disk.raw")).unwrap();
    for (page, expected) in (0..).zip(expected.chunks(4096)) {
        let mut bytes = vec![0; expected.len()];
        let read = disk.read_exact_at(&mut bytes, page * 4096);
        if page == 100 {
            assert_eq!(errno(read), Some(Errno::EIO));
        } else {
            read.unwrap();
            assert!(bytes == expected, "{page}");
        }
    }
    drop(disk);
    shown.end();
}

#[test]
fn a_source_that_changes_is_read_no_more() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let dir = scratch.path().join("shown");
    let foreground = InForeground::start(&image, &dir, &[]);
    assert_eq!(errno(fs::metadata(dir.join("none"))), Some(Errno::ENOENT));
    let mut file = fs::File::options().append(true).open(&image).unwrap();
    file.write_all(&[1; 512]).unwrap();
    // Names that the kernel does not know yet; the files of the image are looked at now and then.
    let number = std::cell::Cell::new(0);
    until("it is seen", || {
        number.set(number.get() + 1);
        let name = format!("none {}", number.get());
        errno(fs::metadata(dir.join(name))) == Some(Errno::EIO)
    });
    assert_eq!(errno(fs::read(dir.join("big"))), Some(Errno::EIO));
    foreground.signal("TERM");
    let ended = foreground.ended().status(4);
    let said = &ended.stderr;
    assert!(
        said.contains("every read is an I/O error from now on"),
        "{said}"
    );
}

#[test]
fn hostile_names_are_names() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    // As long as the names that they take the place of: a name that leads up, and one with a slash.
    let mut bytes = fs::read(&raw).unwrap();
    let at = bytes.windows(5).position(|five| five == b"small").unwrap();
    bytes[at..at + 5].copy_from_slice(b"../..");
    fs::write(&raw, bytes).unwrap();
    let image = image_of(&scratch, &raw, &[]);
    let _guard = SourceGuard::new(&scratch.source());
    let shown = Shown::new(&image, &scratch.path().join("shown"), &[]);
    // The reader refuses the directory, and the names in front of it are there.
    let (mut names, mut problem) = (0, None);
    for entry in fs::read_dir(&shown.dir).unwrap() {
        match entry {
            Ok(_) => names += 1,
            Err(error) => problem = errno::<()>(Err(error)),
        }
    }
    assert_eq!(problem, Some(Errno::EIO), "{names}");
    shown.end();
}

#[test]
fn directories_that_lead_in_a_circle_lead_nowhere() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = file_system(&scratch);
    // The root, a directory in itself, and what is no file.
    for request in [
        "ln <2> folder/root",
        "ln folder folder/itself",
        "ln <1> folder/one",
    ] {
        debugfs(&raw, &["-w", "-R", request]);
    }
    let image = image_of(&scratch, &raw, &[]);
    let _guard = SourceGuard::new(&scratch.source());
    let dir = scratch.path().join("shown");
    let mut foreground = InForeground::start(&image, &dir, &[]);
    for name in ["root", "itself", "one"] {
        let found = fs::metadata(dir.join("folder").join(name));
        assert!(found.is_err(), "{name}: {found:?}");
    }
    let names = crate::support::names_in(&dir.join("folder"));
    assert_eq!(names, ["itself", "one", "root"]);
    assert_eq!(fs::read(dir.join("small")).unwrap(), b"small\n");
    let root = fs::metadata(&dir).unwrap();
    assert!(root.is_dir() && root.ino() == 2);
    foreground.signal("TERM");
    while foreground.message().contains("warning") {}
    foreground.ended().status(0);
}

#[test]
fn what_cannot_be_mounted_is_said_and_leads_to_what_works() {
    own_mounts();
    let scratch = Scratch::new();
    let image = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let mount = |dir: &Path, args: &[&str]| {
        Program::new([OsStr::new("mount"), image.as_ref(), dir.as_ref()])
            .args(args)
            .run()
    };
    mount(Path::new("/nowhere/at/all"), &[]).refused(1, &["/nowhere/at/all"]);
    mount(&image, &[]).refused(1, &["not a directory"]);
    mount(scratch.path(), &[]).refused(1, &["lies below", "would hide it"]);
    let dir = scratch.path().join("dir");
    fs::create_dir(&dir).unwrap();
    mount(&dir, &["--partition", "1"]).status(1);
    assert!(!is_mounted(&dir));
    // Without a way to FUSE.
    fuse_for_users(scratch.path(), "0600");
    let theirs = scratch.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let mut command = scratch.as_nobody();
    command.arg("mount").arg(&image).arg(&theirs);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = image.display();
    for part in [
        "there is no FUSE here: /dev/fuse: Permission denied",
        &format!("ploopconv extract {name} -C DIR"),
        &format!("ploopconv attach {name} --mount /mnt --overlay"),
    ] {
        assert!(said.contains(part), "{said}");
    }
    let into = scratch.out();
    let extract = Program::new([OsStr::new("extract"), image.as_ref(), "-C".as_ref()]);
    extract.arg(&into).run().status(0);
    assert_eq!(fs::read(into.join("small")).unwrap(), b"small\n");
    let mut command = scratch.as_nobody();
    command.arg("mount").arg(&image).arg(&theirs).arg("--disk");
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        said.contains(&format!("ploopconv serve {name} --socket PATH")),
        "{said}"
    );
}
