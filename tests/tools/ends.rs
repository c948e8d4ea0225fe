//! How a run ends early: signals, closed pipes, a terminal in the place of a file.

use crate::support::{ChainBuilder, ImageBuilder, Scratch, SourceGuard, program};
use std::process::{Command, Stdio};

#[test]
fn a_terminal_is_no_target() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store_all([2, 0])).write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let line = format!(
        "'{}' '{}' -o -",
        program::path().display(),
        chain.dir.display()
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("script runs (Debian package bsdutils)");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{shown}");
    assert!(shown.contains("terminal"), "{shown}");
    assert!(shown.len() < 1000, "a disk was written to a terminal");
}
