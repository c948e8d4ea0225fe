//! What a message advises fits the command that was typed and what is there: it speaks of no
//! conversion where none was asked for, and proposes no option that was given.

use crate::support::hints::{image, two};
use crate::support::system::Mounted;
use crate::support::{Outcome, Scratch, SourceGuard, convert};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn no_option_that_was_given_is_advised_where_there_is_no_room() {
    let scratch = Scratch::new();
    let file = scratch.source().join("root.hds");
    let large = image(1).cluster_sectors(2048).clusters(16);
    large.store_all(0..16).write(&file);
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    let refused = |options: &[&str]| {
        let run = convert(&file, &small.dir.join("disk.raw")).args(options);
        run.run().refused(1, &["choose a target with more room"])
    };
    let advises = |run: &Outcome, option: &str| {
        let lines = run.stderr.lines();
        let mut lines = lines.filter(|line| line.contains("choose a target"));
        lines.any(|line| line.contains(option))
    };
    let run = refused(&[]);
    assert!(advises(&run, "with --sparse"), "{}", run.stderr);
    let run = refused(&["--sparse=auto"]);
    assert!(advises(&run, "with --sparse"), "{}", run.stderr);
    let run = refused(&["--sparse=never"]);
    assert!(advises(&run, "without --sparse=never"), "{}", run.stderr);
    assert!(!advises(&run, "with --sparse"), "{}", run.stderr);
}

#[test]
fn what_a_user_may_not_read_is_read_by_one_who_may() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(chain.descriptor(), closed).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    for image in [&chain.files[0], &chain.dir] {
        let mut command = scratch.as_nobody();
        command.arg(image).args(["-o", "x.raw"]);
        command.current_dir(scratch.out());
        let run = Outcome::new(command.output().unwrap(), "as another user".to_owned());
        let run = run.refused(1, &["Permission denied", "as root, or as its owner"]);
        for wrong in ["--single-layer", "ploopconv info"] {
            assert!(!run.stderr.contains(wrong), "{}", run.stderr);
        }
    }
}

/// Without the kernel's driver the same disk is served: the snapshot that was asked for, not the
/// current state.
#[test]
fn what_works_in_place_of_attach_serves_the_same_disk() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let base = crate::support::guid(0);
    let base = base.trim_matches(['{', '}']);
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.arg("attach").arg(&chain.dir);
    command.arg(format!("--snapshot={base}"));
    let run = Outcome::new(command.output().unwrap(), "as another user".to_owned());
    let serve = format!(
        "without it: ploopconv serve {} --snapshot={base} --socket PATH",
        chain.dir.display()
    );
    run.status(1).says([serve]);
}
