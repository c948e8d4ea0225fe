//! What the tools of OpenVZ's and Virtuozzo's hosts write into a container beside its settings of
//! venet0, and would keep it from its network, from a login, or from being unpacked.

use std::net::IpAddr;

use ploopconv::guest::{Change, Config, Kind, Network, Receiver, changes};

use crate::guest_machines::receiver;
use crate::guest_networks::{has, keeping, of};
use crate::guest_tree::{Files, reason, shown, text};
use crate::support::systems::{centos_6, debian_systemd, network_manager, red_hat, systemd};

/// Virtuozzo 7's mark of a card that it routes.
const MARK: &str = "4896d4dc-7035-45f9-ac14-2bd1d1809c26";

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap()
}

fn removes(found: &[Change], path: &str) -> bool {
    shown(found).contains(&format!("remove {path}"))
}

/// Such a card stayed, with a way out that only the old host answered for.
#[test]
fn a_card_that_the_host_routed_is_no_card_of_the_new_host() {
    let interfaces = format!(
        "auto lo\niface lo inet loopback\n\nauto eth0 eth1\niface eth0 inet static\n\
         \taddress 192.0.2.10\n\tnetmask 255.255.255.0\n\t#{MARK} eth0\n\
         \tup ip route add default dev eth0\n\niface eth0:0 inet static\n\taddress 192.0.2.11\n\
         \tnetmask 255.255.255.0\n\niface eth0 inet6 static\n\taddress 2001:db8::1\n\
         \tnetmask 128\n\t#{MARK} eth0\n\tup ip -6 route add fe80::ffff:1:1 dev eth0\n\
         \tup ip -6 route add default via fe80::ffff:1:1 dev eth0\n\
         \tup ip addr add 2001:db8::2/64 dev eth0\n\niface eth1 inet static\n\
         \taddress 10.0.0.2\n\tnetmask 255.0.0.0\n"
    );
    let files = Files::from(&debian_systemd("12"))
        .files(&["sbin/ifup", "sbin/dhclient"])
        .file("etc/network/interfaces", &interfaces);
    let found = of(&files, Kind::Lxc);
    assert_eq!(
        text(&found, "etc/network/interfaces"),
        "auto lo\niface lo inet loopback\n\nauto eth1\niface eth1 inet static\n\
         \taddress 10.0.0.2\n\tnetmask 255.0.0.0\n\nauto eth0\niface eth0 inet dhcp\n"
    );
    let found = keeping(&files);
    let kept = text(&found, "etc/network/interfaces");
    for line in [
        "    address 192.0.2.10\n    netmask 255.255.255.255\n",
        "iface eth0:1 inet static\n    address 192.0.2.11\n",
        "iface eth0 inet6 static\n    address 2001:db8::1\n    netmask 128\n",
        "    up ip -6 addr add 2001:db8::2/128 dev eth0\n",
    ] {
        assert!(kept.contains(line), "{kept}");
    }
    assert!(!kept.contains("fe80"), "{kept}");
    assert!(!kept.contains("address 10.0.0.2\n    netmask"), "{kept}");
}

#[test]
fn a_card_that_the_host_routed_is_not_left_to_red_hats_scripts() {
    let folder = "etc/sysconfig/network-scripts";
    let card = format!("# {MARK} eth0\nARPUPDATE=no\nDEVICE=eth0\nIPADDR=\"192.0.2.10\"\n");
    let alias = format!("# {MARK} eth0:0\nDEVICE=eth0:0\nIPADDR=\"192.0.2.11\"\n");
    let files = Files::from(&red_hat(systemd("centos", "7")))
        .file(&format!("{folder}/ifcfg-eth0"), card)
        .file(&format!("{folder}/ifcfg-eth0:0"), alias)
        .file(&format!("{folder}/route-eth0"), "default dev eth0\n")
        .file(
            &format!("{folder}/route6-eth0"),
            "default via fe80::ffff:1:1 dev eth0\n",
        )
        .file(
            &format!("{folder}/ifcfg-eth1"),
            "DEVICE=eth1\nIPADDR=10.0.0.2\n",
        )
        .file(&format!("{folder}/route-eth1"), "10.1.0.0/16 dev eth1\n");
    let found = of(&files, Kind::Kvm);
    let dhcp = "DEVICE=eth0\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=dhcp\n";
    assert_eq!(text(&found, &format!("{folder}/ifcfg-eth0")), dhcp);
    for name in ["ifcfg-eth0:0", "route-eth0", "route6-eth0"] {
        assert!(
            removes(&found, &format!("{folder}/{name}")),
            "{:?}",
            shown(&found)
        );
    }
    for name in ["ifcfg-eth1", "route-eth1"] {
        assert!(!has(&found, &format!("{folder}/{name}")));
    }
    let found = keeping(&files);
    let kept = text(&found, &format!("{folder}/ifcfg-eth0"));
    assert!(kept.contains("IPADDR=192.0.2.10\n"), "{kept}");
    let alias = text(&found, &format!("{folder}/ifcfg-eth0:1"));
    assert!(alias.contains("IPADDR=192.0.2.11\n"), "{alias}");
}

