//! What must never be written, whatever was typed.

use crate::support::samples::container;
use crate::support::{Scratch, SourceGuard, program};
use std::process::Command;

#[test]
fn a_terminal_is_no_target_under_any_name() {
    let scratch = Scratch::new();
    let disk = container(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let line = format!(
        "{} {} -o /dev/tty; echo status $?",
        program::path().display(),
        disk.display()
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .output();
    let output = output.expect("script is in the Debian package bsdutils");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("terminal") && text.contains("status 2"),
        "{text}"
    );
}
