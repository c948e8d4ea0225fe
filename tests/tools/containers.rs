//! What a directory stands for: a container's private area, a bundle, all containers of a host, one
//! without a disk; and what cannot be looked at is never taken for absent.

use crate::support::samples::disk;
use crate::support::{Outcome, Scratch, SourceGuard, program};

#[test]
fn an_io_error_of_a_folder_is_no_empty_folder() {
    let scratch = Scratch::new();
    let area = scratch.source().join("101");
    disk(&area.join("root.hdd"), 1);
    let _guard = SourceGuard::new(&scratch.source());
    for (call, says) in [
        ("newfstatat,statx,lstat,stat", "DiskDescriptor.xml"),
        ("getdents64", "listing"),
    ] {
        // The first call about the folder itself succeeds.
        let image = if call == "getdents64" {
            scratch.source()
        } else {
            area.clone()
        };
        let mut strace = std::process::Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-P"]);
        let about = if call == "getdents64" {
            scratch.source()
        } else {
            area.join("DiskDescriptor.xml")
        };
        strace.arg(about).args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:error=EIO")]);
        let output = strace
            .arg(program::path())
            .arg(image)
            .args(["-o", "x"])
            .output()
            .unwrap();
        let run = Outcome::new(output, call.to_owned());
        run.status(1).says(["input/output error", says]);
    }
}