/// Its gateway became an address of the container, too.
#[test]
fn a_keyfile_of_the_host_has_its_gateway_behind_the_address() {
    let folder = "etc/NetworkManager/system-connections";
    let of_host = format!(
        "[connection]\nid=vz-eth0\nuuid={MARK}\ntype=ethernet\ninterface-name=eth0\n\n[ipv4]\n\
         method=manual\naddress1=192.0.2.10/24,169.254.0.1\naddress2=192.0.2.11/24,192.0.2.254\n"
    );
    let conf = "etc/NetworkManager/conf.d/vz-eth0.conf";
    let files = Files::from(&network_manager())
        .file(&format!("{folder}/vz-eth0"), of_host)
        .file(conf, "[main]\nplugins-=ifcfg-rh\nno-auto-default+=eth0\n");
    let found = of(&files, Kind::Lxc);
    assert!(removes(&found, &format!("{folder}/vz-eth0")));
    assert!(removes(&found, conf));
    let found = keeping(&files);
    let kept = text(&found, &format!("{folder}/eth0.nmconnection"));
    let addresses: Vec<&str> = kept
        .lines()
        .filter(|line| line.starts_with("address"))
        .collect();
    assert_eq!(
        addresses,
        ["address1=192.0.2.10/32", "address2=192.0.2.11/32"]
    );
}

/// Name servers came to resolvconf from the host, or stood in a file that the network's manager
/// writes anew.
#[test]
fn kept_addresses_keep_their_name_servers() {
    let known = config("NAMESERVER=\"192.0.2.53 2001:db8::53\"\nIP_ADDRESS=\"192.0.2.10\"\n");
    let receiver = || Receiver {
        network: Network::Keep {
            gateways: vec!["192.0.2.1".parse::<IpAddr>().unwrap()],
        },
        ..Kind::Lxc.into()
    };
    for (files, path, expected) in [
        (
            Files::from(&debian_systemd("12"))
                .file("sbin/ifup", "")
                .dir("etc/network"),
            "etc/network/interfaces",
            "dns-nameservers 192.0.2.53 2001:db8::53\n",
        ),
        (
            Files::from(&red_hat(systemd("centos", "7"))),
            "etc/sysconfig/network-scripts/ifcfg-eth0",
            "DNS1=192.0.2.53\nDNS2=2001:db8::53\n",
        ),
        (
            Files::from(&network_manager()),
            "etc/NetworkManager/system-connections/eth0.nmconnection",
            "gateway=192.0.2.1\ndns=192.0.2.53\n\n[ipv6]\nmethod=auto\ndns=2001:db8::53\n",
        ),
    ] {
        let found = changes(&files, &known, receiver()).unwrap();
        assert!(
            text(&found, path).contains(expected),
            "{}",
            text(&found, path)
        );
    }
    // Those of a plain file, where the configuration has none.
    let files = Files::from(&network_manager()).file(
        "etc/resolv.conf",
        "nameserver 192.0.2.54\nnameserver 127.0.0.1\n",
    );
    let known = config("IP_ADDRESS=\"192.0.2.10\"\n");
    let found = changes(&files, &known, receiver()).unwrap();
    let keyfile = text(
        &found,
        "etc/NetworkManager/system-connections/eth0.nmconnection",
    );
    assert!(keyfile.contains("dns=192.0.2.54\n"), "{keyfile}");
}

