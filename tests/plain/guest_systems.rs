//! A table from systems, as OpenVZ's templates leave them, to what changes in them.

use ploopconv::guest::{Config, Family, Init, Kind, changes, identify, needs_writable_root};

use crate::guest_tree::{Files, shown};
use crate::support::systems::{
    SystemFiles, alpine, arch, centos_5, centos_6, centos_7, container, debian_systemd,
    debian_sysv, gentoo, network_manager, red_hat, suse, systemd, ubuntu_events, ubuntu_netplan,
    ubuntu_upstart, ubuntu_xenial,
};

/// What changes in every one of them.
const EVERY: &[&str] = &[
    "remove aquota.group",
    "remove aquota.user",
    "empty dev",
    "write etc/fstab",
    "keep etc/ssh/ssh_host_rsa_key",
    "remove etc/udev/devices",
];

const DEBIAN_SYSV: &[&str] = &[
    "remove etc/init.d/vzquota",
    "write etc/inittab",
    "write etc/network/interfaces",
    "write etc/pam.d/sshd",
    "remove etc/rc2.d/S00vzquota",
    "remove etc/rc6.d/K00vzreboot",
    "write etc/securetty",
];

const SYSTEMD: &[&str] = &[
    "keep etc/machine-id",
    "keep etc/systemd/system",
    "remove etc/systemd/system/getty.target",
    "remove etc/systemd/system/multi-user.target.wants/vzfifo.service",
    "remove etc/systemd/system/systemd-udevd.service",
    "remove usr/lib/systemd/system/vzfifo.service",
];

const UBUNTU_UPSTART: &[&str] = &[
    "write etc/init/console.conf",
    "write etc/init/power-status-changed.conf",
    "write etc/init/tty1.conf",
    "remove etc/init/vz_init_done.conf",
    "write etc/network/interfaces",
    "write etc/securetty",
];

pub(crate) const RED_HAT: &[&str] = &[
    "write etc/selinux/config",
    "write etc/sysconfig/network",
    "write etc/sysconfig/network-scripts/ifcfg-eth0",
    "remove etc/sysconfig/network-scripts/ifcfg-venet0",
    "remove etc/sysconfig/network-scripts/ifcfg-venet0:0",
];

/// A row: a name, the tree, what it is known as, and what changes beside `EVERY`.
struct Row {
    name: &'static str,
    files: Files,
    family: Family,
    version: &'static str,
    init: Init,
    changes: Vec<&'static str>,
}

