//! What would keep a container from its network or from a login, though OpenVZ's host never showed
//! it: that host set venet0 up itself, and its containers' root was the host's.

use ploopconv::guest::{Change, Config, Kind, changes};

use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{centos_5, centos_6};

fn lxc(files: &Files) -> Vec<Change> {
    changes(files, &Config::default(), Kind::Lxc).unwrap()
}

/// The changes of a network and of what starts it.
fn network(files: &Files) -> Vec<String> {
    let mut found = shown(&lxc(files));
    found.retain(|line| line.contains("eth0") || line.contains("etwork") || line == "keep etc");
    found
}

fn debian() -> Files {
    Files::new()
        .file("etc/debian_version", "12.1\n")
        .files(&["lib/systemd/systemd", "sbin/ifup"])
        .link("sbin/init", "/lib/systemd/systemd")
        .file(
            "etc/network/interfaces",
            "auto lo\niface lo inet loopback\n",
        )
}

#[test]
fn without_a_dhcp_client_another_manager_asks_for_the_address() {
    let files = debian().file("sbin/udhcpc", "");
    assert_eq!(network(&files), ["write etc/network/interfaces"]);
    let networkd = "usr/lib/systemd/systemd-networkd";
    let unit = "usr/lib/systemd/system/systemd-networkd.service";
    let files = debian().files(&[networkd, unit]).dir("etc/systemd/system");
    assert_eq!(
        network(&files),
        [
            "mkdir etc/systemd/network",
            "write etc/systemd/network/60-eth0.network",
            "link etc/systemd/system/multi-user.target.wants/systemd-networkd.service -> \
             /usr/lib/systemd/system/systemd-networkd.service",
        ]
    );
    // Nothing asks: that is said, and the settings are there for a program that is installed.
    let files = debian();
    assert_eq!(
        network(&files),
        ["keep etc", "write etc/network/interfaces"]
    );
    assert!(reason(&lxc(&files), "etc").contains("asks for an address by DHCP"));
}

fn red_hat() -> Files {
    Files::new()
        .file("etc/redhat-release", "AlmaLinux release 9.3\n")
        .files(&["usr/lib/systemd/systemd", "usr/sbin/NetworkManager"])
        .file("usr/lib/systemd/system/NetworkManager.service", "")
        .link("usr/sbin/init", "../lib/systemd/systemd")
        .link("sbin", "usr/sbin")
        .dir("etc/systemd/system/multi-user.target.wants")
        .dir("etc/NetworkManager/system-connections")
        .file("etc/sysconfig/network-scripts/readme-ifcfg-rh.txt", "")
}

#[test]
fn network_manager_reads_scripts_only_where_it_has_the_plug_in() {
    let started = "link etc/systemd/system/multi-user.target.wants/NetworkManager.service -> \
        /usr/lib/systemd/system/NetworkManager.service";
    let keyfile = "write etc/NetworkManager/system-connections/eth0.nmconnection";
    assert_eq!(network(&red_hat()), [keyfile, started]);
    let plugin = "usr/lib64/NetworkManager/1.42.2-1.el9/libnm-settings-plugin-ifcfg-rh.so";
    let files = red_hat().file(plugin, "");
    let card = "write etc/sysconfig/network-scripts/ifcfg-eth0";
    assert_eq!(network(&files), [card, started]);
    // Scripts of their own, which something starts.
    let files = red_hat()
        .files(&[
            "etc/sysconfig/network-scripts/ifup-eth",
            "usr/sbin/dhclient",
        ])
        .file("etc/rc.d/rc3.d/S10network", "");
    assert_eq!(network(&files), [card]);
}

#[test]
fn the_folder_of_suse_counts_only_where_something_reads_it() {
    let suse = || {
        Files::new()
            .file("etc/os-release", "ID=opensuse-leap\nVERSION_ID=\"16.0\"\n")
            .dir("etc/sysconfig/network")
            .dir("etc/NetworkManager/system-connections")
            .file("usr/sbin/NetworkManager", "")
    };
    let keyfile = "write etc/NetworkManager/system-connections/eth0.nmconnection";
    assert_eq!(network(&suse()), [keyfile]);
    let files = suse().file("usr/sbin/wicked", "");
    assert_eq!(network(&files), ["write etc/sysconfig/network/ifcfg-eth0"]);
}

#[test]
fn what_set_venet0_up_sets_eth0_up() {
    let files = debian()
        .files(&["usr/sbin/netplan", "sbin/dhclient", "etc/netplan/x.yaml"])
        .file(
            "etc/network/interfaces",
            "auto venet0\niface venet0 inet manual\n",
        );
    assert_eq!(network(&files), ["write etc/network/interfaces"]);
}

#[test]
fn upstarts_network_does_not_wait_for_udev() {
    let ubuntu = |job: &str| {
        Files::new()
            .files(&["sbin/init", "etc/init/rc-sysinit.conf", "sbin/ifup"])
            .file("sbin/dhclient3", "")
            .file("etc/init/networking.conf", job)
            .file(
                "etc/network/interfaces",
                "auto lo\niface lo inet loopback\n",
            )
    };
    let files = ubuntu("start on (local-filesystems\n  and stopped udevtrigger)\n");
    let job = "etc/init/container-network.conf";
    assert!(text(&lxc(&files), job).starts_with("start on filesystem\n"));
    let files = ubuntu("start on (local-filesystems\n  and (stopped udevtrigger or container))\n");
    assert_eq!(network(&files), ["write etc/network/interfaces"]);
}

