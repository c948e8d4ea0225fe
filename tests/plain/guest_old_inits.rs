//! What vzctl writes into a container without systemd at each start, and what such an init needs on
//! another host: OpenRC's name for the host, logins on its consoles, shared memory.

use ploopconv::guest::{Change, Config, Family, Kind, changes, identify};

use crate::guest_machines::receiver;
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{
    SystemFiles, alpine, arch, centos_5, centos_6, debian_sysv, gentoo, systemd, ubuntu_upstart,
};

fn container(files: &SystemFiles) -> Vec<Change> {
    changes(&Files::from(files), &Config::default(), Kind::Lxc).unwrap()
}

fn machine(files: &SystemFiles) -> Vec<Change> {
    changes(&Files::from(files), &Config::default(), receiver()).unwrap()
}

/// With `-openvz` among the keywords of its service, no root is made writable.
#[test]
fn openrc_is_told_of_another_host_however_the_line_is_written() {
    for (path, line, container_has, machine_has) in [
        (
            "etc/rc.conf",
            "rc_sys=\"openvz\" # container",
            "rc_sys=\"lxc\" # container",
            "rc_sys=\"\" # container",
        ),
        (
            "etc/rc.conf",
            "  rc_sys='OpenVZ'\t",
            "  rc_sys=\"lxc\"\t",
            "  rc_sys=\"\"\t",
        ),
        (
            "etc/conf.d/rc",
            "RC_SYS=openvz",
            "RC_SYS=\"lxc\"",
            "RC_SYS=\"\"",
        ),
        (
            "etc/rc.conf.d/vz.conf",
            "rc_sys=openvz",
            "rc_sys=\"lxc\"",
            "rc_sys=\"\"",
        ),
    ] {
        let files = gentoo().file(path, format!("#rc_sys=\"openvz\"\n{line}\na=b\n"));
        for (found, has) in [
            (container(&files), container_has),
            (machine(&files), machine_has),
        ] {
            let expected = format!("#rc_sys=\"openvz\"\n{has}\na=b\n");
            assert_eq!(text(&found, path), expected, "{line}");
            assert!(!reason(&found, path).contains("by hand"), "{line}");
        }
    }
    for line in [
        "export rc_sys=\"openvz\"",
        "rc_sys=\"openvz\"; rc_quiet=\"yes\"",
    ] {
        let files = gentoo().file("etc/rc.conf", line);
        for found in [container(&files), machine(&files)] {
            assert!(shown(&found).contains(&"keep etc/rc.conf".to_owned()));
            assert!(reason(&found, "etc/rc.conf").contains("by hand"), "{line}");
        }
    }
    for line in [
        "rc_sys=\"lxc\" # was rc_sys=openvz",
        "rc_sys=\"\"",
        "# rc_sys=openvz",
    ] {
        let found = container(&gentoo().file("etc/rc.conf", line));
        assert!(!shown(&found).join("\n").contains("etc/rc.conf"), "{line}");
    }
}

/// Their versions say nothing of systemd's, and no host of today starts one that is too old.
#[test]
fn a_systemd_that_is_too_old_is_seen_by_its_library() {
    let library = |files: SystemFiles, path: &str| files.file(path, "");
    for (files, is_old) in [
        (arch(), false),
        (systemd("gentoo", "2.2"), true),
        (
            library(
                systemd("gentoo", "2.2"),
                "usr/lib/systemd/libsystemd-shared-231.so",
            ),
            true,
        ),
        (
            library(
                systemd("gentoo", "2.2"),
                "usr/lib64/systemd/libsystemd-shared-232.so",
            ),
            false,
        ),
        (
            library(
                systemd("debian", "12"),
                "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so",
            ),
            false,
        ),
        // From backports.
        (
            library(
                systemd("debian", "8"),
                "usr/lib/systemd/libsystemd-shared-241.so",
            ),
            false,
        ),
        (systemd("mageia", "5"), true),
    ] {
        let system = identify(&Files::from(&files)).unwrap();
        assert_eq!(system.needs_cgroup_v1(), is_old, "{files:?}");
        let said = shown(&container(&files)).contains(&"keep usr/sbin/init".to_owned());
        assert_eq!(said, is_old, "{files:?}");
    }
    let openrc = identify(&Files::from(&gentoo())).unwrap();
    assert!(openrc.family == Family::Gentoo && !openrc.needs_cgroup_v1());
}

#[test]
fn archs_scripts_do_not_look_for_the_quota_that_is_gone() {
    let old = |list: &str| {
        gentoo()
            .file("etc/arch-release", "")
            .file("etc/rc.d/vzquota", "")
            .file("etc/rc.conf", format!("HARDWARECLOCK=UTC\n{list}\n"))
    };
    for (before, after) in [
        (
            "DAEMONS=(\"vzquota\" syslog-ng network)",
            "DAEMONS=(syslog-ng network)",
        ),
        (
            "DAEMONS=(syslog-ng vzquota network)",
            "DAEMONS=(syslog-ng network)",
        ),
        ("DAEMONS=(syslog-ng !vzquota)", "DAEMONS=(syslog-ng )"),
        (
            "DAEMONS=(syslog-ng\n  @vzquota\n  vzquotas) # vzquota",
            "DAEMONS=(syslog-ng\n  \n  vzquotas) # vzquota",
        ),
    ] {
        let found = container(&old(before));
        let expected = format!("HARDWARECLOCK=UTC\n{after}\n");
        assert_eq!(text(&found, "etc/rc.conf"), expected);
        assert!(shown(&found).contains(&"remove etc/rc.d/vzquota".to_owned()));
    }
    let found = container(&old("DAEMONS+=(vzquota)"));
    assert!(reason(&found, "etc/rc.conf").contains("by hand"));
}
