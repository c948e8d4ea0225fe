//! Networks of guests that ended without one, or with two: a test for each way there.

use std::net::IpAddr;

use ploopconv::guest::{Change, Config, Kind, Network, Receiver, changes};

use crate::guest_netifrc::{NET, netifrc};
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{container, network_manager, red_hat, suse, systemd};

const KEYFILES: &str = "etc/NetworkManager/system-connections";
const SCRIPTS: &str = "etc/sysconfig/network-scripts";
pub(crate) const NETWORKD: &str = "usr/lib/systemd/systemd-networkd";
pub(crate) const CARD: &str = "etc/systemd/network/60-eth0.network";
const RULE: &str = "etc/udev/rules.d/90-eth0-managed.rules";

pub(crate) fn of(files: &Files, kind: Kind) -> Vec<Change> {
    changes(files, &Config::default(), kind).unwrap()
}

pub(crate) fn keeping(files: &Files) -> Vec<Change> {
    let gateways: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap()];
    let receiver = Receiver {
        network: Network::Keep { gateways },
        ..Kind::Lxc.into()
    };
    changes(files, &Config::default(), receiver).unwrap()
}

pub(crate) fn has(found: &[Change], path: &str) -> bool {
    found.iter().any(|change| change.path == path.as_bytes())
}

/// It wrote a file that nothing of that system reads.
/// Only `"` and `(` opened a value, and a bracket in a comment ended one.
/// An open quote took what was written behind it.
#[test]
fn all_addresses_of_a_value_of_several_lines_are_kept() {
    for net in [
        "config_venet0=\"192.0.2.10/32\n192.0.2.11/32\"\n",
        "config_venet0=( \"192.0.2.10 netmask 255.255.255.255\"\n\t'192.0.2.11/32' )\n",
    ] {
        let net =
            format!("config_eth1=\"10.0.0.2/24\"\n{net}routes_venet0=( \"192.0.2.99/32\" )\n");
        let found = keeping(&netifrc(&net));
        let after = text(&found, NET);
        let ours = "config_eth0=\"192.0.2.10/32\n192.0.2.11/32\"\n";
        assert!(
            after.starts_with("config_eth1=\"10.0.0.2/24\"\nconfig_eth0"),
            "{after}"
        );
        assert!(after.contains(ours), "{after}");
    }
    let netplan = "network:\n  ethernets:\n    venet0:\n      addresses:\n      \
        - 192.0.2.10/32\n      - \"192.0.2.11/32\"\n      nameservers:\n        \
        addresses:\n          - 192.0.2.53\n      \
        routes:\n        - to: 0.0.0.0/0\n";
    let files = Files::new()
        .file("usr/sbin/netplan", "")
        .file("etc/netplan/50-venet0.yaml", netplan);
    let found = keeping(&files);
    let after = text(&found, "etc/netplan/60-eth0.yaml");
    assert!(
        after.contains("- \"192.0.2.10/32\"\n        - \"192.0.2.11/32\"\n"),
        "{after}"
    );
    assert!(!after.contains("192.0.2.53"), "{after}");
}

/// `eth0` got the address of a bridge inside the container.
#[test]
fn an_address_of_another_card_is_not_venet0s() {
    let interfaces = "auto venet0\niface venet0 inet static\n    address 192.0.2.10\n\
        auto br1\niface br1 inet static\n    address 10.0.0.1\n";
    let files = Files::new()
        .files(&["sbin/ifup", "sbin/dhclient"])
        .file("etc/network/interfaces", interfaces);
    let found = keeping(&files);
    let (_, ours) = text(&found, "etc/network/interfaces")
        .split_once("eth0")
        .unwrap();
    assert!(
        ours.contains("192.0.2.10") && !ours.contains("10.0.0.1"),
        "{ours}"
    );
}

