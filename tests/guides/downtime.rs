//! `docs/migrate-with-little-downtime.md`, run on a container that Debian's `ploop` takes snapshots
//! of, and that writes between them.

use crate::support::guide::{Guide, Place};
use crate::support::qcow2::assert_clean;
use crate::support::{Scratch, convert, repository};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

/// What a running container does, for lack of one: the top is marked in use, and each snapshot is
/// followed by writes to the new one, in whole clusters. The first mount lets ploop make version 2,
/// as with a kernel that knows it.
const VZCTL: &str = r#"
mount -t tmpfs none /sys/module
mkdir -p /sys/module/ploop/parameters
echo 1 >/sys/module/ploop/parameters/large_disk_support
disk=/vz/private/101/root.hdd
top() { ls -t $disk/root.hds* | head -1; }
mark() { printf "$1" | dd of="$(top)" bs=1 seek=44 conv=notrunc status=none; }
vzctl() {
    case $1 in
    snapshot)
        mark '\0\0\0\0'
        ploop snapshot -u "{$4}" $disk/DiskDescriptor.xml || return
        n=$((${n:-3} + 1))
        qemu-io -f parallels -c "write -P $n ${n}M 96k" -c "write -P $n 0 32k" \
            -c "write -P $n 9M 32k" "$(top)" >/dev/null || return
        mark 'Ynot'
        ;;
    stop) mark '\0\0\0\0' ;;
    esac
}
mark 'Ynot'
"#;

#[test]
fn a_container_is_moved_with_the_commands_of_the_page() {
    let scratch = Scratch::new();
    let container = scratch.source().join("101");
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=never"]);
    tool(
        "coreutils",
        copy.arg(repository("fixtures/101")).arg(&container),
    );
    let blocks = [
        "downtime-first",
        "downtime-round",
        "downtime-stop",
        "downtime-verify",
    ];
    // The newest file of the directory is the top.
    let touch = "touch /vz/private/101/root.hdd/root.hds.{0db8bbe7-*\nsleep 0.1\n";
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/vz/private")
        .with(&scratch.out(), "/root")
        .before(&format!("{touch}{VZCTL}"))
        .run(&Guide::read("docs/migrate-with-little-downtime.md").blocks(&blocks));
    let target = scratch.out().join("101.qcow2");
    assert_clean(&target);
    let whole = scratch.out().join("whole.raw");
    convert(&container, &whole).run().done();
    let mut compare = Command::new("qemu-img");
    compare.args(["compare", "-f", "qcow2", "-F", "raw"]);
    tool("qemu-utils", compare.arg(&target).arg(&whole));
    let found = std::fs::read(&whole).unwrap();
    assert!(found[5 << 20..][..96 << 10].iter().all(|&byte| byte == 5));
    assert!(Path::new(&target).exists());
}
