//! What the changes write, file by file.

use std::net::IpAddr;

use ploopconv::guest::{Change, Config, Kind, Network, Receiver, changes};

use crate::guest_tree::{Files, reason, shown, text};

fn lxc(files: &Files) -> Vec<Change> {
    changes(files, &Config::default(), Kind::Lxc).unwrap()
}

/// With the container's addresses, and these gateways.
fn keeping(files: &Files, config: &str, gateways: &[&str]) -> Vec<Change> {
    let gateways: Vec<IpAddr> = gateways.iter().map(|ip| ip.parse().unwrap()).collect();
    let receiver = Receiver {
        network: Network::Keep { gateways },
        ..Kind::Lxc.into()
    };
    let config = Config::parse(config.as_bytes()).unwrap();
    changes(files, &config, receiver).unwrap()
}

#[test]
fn fstab_keeps_what_a_container_can_mount() {
    let fstab = "# a comment\n\nUUID=1-2 / ext4 defaults 0 1\nproc /proc proc defaults 0 0\n\
        none /dev/pts/ devpts rw 0 0\n/swap none swap sw 0 0\n/dev/vdb1 /srv ext4 defaults 0 2\n\
        /srv/a /srv/b none bind 0 0\ntmpfs /tmp tmpfs size=1g 0 0\n\
        192.0.2.9:/x /x nfs defaults 0 0";
    let files = Files::new().file_with("etc/fstab", 0o600, 7, fstab);
    let found = lxc(&files);
    assert_eq!(
        text(&found, "etc/fstab"),
        "# a comment\n\n#container# UUID=1-2 / ext4 defaults 0 1\n\
        #container# proc /proc proc defaults 0 0\n#container# none /dev/pts/ devpts rw 0 0\n\
        #container# /swap none swap sw 0 0\n#container# /dev/vdb1 /srv ext4 defaults 0 2\n\
        /srv/a /srv/b none bind 0 0\ntmpfs /tmp tmpfs size=1g 0 0\n\
        192.0.2.9:/x /x nfs defaults 0 0"
    );
    let why = reason(&found, "etc/fstab");
    assert!(why.contains("the new host mounts the root; "), "{why}");
    assert!(why.contains("needs a privileged container"), "{why}");
}

#[test]
fn a_file_that_changes_keeps_its_owner_and_mode() {
    let files = Files::new().file_with("etc/fstab", 0o4640, 7, "simfs / simfs x 0 0\n");
    let found = format!("{:?}", lxc(&files));
    assert!(found.contains("mode: 2464, uid: 7, gid: 7"), "{found}");
}

fn debian(interfaces: &str) -> Files {
    Files::new()
        .files(&["sbin/ifup", "sbin/dhclient"])
        .file("etc/network/interfaces", interfaces)
}

const INTERFACES: &str = "etc/network/interfaces";

#[test]
fn stanzas_of_venet0_go_and_others_stay() {
    let files = debian(
        "# mine\nauto lo venet0 eth1\niface lo inet loopback\n\nallow-hotplug venet0:0\n\
         auto venet0\niface venet0 inet static\n    address 127.0.0.1\n    up route add x\n\
         # of eth1\niface eth1 inet static\n    address 10.0.0.2\n\niface venet0 inet6 manual\n    \
         up a\nsource interfaces.d/*\n",
    );
    let files = files.file(
        "etc/network/interfaces.d/venet",
        "auto venet0:1\niface venet0:1 inet x\n",
    );
    let found = lxc(&files);
    assert_eq!(
        text(&found, INTERFACES),
        "# mine\nauto lo eth1\niface lo inet loopback\n\n# of eth1\niface eth1 inet static\n    \
         address 10.0.0.2\n\nsource interfaces.d/*\n\nauto eth0\niface eth0 inet dhcp\n"
    );
    assert_eq!(
        shown(&found),
        [
            "write etc/network/interfaces",
            "remove etc/network/interfaces.d/venet"
        ]
    );
}

#[test]
fn a_card_with_settings_of_its_own_keeps_them() {
    let own = "auto eth0\niface eth0 inet static\n    address 10.0.0.2/24\n";
    assert_eq!(shown(&lxc(&debian(own))), ["keep etc/network/interfaces"]);
    let main = "auto lo\nsource-directory interfaces.d\n";
    let files = debian(main).file("etc/network/interfaces.d/eth0", own);
    let found = lxc(&files);
    let kept = "etc/network/interfaces.d/eth0";
    assert_eq!(shown(&found), [format!("keep {kept}")]);
    assert_eq!(
        reason(&found, kept),
        "eth0 has settings of its own, and they stay"
    );
}

