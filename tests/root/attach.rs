//! `attach`, `detach` and `attached` with real kernels, in a virtual machine: `tests/attach-guest`
//! says what is checked there, `tests/attach-images` what is attached.

use crate::support::guide::Guide;
use crate::support::vm::Vm;
use crate::support::{Program, Scratch, SourceGuard};
use crate::tools::tool;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// What the guests of all these tests have.
fn guest(suite: Option<&str>, images: &Path) -> Vm {
    let binaries = ["e2fsck", "nbd-client", "stat", "timeout", "dd", "cmp"];
    let modules = ["nbd", "ext4", "xfs", "btrfs", "vfat"];
    Vm::new(env!("CARGO_TARGET_TMPDIR"), suite)
        .with("--binary", &binaries)
        .with("--module", &modules)
        .file(images, "/images")
}

fn images() -> Scratch {
    let scratch = Scratch::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attach-images");
    tool(
        "qemu-utils",
        Command::new(script).arg(scratch.source().as_path()),
    );
    scratch
}

/// Runs parts of the guest's script, and makes sure that each was there and ended.
#[track_caller]
fn assert_parts(vm: Vm, parts: &[&str]) {
    let said = vm.run("attach-guest", parts);
    for part in parts {
        assert!(said.contains(&format!("=== {part}\n")), "{part}: {said}");
    }
    assert!(said.lines().filter(|line| line.starts_with("ok")).count() >= 5 * parts.len());
    assert!(
        said.ends_with("ok: the images are as they were\n"),
        "{said}"
    );
}

#[test]
fn a_disk_is_attached_and_detached_as_documented() {
    let images = images();
    let vm = guest(None, &images.source());
    assert_parts(vm, &["basic", "choices", "ends", "salvage", "without"]);
}

#[test]
fn a_private_layer_takes_the_writes_and_ioctls_do_what_netlink_does() {
    let images = images();
    let vm = guest(None, &images.source());
    assert_parts(vm, &["overlay", "ioctls"]);
}

#[test]
fn the_kernel_of_debian_13_does_the_same() {
    let images = images();
    let vm = guest(Some("trixie"), &images.source());
    assert_parts(vm, &["basic", "choices", "ends", "overlay", "without"]);
}

/// Runs the script for kernels without NBD; the guest has no such module.
#[track_caller]
fn assert_by_loop_device(suite: Option<&str>) {
    let images = images();
    let said = Vm::new(env!("CARGO_TARGET_TMPDIR"), suite)
        .with(
            "--binary",
            &["stat", "timeout", "dd", "cmp", "losetup", "sha256sum"],
        )
        .with("--module", &["loop", "fuse", "ext4", "vfat"])
        .file(&images.source(), "/images")
        .run("loop-guest", &[]);
    let fine = said.lines().filter(|line| line.starts_with("ok")).count();
    assert!(fine >= 150, "{said}");
}

#[test]
fn without_the_nbd_module_a_loop_device_does_the_same() {
    assert_by_loop_device(None);
}

#[test]
fn without_the_nbd_module_the_kernel_of_debian_13_does_the_same() {
    assert_by_loop_device(Some("trixie"));
}

#[test]
fn this_machine_attaches_by_a_loop_device_with_errors_where_bytes_are_lost() {
    let images = images();
    let source = images.source();
    let _guard = SourceGuard::new(&source);
    let number = |name: &str| -> u64 {
        let text = std::fs::read_to_string(source.join(name)).unwrap();
        text.trim().parse().unwrap()
    };
    let (lost, len) = (number("lost.offset"), number("lost.length"));
    let damaged = source.join("damaged.hdd");
    let attached = Program::new(["attach", "--via", "fuse", "--salvage"])
        .arg(&damaged)
        .run()
        .done();
    let devices = String::from_utf8(attached.stdout).unwrap();
    let device = devices.lines().next().unwrap().to_owned();
    let detaching = AtEnd(device.clone());
    let raw = std::fs::read(source.join("plain.raw")).unwrap();
    let file = std::fs::File::open(&device).unwrap();
    let mut at = 0;
    for piece in raw.chunks(4096) {
        let mut bytes = vec![0; piece.len()];
        let read = file.read_exact_at(&mut bytes, at);
        if (lost..lost + len).contains(&at) {
            let error = read.expect_err("lost bytes cannot be read");
            assert_eq!(error.raw_os_error(), Some(nix::libc::EIO), "at {at}");
        } else {
            read.unwrap_or_else(|error| panic!("at {at}: {error}"));
            assert!(bytes == piece, "at {at}");
        }
        at += 4096;
    }
    assert_eq!(at, number_of_bytes(&file));
    drop(file);
    drop(detaching);
    Program::new(["detach", &device])
        .run()
        .refused(1, &["nothing is attached as"]);
}

