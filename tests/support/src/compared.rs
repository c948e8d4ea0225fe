//! `compare` and `verify`, what they answer, and the qcow2 images that QEMU makes for them.

use super::qcow2::qemu_img;
use super::{Outcome, Program};
use crate::tools::tool;
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

pub fn compare(a: &Path, b: &Path) -> Program {
    Program::new([
        "compare".as_ref(),
        a.as_os_str(),
        b.as_os_str(),
        "--json".as_ref(),
    ])
}

pub fn verify(target: &Path, image: &Path) -> Program {
    Program::new([
        "verify".as_ref(),
        target.as_os_str(),
        "--against".as_ref(),
        image.as_os_str(),
        "--json".as_ref(),
    ])
}

#[track_caller]
pub fn equal(outcome: Outcome) -> Value {
    let report = outcome.status(0).json();
    assert_eq!(report["equal"], true, "{report}");
    assert_eq!(report["first_difference"], Value::Null, "{report}");
    report
}

/// Asserts a difference at exactly this offset; gives what is said about it.
#[track_caller]
pub fn differ_at(outcome: Outcome, offset: u64) -> Value {
    let report = outcome.status(1).json();
    assert_eq!(report["equal"], false, "{report}");
    assert_eq!(report["first_difference"]["offset"], offset, "{report}");
    report["first_difference"].clone()
}

/// Runs commands of `qemu-io` on a disk.
pub fn qemu_io(format: &str, file: &Path, commands: &[String]) {
    let mut command = Command::new("qemu-io");
    command.args(["-f", format]);
    for each in commands {
        command.args(["-c", each]);
    }
    let said = tool("qemu-utils", command.arg(file));
    assert!(!said.contains("failed"), "{commands:?}: {said}");
}

pub fn to_qcow2(raw: &Path, target: &Path, options: &str, compressed: bool) {
    let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", options];
    if compressed {
        args.push("-c");
    }
    let args = args.iter().map(AsRef::as_ref);
    qemu_img(args.chain([raw.as_os_str(), target.as_os_str()]));
}

pub fn byte_of(file: &Path, at: u64) -> u8 {
    let mut byte = [0];
    let file = File::open(file).unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0]
}
