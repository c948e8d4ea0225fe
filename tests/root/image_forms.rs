//! What may stand for IMAGE on the command line, and what is named and refused.

use crate::support::{ImageBuilder, Outcome, Scratch, SourceGuard, assert_file_holds};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(0).write(&path);
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.args([
        path.as_os_str(),
        "-o".as_ref(),
        scratch.target().as_os_str(),
    ]);
    let outcome = Outcome::new(command.output().unwrap(), "as another user".to_owned());
    outcome.refused(1, &["disk.hds", "permission denied"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_file_of_someone_else_reads_where_its_mode_allows_it() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().store_all([2, 0]).write(&path);
    std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    std::fs::set_permissions(scratch.out(), Permissions::from_mode(0o777)).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.arg(path).arg("-o").arg(scratch.target());
    Outcome::new(command.output().unwrap(), "as another user".to_owned()).done();
    assert_file_holds(&scratch.target(), &image.model(""));
}