#[test]
fn an_old_pam_lets_people_in_where_it_may_not_write_who_they_are() {
    let pam = "#%PAM-1.0\nauth required pam_sepermit.so\n\
        session    required     pam_loginuid.so\n-session required /lib/security/pam_loginuid.so\n\
        session required pam_limits.so\n";
    let old = Files::new()
        .files(&["sbin/init", "sbin/getty"])
        .file("etc/inittab", "")
        .file("etc/pam.d/sshd", pam);
    assert_eq!(
        text(&lxc(&old), "etc/pam.d/sshd"),
        "#%PAM-1.0\nauth required pam_sepermit.so\n\
        session    optional     pam_loginuid.so\n-session optional /lib/security/pam_loginuid.so\n\
        session required pam_limits.so\n"
    );
    let new = debian().file("etc/pam.d/sshd", pam);
    assert!(!shown(&lxc(&new)).contains(&"write etc/pam.d/sshd".to_owned()));
}

#[test]
fn mingetty_hangs_nobody_up() {
    let files = Files::new().files(&["sbin/init", "sbin/mingetty"]).file(
        "etc/inittab",
        "# 1:2345:respawn:/sbin/mingetty tty1\n1:2345:respawn:/sbin/mingetty tty1\n",
    );
    let found = lxc(&files);
    let table = text(&found, "etc/inittab");
    assert!(
        table.contains("\n1:2345:respawn:/sbin/mingetty --nohangup tty1\n"),
        "{table}"
    );
    assert!(
        table.contains("\nco:2345:respawn:/sbin/mingetty --nohangup console\n"),
        "{table}"
    );
    assert!(
        table.starts_with("# 1:2345:respawn:/sbin/mingetty tty1\n"),
        "{table}"
    );
}

#[test]
fn devuan_counts_in_its_own_way() {
    let files = Files::new()
        .file("etc/os-release", "ID=devuan\nVERSION_ID=\"4\"\n")
        .file("etc/debian_version", "11.2\n");
    assert_eq!(ploopconv::guest::identify(&files).unwrap().version, "4");
}

/// Programs of such a C library end at once where the kernel has no vsyscall page, `init` first.
#[test]
fn an_old_c_library_is_told_of_the_hosts_command_line() {
    let old = Files::from(&centos_5());
    for kind in [Kind::Lxc, Kind::Incus] {
        let found = changes(&old, &Config::default(), kind).unwrap();
        assert!(reason(&found, "sbin/init").contains("vsyscall=emulate"));
    }
    // A machine's own command line has it.
    let found = changes(&old, &Config::default(), Kind::Kvm).unwrap();
    assert!(!shown(&found).contains(&"keep sbin/init".to_owned()));
    let newer = Files::from(&centos_6());
    assert!(!shown(&lxc(&newer)).contains(&"keep sbin/init".to_owned()));
}

/// Nothing asked for them by DHCP writes them where systemd-networkd sets the network up.
#[test]
fn name_servers_of_the_old_network_are_told() {
    let with = |text: &str| debian().file("etc/resolv.conf", text);
    let old = with("search example.org\nnameserver 10.0.0.53\nnameserver 2001:db8::53 # two\n");
    for kind in [Kind::Lxc, Kind::Incus, Kind::Kvm] {
        let found = changes(&old, &Config::default(), kind).unwrap();
        let reason = reason(&found, "etc/resolv.conf");
        assert!(reason.contains("(10.0.0.53, 2001:db8::53)"), "{reason}");
    }
    let of_its_own = [
        with("nameserver 127.0.0.1\nnameserver ::1\n"),
        with("# nameserver 10.0.0.53\n"),
        debian().link("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
    ];
    for files in of_its_own {
        assert!(!shown(&lxc(&files)).contains(&"keep etc/resolv.conf".to_owned()));
    }
}

/// Virtuozzo 7 mounts a container's other disks by units; without them its services would start on
/// empty folders.
#[test]
fn another_disk_of_the_container_is_told() {
    let unit = "etc/systemd/system/srv-data.mount";
    let wanted = "etc/systemd/system/multi-user.target.wants/srv-data.mount";
    let files = debian()
        .file(
            unit,
            "[Unit]\nDescription=ploop with UUID=0b1c\nBefore=vzfifo.service\n\
             DefaultDependencies=no\n\n[Mount]\nWhat=/dev/disk/by-uuid/0b1c\n\
             Where=/srv/data\nType=ext4\n\n[Install]\nWantedBy=multi-user.target\n",
        )
        .link(wanted, "/etc/systemd/system/srv-data.mount")
        .file(
            "etc/systemd/system/tmp.mount",
            "[Mount]\nWhat=tmpfs\nWhere=/tmp\n",
        );
    let found = lxc(&files);
    for path in [unit, wanted] {
        assert!(shown(&found).contains(&format!("remove {path}")));
        assert!(reason(&found, path).contains("at /srv/data"));
    }
    assert!(!shown(&found).iter().any(|line| line.ends_with("tmp.mount")));
    let found = changes(&files, &Config::default(), Kind::Kvm).unwrap();
    assert!(shown(&found).contains(&format!("keep {unit}")));
    assert!(reason(&found, unit).ends_with("as a disk with the UUID 0b1c"));
}