/// Arch before systemd.
#[test]
fn lists_of_netcfg_name_venet0_no_more() {
    let rc = "HOSTNAME='www'\nvenet0=\"venet0 127.0.0.1 netmask 255.255.255.255\"\n\
        rt_default=\"default dev venet0\"\nINTERFACES=(lo venet0 !eth1)\n\
        ROUTES=( \"rt_default\" )\n# venet0 is OpenVZ's\n";
    let files = Files::from(&container())
        .file("etc/arch-release", "")
        .file("etc/rc.conf", rc)
        .file(
            "etc/conf.d/netcfg",
            "NETWORKS=( \"venet0\" 'venet0_0'  \"mine\" )\nA=b\n",
        )
        .file(
            "etc/network.d/venet0_0",
            "CONNECTION='ethernet'\nADDR='192.0.2.10'\n",
        );
    let found = keeping(&files);
    assert_eq!(
        text(&found, "etc/rc.conf"),
        "HOSTNAME='www'\nINTERFACES=(lo !eth1)\nROUTES=( )\n# venet0 is OpenVZ's\n"
    );
    assert_eq!(
        text(&found, "etc/conf.d/netcfg"),
        "NETWORKS=(  \"mine\" )\nA=b\n"
    );
    assert!(shown(&found).contains(&"remove etc/network.d/venet0_0".to_owned()));
    // The addresses are known, whatever sets eth0 up.
    let found = keeping(&files.file(NETWORKD, ""));
    assert!(text(&found, CARD).contains("Address=192.0.2.10/32\n"));

    let files = Files::new().file("etc/conf.d/netcfg", "NETWORKS=\"venet0 mine\"\n");
    let found = of(&files, Kind::Lxc);
    assert_eq!(shown(&found), ["keep etc/conf.d/netcfg"]);
    assert!(reason(&found, "etc/conf.d/netcfg").contains("by hand"));
}

/// Incus' /sys lets udev start, and these rules took eth0 away from NetworkManager.
#[test]
fn an_older_networkmanager_is_told_that_eth0_is_its_own() {
    let old =
        "SUBSYSTEM!=\"net\", GOTO=\"end\"\nENV{ID_NET_DRIVER}==\"veth\", ENV{NM_UNMANAGED}=\"1\"\n";
    let new = "# veth\nENV{ID_NET_DRIVER}==\"veth\", \
        ENV{INTERFACE}!=\"eth[0-9]*\", ENV{NM_UNMANAGED}=\"1\"\n";
    let its_rules = "usr/lib/udev/rules.d/85-nm-unmanaged.rules";
    let keyfile = network_manager();
    let scripts = red_hat(systemd("almalinux", "8.9")).file("usr/sbin/NetworkManager", "");
    let own = scripts
        .clone()
        .file(&format!("{SCRIPTS}/ifcfg-eth0"), "DEVICE=eth0\n");
    for files in [keyfile, scripts, own] {
        for kind in [Kind::Lxc, Kind::Incus] {
            let files = Files::from(&files.clone().file(its_rules, old));
            let found = of(&files, kind);
            assert_eq!(
                text(&found, RULE),
                "SUBSYSTEM==\"net\", ACTION==\"add|change|move\", ENV{ID_NET_DRIVER}==\"veth\", \
                 ENV{INTERFACE}==\"eth[0-9]*\", ENV{NM_UNMANAGED}=\"0\"\n"
            );
        }
        for files in [files.clone(), files.clone().file(its_rules, new)] {
            assert!(!has(&of(&Files::from(&files), Kind::Incus), RULE));
        }
        // A machine's card is no such one.
        let machine = Files::from(&files.file(its_rules, old));
        assert!(!has(&of(&machine, Kind::Kvm), RULE));
    }
}

const OLD_MAC: &str = "00:18:51:00:00:01";

