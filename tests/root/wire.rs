//! How many bytes cross a network on the ways that the guides show: two network namespaces and the
//! counter of the cable between them.

use crate::support::image::pattern;
use crate::support::{Fill, ImageBuilder, Scratch, SourceGuard, program};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

const MIB: u64 = 1 << 20;

/// Two hosts, which end with the shell: this one, and one that `there` runs commands on. `sent`
/// prints the bytes that went from this one to the other.
const HOSTS: &str = r#"
set -eu
image=$1 target=$2 program=$3
ip link set lo up
unshare --net sleep 1000 &
other=$!
here=$(readlink /proc/self/ns/net)
until [ -e /proc/$other/ns/net ] && [ "$(readlink /proc/$other/ns/net)" != "$here" ]; do
    sleep 0.01
done
there() { nsenter --target $other --net "$@"; }
ip link add cable type veth peer name cable netns $other
ip addr add 192.0.2.1/24 dev cable
ip link set cable up
there ip addr add 192.0.2.2/24 dev cable
there ip link set cable up
sent() { sed 's/:/ /' /proc/net/dev | awk '$1 == "cable" { print $10 }'; }
"#;

/// Runs commands between the two hosts and gives the number that they print last.
fn counted(image: &Path, target: &Path, commands: &str) -> u64 {
    let _guard = SourceGuard::new(image.parent().unwrap());
    let script = format!("{HOSTS}before=$(sent)\n{commands}\necho $(($(sent) - before))\n");
    let mut command = Command::new("unshare");
    // All of it goes with the shell, whatever becomes of this test.
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "bash", "-c", &script, "bash"]);
    let printed = tool(
        "iproute2",
        command.arg(image).arg(target).arg(program::path()),
    );
    let last = printed.lines().last().unwrap();
    last.trim().parse().unwrap_or_else(|_| panic!("{printed}"))
}

#[test]
fn a_sparse_disk_crosses_with_its_data_over_nbd_and_whole_through_a_pipe() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    // 64 MiB, of which 4 are data that no compression makes smaller.
    let mut disk = ImageBuilder::v2().cluster_sectors(2048).clusters(64);
    for cluster in [0, 17, 40, 63] {
        let noise = pattern(u64::from(cluster) + 1, 0, MIB as usize);
        disk = disk.fill(cluster, Fill::Bytes(noise));
    }
    let content = disk.write(&image).model("").content();
    let holds = |target: &Path| {
        assert!(std::fs::read(target).unwrap() == content, "{target:?}");
        std::fs::remove_file(target).unwrap();
    };
    let data = 4 * MIB..4 * MIB + MIB / 2;

    let target = scratch.out().join("nbd.raw");
    let by_nbd = "$program serve $image --tcp 192.0.2.1:10809 >$target.uri 2>&1 &\n\
        until [ -s $target.uri ]; do sleep 0.01; done\nrm $target.uri\n\
        there nbdcopy nbd://192.0.2.1:10809 $target >&2\nkill %2";
    let sent = counted(&image, &target, by_nbd);
    assert!(data.contains(&sent), "{sent} bytes by NBD");
    holds(&target);

    // What receives a pipe: python, for any address.
    let receive = "there python3 -c 'import socket, sys, shutil\n\
        s = socket.create_server((\"192.0.2.2\", 7000))\nprint(\"ready\", flush=True)\n\
        shutil.copyfileobj(s.accept()[0].makefile(\"rb\"), sys.stdout.buffer)' >$target &\n\
        receiver=$!\n\
        until [ -s $target ]; do sleep 0.01; done\n";
    let target = scratch.out().join("pipe.raw");
    let through_pipe = |filter: &str, after: &str| {
        format!(
            "{receive}$program $image -q -o - {filter} >/dev/tcp/192.0.2.2/7000\nwait $receiver\n\
             tail -c +7 $target {after} >$target.disk\nmv $target.disk $target"
        )
    };
    let sent = counted(&image, &target, &through_pipe("", ""));
    assert!(sent > 64 * MIB, "{sent} bytes through a pipe");
    holds(&target);
    let sent = counted(&image, &target, &through_pipe("| gzip -1", "| gzip -d"));
    assert!(
        data.contains(&sent),
        "{sent} bytes through a compressed pipe"
    );
    holds(&target);
}
