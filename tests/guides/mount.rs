//! `docs/mount.md`, run as it stands there.

use crate::support::Scratch;
use crate::support::guide::{Guide, Place};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

#[test]
fn what_the_page_mounts_is_mounted() {
    let scratch = Scratch::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/.");
    let mut copy = Command::new("cp");
    tool(
        "coreutils",
        copy.arg("-r").arg(fixtures).arg(scratch.source()),
    );
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/backup")
        .with(&scratch.out(), "/root")
        .run(&Guide::read("docs/mount.md").blocks(&["mount-session", "mount-disk"]));
}