const ADDRESSES: &str = "IP_ADDRESS=\"192.0.2.10/24 198.51.100.7 2001:db8::10/64 2001:db8::11\"";

#[test]
fn addresses_are_kept_with_a_gateway_that_is_near_or_far() {
    let found = keeping(&debian(""), ADDRESSES, &["192.0.2.1", "fe80::5"]);
    assert_eq!(
        text(&found, INTERFACES).trim_start(),
        "auto eth0\niface eth0 inet static\n    address 192.0.2.10\n    netmask 255.255.255.0\n    \
         gateway 192.0.2.1\n\nauto eth0:1\niface eth0:1 inet static\n    address 198.51.100.7\n    \
         netmask 255.255.255.255\n\niface eth0 inet6 static\n    address 2001:db8::10\n    \
         netmask 64\n    gateway fe80::5\n    up ip -6 addr add 2001:db8::11/128 dev eth0\n"
    );
    // What venet0 routed alone has a gateway in no network of its own.
    let found = keeping(&debian(""), "IP_ADDRESS=\"192.0.2.10\"", &["192.0.2.1"]);
    assert_eq!(
        text(&found, INTERFACES).trim_start(),
        "auto eth0\niface eth0 inet static\n    address 192.0.2.10\n    \
         netmask 255.255.255.255\n    up ip route add 192.0.2.1 dev eth0\n    \
         up ip route add default via 192.0.2.1 dev eth0\n"
    );
    let found = keeping(&debian(""), "IP_ADDRESS=\"192.0.2.10\"", &[]);
    assert!(reason(&found, INTERFACES).contains("no gateway is known"));
    assert!(!text(&found, INTERFACES).contains("route"));
}

#[test]
fn without_a_configuration_the_addresses_are_those_of_the_guests_own_files() {
    let venet = "auto venet0\niface venet0 inet static\n    address 127.0.0.1\n    \
        netmask 255.255.255.255\n    \
        up route add -net 192.0.2.1 netmask 255.255.255.255 dev venet0\n\
        auto venet0:0\niface venet0:0 inet static\n    address 192.0.2.10\n    \
        netmask 255.255.255.255\n    broadcast 192.0.2.10\n";
    let found = keeping(&debian(venet), "", &[]);
    let written = text(&found, INTERFACES).trim_start();
    assert_eq!(
        written,
        "auto eth0\niface eth0 inet static\n    address 192.0.2.10\n    netmask 255.255.255.255\n"
    );
    let scripts = "etc/sysconfig/network-scripts";
    let files = Files::new()
        .file(&format!("{scripts}/ifup-eth"), "")
        .file(
            &format!("{scripts}/ifcfg-venet0"),
            "DEVICE=venet0\nIPADDR=127.0.0.1\nIPV6ADDR=\"2001:db8::7/128\"\n",
        )
        .file(
            &format!("{scripts}/ifcfg-venet0:0"),
            "DEVICE=venet0:0\nIPADDR=\"192.0.2.10\"\n",
        );
    let found = keeping(&files, "", &[]);
    let card = text(&found, "etc/sysconfig/network-scripts/ifcfg-eth0");
    assert!(
        card.contains("IPADDR=192.0.2.10\nNETMASK=255.255.255.255\n"),
        "{card}"
    );
    assert!(card.contains("IPV6ADDR=2001:db8::7/128\n"), "{card}");
    let found = keeping(&debian(""), "", &["192.0.2.1"]);
    assert!(reason(&found, INTERFACES).contains("no address of the container is known"));
    assert!(text(&found, INTERFACES).contains("inet dhcp"));
}

#[test]
fn without_a_network_only_venet0_goes() {
    let receiver = Receiver {
        network: Network::None,
        ..Kind::Incus.into()
    };
    let files =
        debian("auto lo\niface lo inet loopback\n\nauto venet0\niface venet0 inet manual\n");
    let found = changes(&files, &Config::default(), receiver).unwrap();
    assert_eq!(
        text(&found, INTERFACES),
        "auto lo\niface lo inet loopback\n"
    );
}