fn number_of_bytes(mut file: &std::fs::File) -> u64 {
    file.seek(SeekFrom::End(0)).unwrap()
}

/// A device that is detached at the end, also of a test that fails.
struct AtEnd(String);

impl Drop for AtEnd {
    fn drop(&mut self) {
        Program::new(["detach", &self.0]).run().done();
    }
}

#[test]
fn nothing_is_left_after_fifty_rounds() {
    let images = images();
    let vm = guest(None, &images.source());
    assert_parts(vm, &["rounds"]);
}

#[test]
fn udev_looks_at_the_devices_and_is_in_nobodys_way() {
    let images = images();
    let vm = guest(None, &images.source()).with("--package", &["udev"]);
    assert_parts(vm, &["udev"]);
}

#[test]
fn what_the_pages_attach_is_attached() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut page = Guide::read("docs/attach.md").blocks(&["attach-session"]);
    let report = Guide::read("docs/json.md").blocks(&["json-attached"]);
    page.blocks.extend(report.blocks);
    Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
        .with("--module", &["nbd", "ext4"])
        .file(&fixtures.join("101"), "/backup/101")
        .run_guide(&page, "");
}

/// Attaches the disk in a folder, and compares everything on it with a list of `tests/debian`.
/// The guest sees the folder on a disk that cannot be written.
#[track_caller]
pub(crate) fn assert_attached_holds(folder: &Path, list: &Path, scratch: &Scratch) {
    let parent = scratch.path().join("on-a-disk");
    std::fs::create_dir(&parent).unwrap();
    tool(
        "coreutils",
        Command::new("cp")
            .args(["-r", "--sparse=always"])
            .arg(folder)
            .arg(parent.join("disk")),
    );
    let image = scratch.path().join("images");
    tool(
        "e2fsprogs",
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(&parent)
            .arg(&image)
            .arg("2G"),
    );
    std::fs::remove_dir_all(parent).unwrap();
    let disk = image.display().to_string();
    let said = Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
        .with("--module", &["nbd", "ext4"])
        .with("--binary", &["find", "sort", "xargs", "sha256sum", "cmp"])
        .with("--disk", &[&disk])
        .with("--memory", &["1024"])
        .file(list, "/list")
        .run("attach-guest-debian", &[]);
    assert_eq!(said, "ok: the device\nok: every file\nok: detached\n");
    std::fs::remove_file(image).unwrap();
}

#[test]
fn what_cannot_be_is_said_without_a_device() {
    let images = images();
    let source = images.source();
    let _guard = SourceGuard::new(&source);
    let plain = source.join("plain.hdd");
    let attach = |args: &[&str]| Program::new(["attach"]).arg(&plain).args(args).run();
    attach(&["--device", "/dev/sda"]).refused(2, &["/dev/sda is no NBD device"]);
    attach(&["--block-size", "1024"]).status(2);
    attach(&["--connections", "0"]).status(2);
    attach(&["--mount", "/nowhere/at/all"]).refused(1, &["/nowhere/at/all"]);
    attach(&["--mount", "/proc/self/exe"]).refused(1, &["not a directory"]);
    attach(&["--mount", "/"]).refused(2, &["1 (ext4), 2 (vfat)", "--partition N"]);
    Program::new(["detach"]).run().status(2);
    Program::new(["detach", "--all", "/dev/nbd0"])
        .run()
        .status(2);
    Program::new(["detach", "/dev/nbd4711"])
        .run()
        .refused(1, &["nothing is attached as /dev/nbd4711"]);
    let mut program = images.as_nobody();
    let output = program.arg("attach").arg(&plain).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("needs root") && said.contains("ploopconv serve "),
        "{said}"
    );
}

#[test]
fn what_is_attached_can_be_asked_by_anybody() {
    let report = Program::new(["attached", "--json"]).run().done().json();
    assert!(report["attached"].is_array(), "{report}");
}
