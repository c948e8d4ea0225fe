//! Signs that somebody uses an image: what the host shows, and who is only reading.

use crate::support::holder::Holder;
use crate::support::loops::Loop;
use crate::support::samples::two_layers;
use crate::support::{Scratch, SourceGuard, check, convert, info, names_in};
use ploopconv::in_use::Host;
use ploopconv::ploop::{IfInUse, OpenOptions, examine};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn chain(scratch: &Scratch) -> crate::support::Chain {
    two_layers().write(&scratch.source())
}

/// Asserts that the disk is refused as in use with these words, that `info` and `check` say the
/// same, and that it is read where that is allowed.
#[track_caller]
fn assert_in_use(scratch: &Scratch, dir: &Path, code: &str, parts: &[&str]) {
    convert(dir, &scratch.target()).run().refused(4, parts);
    scratch.assert_nothing_left();
    check(dir).run().status(4).finds(code, "in-use");
    assert_eq!(info(dir).run().status(0).json()["in_use"], true);
    convert(dir, &scratch.target())
        .arg("--allow-dirty")
        .run()
        .status(0)
        .says(parts);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    std::fs::remove_file(scratch.target()).unwrap();
}

/// Asserts that the disk is read without a word.
#[track_caller]
fn assert_free(scratch: &Scratch, dir: &Path) {
    convert(dir, &scratch.target()).run().done();
    std::fs::remove_file(scratch.target()).unwrap();
}

#[test]
fn a_program_that_has_a_layer_open_for_writing_is_a_sign() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = chain(&scratch);
        let _guard = SourceGuard::new(&chain.dir);
        let holder = Holder::new("exec 3<>\"$1\"", &chain.files[number]);
        let process = format!("process {} (bash)", holder.id());
        let parts = ["root.hds", "open for writing", &process];
        assert_in_use(&scratch, &chain.dir, "open-for-writing", &parts);
        drop(holder);
        assert_free(&scratch, &chain.dir);
    }
}

#[test]
fn a_program_that_reads_a_layer_is_no_sign() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    for line in [
        "exec 3<\"$1\"",
        "exec 3<\"$1\"; flock --shared 3",
        // Open for writing under the same name elsewhere.
        "exec 3<\"$1\"; t=$(mktemp -d); exec 4<>\"$t/${1##*/}\"",
    ] {
        let _holder = Holder::new(line, &chain.files[1]);
        assert_free(&scratch, &chain.dir);
    }
}

#[test]
fn a_lock_for_writing_is_a_sign_whoever_holds_it() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    {
        let _holder = Holder::new("exec 3<\"$1\"; flock --exclusive 3", &chain.files[0]);
        assert_in_use(&scratch, &chain.dir, "locked", &["root.hds", "locked"]);
    }
    assert_free(&scratch, &chain.dir);

    // As libploop up to 7 does while it changes a disk.
    let lock = chain.dir.join("DiskDescriptor.xml.lck");
    std::fs::write(&lock, "").unwrap();
    assert_free(&scratch, &chain.dir);
    let _holder = Holder::new("exec 3<\"$1\"; flock --exclusive 3", &lock);
    let parts = ["DiskDescriptor.xml.lck", "locked"];
    assert_in_use(&scratch, &chain.dir, "locked", &parts);
}

/// QEMU with an image open, until it is dropped.
fn qemu(image: &Path, options: &[&str]) -> Child {
    let mut child = Command::new("qemu-io")
        .args(options)
        .args(["-f", "raw"])
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-io runs (Debian package qemu-utils)");
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(b"length\n").unwrap();
    stdin.flush().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(!line.is_empty(), "qemu-io answers");
    child
}

#[test]
fn a_qemu_that_writes_is_a_sign_and_one_that_reads_is_none() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let mut reader = qemu(&chain.files[0], &["-r"]);
    assert_free(&scratch, &chain.dir);
    drop(reader.stdin.take());
    reader.wait().unwrap();

    let mut writer = qemu(&chain.files[0], &[]);
    assert_in_use(&scratch, &chain.dir, "open-for-writing", &["qemu-io"]);
    // Its locks say the same, where somebody else may not look into its files.
    check(&chain.dir).run().status(4).finds("locked", "in-use");
    drop(writer.stdin.take());
    writer.wait().unwrap();
    assert_free(&scratch, &chain.dir);
}

#[test]
fn a_loop_device_is_a_sign_unless_it_is_read_only() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    {
        let _reader = Loop::with(&chain.files[0], &["--read-only"]);
        assert_free(&scratch, &chain.dir);
    }
    let writer = Loop::new(&chain.files[0]);
    let device = writer.path.file_name().unwrap().to_str().unwrap();
    let parts = ["root.hds", "loop device", device];
    assert_in_use(&scratch, &chain.dir, "open-for-writing", &parts);
}

/// A host's `/sys` with one ploop device that has these images as its levels.
fn host_with_ploop(scratch: &Scratch, levels: &[PathBuf]) -> Host {
    let root = scratch.path().join("host");
    let device = root.join("sys/block/ploop54321");
    for (level, image) in levels.iter().enumerate() {
        let dir = device.join(format!("pdelta/{level}"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("image"), format!("{}\n", image.display())).unwrap();
    }
    std::fs::write(device.join("ro"), "0\n").unwrap();
    Host::at(&root)
}

#[test]
fn a_disk_attached_by_the_ploop_driver_is_refused_whatever_is_allowed() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let _guard = SourceGuard::new(&chain.dir);
    let options = OpenOptions {
        host: Some(host_with_ploop(&scratch, &chain.files)),
        ..OpenOptions::default()
    };
    for if_in_use in [IfInUse::Refuse, IfInUse::Read] {
        let examined = examine(&chain.dir, &options).unwrap();
        assert!(examined.is_in_use());
        let error = examined.into_disk(if_in_use).unwrap_err();
        assert_eq!(error.kind(), ploopconv::ErrorKind::InUse);
        let text = error.to_string();
        assert!(text.contains("attached as ploop54321"), "{text}");
    }
    // The snapshot below is what a running container does not write to any more.
    let snapshot = OpenOptions {
        snapshot: Some(crate::support::guid(0).parse().unwrap()),
        ..options
    };
    examine(&chain.dir, &snapshot)
        .unwrap()
        .into_disk(IfInUse::Refuse)
        .unwrap();
}
