//! Trees and configurations that somebody made to do harm, or that are broken.

use ploopconv::guest::{
    Archive, Config, Kind, Receiver, changes, identify, metadata_yaml, next, vps_conf,
};

use crate::guest_machines::receiver;
use crate::guest_tree::{Files, reason, shown};

fn lxc(files: &Files) -> Vec<String> {
    shown(&changes(files, &Config::default(), Kind::Lxc).unwrap())
}

#[test]
fn an_empty_tree_needs_nothing() {
    assert_eq!(lxc(&Files::new()), [""; 0]);
    let system = identify(&Files::new()).unwrap();
    assert_eq!((system.id.as_str(), system.architecture), ("", None));
}

#[test]
fn links_are_followed_inside_the_tree_only() {
    // As a process in the container would: `..` at the root stays there.
    let files = Files::new()
        .link("etc/fstab", "../../../../srv/fstab")
        .file("srv/fstab", "simfs / simfs x 0 0\n");
    assert_eq!(lxc(&files), ["write srv/fstab"]);
    // What is not in the tree is not there.
    let files = Files::new()
        .link("etc", "/../../home/somebody")
        .link("dev", "/nowhere")
        .link("lib", "lib");
    assert_eq!(lxc(&files), [""; 0]);
}

#[test]
fn a_path_has_no_link_in_it() {
    let files = Files::new()
        .link("etc/init.d", "rc.d/init.d")
        .file("etc/rc.d/init.d/vzquota", "")
        .link("etc/network", "/srv/network")
        .file("srv/network/interfaces", "auto lo\n")
        .files(&["sbin/ifup", "sbin/dhclient"]);
    assert_eq!(
        lxc(&files),
        [
            "remove etc/rc.d/init.d/vzquota",
            "write srv/network/interfaces"
        ]
    );
}

#[test]
fn nothing_is_made_where_a_link_leads_out() {
    let files = Files::new()
        .file("usr/lib/systemd/systemd-networkd", "")
        .link("etc/systemd/network", "/run/elsewhere")
        .dir("etc/systemd/system");
    let found = changes(&files, &Config::default(), Kind::Lxc).unwrap();
    assert_eq!(shown(&found), ["keep etc/systemd/network"]);
    assert!(reason(&found, "etc/systemd/network").contains("leads nowhere in this tree"));
}

#[test]
fn files_that_are_no_text_stay_as_they_are() {
    let files = Files::new()
        .file("etc/fstab", b"simfs / simfs\0")
        .file("etc/inittab", vec![b'x'; (1 << 20) + 1])
        .dir("etc/securetty")
        .device("etc/mtab")
        .link("etc/selinux/config", "config");
    let found = changes(&files, &Config::default(), Kind::Lxc).unwrap();
    let kept = [
        "keep etc/fstab",
        "keep etc/inittab",
        // No device node stays in an archive for an unprivileged container.
        "remove etc/mtab",
        "keep etc/selinux/config",
    ];
    assert_eq!(shown(&found), kept);
    for path in ["etc/fstab", "etc/inittab", "etc/selinux/config"] {
        assert!(reason(&found, path).starts_with("is no text file here"));
    }
    // This file names a machine's root, so the list names a folder in its place.
    let found = changes(
        &Files::new().dir("etc/fstab"),
        &Config::default(),
        receiver(),
    )
    .unwrap();
    assert!(reason(&found, "etc/fstab").starts_with("is no text file here"));
}

/// Comments in another encoding are the owner's own.
#[test]
fn bytes_that_are_not_utf_8_survive() {
    let files = Files::new().file("etc/fstab", b"# gr\xfc\xdfe\nsimfs / simfs x 0 0\n");
    let found = changes(&files, &Config::default(), Kind::Lxc).unwrap();
    let after = format!("{:?}", found[0]);
    assert!(
        after.contains("35, 32, 103, 114, 252, 223, 101, 10"),
        "{after}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_no_guess() {
    let files = Files::new().lost("etc/fstab");
    let error = changes(&files, &Config::default(), Kind::Lxc).unwrap_err();
    assert_eq!(error.to_string(), "reading disk");
}

/// Every text that a container's owner can write, in each place where it ends.
#[test]
fn a_hostile_configuration_is_text_wherever_it_ends() {
    let evil = "a'; reboot; $(reboot) `reboot` \\ \u{1b}[2J\u{202e}";
    let keys = [
        "HOSTNAME",
        "NAME",
        "DESCRIPTION",
        "OSTEMPLATE",
        "SEARCHDOMAIN",
        "NAMESERVER",
        "IP_ADDRESS",
        "NETIF",
        "PHYSPAGES",
        "CPUS",
        "ONBOOT",
    ];
    let lines: Vec<String> = keys
        .iter()
        .map(|key| format!("{key}=\"{evil}\"\n"))
        .collect();
    let config = Config::parse(lines.concat().as_bytes()).unwrap();
    let name = config.host_name().unwrap();
    assert!(
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{name}"
    );

    let conf = vps_conf(&config, 1 << 30);
    for line in conf.lines() {
        let (key, value) = line.split_once("=\"").unwrap();
        assert!(
            key.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
            "{line}"
        );
        let value = value.strip_suffix('"').unwrap();
        assert!(!value.contains(['"', '\\', '$', '`', '\u{1b}']), "{line}");
    }
    let system =
        identify(&Files::new().file("etc/os-release", format!("ID=x\nPRETTY_NAME={evil}\n")));
    let yaml = metadata_yaml(&config, &system.unwrap(), 0);
    assert!(
        yaml.lines().count() < 10 && !yaml.contains('\u{1b}'),
        "{yaml}"
    );
    let archive = Archive {
        path: "-x'y.tar",
        ending: ".tar",
        id: "../1;reboot",
        disk_size: 1,
    };
    let none = identify(&Files::new()).unwrap();
    for kind in [Kind::Lxc, Kind::Incus] {
        for hint in next(&archive, &config, &none, &Receiver::from(kind)) {
            for command in hint.commands {
                // Outside of quotes a shell finds words and pipes only.
                let outside: String = command
                    .replace(r"'\''", "")
                    .split('\'')
                    .step_by(2)
                    .collect();
                let outside = outside.replace("$(pvesh get /cluster/nextid)", "");
                assert!(
                    !outside.contains([';', '`', '$', '&', '\u{1b}', '\n']),
                    "{command}"
                );
                assert!(!command.contains(" -x"), "{command}");
            }
        }
    }
}

#[test]
fn names_of_a_hostile_tree_are_names() {
    let files = Files::new()
        .file(
            "etc/systemd/network/venet0\n-x $(reboot)",
            "[Match]\nName=venet0\n",
        )
        .file("etc/netplan/a", "venet0: eth0");
    let expected = [
        "keep etc/netplan/a",
        "remove etc/systemd/network/venet0\n-x $(reboot)",
    ];
    assert_eq!(lxc(&files), expected);
}