#[test]
fn old_name_servers_of_resolvconf_and_the_own_name_are_told() {
    let base = "etc/resolvconf/resolv.conf.d/base";
    let hosts = "127.0.0.1 localhost\n\
        # Auto-generated hostname. Please do not remove this comment.\n192.0.2.10 www.lan www\n";
    let files = Files::from(&debian_systemd("12"))
        .link("etc/resolv.conf", "../run/resolvconf/resolv.conf")
        .file(base, "nameserver 192.0.2.53\n")
        .file("etc/hosts", hosts);
    let found = of(&files, Kind::Lxc);
    assert!(reason(&found, base).contains("(192.0.2.53)"));
    assert!(reason(&found, "etc/hosts").contains("at 192.0.2.10"));
    let local = hosts.replace("192.0.2.10", "127.0.1.1");
    let files = Files::from(&debian_systemd("12")).file("etc/hosts", local);
    assert!(!has(&of(&files, Kind::Lxc), "etc/hosts"));
    let files = Files::from(&debian_systemd("12")).file("etc/hosts", hosts);
    assert!(!has(&keeping(&files), "etc/hosts"));
}

/// The way out went over venet0, and eth0 stayed without one.
#[test]
fn a_card_without_a_gateway_is_told_where_venet0_had_the_way_out() {
    let told = |main: &str| {
        let files = Files::from(&debian_systemd("12"))
            .file("sbin/ifup", "")
            .file("etc/network/interfaces", main);
        let found = of(&files, Kind::Lxc);
        reason(&found, "etc/network/interfaces").contains("no gateway was found")
    };
    let venet = "auto venet0\niface venet0 inet manual\n\tup route add default dev venet0\n";
    let card = "auto eth0\niface eth0 inet static\n\taddress 10.0.0.2\n\tnetmask 255.0.0.0\n";
    assert!(told(&format!("{venet}{card}")));
    assert!(!told(&format!("{venet}{card}\tgateway 10.0.0.1\n")));
    assert!(!told(card));
    // Red Hat's gateway may be in other files, and a keyfile's behind its address.
    let folder = "etc/sysconfig/network-scripts";
    let red_hat = |path: &str, text: &str| {
        let files = Files::from(&red_hat(systemd("centos", "7")))
            .file(
                &format!("{folder}/ifcfg-eth0"),
                "DEVICE=eth0\nIPADDR=10.0.0.2\n",
            )
            .file(path, text);
        let found = of(&files, Kind::Lxc);
        reason(&found, &format!("{folder}/ifcfg-eth0")).contains("no gateway")
    };
    assert!(red_hat("etc/none", ""));
    assert!(!red_hat(
        &format!("{folder}/route-eth0"),
        "default via 10.0.0.1\n"
    ));
    assert!(!red_hat("etc/sysconfig/network", "GATEWAY=10.0.0.1\n"));
    let keyfile = "etc/NetworkManager/system-connections/eth0";
    let files = Files::from(&network_manager()).file(
        keyfile,
        "[connection]\ninterface-name=eth0\n[ipv4]\naddress1=10.0.0.2/24,10.0.0.1\n",
    );
    assert!(!reason(&of(&files, Kind::Lxc), keyfile).contains("gateway"));
}

/// `tar` as the root of an unprivileged container ends with an error at the first of them.
#[test]
fn device_nodes_outside_dev_do_not_keep_an_archive_from_being_unpacked() {
    let nodes = [
        "var/spool/postfix/dev/urandom",
        "var/lib/named/dev/null",
        "etc/vz/dev/vzlink",
    ];
    let files = nodes
        .iter()
        .fold(Files::from(&debian_systemd("12")), |files, path| {
            files.device(path)
        });
    let found = of(&files, Kind::Lxc);
    assert!(removes(&found, nodes[0]) && removes(&found, nodes[1]));
    assert!(removes(&found, "etc/vz/dev"), "{:?}", shown(&found));
    assert!(reason(&found, nodes[0]).contains("outside /dev"));
    // What goes with its folder is not named besides.
    for path in [nodes[2], "dev/null", "etc/udev/devices/ploop12345p1"] {
        assert!(!has(&found, path), "{:?}", shown(&found));
    }
    for kind in [Kind::Incus, Kind::Kvm] {
        let found = of(&files, kind);
        assert!(!has(&found, nodes[0]), "{:?}", shown(&found));
    }
}

