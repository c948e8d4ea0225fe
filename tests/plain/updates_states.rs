//! Where the state of a target is written, and how.

use super::updates::{assert_holds, first, run};
use crate::support::hints::{proposed, quoted, shell};
use crate::support::updates::layers;
use crate::support::{Scratch, SourceGuard, names_in};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

#[test]
fn an_image_whose_path_is_no_text_is_brought_up_to_date() {
    let scratch = Scratch::new();
    let name = OsStr::from_bytes(b"101 \xff");
    let chain = layers(false).write(&scratch.source().join(name));
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.target();
    first(&chain, 0, &target, &[]);
    run(&chain, &target, &["--update"]).done();
    assert_holds(&target, &chain.model().content());
}

#[test]
fn where_no_state_can_be_written_nothing_is_copied() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    // A name that has no room for `.ploopconv`.
    let target = scratch.out().join("n".repeat(250));
    let line = format!(
        "ploopconv {} --snapshot {} -o {}",
        quoted(&chain.dir),
        chain.guids[0],
        quoted(&target)
    );
    let refused = shell(&line).refused(1, &["cannot create", ".ploopconv"]);
    assert_eq!(names_in(&scratch.out()), Vec::<String>::new());
    let commands = proposed(&refused, &line);
    assert_eq!(commands, [format!("{line} --no-state")]);
    shell(&commands[0]).done();
    assert_holds(&target, &chain.model_of(0).content());
}
