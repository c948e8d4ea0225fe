//! Real input: Debian systems that were made to look as OpenVZ leaves them, as archives for another
//! host, started by systemd-nspawn.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::convert;
use crate::support::debian::script;
use crate::support::divided::{MIB, Raw};
use crate::tools::tool;

/// What OpenVZ's templates and vzctl leave in a container.
fn as_openvz_leaves_it(root: &Path) {
    let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
    write(
        "etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\n# Auto generated venet0 interface\nauto venet0\n\
         iface venet0 inet static\n    address 127.0.0.1\n    netmask 255.255.255.255\n    \
         up route add default dev venet0\n\nauto venet0:0\niface venet0:0 inet static\n    \
         address 192.0.2.10\n    netmask 255.255.255.255\n",
    );
    write(
        "etc/fstab",
        "proc /proc proc defaults 0 0\nnone /dev/pts devpts rw,gid=5,mode=620 0 0\n\
         /dev/ploop12345p1 / ext4 defaults 0 1\nUUID=1234-5678 /srv ext4 defaults 0 2\n",
    );
    fs::create_dir_all(root.join("etc/udev/devices")).unwrap();
    write("etc/udev/devices/ploop12345p1", "");
    write("etc/hostname", "www\n");
    symlink("/proc/vz/vzaquota/1/aquota.user", root.join("aquota.user")).unwrap();
}

/// Waits until the system is up, asks it about itself, and ends it. The answer is complete or
/// absent.
const PROBE: &str = "#!/bin/sh\n({ state=$(WAIT); ip -brief address show eth0; ip route; ASK; } \
    >/result.part 2>&1; mv /result.part /result; END) >/dev/null 2>&1 </dev/null &\n";

fn with_systemd(root: &Path) {
    let units = root.join("etc/systemd/system");
    for unit in ["networking", "console-getty", "systemd-udevd"] {
        symlink("/dev/null", units.join(format!("{unit}.service"))).unwrap();
    }
    symlink("/dev/null", units.join("getty.target")).unwrap();
    let unit = "[Unit]\nDescription=Tell that Container is started\n[Service]\n\
        ExecStart=/bin/touch /.vzfifo\n";
    fs::write(units.join("vzfifo.service"), unit).unwrap();
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink(
        "/etc/systemd/system/vzfifo.service",
        wants.join("vzfifo.service"),
    )
    .unwrap();
    let probe = "[Service]\nType=forking\nExecStart=/bin/sh /probe\n";
    fs::write(units.join("probe.service"), probe).unwrap();
    symlink(
        "/etc/systemd/system/probe.service",
        wants.join("probe.service"),
    )
    .unwrap();
    let ask = "systemctl --failed --no-legend; echo $state; \
        systemctl is-active console-getty.service";
    let probe = PROBE
        .replace("WAIT", "systemctl is-system-running --wait")
        .replace("ASK", ask)
        .replace("END", "systemctl poweroff");
    fs::write(root.join("probe"), probe).unwrap();
}

fn with_sysvinit(root: &Path) {
    let inittab = fs::read_to_string(root.join("etc/inittab")).unwrap();
    fs::write(
        root.join("etc/inittab"),
        format!("{inittab}vz:2345:once:touch /.vzfifo\npr:2:once:/bin/sh /probe\n"),
    )
    .unwrap();
    fs::write(root.join("etc/init.d/vzquota"), "#!/bin/sh\nexit 1\n").unwrap();
    symlink("../init.d/vzquota", root.join("etc/rc2.d/S00vzquota")).unwrap();
    // The login starts after the scripts, whenever that is.
    let wait = "i=0; until grep -q '[g]etty.*console' /proc/[0-9]*/cmdline || [ $i = 240 ]; do \
        i=$((i + 1)); sleep 1; done";
    let ask = "ls /.vzfifo; runlevel; for pid in /proc/[0-9]*; do \
        tr '\\0' ' ' <$pid/cmdline; echo; done | grep getty";
    let probe = PROBE
        .replace("WAIT", wait)
        .replace("ASK", ask)
        .replace("END", "halt");
    fs::write(root.join("probe"), probe).unwrap();
}

/// What a system says of itself when it was started from an archive for another host.
fn started(suite: &str, init: &str, spoil: fn(&Path)) -> String {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tool(
        "debootstrap",
        script().args(["guest", suite, init]).arg(&cache),
    );
    let raw = Raw::new(900 * MIB);
    let root = raw.scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let system = cache.join(format!("guest-{suite}-{init}.tar"));
    let mut tar = Command::new("tar");
    tar.arg("--numeric-owner").arg("-C").arg(&root);
    tool("tar", tar.arg("-xpf").arg(system));
    as_openvz_leaves_it(&root);
    spoil(&root);
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&root);
    tool("e2fsprogs", mke2fs.arg(&raw.path));
    let image = raw.image();
    let archive = raw.scratch.out().join("ct.tar.gz");
    let args = [
        "--for",
        "lxc",
        "--network",
        "keep",
        "--gateway",
        "192.0.2.1",
    ];
    convert(&image, &archive).args(args).run().status(0);

    let machine = raw.scratch.path().join("machine");
    fs::create_dir(&machine).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    tool("tar", tar.arg("-C").arg(&machine).arg("-xpf").arg(&archive));
    // A network and a /run of its own, which systemd-nspawn leaves things in.
    let start = "mount -t tmpfs none /run && exec timeout -k 5 400 systemd-nspawn --quiet \
        --register=no --keep-unit --private-network --network-veth-extra=ve-www:eth0 \
        --directory=\"$1\" --boot </dev/null";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--propagation", "private", "sh", "-c"]);
    let output = unshare.args([start, "sh"]).arg(&machine).output().unwrap();
    let said = fs::read_to_string(machine.join("result"));
    said.unwrap_or_else(|_| panic!("{suite}: {}", String::from_utf8_lossy(&output.stdout)))
}

#[track_caller]
fn assert_starts_with_systemd(suite: &str) {
    let said = started(suite, "systemd", with_systemd);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("192.0.2.10/32"), "{said}");
    assert!(said.contains("default via 192.0.2.1 dev eth0"), "{said}");
    // Running, and between that and the login no unit that failed.
    assert!(said.ends_with("\nrunning\nactive\n"), "{said}");
}

#[test]
fn debian_11_starts_with_its_address_and_no_failed_unit() {
    assert_starts_with_systemd("bullseye");
}

#[test]
fn debian_12_starts_with_its_address_and_no_failed_unit() {
    assert_starts_with_systemd("bookworm");
}

#[test]
fn debian_13_starts_with_its_address_and_no_failed_unit() {
    assert_starts_with_systemd("trixie");
}

#[test]
fn debian_with_sysvinit_starts_with_its_address_and_a_login_on_the_console() {
    let said = started("bookworm", "sysvinit", with_sysvinit);
    assert!(said.contains("192.0.2.10/32"), "{said}");
    assert!(said.contains("default via 192.0.2.1 dev eth0"), "{said}");
    assert!(said.contains("cannot access '/.vzfifo'"), "{said}");
    assert!(said.contains("N 2\n"), "{said}");
    assert!(said.contains("getty 38400 console"), "{said}");
}