/// Red Hat's scripts refuse a card with another hardware address.
#[test]
fn settings_that_stay_do_not_name_the_old_card() {
    let card = format!("{SCRIPTS}/ifcfg-eth0");
    let files = Files::from(&red_hat(systemd("centos", "7"))).file(
        &card,
        format!("DEVICE=eth0\nHWADDR=\"{OLD_MAC}\"\nMACADDR=a\nONBOOT=no\n"),
    );
    for kind in [Kind::Lxc, Kind::Incus, Kind::Kvm] {
        let found = of(&files, kind);
        assert_eq!(text(&found, &card), "DEVICE=eth0\nMACADDR=a\nONBOOT=no\n");
        let why = reason(&found, &card);
        assert!(why.contains("settings of its own, and they stay"), "{why}");
        assert!(why.contains("nothing starts eth0 by itself"), "{why}");
    }
    // The machine's card is the one that the configuration names.
    let config = format!("NETIF=\"ifname=eth0,mac={OLD_MAC}\"");
    let config = Config::parse(config.as_bytes()).unwrap();
    let found = changes(&files, &config, Kind::Kvm).unwrap();
    assert!(shown(&found).contains(&format!("keep {card}")), "{found:?}");
    let found = changes(&files, &config, Kind::Incus).unwrap();
    assert!(!text(&found, &card).contains("HWADDR"));

    let card = format!("{KEYFILES}/own.nmconnection");
    let own = "[connection]\ninterface-name=eth0\n[ethernet]\nmac-address=00:18:51:00:00:01\n";
    let found = of(&Files::from(&network_manager().file(&card, own)), Kind::Lxc);
    assert_eq!(
        text(&found, &card),
        "[connection]\ninterface-name=eth0\n[ethernet]\n"
    );

    let own = "[Match]\nName=eth0\nMACAddress=00:18:51:00:00:01\n[Link]\nMACAddress=a\n";
    let files = Files::new()
        .file(NETWORKD, "")
        .file("etc/systemd/network/a.network", own);
    assert_eq!(
        text(&of(&files, Kind::Lxc), "etc/systemd/network/a.network"),
        "[Match]\nName=eth0\n[Link]\nMACAddress=a\n"
    );
    let own = "network:\n  ethernets:\n    eth0:\n      match: {macaddress: 00:18:51:00:00:01}\n";
    let files = Files::new()
        .file("usr/sbin/netplan", "")
        .file("etc/netplan/a.yaml", own);
    let found = of(&files, Kind::Lxc);
    assert!(reason(&found, "etc/netplan/a.yaml").contains("see that it is the new one"));
}

/// They set it up beside what was written for it.
#[test]
fn units_and_profiles_of_arch_have_eth0_themselves() {
    let wants = "etc/systemd/system/multi-user.target.wants";
    let arch = || Files::from(&systemd("arch", "")).file(NETWORKD, "");
    let profile = "Interface='eth0'\nConnection=ethernet\nIP=dhcp\n";
    for (files, path) in [
        (
            arch()
                .file("etc/netctl/my-wire", profile)
                .link(&format!("{wants}/netctl@my\\x2dwire.service"), "/x"),
            "etc/netctl/my-wire",
        ),
        (
            arch()
                .file("etc/netctl/wire", profile)
                .file("etc/systemd/system/netctl@wire.service", ""),
            "etc/netctl/wire",
        ),
        (
            arch().link(&format!("{wants}/dhcpcd@eth0.service"), "/x"),
            "etc/systemd/system/multi-user.target.wants/dhcpcd@eth0.service",
        ),
        (
            arch().link(&format!("{wants}/dhcpcd.service"), "/x"),
            "etc/systemd/system/multi-user.target.wants/dhcpcd.service",
        ),
    ] {
        let found = of(&files, Kind::Lxc);
        assert!(shown(&found).contains(&format!("keep {path}")), "{found:?}");
        assert!(!has(&found, CARD), "{found:?}");
    }
    // A profile that nothing starts is none.
    let found = of(&arch().file("etc/netctl/wire", profile), Kind::Lxc);
    assert!(has(&found, CARD), "{found:?}");
    // What asks on every card does not keep the addresses.
    let service = format!("{wants}/dhcpcd.service");
    let files = arch().link(&service, "/x").file(
        "etc/netctl/venet0",
        "Interface=venet0\nAddress=( \"192.0.2.10/32\" )\n",
    );
    let found = keeping(&files);
    assert!(text(&found, CARD).contains("Address=192.0.2.10/32\n"));
    assert!(reason(&found, &service).contains("switch it off by hand"));
}

