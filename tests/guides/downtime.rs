//! `docs/migrate-with-little-downtime.md`, run on a container that Debian's `ploop` takes snapshots
//! of, and that writes between them.

use crate::support::compared::qemu_io;
use crate::support::guide::{Guide, Place};
use crate::support::kernels::container;
use crate::support::machines::{layered, states};
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
        writes | qemu-io -f parallels "$(top)" >/dev/null || return
        mark 'Ynot'
        ;;
    stop) mark '\0\0\0\0' ;;
    esac
}
mark 'Ynot'
"#;

/// What the container writes after snapshot `n`.
const WRITES: &str = r#"
writes() {
    echo "write -P $n ${n}M 96k"
    echo "write -P $n 0 32k"
    echo "write -P $n 9M 32k"
}
"#;

/// The newest file of the directory is the top.
fn touch(top: &str) -> String {
    format!("touch /vz/private/101/root.hdd/{top}\nsleep 0.1\n")
}

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
    let touch = touch("root.hds.{0db8bbe7-*");
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/vz/private")
        .with(&scratch.out(), "/root")
        .before(&format!("{touch}{WRITES}{VZCTL}"))
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

/// A container with a system, whose free blocks are written to, starts with the kernel that this
/// machine has.
#[test]
fn a_container_becomes_a_machine_with_the_commands_of_the_page() {
    let raw = container("ext4");
    let states = states(&raw);
    let scratch = Scratch::new();
    let chain = layered(&states[..2]);
    // ploop divides by the number.
    let text = chain.descriptor().xml();
    let text = text.replace("<Cylinders>0<", "<Cylinders>48<");
    let chain = chain.write_text(&scratch.source().join("101/root.hdd"), &text);
    let top = chain.files[1].file_name().unwrap().to_str().unwrap();
    let writes = "\nwrites() { echo \"write -P $n 50M 128k\"; }\n";
    let touch = touch(top);
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/vz/private")
        .with(&scratch.out(), "/root")
        .before(&format!("{touch}{writes}{VZCTL}"))
        .run(&Guide::read("docs/migrate-with-little-downtime.md").blocks(&["downtime-machine"]));
    let target = scratch.out().join("machine.qcow2");
    assert_clean(&target);
    qemu_io("qcow2", &target, &["read -P 4 50M 128k".to_owned()]);
}
