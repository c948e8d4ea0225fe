//! Where a disk is written to: complete or absent, never over something that was not offered.

use crate::support::samples::image;
use crate::support::{Outcome, Scratch, SourceGuard, convert, names_in};
use nix::sys::stat::{Mode, SFlag, makedev};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

#[test]
fn a_folder_that_may_not_be_written_to_is_refused() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.arg(image).arg("-o").arg(scratch.target());
    let outcome = Outcome::new(command.output().unwrap(), "as another user".to_owned());
    outcome.refused(1, &["disk.raw", "permission denied"]);
    scratch.assert_nothing_left();
}

/// A device node of the test's own, so that a program that replaced it would harm nothing.
fn device(scratch: &Scratch, name: &str, minor: u64) -> PathBuf {
    let path = scratch.out().join(name);
    nix::sys::stat::mknod(
        &path,
        SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        makedev(1, minor),
    )
    .unwrap();
    path
}

#[test]
fn a_character_device_is_never_replaced_by_a_file() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    for (name, minor) in [("null", 3), ("full", 7)] {
        let device = device(&scratch, name, minor);
        for force in [&[][..], &["-f"]] {
            let outcome = convert(&image, &device).args(force).within(20).run();
            let allowed: &[i32] = if name == "null" { &[0, 1] } else { &[1] };
            assert!(allowed.contains(&outcome.status.unwrap()), "{outcome:?}");
            assert!(
                device.metadata().unwrap().file_type().is_char_device(),
                "{name} was replaced"
            );
        }
    }
    assert_eq!(names_in(&scratch.out()), ["full", "null"]);
}
