//! The same for machines: what a system needs that had no machine around it, to start its login on
//! the serial console and its network.

use ploopconv::guest::{Change, Config, Kind, Receiver, RootFileSystem, changes};

use crate::guest_systems::RED_HAT;
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{
    SystemFiles, alpine, centos_5, centos_6, debian_systemd, debian_sysv, every, gentoo, suse,
    ubuntu_events, ubuntu_upstart,
};

pub(crate) fn receiver() -> Receiver {
    Receiver {
        root: Some(RootFileSystem {
            uuid: "10101010-0000-4000-8000-000000000001".to_owned(),
            kind: "ext4".to_owned(),
        }),
        ..Kind::Kvm.into()
    }
}

fn machine(files: &SystemFiles) -> Vec<Change> {
    changes(&Files::from(files), &Config::default(), receiver()).unwrap()
}

const EVERY: &[&str] = &[
    "remove aquota.group",
    "remove aquota.user",
    "write etc/fstab",
    "keep etc/ssh/ssh_host_rsa_key",
    "remove etc/udev/devices",
];

const SYSTEMD: &[&str] = &[
    "keep etc/machine-id",
    "remove etc/systemd/system/dev-hugepages.mount",
    "remove etc/systemd/system/getty.target",
    "link etc/systemd/system/getty.target.wants/getty@tty1.service -> \
     /usr/lib/systemd/system/getty@.service",
    "link etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service -> \
     /usr/lib/systemd/system/serial-getty@.service",
    "remove etc/systemd/system/multi-user.target.wants/vzfifo.service",
    "remove etc/systemd/system/systemd-udevd.service",
    "remove usr/lib/systemd/system/vzfifo.service",
];

const UPSTART: &[&str] = &[
    "write etc/init/tty1.conf",
    "write etc/init/ttyS0.conf",
    "remove etc/init/vz_init_done.conf",
    "write etc/network/interfaces",
    "write etc/securetty",
];

const INTERFACES: &[&str] = &["write etc/network/interfaces"];