#[test]
fn more_device_nodes_than_a_chroot_has_are_told_once() {
    let files = (0..1100).fold(Files::from(&debian_systemd("12")), |files, number| {
        files.device(&format!("srv/jail{}/dev/node{number}", number % 7))
    });
    let found = of(&files, Kind::Lxc);
    let nodes = found
        .iter()
        .filter(|change| change.path.starts_with(b"srv/"));
    let (removed, kept): (Vec<&Change>, Vec<&Change>) =
        nodes.partition(|change| change.what.name() == "remove");
    assert_eq!((removed.len(), kept.len()), (1000, 1));
    assert!(kept[0].reason.contains("more device nodes"));
}

/// `vzctl enter` asks for no password, and a machine has no such way in.
#[test]
fn a_machine_without_any_password_is_told() {
    let told = |files: Files| {
        let found = changes(&files, &Config::default(), receiver()).unwrap();
        has(&found, "etc/shadow")
    };
    let locked = "root:!!:1::::::\ndaemon:*:1::::::\n";
    let system = |shadow: &str| Files::from(&debian_systemd("12")).file("etc/shadow", shadow);
    assert!(told(system(locked)));
    assert!(!told(system("root:$6$x$y:1::::::\n")));
    assert!(!told(system(&format!("{locked}ann:$6$x$y:1::::::\n"))));
    assert!(!told(
        system(locked).file("root/.ssh/authorized_keys", "ssh-ed25519 AAAA ann\n")
    ));
    assert!(told(
        system(locked).file("root/.ssh/authorized_keys", "# none\n")
    ));
}

/// vzctl takes away what an old systemd starts in a container, and writes a unit without a link.
#[test]
fn the_console_has_a_login_where_vzctl_started_it() {
    let unit = "usr/lib/systemd/system/console-getty.service";
    let of_host = "[Unit]\nDescription=Console Shell\n[Service]\n\
        ExecStart=-/sbin/agetty --noclear -s console 115200\n";
    let link =
        format!("link etc/systemd/system/getty.target.wants/console-getty.service -> /{unit}");
    let files = Files::from(&systemd("fedora", "18")).file(unit, of_host);
    assert!(shown(&of(&files, Kind::Lxc)).contains(&link));
    let files =
        Files::from(&debian_systemd("12")).file(unit, "[Unit]\nDescription=Console Getty\n");
    assert!(!shown(&of(&files, Kind::Lxc)).contains(&link));
}

#[test]
fn what_the_hosts_tools_start_and_make_goes() {
    let node = "etc/tmpfiles.d/device-ploop12345p1.conf";
    let own = "etc/tmpfiles.d/device-own.conf";
    let files = Files::from(&centos_6())
        .file(node, "b /dev/ploop12345p1 0700 root root - 182:200\n")
        .file(
            own,
            "c /dev/own 0600 root root - 1:2\nf /run/own 0600 root root\n",
        )
        .file("etc/init/call_on_default_rc.conf", "exec touch /.vzfifo\n")
        .file("etc/rc.d/rc.quota", "#!/bin/sh\n")
        .file(
            "etc/rc.d/rc.local",
            "touch /var/lock/local\n/etc/rc.d/rc.quota start\n",
        );
    let mask = "etc/tmpfiles.d/device-mask.conf";
    let files = files
        .link(mask, "/dev/null")
        .file("etc/tmpfiles.d/device-empty.conf", "")
        .file("etc/tmpfiles.d/device-folder.conf/mine", "");
    for kind in [Kind::Lxc, Kind::Incus, Kind::Kvm] {
        let found = of(&files, kind);
        for name in ["mask", "empty", "folder"] {
            assert!(!has(&found, &format!("etc/tmpfiles.d/device-{name}.conf")));
        }
        for path in [
            node,
            "etc/init/call_on_default_rc.conf",
            "etc/rc.d/rc.quota",
        ] {
            assert!(removes(&found, path), "{path}: {:?}", shown(&found));
        }
        assert!(!has(&found, own));
        let script = text(&found, "etc/rc.d/rc.local");
        assert_eq!(
            script,
            "touch /var/lock/local\n: #/etc/rc.d/rc.quota start\n"
        );
    }
    let files = Files::from(&systemd("alt", "9"))
        .file("etc/net/ifaces/venet0/ipv4route", "default dev venet0\n");
    let found = of(&files, Kind::Lxc);
    assert!(reason(&found, "etc/net/ifaces/venet0/ipv4route").starts_with("names venet0"));
}