/// Its name sorts first, and networkd takes the first that matches.
#[test]
fn a_pattern_that_eth0_fits_has_it() {
    let started = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    let other = "etc/systemd/network/20-wired.network";
    let tree = |conditions: &str| {
        Files::new().file(NETWORKD, "").file(
            other,
            format!("[Match]\n{conditions}\n\n[Network]\nDHCP=yes\n"),
        )
    };
    for fits in [
        "Name=eth*",
        "Name=e*",
        "Name=*",
        "Name=en* et?0",
        "Name=eth[0-9]",
        "Name=!wl* ww*",
        "Type=ether",
    ] {
        let found = of(&tree(fits).link(started, "/x"), Kind::Lxc);
        assert_eq!(shown(&found), [format!("keep {other}")], "{fits}");
        // Nothing started it: what is written now comes first.
        let found = of(&tree(fits), Kind::Lxc);
        assert!(
            has(&found, "etc/systemd/network/10-eth0.network"),
            "{fits}: {found:?}"
        );
    }
    for another in [
        "Name=en*",
        "Name=eth[1-9]*",
        "Name=!eth*",
        "Type=wlan",
        "Name=eth*\nDriver=e1000",
        "Name=*\nMACAddress=00:18:51:00:00:01",
        "#Name=eth0",
    ] {
        let found = of(&tree(another).link(started, "/x"), Kind::Lxc);
        assert!(has(&found, CARD), "{another}: {found:?}");
        assert!(!has(&found, other), "{another}: {found:?}");
    }

    let other = format!("{KEYFILES}/wired.nmconnection");
    let tree = |more: &str| {
        let profile = format!("[connection]\nid=wired\ntype=ethernet\n{more}[ipv4]\nmethod=auto\n");
        Files::new()
            .file("usr/sbin/NetworkManager", "")
            .file(&other, profile)
    };
    assert_eq!(shown(&of(&tree(""), Kind::Lxc)), [format!("keep {other}")]);
    for more in [
        "interface-name=eth1\n",
        "autoconnect=false\n",
        "master=br0\n",
    ] {
        let found = of(&tree(more), Kind::Lxc);
        assert!(
            has(&found, &format!("{KEYFILES}/eth0.nmconnection")),
            "{more}"
        );
    }

    let other = "etc/netplan/01-all.yaml";
    let tree = |name: &str| {
        let text =
            format!("network:\n  ethernets:\n    all:\n      match:\n        name: {name}\n");
        Files::new().file("usr/sbin/netplan", "").file(other, text)
    };
    assert_eq!(
        shown(&of(&tree("\"e*\""), Kind::Lxc)),
        [format!("keep {other}")]
    );
    assert!(!has(&of(&tree("'en*'"), Kind::Lxc), other));
}

/// vzctl makes the folder, so it says nothing of what reads it.
#[test]
fn a_folder_of_red_hats_scripts_needs_what_reads_it() {
    let tree = || {
        Files::from(&systemd("fedora", "38"))
            .file(&format!("{SCRIPTS}/ifcfg-venet0"), "DEVICE=venet0\n")
            .file(
                &format!("{SCRIPTS}/ifcfg-venet0:0"),
                "IPADDR=192.0.2.10\n# venet0\n",
            )
    };
    let found = keeping(&tree().file(NETWORKD, ""));
    assert!(text(&found, CARD).contains("Address=192.0.2.10/32\n"));
    let card = format!("{SCRIPTS}/ifcfg-eth0");
    assert!(!has(&found, &card), "{found:?}");
    let found = keeping(&tree());
    assert!(!has(&found, &card) && has(&found, "etc"), "{found:?}");
    assert!(reason(&found, "etc").contains("set eth0 up where this system keeps them"));

    let plugin = "usr/lib64/NetworkManager/libnm-settings-plugin-ifcfg-rh.so";
    let files = tree().file("usr/sbin/NetworkManager", "").file(plugin, "");
    assert!(has(&keeping(&files), &card));
}

/// What vzctl of OpenVZ 6 and before wrote.
#[test]
fn older_gateways_of_red_hat_go() {
    let network = "NETWORKING=yes\nGATEWAY=\"191.255.255.1\"\nHOSTNAME=www\n";
    let route = format!("{SCRIPTS}/route-venet0");
    let files = Files::from(&red_hat(container()))
        .file("etc/sysconfig/network", network)
        .file(
            &route,
            "191.255.255.1 dev venet0\ndefault via 191.255.255.1 dev venet0\n",
        );
    let found = of(&files, Kind::Lxc);
    assert_eq!(
        text(&found, "etc/sysconfig/network"),
        "NETWORKING=yes\nHOSTNAME=www\n"
    );
    assert!(shown(&found).contains(&format!("remove {route}")));
}

