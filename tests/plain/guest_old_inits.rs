//! What vzctl writes into a container without systemd at each start, and what such an init needs on
//! another host: OpenRC's name for the host, logins on its consoles, shared memory.

use ploopconv::guest::{Change, Config, Kind, changes};

use crate::guest_machines::receiver;
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{SystemFiles, gentoo};

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