/// What changes in each system beside what changes in all.
fn expected(name: &str) -> Vec<&'static [&'static str]> {
    match name {
        "Debian 7" => vec![&[
            "remove etc/init.d/vzquota",
            "write etc/inittab",
            "write etc/network/interfaces",
            "remove etc/rc2.d/S00vzquota",
            "remove etc/rc6.d/K00vzreboot",
            "write etc/securetty",
        ]],
        "Debian 12" => vec![SYSTEMD, INTERFACES],
        "Ubuntu 8.04" => vec![
            INTERFACES,
            &["write etc/event.d/ttyS0", "remove etc/event.d/vz_init_done"],
        ],
        "Ubuntu 10.04" | "Ubuntu 14.04" => vec![UPSTART],
        "Ubuntu 22.04" => vec![
            SYSTEMD,
            &[
                "remove etc/netplan/50-venet0.yaml",
                "write etc/netplan/60-eth0.yaml",
            ],
        ],
        "CentOS 5" => vec![
            RED_HAT,
            &[
                "write etc/inittab",
                "remove etc/rc.d/init.d/vzquota",
                "remove etc/rc.d/rc3.d/S00vzquota",
                "write etc/rc.d/rc.sysinit",
            ],
        ],
        "CentOS 6" => vec![
            RED_HAT,
            &[
                "remove etc/init/console.conf",
                "remove etc/init/serial.conf",
                "remove etc/init/tty2.conf",
                "write etc/init/ttyS0.conf",
                "write etc/rc.d/rc.sysinit",
                "write etc/sysconfig/init",
                "remove lib/udev/devices/ploop12345p1",
            ],
        ],
        "CentOS 7" => vec![SYSTEMD, RED_HAT, &["write etc/securetty"]],
        "Fedora 41" => vec![
            SYSTEMD,
            &[
                "write etc/NetworkManager/system-connections/eth0.nmconnection",
                "remove etc/NetworkManager/system-connections/venet0.nmconnection",
            ],
        ],
        "openSUSE Leap" => vec![
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
        "Alpine" => vec![&[
            "write etc/inittab",
            "write etc/network/interfaces",
            "write etc/rc.conf",
            "link etc/runlevels/boot/localmount -> /etc/init.d/localmount",
            "link etc/runlevels/boot/modules -> /etc/init.d/modules",
            "link etc/runlevels/boot/networking -> /etc/init.d/networking",
            "link etc/runlevels/boot/root -> /etc/init.d/root",
            "link etc/runlevels/boot/sysctl -> /etc/init.d/sysctl",
            "mkdir etc/runlevels/shutdown",
            "link etc/runlevels/shutdown/killprocs -> /etc/init.d/killprocs",
            "link etc/runlevels/shutdown/mount-ro -> /etc/init.d/mount-ro",
            "link etc/runlevels/sysinit/hwdrivers -> /etc/init.d/hwdrivers",
            "link etc/runlevels/sysinit/mdev -> /etc/init.d/mdev",
            "link etc/runlevels/sysinit/sysfs -> /etc/init.d/sysfs",
            "write etc/securetty",
        ]],
        "Gentoo" => vec![&[
            "write etc/conf.d/net",
            "link etc/init.d/net.eth0 -> net.lo",
            "remove etc/init.d/net.venet0",
            "write etc/inittab",
            "write etc/rc.conf",
            "link etc/runlevels/default/net.eth0 -> /etc/init.d/net.eth0",
            "remove etc/runlevels/default/net.venet0",
        ]],
        "Arch" => vec![
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
        other => panic!("{other}"),
    }
}

#[test]
fn every_system_gets_the_changes_of_a_machine_and_no_others() {
    for (name, files) in every() {
        let found = shown(&machine(&files));
        let mut expected = expected(name).concat();
        expected.extend(EVERY);
        let path = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
        expected.sort_by_key(|line| path(line));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_second_boot_of_a_machine_changes_nothing() {
    for (name, files) in every() {
        let first = machine(&files);
        let after = Files::from(&files).changed(&first);
        let second = shown(&changes(&after, &Config::default(), receiver()).unwrap());
        let other = second.iter().find(|line| !line.starts_with("keep "));
        assert_eq!(other, None, "{name}: {second:?}");
    }
}

#[test]
fn every_init_starts_a_login_on_the_serial_console_where_root_may_log_in() {
    let line = "-L 115200 ttyS0 vt100\n";
    for (files, path, call) in [
        (
            debian_sysv("7.11\n"),
            "etc/inittab",
            "\nS0:2345:respawn:/sbin/getty ",
        ),
        (centos_5(), "etc/inittab", "\nS0:2345:respawn:/sbin/agetty "),
        (gentoo(), "etc/inittab", "\nS0:2345:respawn:/sbin/agetty "),
        (alpine(), "etc/inittab", "\nttyS0::respawn:/sbin/getty "),
        (centos_6(), "etc/init/ttyS0.conf", "\nexec /sbin/agetty "),
        (
            ubuntu_upstart("14.04"),
            "etc/init/ttyS0.conf",
            "\nexec /sbin/getty ",
        ),
        (ubuntu_events(), "etc/event.d/ttyS0", "\nexec /sbin/getty "),
    ] {
        let found = machine(&files);
        let text = text(&found, path);
        assert!(text.contains(&format!("{call}{line}")), "{path}: {text}");
    }
    for (name, files) in every() {
        let found = machine(&files);
        if files.items().any(|(path, _)| path == "etc/securetty") {
            assert!(
                text(&found, "etc/securetty").ends_with("\nttyS0\n"),
                "{name}"
            );
        }
    }
}

#[test]
fn udev_starts_where_it_can_read_a_newer_kernel() {
    let five = machine(&centos_5());
    let script = text(&five, "etc/rc.d/rc.sysinit");
    assert_eq!(
        script,
        "#!/bin/bash\nif [ 1 ]; then\n\t: #/sbin/start_udev\nfi\n"
    );
    assert!(reason(&five, "etc/rc.d/rc.sysinit").contains("cannot read the /sys"));
    // What OpenVZ's template had switched off stays so.
    let off = centos_5().file("etc/rc.d/rc.sysinit", "#/sbin/start_udev\n");
    assert!(shown(&machine(&off)).contains(&"keep etc/rc.d/rc.sysinit".to_owned()));
    let six = machine(&centos_6());
    assert_eq!(
        text(&six, "etc/rc.d/rc.sysinit"),
        "#!/bin/bash\n/sbin/start_udev\n"
    );
}

#[test]
fn ubuntus_network_starts_with_udev_or_without_it() {
    let own = "etc/init/container-network.conf";
    let has_own = |found: &[Change]| shown(found).contains(&format!("write {own}"));
    let off = |files: SystemFiles, text: &str| files.file("etc/init/udevtrigger.override", text);
    for version in ["10.04", "14.04"] {
        assert!(!has_own(&machine(&ubuntu_upstart(version))));
        // A template that switched it off, and an operator who did so in another way.
        let found = machine(&off(ubuntu_upstart(version), "manual\n"));
        assert!(!has_own(&found));
        assert!(shown(&found).contains(&"remove etc/init/udevtrigger.override".to_owned()));
        let found = machine(&off(ubuntu_upstart(version), "start on never\n"));
        assert!(has_own(&found), "{version}");
    }
}

#[test]
fn services_that_some_run_level_has_stay_there() {
    let files = alpine().link("etc/runlevels/default/root", "/etc/init.d/root");
    let found = shown(&machine(&files));
    assert!(
        !found.iter().any(|line| line.contains("boot/root")),
        "{found:?}"
    );
    // Its manager of devices is udev's, where it has that.
    let files = alpine().files(&["etc/init.d/udev", "etc/init.d/udev-trigger"]);
    let found = shown(&machine(&files)).join("\n");
    assert!(found.contains("sysinit/udev-trigger") && !found.contains("sysinit/mdev"));
    // What Debian's OpenRC starts has other names.
    let files = debian_sysv("12.1\n").file("etc/init.d/root", "");
    let found = shown(&machine(&files.dir("etc/runlevels/boot"))).join("\n");
    assert!(!found.contains("runlevels/boot/root"), "{found}");
}

#[test]
fn wicked_that_is_masked_or_off_sets_the_card_up() {
    let started = "etc/systemd/system/network.service";
    let files = suse().link(started, "/usr/lib/systemd/system/wicked.service");
    assert!(
        !shown(&machine(&files))
            .join("\n")
            .contains("wicked.service")
    );
    let files = suse().link(started, "/dev/null");
    let found = shown(&machine(&files)).join("\n");
    assert!(
        found.contains(&format!("link {started} -> /usr/lib")),
        "{found}"
    );
}

/// systemd gave up on the machine where a disk of fstab did not come with it.
#[test]
fn a_machine_starts_without_another_disk_of_fstab() {
    let fstab = "UUID=aa /srv  ext4\tdefaults,noatime 0 2\nLABEL=b /data xfs\n\
        /dev/sdb1 none swap sw\n/dev/sdc1 /c ext4 noauto 0 0\nUUID=d /d ext4 ro,nofail 0 0\n\
        /dev/shm/x /e none bind 0 0\ntmpfs /tmp tmpfs size=1g 0 0\nnas:/f /f nfs defaults 0 0\n\
        # UUID=g /g ext4 defaults 0 0\n/dev/sdd1 /short\n/dev/sde1 /h ext4 # none\n\
        UUID=i /srv/déjà ext4 noauto 0 0\nUUID=j /srv/архив ext4 ro 0 0\n";
    let systemd = Files::from(&debian_systemd("12")).file("etc/fstab", fstab);
    let found = changes(&systemd, &Config::default(), receiver()).unwrap();
    assert_eq!(
        text(&found, "etc/fstab"),
        "UUID=aa /srv  ext4\tdefaults,noatime,nofail 0 2\nLABEL=b /data xfs defaults,nofail\n\
         /dev/sdb1 none swap sw,nofail\n/dev/sdc1 /c ext4 noauto 0 0\n\
         UUID=d /d ext4 ro,nofail 0 0\n/dev/shm/x /e none bind 0 0\n\
         tmpfs /tmp tmpfs size=1g 0 0\nnas:/f /f nfs defaults 0 0\n\
         # UUID=g /g ext4 defaults 0 0\n/dev/sdd1 /short\n/dev/sde1 /h ext4 # none\n\
         UUID=i /srv/déjà ext4 noauto 0 0\nUUID=j /srv/архив ext4 ro,nofail 0 0\n\
         UUID=10101010-0000-4000-8000-000000000001 / ext4 defaults 0 0\n"
    );
    let again = systemd.changed(&found);
    assert!(
        !shown(&changes(&again, &Config::default(), receiver()).unwrap())
            .contains(&"write etc/fstab".to_owned())
    );
    // What mounts with the other inits need not know the word.
    let sysv = Files::from(&debian_sysv("7.11\n")).file("etc/fstab", "UUID=aa /srv ext4 ro 0 2\n");
    let found = changes(&sysv, &Config::default(), receiver()).unwrap();
    assert!(text(&found, "etc/fstab").starts_with("UUID=aa /srv ext4 ro 0 2\n"));
    assert!(reason(&found, "etc/fstab").contains("attach it to the machine"));
    let swap =
        Files::from(&debian_sysv("7.11\n")).file("etc/fstab", "/dev/SWAP none swap sw 0 0\n");
    let found = changes(&swap, &Config::default(), receiver()).unwrap();
    assert!(!reason(&found, "etc/fstab").contains("attach it"));
}
