//! `docs/prepare-guest.sh` on the files that containers of other distributions have, and on some
//! that would lead it out of the guest.

use crate::support::repository;
use crate::support::{Scratch, names_in};
use crate::tools::tool;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// A tree of files, on a file system of its own, after `prepare-guest.sh` has run twice.
struct Prepared {
    scratch: Scratch,
    said: String,
}

impl Prepared {
    /// `files` are paths and contents; a content `-> TARGET` makes a link.
    #[track_caller]
    fn new(files: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let tree = scratch.source();
        for (path, content) in files {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("-> ") {
                Some(target) => symlink(
                    target.replace("OUTSIDE", &scratch.path().display().to_string()),
                    path,
                )
                .unwrap(),
                None => fs::write(path, content).unwrap(),
            }
        }
        // What a link that leads out of the guest could reach.
        let victim = scratch.path().join("victim");
        fs::create_dir_all(victim.join("devices")).unwrap();
        fs::write(victim.join("config"), UNTOUCHED).unwrap();
        let run = tool(
            "mount",
            Command::new("unshare")
                .args(["--mount", "bash", "-euc", PREPARED, "bash"])
                .arg(scratch.path())
                .arg(repository("docs/prepare-guest.sh")),
        );
        let (said, again) = run.split_once("=== again\n").unwrap();
        let uuid = said.lines().last().unwrap();
        assert!(uuid.starts_with("ready    root=UUID="), "{said}");
        // Notes are printed again.
        let changes = again
            .lines()
            .filter(|line| !line.starts_with("note ") && !line.starts_with("skipped "));
        assert_eq!(
            changes.collect::<Vec<_>>(),
            [uuid],
            "the second run changed something"
        );
        assert_eq!(names_in(&victim), ["config", "devices"]);
        let config = fs::read_to_string(victim.join("config")).unwrap();
        assert_eq!(config, UNTOUCHED);
        let said = said.to_owned();
        Self { scratch, said }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.out().join(path)
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path))
            .unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.said))
    }

    #[track_caller]
    fn assert_says(&self, line: &str) {
        assert!(
            self.said.lines().any(|said| said == line),
            "{line}\n{}",
            self.said
        );
    }

    #[track_caller]
    fn assert_gone(&self, paths: &[&str]) {
        for path in paths {
            assert!(
                self.path(path).symlink_metadata().is_err(),
                "{path}\n{}",
                self.said
            );
        }
    }
}

const UNTOUCHED: &str = "SELINUX=enforcing\n";

/// The scratch folder is $1: the tree `source` goes through a file system and comes to `out`.
const PREPARED: &str = r#"
mke2fs -q -t ext4 -d "$1/source" "$1/image" 16M
mkdir "$1/mnt"
mount -o loop "$1/image" "$1/mnt"
rmdir "$1/mnt/lost+found"
sh "$2" "$1/mnt"
echo "=== again"
sh "$2" "$1/mnt"
cp -a "$1/mnt/." "$1/out"
umount "$1/mnt"
"#;

