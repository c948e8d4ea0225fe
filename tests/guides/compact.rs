//! `docs/compact.md`, run on the disk of a container with removed files.

use crate::support::Scratch;
use crate::support::guide::{Guide, Place};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

#[test]
fn what_the_page_shows_is_what_happens() {
    let scratch = Scratch::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/.");
    // Without holes in the files, whatever the file system of the clone has made of them.
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=never"]).arg(fixtures);
    tool("coreutils", copy.arg(scratch.source()));
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/backup")
        .with(&scratch.out(), "/root")
        .run(&Guide::read("docs/compact.md").blocks(&["compact-convert"]));
}