fn row(
    name: &'static str,
    files: SystemFiles,
    family: Family,
    version: &'static str,
    init: Init,
    changes: &[&[&'static str]],
) -> Row {
    Row {
        name,
        files: Files::from(&files),
        family,
        version,
        init,
        changes: changes.concat(),
    }
}

fn rows() -> Vec<Row> {
    let sysv = DEBIAN_SYSV;
    let interfaces: &[&str] = &["write etc/network/interfaces"];
    let old_merged: &[&str] = &["keep usr/sbin/init"];
    let netplan: &[&str] = &["write etc/netplan/60-eth0.yaml"];
    let netplan_all: &[&str] = &["remove etc/netplan/50-venet0.yaml", netplan[0]];
    let (debian, ubuntu) = (Family::Debian, Family::Ubuntu);
    let (red, fedora) = (Family::RedHat, Family::Fedora);
    let mut rows = vec![
        row(
            "Debian 5",
            debian_sysv("5.0.10\n"),
            debian,
            "5.0.10",
            Init::Sysv,
            &[sysv],
        ),
        row(
            "Debian 6",
            debian_sysv("6.0.10\n"),
            debian,
            "6.0.10",
            Init::Sysv,
            &[sysv],
        ),
        row(
            "Debian 7",
            debian_sysv("7.11\n"),
            debian,
            "7.11",
            Init::Sysv,
            &[sysv],
        ),
        row(
            "Debian 8",
            debian_systemd("8"),
            debian,
            "8.1",
            Init::Systemd,
            &[SYSTEMD, interfaces, old_merged],
        ),
    ];
    for (name, version, full) in [
        ("Debian 9", "9", "9.1"),
        ("Debian 10", "10", "10.1"),
        ("Debian 11", "11", "11.1"),
        ("Debian 12", "12", "12.1"),
        ("Debian 13", "13", "13.1"),
    ] {
        let files = debian_systemd(version);
        rows.push(row(
            name,
            files,
            debian,
            full,
            Init::Systemd,
            &[SYSTEMD, interfaces],
        ));
    }
    let events_changes: &[&str] = &[
        "write etc/event.d/console",
        "write etc/event.d/power-status-changed",
        "remove etc/event.d/vz_init_done",
    ];
    rows.push(row(
        "Ubuntu 8.04",
        ubuntu_events(),
        ubuntu,
        "8.04",
        Init::UpstartEvents,
        &[events_changes, interfaces],
    ));
    let lucid: &[&str] = &["write etc/init/container-network.conf"];
    for (name, version) in [
        ("Ubuntu 10.04", "10.04"),
        ("Ubuntu 12.04", "12.04"),
        ("Ubuntu 14.04", "14.04"),
    ] {
        let files = ubuntu_upstart(version);
        rows.push(row(
            name,
            files,
            ubuntu,
            version,
            Init::Upstart,
            &[UBUNTU_UPSTART, if version == "10.04" { lucid } else { &[] }],
        ));
    }
    rows.push(row(
        "Ubuntu 16.04",
        ubuntu_xenial(),
        ubuntu,
        "16.04",
        Init::Systemd,
        &[SYSTEMD, interfaces, old_merged],
    ));
    for (name, version) in [
        ("Ubuntu 18.04", "18.04"),
        ("Ubuntu 20.04", "20.04"),
        ("Ubuntu 22.04", "22.04"),
        ("Ubuntu 24.04", "24.04"),
    ] {
        let files = ubuntu_netplan(version);
        rows.push(row(
            name,
            files,
            ubuntu,
            version,
            Init::Systemd,
            &[SYSTEMD, netplan_all],
        ));
    }
    let five: &[&str] = &[
        "write etc/inittab",
        "remove etc/rc.d/init.d/vzquota",
        "write etc/rc.d/rc.sysinit",
        "remove etc/rc.d/rc3.d/S00vzquota",
        "keep sbin/init",
    ];
    let six: &[&str] = &[
        "write etc/init/console.conf",
        "write etc/init/power-status-changed.conf",
        "write etc/init/tty.conf",
        "write etc/init/tty2.conf",
        "write etc/pam.d/login",
        "write etc/rc.d/rc.sysinit",
        "write etc/sysconfig/init",
        "remove lib/udev/devices",
    ];
    rows.push(row(
        "CentOS 5",
        centos_5(),
        red,
        "5.11",
        Init::Sysv,
        &[RED_HAT, five],
    ));
    rows.push(row(
        "CentOS 6",
        centos_6(),
        red,
        "6.10",
        Init::Upstart,
        &[RED_HAT, six],
    ));
    rows.push(row(
        "CentOS 7",
        centos_7(),
        red,
        "7",
        Init::Systemd,
        &[SYSTEMD, RED_HAT, old_merged, &["write etc/securetty"]],
    ));
    for (name, id, version) in [
        ("AlmaLinux 8", "almalinux", "8.9"),
        ("Rocky 8", "rocky", "8.9"),
        ("AlmaLinux 9", "almalinux", "9.3"),
        ("Rocky 9", "rocky", "9.3"),
    ] {
        let files = red_hat(systemd(id, version));
        rows.push(row(
            name,
            files,
            red,
            version,
            Init::Systemd,
            &[SYSTEMD, RED_HAT],
        ));
    }
    let new = red_hat(systemd("fedora", "38"));
    rows.push(row(
        "Fedora 38",
        new,
        fedora,
        "38",
        Init::Systemd,
        &[SYSTEMD, RED_HAT],
    ));
    rows.push(row(
        "Fedora 41",
        network_manager(),
        fedora,
        "41",
        Init::Systemd,
        &[
            SYSTEMD,
            &[
                "write etc/NetworkManager/system-connections/eth0.nmconnection",
                "remove etc/NetworkManager/system-connections/venet0.nmconnection",
            ],
        ],
    ));
    rows.push(row(
        "openSUSE Leap",
        suse(),
        Family::Suse,
        "15.4",
        Init::Systemd,
        &[
            SYSTEMD,
            &[
                "write etc/sysconfig/network/ifcfg-eth0",
                "remove etc/sysconfig/network/ifcfg-venet0",
                "write etc/sysconfig/network/routes",
                "link etc/systemd/system/multi-user.target.wants/wicked.service -> \
                 /usr/lib/systemd/system/wicked.service",
                "link etc/systemd/system/network.service -> \
                 /usr/lib/systemd/system/wicked.service",
            ],
        ],
    ));
    rows.push(row(
        "Alpine",
        alpine(),
        Family::Alpine,
        "3.12.0",
        Init::Busybox,
        &[&[
            "write etc/inittab",
            "write etc/network/interfaces",
            "write etc/rc.conf",
            "link etc/runlevels/boot/networking -> /etc/init.d/networking",
            "write etc/securetty",
        ]],
    ));
    rows.push(row(
        "Gentoo",
        gentoo(),
        Family::Gentoo,
        "2.2",
        Init::Sysv,
        &[&[
            "write etc/conf.d/net",
            "link etc/init.d/net.eth0 -> net.lo",
            "remove etc/init.d/net.venet0",
            "write etc/inittab",
            "write etc/rc.conf",
            "link etc/runlevels/default/net.eth0 -> /etc/init.d/net.eth0",
            "remove etc/runlevels/default/net.venet0",
        ]],
    ));
    rows.push(row(
        "Arch",
        arch(),
        Family::Arch,
        "",
        Init::Systemd,
        &[
            SYSTEMD,
            &[
                "remove etc/netctl/venet0",
                "mkdir etc/systemd/network",
                "write etc/systemd/network/60-eth0.network",
                "remove etc/systemd/system/multi-user.target.wants/netctl@venet0.service",
                "link etc/systemd/system/multi-user.target.wants/systemd-networkd.service -> \
         /usr/lib/systemd/system/systemd-networkd.service",
            ],
        ],
    ));
    rows
}

#[test]
fn every_system_is_known() {
    for row in rows() {
        let system = identify(&row.files).unwrap();
        let known = (system.family, system.version.as_str(), system.init);
        assert_eq!(known, (row.family, row.version, row.init), "{}", row.name);
        assert_eq!(system.architecture, Some("x86_64"), "{}", row.name);
    }
}

#[test]
fn every_system_gets_its_changes_and_no_others() {
    for row in rows() {
        for kind in [Kind::Lxc, Kind::Incus] {
            let found = shown(&changes(&row.files, &Config::default(), kind).unwrap());
            let path = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
            let expected = EVERY
                .iter()
                .chain(&row.changes)
                .map(|line| (*line).to_owned());
            let mut expected: Vec<String> = expected.collect();
            expected.sort_by_key(path);
            assert_eq!(found, expected, "{}", row.name);
        }
    }
}

#[test]
fn every_change_has_a_reason_that_a_person_can_read() {
    for row in rows() {
        for change in changes(&row.files, &Config::default(), Kind::Lxc).unwrap() {
            let reason = &change.reason;
            assert!(reason.len() > 15 && reason.contains(' '), "{change:?}");
            assert!(!reason.ends_with('.') && reason.is_ascii(), "{change:?}");
        }
    }
}

/// The same tree, the same changes; and what they leave needs none but what stays on purpose.
#[test]
fn a_second_run_changes_nothing() {
    for row in rows() {
        let first = changes(&row.files, &Config::default(), Kind::Lxc).unwrap();
        assert_eq!(
            first,
            changes(&row.files, &Config::default(), Kind::Lxc).unwrap()
        );
        let after = row.files.changed(&first);
        let second = shown(&changes(&after, &Config::default(), Kind::Lxc).unwrap());
        let other = second.iter().find(|line| !line.starts_with("keep "));
        assert_eq!(other, None, "{}: {second:?}", row.name);
    }
}

/// Upstart with a job beside the one that starts the run level.
fn upstart(job: &str) -> SystemFiles {
    let job = format!("etc/init/{job}.conf");
    container()
        .file("sbin/init", "Upstart")
        .files(&["etc/init/rc-sysinit.conf", &job])
}

/// Such a container started with a root that was read-only for good.
#[test]
fn a_root_is_writable_from_the_start_where_no_script_of_the_guest_makes_it_so() {
    let busybox = || container().link("sbin/init", "/bin/busybox");
    let cases = [
        (busybox().file("bin/busybox", ""), true),
        (container(), true),
        (alpine().file("sbin/openrc", ""), false),
        (debian_sysv("7.11"), false),
        (debian_systemd("12.1"), false),
        (centos_6(), false),
        // Templates without the jobs of udev, of the console and of what mounts.
        (upstart("openvz"), true),
        (upstart("mountall"), false),
        (
            upstart("mountall").file("etc/init/mountall.override", "manual\n"),
            true,
        ),
        // The scripts of System V do it.
        (ubuntu_events(), false),
    ];
    for (files, expected) in cases {
        let files = Files::from(&files);
        assert_eq!(needs_writable_root(&files).unwrap(), expected, "{files:?}");
    }
}
