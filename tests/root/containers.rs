//! What a directory stands for: a container's private area, a bundle, all containers of a host, one
//! without a disk; and what cannot be looked at is never taken for absent.

use crate::support::samples::disk;
use crate::support::{Outcome, Scratch};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Runs the program as an ordinary user.
fn as_nobody(scratch: &Scratch, args: &[&str]) -> Outcome {
    let mut command = scratch.as_nobody();
    let output = command.args(args).output().unwrap();
    Outcome::new(output, format!("{args:?}"))
}

#[test]
fn a_directory_that_the_user_may_not_enter_is_not_said_to_be_empty() {
    let scratch = Scratch::new();
    let private = scratch.source();
    let area = private.join("101");
    disk(&area.join("root.hdd"), 1);
    let target = scratch.target();
    let (area_text, target) = (area.to_str().unwrap(), target.to_str().unwrap());
    let lock = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    let by_id = [
        "101",
        "--private-dir",
        private.to_str().unwrap(),
        "-o",
        target,
    ];
    for locked in [area.join("root.hdd"), area.clone(), private.clone()] {
        lock(&locked);
        for args in [
            &[area_text, "-o", target][..],
            &by_id,
            &["info", area_text],
            &["check", area_text],
            &[area_text, "--layers", "root.hds", "-o", target],
            &["info", private.to_str().unwrap()],
        ] {
            // The folder of all containers can be listed while one of them is locked.
            if args.contains(&private.to_str().unwrap()) && args.len() == 2 && locked != private {
                continue;
            }
            let run = as_nobody(&scratch, args).status(1);
            let said = run.says(["permission denied", "root"]);
            assert!(!said.stderr.contains("neither"), "{}", said.stderr);
            assert!(!said.stderr.contains("no container"), "{}", said.stderr);
        }
        open(&locked);
    }
}

#[test]
fn a_layer_and_a_descriptor_that_may_not_be_read_are_no_missing_ones() {
    let scratch = Scratch::new();
    let dir = scratch.source().join("root.hdd");
    disk(&dir, 1);
    for file in ["root.hds", "DiskDescriptor.xml"] {
        let file = dir.join(file);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let run = as_nobody(&scratch, &["info", dir.to_str().unwrap()]).status(1);
        run.says(["permission denied", "root"]);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }
}
