//! What is wrong with a target that is to be brought up to date.

use super::{Cases, path};
use crate::support::{Program, convert};
use std::path::{Path, PathBuf};

pub(super) fn updates(cases: &mut Cases) {
    let chain = cases.chain("updated");
    let out = cases.scratch.path().join("updated");
    std::fs::create_dir(&out).unwrap();
    let target = out.join("disk.raw");
    let state = PathBuf::from(format!("{}.ploopconv", target.display()));
    let make = || {
        let first = convert(&chain.dir, &target).args(["--snapshot", &chain.guids[0]]);
        first.arg("-f").run().status(0);
    };
    let mut fails = |code: &str, options: &[&str]| {
        let mut args = vec![chain.dir.as_path(), path("-o"), &target, path("--update")];
        args.extend(options.iter().map(Path::new));
        cases.fails(code, 1, &args);
    };
    fails("no-state", &[]);
    make();
    fails("other-options", &["--sparse"]);
    fails("no-update", &["--sparse=never"]);
    let other = std::fs::File::open(&target).unwrap();
    other.lock().unwrap();
    fails("target-in-use", &[]);
    drop(other);
    std::fs::write(&state, "{").unwrap();
    fails("state", &[]);
    make();
    std::fs::write(&target, "started").unwrap();
    fails("target-changed", &[]);
    make();
    let layer = std::fs::File::options().write(true).open(&chain.files[0]);
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    layer.unwrap().set_modified(long_ago).unwrap();
    fails("other-layers", &[]);
    // The whole disk is right, whatever the update says.
    Program::new([chain.dir.as_path(), path("-o"), &target, path("-f")])
        .run()
        .done();
}
