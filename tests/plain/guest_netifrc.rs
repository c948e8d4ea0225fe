//! Gentoo's files for the network, which are scripts.

use ploopconv::guest::Kind;

use crate::guest_networks::{CARD, NETWORKD, has, keeping, of};
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{gentoo, systemd};

pub(crate) const NET: &str = "etc/conf.d/net";

/// A Gentoo with this file for its cards.
pub(crate) fn netifrc(net: &str) -> Files {
    Files::new()
        .files(&[
            "sbin/init",
            "etc/inittab",
            "etc/init.d/net.lo",
            "sbin/dhcpcd",
        ])
        .file(NET, net)
}

fn gentoo_with_systemd() -> Files {
    Files::from(&systemd("gentoo", ""))
        .file("etc/init.d/net.lo", "")
        .file("usr/lib/systemd/system/net@.service", "")
        .file("usr/sbin/dhcpcd", "")
        .file(NET, "config_venet0=\"192.0.2.10/32\"\n")
}

#[test]
fn gentoo_with_systemd_gets_a_network_that_systemd_starts() {
    let files = gentoo_with_systemd().file(NETWORKD, "");
    let found = of(&files, Kind::Incus);
    assert_eq!(text(&found, NET), "");
    assert_eq!(
        text(&found, CARD),
        "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n"
    );
    assert!(!has(&found, "etc/init.d/net.eth0"), "{found:?}");

    // Without networkd, or where netifrc set venet0 up, it is netifrc's own unit.
    let wants = "etc/systemd/system/multi-user.target.wants";
    let venet = format!("{wants}/net@venet0.service");
    let unit = "/usr/lib/systemd/system/net@.service";
    let link = format!("link {wants}/net@eth0.service -> {unit}");
    for (files, has_venet) in [
        (gentoo_with_systemd(), false),
        (
            gentoo_with_systemd().file(NETWORKD, "").link(&venet, unit),
            true,
        ),
    ] {
        let found = of(&files, Kind::Lxc);
        assert!(shown(&found).contains(&link), "{found:?}");
        assert_eq!(text(&found, NET), "config_eth0=\"dhcp\"\n");
        assert_eq!(has(&found, &venet), has_venet);
    }
}

#[test]
fn settings_that_nothing_here_reads_are_no_settings() {
    let files = gentoo_with_systemd().file(NETWORKD, "");
    let found = of(&files.file(NET, "config_eth0=\"dhcp\"\n"), Kind::Lxc);
    assert!(
        reason(&found, NET).contains("does not start here"),
        "{found:?}"
    );
    assert!(has(&found, CARD));
}

#[test]
fn commands_of_venet0_go_whole() {
    let rest = "config_eth1=\"10.0.0.2/24\"\n";
    for venet in [
        "config_venet0='192.0.2.10/32\n192.0.2.11/32'\n",
        "config_venet0=\"192.0.2.10/32\n192.0.2.11/32\"\n",
        "config_venet0+=( '192.0.2.10/32' # (old)\n  \"a ) b\" # )\n  x )\n",
        "config_venet0=(\n\"192.0.2.10/32\"\n)\nroutes_venet0=\"default\"\n",
        "depend_venet0() {\n\tneed localmount\n}\n",
        "depend_venet0()\n{\n\tcase a in\n\ta) need b;;\n\tesac\n}\n",
        "function_venet0 () { :; }\n",
        "config_venet0=192.0.2.10/32 \\\n\n",
        "config_venet0[0]=\"a # no comment\"\n",
        "export config_venet0=\"x\";\n",
        "  config_venet0=${a}b # 'no quote\n",
    ] {
        for net in [
            format!("{venet}{rest}"),
            format!("{rest}{venet}"),
            format!("{rest}\n{venet}"),
        ] {
            let found = of(&netifrc(&net), Kind::Lxc);
            let after = text(&found, NET);
            let after = after.replace("\n\n", "\n");
            assert_eq!(after, format!("{rest}config_eth0=\"dhcp\"\n"), "{net}");
        }
    }
}

#[test]
fn what_is_not_only_venet0s_is_for_a_person() {
    for net in [
        "config_venet0=\"192.0.2.10/32\" config_eth1=\"10.0.0.2/24\"\n",
        "if true; then\n  config_venet0=\"192.0.2.10/32\"\nfi\n",
    ] {
        let found = of(&netifrc(net), Kind::Lxc);
        let after = text(&found, NET);
        assert_eq!(after, format!("{net}config_eth0=\"dhcp\"\n"));
        assert!(reason(&found, NET).contains("by hand"), "{found:?}");
    }
}

#[test]
fn a_script_that_is_not_understood_stays_as_it_is() {
    for net in [
        "config_venet0=\"192.0.2.10/32\nconfig_eth1='10.0.0.2/24'\n",
        "config_venet0=(\n",
        "a_venet0() {\n:\n",
        "cat <<X\nconfig_venet0='\nX\n",
        "a=`b '`\nconfig_venet0=c\n",
        "fi\nconfig_venet0=c\n",
    ] {
        let found = of(&netifrc(net), Kind::Lxc);
        assert!(
            shown(&found).contains(&format!("keep {NET}")),
            "{net}: {found:?}"
        );
        let why = reason(&found, NET);
        assert!(why.contains("take venet0 out by hand"), "{why}");
        assert!(why.contains("give eth0 settings by hand"), "{why}");
    }
}

#[test]
fn funtoos_files_of_venet0_are_read_and_go() {
    let conf = "etc/conf.d/netif.venet0";
    let files = Files::from(&gentoo())
        .file(
            conf,
            "template=\"interface\"\nipaddrs=\"192.0.2.10/32 192.0.2.11/32\"\n\
            route=\"default via 191.255.255.1\"\n",
        )
        .file(NET, "")
        .link("etc/init.d/netif.venet0", "netif.tmpl")
        .link(
            "etc/runlevels/default/netif.venet0",
            "/etc/init.d/netif.venet0",
        );
    let found = keeping(&files);
    for path in [
        conf,
        "etc/init.d/netif.venet0",
        "etc/runlevels/default/netif.venet0",
    ] {
        assert!(
            shown(&found).contains(&format!("remove {path}")),
            "{found:?}"
        );
    }
    let after = text(&found, NET);
    assert!(
        after.contains("config_eth0=\"192.0.2.10/32\n192.0.2.11/32\"\n"),
        "{after}"
    );
}

/// Such a file takes no long time, and no deep stack.
#[test]
fn a_large_script_is_read_in_a_moment() {
    for text in [
        "\n",
        "f()\n",
        "f() ",
        "(",
        "{ ",
        "a_venet0=b\n",
        "if\n",
        "'",
    ] {
        let net = format!("{}config_venet0=c\n", text.repeat(100_000 / text.len()));
        of(&netifrc(&net), Kind::Lxc);
    }
    let net = format!("f()\n{}{{ :; }}\n", "\n".repeat(100_000));
    of(&netifrc(&net), Kind::Lxc);
    let name = format!("[Match]\nName={}\n", "*".repeat(1_000_000));
    let files = Files::new()
        .file(NETWORKD, "")
        .file("etc/systemd/network/a.network", name);
    let found = of(&files, Kind::Lxc);
    assert!(has(&found, "etc/systemd/network/60-eth0.network"));
}