#[test]
fn a_container_of_centos_6_gets_udev_logins_and_eth0() {
    let guest = Prepared::new(&[
        (
            "etc/fstab",
            "none /dev/pts devpts rw 0 0\nnone /dev/shm tmpfs rw 0 0\n/dev/simfs / simfs rw 0 0\n",
        ),
        (
            "etc/rc.d/rc.sysinit",
            "#!/bin/bash\n#/sbin/start_udev\necho on\n",
        ),
        ("sbin/start_udev", "grep devtmpfs /proc/mounts\n"),
        ("etc/init/rc.conf", ""),
        ("etc/init/console.conf", "exec /sbin/mingetty console\n"),
        ("etc/init/serial.conf", "instance $DEV\n"),
        ("sbin/agetty", ""),
        ("etc/inittab", "id:3:initdefault:\n"),
        ("etc/securetty", "console\ntty1\n"),
        (
            "etc/sysconfig/init",
            "ACTIVE_CONSOLES=\nSINGLE=/sbin/sushell\n",
        ),
        (
            "etc/sysconfig/network",
            "NETWORKING=yes\nGATEWAYDEV=\"venet0\"\nHOSTNAME=old\n",
        ),
        ("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n"),
        (
            "etc/sysconfig/network-scripts/ifcfg-venet0",
            "DEVICE=venet0\nIPADDR=127.0.0.1\n",
        ),
        (
            "etc/sysconfig/network-scripts/ifcfg-venet0:0",
            "DEVICE=venet0:0\nIPADDR=198.51.100.7\nNETMASK=255.255.255.255\n",
        ),
        ("etc/init.d", "-> rc.d/init.d"),
        ("etc/rc.d/init.d/vzquota", "quotaon -aug\n"),
        ("etc/rc.d/rc3.d/S10vzquota", "-> ../init.d/vzquota"),
        ("etc/rc.d/rc6.d/S00vzreboot", "touch /reboot\n"),
        ("etc/rc.d/rc3.d/S55sshd", "-> ../init.d/sshd"),
        (
            "etc/selinux/config",
            "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        ),
        ("etc/udev/devices/null", ""),
        ("etc/machine-id", "id\n"),
    ]);
    let fstab = guest.text("etc/fstab");
    let lines: Vec<_> = fstab.lines().collect();
    assert_eq!(
        (lines.len(), &lines[..3], lines[4]),
        (
            5,
            &[
                "none /dev/pts devpts rw 0 0",
                "#container# none /dev/shm tmpfs rw 0 0",
                "#container# /dev/simfs / simfs rw 0 0",
            ][..],
            "tmpfs /dev/shm tmpfs defaults 0 0"
        )
    );
    assert!(
        lines[3].starts_with("UUID=") && lines[3].ends_with(" / ext4 defaults 0 0"),
        "{fstab}"
    );
    assert_eq!(
        guest.text("etc/rc.d/rc.sysinit"),
        "#!/bin/bash\n/sbin/start_udev\necho on\n"
    );
    assert!(
        guest
            .text("etc/init/ttyS0.conf")
            .contains("\nexec /sbin/agetty -L 115200 ttyS0 vt100\n")
    );
    assert_eq!(guest.text("etc/securetty"), "console\ntty1\nttyS0\n");
    assert_eq!(
        guest.text("etc/sysconfig/init"),
        "ACTIVE_CONSOLES=/dev/tty[1-6]\nSINGLE=/sbin/sushell\n"
    );
    assert_eq!(
        guest.text("etc/sysconfig/network"),
        "NETWORKING=yes\nHOSTNAME=old\n"
    );
    assert!(
        guest
            .text("etc/sysconfig/network-scripts/ifcfg-eth0")
            .contains("BOOTPROTO=dhcp\nONBOOT=yes\n")
    );
    assert_eq!(
        guest.text("etc/selinux/config"),
        "SELINUX=permissive\nSELINUXTYPE=targeted\n"
    );
    assert_eq!(guest.text("etc/inittab"), "id:3:initdefault:\n");
    assert_eq!(guest.text("etc/machine-id"), "id\n");
    guest.assert_gone(&[
        "etc/sysconfig/network-scripts/ifcfg-venet0",
        "etc/sysconfig/network-scripts/ifcfg-venet0:0",
        "etc/rc.d/init.d/vzquota",
        "etc/rc.d/rc3.d/S10vzquota",
        "etc/rc.d/rc6.d/S00vzreboot",
        "etc/init/console.conf",
        "etc/init/serial.conf",
        "etc/udev/devices",
    ]);
    assert!(
        guest
            .path("etc/rc.d/rc3.d/S55sshd")
            .symlink_metadata()
            .is_ok()
    );
    let kept = guest.text("root/from-container/etc_sysconfig_network-scripts_ifcfg-venet0:0");
    assert!(kept.contains("198.51.100.7"));
    guest.assert_says("note     the container had the address 198.51.100.7");
}

#[test]
fn a_container_of_centos_5_gets_logins_from_inittab() {
    let guest = Prepared::new(&[
        ("etc/fstab", "none /dev/shm tmpfs defaults 0 0\n"),
        ("sbin/fsck.ext4", ""),
        ("etc/rc.d/rc.sysinit", "# /sbin/start_udev\n"),
        ("sbin/start_udev", "mount -t tmpfs none /dev\n"),
        ("sbin/agetty", ""),
        (
            "etc/inittab",
            "id:3:initdefault:\n#1:2345:respawn:/sbin/mingetty tty1\n\
             1:2345:respawn:/sbin/mingetty console\n",
        ),
    ]);
    assert_eq!(
        guest.text("etc/inittab"),
        "id:3:initdefault:\n#1:2345:respawn:/sbin/mingetty tty1\n\
         #container# 1:2345:respawn:/sbin/mingetty console\n\
         S0:2345:respawn:/sbin/agetty -L 115200 ttyS0 vt100\n\
         1:2345:respawn:/sbin/agetty -L 115200 tty1 vt100\n"
    );
    assert!(guest.text("etc/fstab").contains(" / ext4 defaults 0 1\n"));
    assert_eq!(guest.text("etc/rc.d/rc.sysinit"), "# /sbin/start_udev\n");
    assert!(
        guest
            .said
            .contains("start_udev in /etc/rc.d/rc.sysinit stays off"),
        "{}",
        guest.said
    );
    guest.assert_gone(&["etc/securetty", "etc/init", "etc/network", "etc/sysconfig"]);
}

#[test]
fn a_container_of_ubuntu_14_gets_a_login_from_upstart() {
    let interfaces = "# Auto generated venet0 interfaces\nauto venet0\n\
        iface venet0 inet static\n\taddress 127.0.0.1\n\
        iface venet0 inet6 static\n\taddress ::2\n\tup ip addr add 2001:db8::5/64 dev venet0\n\
        auto venet0:0\niface venet0:0 inet static\n\taddress 192.0.2.5\n\
        auto lo\niface lo inet loopback\nsource interfaces.d/*.cfg\n";
    let guest = Prepared::new(&[
        ("etc/init/rc.conf", ""),
        ("etc/init/vzquota.conf", ""),
        ("sbin/getty", ""),
        ("sbin/ifup", ""),
        ("etc/network/interfaces", interfaces),
        ("etc/network/interfaces.d/venet.cfg", "auto venet0:1\n"),
        (
            "etc/udev/rules.d/70-persistent-net.rules",
            "NAME=\"eth0\"\n",
        ),
        ("fastboot", ""),
        (".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8", "air"),
    ]);
    assert_eq!(
        guest.text("etc/network/interfaces"),
        "auto lo\niface lo inet loopback\nsource interfaces.d/*.cfg\n\n\
         auto eth0\niface eth0 inet dhcp\n"
    );
    assert!(
        guest
            .text("etc/init/ttyS0.conf")
            .contains("exec /sbin/getty -L 115200 ttyS0 vt100\n")
    );
    guest.assert_gone(&[
        "etc/init/vzquota.conf",
        "etc/network/interfaces.d/venet.cfg",
        "etc/udev/rules.d/70-persistent-net.rules",
        "fastboot",
        ".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8",
    ]);
    guest.assert_says("note     the container had the address 192.0.2.5");
    guest.assert_says("note     the container had the address 2001:db8::5");
    guest.assert_says(
        "note     there is no DHCP client in the guest: write a fixed address into \
         /etc/network/interfaces",
    );
}

#[test]
fn netplan_and_networkd_get_eth0_and_what_is_set_up_stays() {
    let systemd = [
        ("lib/systemd/systemd", ""),
        ("lib/systemd/system/serial-getty@.service", ""),
        ("sbin/agetty", ""),
        (
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "-> /lib/systemd/system/systemd-networkd.service",
        ),
        ("etc/systemd/system/dev-hugepages.mount", "-> /dev/null"),
        ("etc/systemd/system/tmp.mount", "-> /dev/null"),
    ];
    let with = |files: &[(&str, &str)]| Prepared::new(&[&systemd[..], files].concat());

    let guest = with(&[(
        "etc/netplan/01-netcfg.yaml",
        "network:\n  ethernets:\n    venet0:\n\
         \x20     addresses: ['192.0.2.9/32', '2001:db8::9/128']\n",
    )]);
    assert!(
        guest
            .text("etc/netplan/60-eth0.yaml")
            .contains("    eth0:\n      dhcp4: true\n")
    );
    guest.assert_gone(&[
        "etc/netplan/01-netcfg.yaml",
        "etc/systemd/system/dev-hugepages.mount",
    ]);
    guest.assert_says("note     the container had the address 192.0.2.9");
    guest.assert_says("note     the container had the address 2001:db8::9");
    guest.assert_says("note     /etc/systemd/system/tmp.mount is masked, and stays so");
    assert!(
        guest
            .path("etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service")
            .symlink_metadata()
            .is_ok()
    );
    assert!(!guest.text("etc/fstab").contains("/dev/shm"));

    let guest = with(&[(
        "etc/systemd/network/venet.network",
        "[Match]\nName=venet0\n",
    )]);
    assert!(
        guest
            .text("etc/systemd/network/60-eth0.network")
            .contains("Name=eth0\n")
    );
    guest.assert_gone(&["etc/systemd/network/venet.network"]);

    let interfaces = "auto lo venet0 eth0\niface lo inet loopback\n\
        iface venet0 inet static\n\taddress 127.0.0.1\n\
        iface eth0 inet static\n\taddress 192.0.2.10\n";
    let guest = with(&[("sbin/ifup", ""), ("etc/network/interfaces", interfaces)]);
    assert_eq!(
        guest.text("etc/network/interfaces"),
        "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n\taddress 192.0.2.10\n"
    );
}

#[test]
fn a_guest_cannot_lead_the_script_out_of_its_file_system() {
    let guest = Prepared::new(&[
        ("etc/fstab", "-> OUTSIDE/victim/config"),
        ("etc/securetty", "-> OUTSIDE/victim/config"),
        ("etc/inittab", "-> ../../../../../../OUTSIDE/victim/config"),
        ("etc/selinux", "-> OUTSIDE/victim"),
        ("etc/udev", "-> OUTSIDE/victim"),
        ("sbin/getty", ""),
    ]);
    guest.assert_says("skipped  /etc/fstab is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/securetty is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/selinux/config is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/udev is a link that leads out of the guest");

    let scratch = Scratch::new();
    for (dir, reason) in [
        ("/", "this is the running system"),
        ("source", "no /etc in source"),
    ] {
        let run = Command::new("sh")
            .arg(repository("docs/prepare-guest.sh"))
            .arg(dir)
            .current_dir(scratch.path())
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1));
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(
            said.starts_with(&format!("prepare-guest.sh: {reason}")),
            "{said}"
        );
    }
}