#[test]
fn every_manager_keeps_addresses_in_its_own_words() {
    let far = ["203.0.113.1", "2001:db8:1::1"];
    let scripts = "etc/sysconfig/network-scripts";
    let files = Files::new().file(&format!("{scripts}/ifup-eth"), "");
    let found = keeping(&files, ADDRESSES, &far);
    assert_eq!(
        text(&found, &format!("{scripts}/ifcfg-eth0")),
        "DEVICE=eth0\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=192.0.2.10\n\
         NETMASK=255.255.255.0\nIPV6INIT=yes\nIPV6ADDR=2001:db8::10/64\n\
         IPV6ADDR_SECONDARIES=\"2001:db8::11/128\"\n"
    );
    assert_eq!(
        text(&found, &format!("{scripts}/route-eth0")),
        "203.0.113.1 dev eth0\ndefault via 203.0.113.1 dev eth0\n"
    );
    assert!(text(&found, &format!("{scripts}/ifcfg-eth0:1")).contains("IPADDR=198.51.100.7\n"));

    let files = Files::new().file("usr/sbin/netplan", "").dir("etc/netplan");
    assert_eq!(
        text(
            &keeping(&files, ADDRESSES, &far),
            "etc/netplan/60-eth0.yaml"
        ),
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses:\n        \
         - \"192.0.2.10/24\"\n        - \"198.51.100.7/32\"\n        \
         - \"2001:db8::10/64\"\n        - \"2001:db8::11/128\"\n      routes:\n        \
         - to: \"0.0.0.0/0\"\n          via: \"203.0.113.1\"\n          on-link: true\n        \
         - to: \"::/0\"\n          \
         via: \"2001:db8:1::1\"\n          on-link: true\n"
    );

    let files = Files::new().file("usr/lib/systemd/systemd-networkd", "");
    assert_eq!(
        text(
            &keeping(&files, "IP_ADDRESS=\"192.0.2.10\"", &far),
            "etc/systemd/network/60-eth0.network"
        ),
        "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.10/32\n\n\
         [Route]\nDestination=203.0.113.1\nScope=link\n\n[Route]\nGateway=203.0.113.1\n"
    );

    let files = Files::new().file("usr/sbin/NetworkManager", "");
    let card = "etc/NetworkManager/system-connections/eth0.nmconnection";
    assert_eq!(
        text(&keeping(&files, "IP_ADDRESS=\"192.0.2.10\"", &far), card),
        "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\nautoconnect=true\n\n[ipv4]\n\
         method=manual\naddress1=192.0.2.10/32\nroute1=203.0.113.1/32\ngateway=203.0.113.1\n\n\
         [ipv6]\nmethod=auto\n"
    );

    let files = Files::new().dir("etc/sysconfig/network");
    let found = keeping(&files, "IP_ADDRESS=\"192.0.2.10 192.0.2.11\"", &far);
    assert_eq!(
        text(&found, "etc/sysconfig/network/ifcfg-eth0"),
        "STARTMODE='auto'\nBOOTPROTO='static'\nIPADDR='192.0.2.10/32'\nIPADDR_1='192.0.2.11/32'\n"
    );
    assert_eq!(
        text(&found, "etc/sysconfig/network/ifroute-eth0"),
        "203.0.113.1/32 - - eth0\ndefault 203.0.113.1 - eth0\n"
    );

    let files = Files::new().file("etc/init.d/net.lo", "").dir("etc/conf.d");
    assert_eq!(
        text(
            &keeping(&files, "IP_ADDRESS=\"192.0.2.10\"", &far),
            "etc/conf.d/net"
        ),
        "config_eth0=\"192.0.2.10/32\"\nroutes_eth0=\"203.0.113.1/32 dev eth0\n\
         default via 203.0.113.1\"\n"
    );
}

#[test]
fn inittab_has_logins_on_the_terminals_that_are_there() {
    let files = Files::new().files(&["sbin/init", "sbin/getty"]).file(
        "etc/inittab",
        "id:2:initdefault:\npf::powerwait:/etc/init.d/powerfail start\n\
             1:2345:respawn:/sbin/getty 38400 tty1\n2:23:respawn:/sbin/getty 38400 tty2\n\
             co:2345:respawn:/usr/bin/mine\n#3:23:respawn:/sbin/getty 38400 tty3\n\
             vz:2345:once:touch /.vzfifo\n",
    );
    assert_eq!(
        text(&lxc(&files), "etc/inittab"),
        "id:2:initdefault:\n#container# pf::powerwait:/etc/init.d/powerfail start\n\
         1:2345:respawn:/sbin/getty 38400 tty1\n#container# 2:23:respawn:/sbin/getty 38400 tty2\n\
         co:2345:respawn:/usr/bin/mine\n#3:23:respawn:/sbin/getty 38400 tty3\n\
         #container# vz:2345:once:touch /.vzfifo\nc0:2345:respawn:/sbin/getty 38400 console\n\
         p0::powerfail:/sbin/init 0\n"
    );
}