/// A move that went well ended with a firewall whose rules were for a card that is not there.
#[test]
fn firewalls_vpns_and_scripts_that_name_venet0_are_told_and_stay() {
    let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i venet0 -p tcp --dport 22 -j ACCEPT\n";
    let told = [
        "etc/iptables/rules.v4",
        "etc/openvpn/server/up.sh",
        "etc/wireguard/wg0.conf",
        "etc/firewalld/zones/public.xml",
        "etc/rc.local",
        "var/spool/cron/crontabs/root",
    ];
    let mut files = Files::from(&systemd("debian", "12"))
        .file("etc/sysctl.conf", "# net.ipv4.conf.venet0.forwarding=1\n")
        .file("etc/nftables.conf", "iif eth0 accept\n")
        .file("etc/cron.d/other", "; venet0\n");
    for path in told {
        files = files.file(path, rules);
    }
    for kind in [Kind::Lxc, Kind::Incus, Kind::Kvm] {
        let found = of(&files, kind);
        let shown = shown(&found);
        for path in told {
            assert!(shown.contains(&format!("keep {path}")), "{shown:?}");
            assert!(reason(&found, path).starts_with("names venet0"));
        }
        for path in ["etc/sysctl.conf", "etc/nftables.conf", "etc/cron.d/other"] {
            assert!(!has(&found, path), "{shown:?}");
        }
    }
}

/// A script of the network's own settings that is changed is not told besides.
#[test]
fn what_names_venet0_no_more_is_not_told() {
    let ours = "auto venet0\niface venet0 inet manual\n\tup ifconfig venet0 up\n";
    let files = Files::from(&systemd("debian", "12")).file("etc/network/interfaces", ours);
    let found = of(&files, Kind::Lxc);
    let mut told = found
        .iter()
        .filter(|change| change.reason.starts_with("names venet0"));
    assert!(told.next().is_none(), "{:?}", shown(&found));
}

/// Virtuozzo 7 has wicked's own script call another one, for the route over venet0.
#[test]
fn a_script_of_wicked_calls_no_script_for_venet0() {
    let before = "case $1 in\ninfo)\n\t\t\t/etc/wicked/extensions/venet_route $ifname add\n\
        \twrite_info\n\t;;\nremove)\n\t\t\t/etc/wicked/extensions/venet_route $ifname del\n\
        \t;;\nesac\n";
    let script = "etc/wicked/extensions/netconfig";
    let route = "etc/wicked/extensions/venet_route";
    let files = Files::from(&suse())
        .file(script, before)
        .file(route, "#!/bin/bash\nVENET=\"venet0\"\n");
    for kind in [Kind::Lxc, Kind::Incus, Kind::Kvm] {
        let found = of(&files, kind);
        let after = "case $1 in\ninfo)\n\twrite_info\n\t;;\nremove)\n\t;;\nesac\n";
        assert_eq!(text(&found, script), after);
        assert!(shown(&found).contains(&format!("remove {route}")));
    }
}

/// vzctl wrote the file anew, without the line that names the folder.
#[test]
fn a_file_of_interfaces_that_nothing_reads_is_told() {
    let vlan = "etc/network/interfaces.d/vlan";
    let notes = "etc/network/interfaces.d/notes";
    let told = |main: &str| {
        let files = Files::from(&systemd("debian", "12"))
            .file("usr/sbin/ifup", "")
            .file("etc/network/interfaces", main)
            .file(vlan, "auto eth1\niface eth1 inet dhcp\n")
            .file(notes, "# cards of this host\n");
        let found = of(&files, Kind::Lxc);
        assert!(!has(&found, notes), "{:?}", shown(&found));
        has(&found, vlan).then(|| reason(&found, vlan).to_owned())
    };
    let lo = "auto lo\niface lo inet loopback\n";
    assert!(told(lo).unwrap().starts_with("nothing reads this file"));
    assert_eq!(
        told(&format!("{lo}source /etc/network/interfaces.d/*\n")),
        None
    );
    assert_eq!(told(&format!("{lo}source-directory interfaces.d\n")), None);
    assert_eq!(told(&format!("{lo}source /etc/network/*.d/*\n")), None);
    // Told only where ifupdown reads the one file; and it is no sign of venet0.
    let files = Files::from(&systemd("debian", "12"))
        .file("etc/network/interfaces", lo)
        .file(vlan, "auto eth1\niface eth1 inet dhcp\n");
    assert!(!has(&of(&files, Kind::Lxc), vlan));
    let files = files
        .files(&["usr/sbin/ifup", NETWORKD])
        .file(
            "etc/systemd/network/venet0.network",
            "[Match]\nName=venet0\n",
        )
        .dir("etc/systemd/system");
    let found = of(&files, Kind::Lxc);
    assert!(has(&found, CARD), "{:?}", shown(&found));
    assert!(!shown(&found).contains(&"write etc/network/interfaces".to_owned()));
}