#[test]
fn a_job_on_the_console_uses_the_getty_that_the_guest_has() {
    let files = Files::new().files(&["sbin/init", "sbin/mingetty", "etc/init/rc.conf"]);
    let found = lxc(&files);
    let job = text(&found, "etc/init/console.conf");
    assert!(
        job.ends_with("respawn\nexec /sbin/mingetty --nohangup console\n"),
        "{job}"
    );
    let files = Files::new().files(&["sbin/init", "etc/init/rc.conf"]);
    let found = lxc(&files);
    assert_eq!(
        shown(&found),
        [
            "keep etc",
            "write etc/init/power-status-changed.conf",
            "keep sbin"
        ]
    );
    assert!(reason(&found, "sbin").contains("no getty"));
}

#[test]
fn alpine_logs_in_on_the_console() {
    let files = Files::new()
        .file("bin/busybox", "")
        .link("sbin/init", "../bin/busybox")
        .file(
            "etc/inittab",
            "::sysinit:/sbin/openrc sysinit\ntty2::respawn:/sbin/getty 38400 tty2\n",
        );
    assert_eq!(
        text(&lxc(&files), "etc/inittab"),
        "::sysinit:/sbin/openrc sysinit\n#container# tty2::respawn:/sbin/getty 38400 tty2\n\
         console::respawn:/sbin/getty 38400 console\ntty1::respawn:/sbin/getty 38400 tty1\n"
    );
}

#[test]
fn rc_sysinit_stays_a_script_without_udev() {
    let files = Files::new().file_with(
        "etc/rc.d/rc.sysinit",
        0o755,
        0,
        "if a; then\n\t/sbin/start_udev\nfi\n#/sbin/start_udev\n",
    );
    assert_eq!(
        text(&lxc(&files), "etc/rc.d/rc.sysinit"),
        "if a; then\n\t: #/sbin/start_udev\nfi\n#/sbin/start_udev\n"
    );
}

#[test]
fn openvzs_job_in_place_of_mountall_mounts_no_more() {
    let job = "script\n  mount -t proc proc /proc\n  mount -t tmpfs varrun /var/run\nend script\n";
    let files = Files::new().file("etc/init/openvz.conf", job);
    assert_eq!(
        text(&lxc(&files), "etc/init/openvz.conf"),
        "script\n  : #mount -t proc proc /proc\n  mount -t tmpfs varrun /var/run\nend script\n"
    );
}

#[test]
fn marks_go_and_a_file_of_that_name_stays() {
    let files = Files::new().file("reboot", "").file("fastboot", "mine");
    assert_eq!(shown(&lxc(&files)), ["remove reboot"]);
}

#[test]
fn only_openvzs_own_units_go() {
    let files = Files::new().files(&[
        "etc/systemd/system/vzlogger.service",
        "etc/systemd/system/vzreboot.service",
        "etc/init.d/vzdump",
    ]);
    assert_eq!(
        shown(&lxc(&files)),
        ["remove etc/systemd/system/vzreboot.service"]
    );
}

#[test]
fn masks_that_a_container_needs_gone_are_gone_and_the_rest_is_listed() {
    let units = "etc/systemd/system";
    let files = Files::new()
        .link(&format!("{units}/console-getty.service"), "/dev/null")
        .link(&format!("{units}/dev-hugepages.mount"), "/dev/null")
        .link(&format!("{units}/dbus.service"), "/lib/x")
        .file(&format!("{units}/getty.target"), "[Unit]\n");
    let found = lxc(&files);
    assert_eq!(
        shown(&found),
        [
            "keep etc/systemd/system",
            "remove etc/systemd/system/console-getty.service"
        ]
    );
    assert!(reason(&found, units).ends_with("dev-hugepages.mount"));
}

#[test]
fn files_that_a_repair_found_stay() {
    assert_eq!(
        shown(&lxc(&Files::new().dir("lost+found"))),
        ["remove lost+found"]
    );
    let files = Files::new().file("lost+found/#12", "mine");
    assert_eq!(shown(&lxc(&files)), ["keep lost+found"]);
}

#[test]
fn a_table_of_mounts_that_names_openvzs_disk_is_the_kernels_own() {
    let files = Files::new().file("etc/mtab", "/dev/ploop1p1 / ext4 rw 0 0\n");
    assert_eq!(shown(&lxc(&files)), ["link etc/mtab -> /proc/self/mounts"]);
    assert_eq!(
        shown(&lxc(&Files::new().link("etc/mtab", "/proc/mounts"))),
        [""; 0]
    );
}
