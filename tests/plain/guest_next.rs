//! What a container's configuration becomes: Proxmox's and Incus's files, commands, and where it
//! is found.

use std::fs;
use std::path::Path;
use std::process::Command;

use ploopconv::format::tar::TarOptions;
use ploopconv::guest::{
    Archive, Config, Family, Hint, Init, Kind, Network, Receiver, System, candidates, find_config,
    metadata_yaml, next, vps_conf,
};

const CONFIG: &str = "ONBOOT=\"yes\"\nPHYSPAGES=\"0:262145\"\nSWAPPAGES=\"0:512M\"\n\
    DISKSPACE=\"10485760:11534336\"\nCPUUNITS=\"1000\"\nCPUS=\"2\"\nCPULIMIT=\"150\"\n\
    IP_ADDRESS=\"192.0.2.10 192.0.2.11 2001:db8::10\"\nHOSTNAME=\"www.example.org\"\n\
    NAMESERVER=\"192.0.2.53 192.0.2.54\"\nSEARCHDOMAIN=\"example.org\"\nIOPRIO=\"x\"\n\
    OSTEMPLATE=\"debian-8.0-x86_64\"\nDESCRIPTION=\"it's \\\"mine\\\"\"\nDISABLED=no\n";

fn config() -> Config {
    Config::parse(CONFIG.as_bytes()).unwrap()
}

fn debian(version: &str) -> System {
    System {
        family: Family::Debian,
        id: "debian".to_owned(),
        version: version.to_owned(),
        name: format!("Debian GNU/Linux {version}"),
        init: Init::Systemd,
        systemd: None,
        architecture: Some("x86_64"),
    }
}

fn archive(path: &str) -> Archive<'_> {
    Archive {
        path,
        ending: TarOptions::for_name(path).ending(),
        id: "101",
        disk_size: 5 << 30,
    }
}

fn lines(hints: &[Hint]) -> Vec<&str> {
    let commands = hints.iter().flat_map(|hint| &hint.commands);
    commands.map(String::as_str).collect()
}

#[test]
fn the_configuration_is_one_that_proxmox_takes() {
    assert_eq!(
        vps_conf(&config(), 5 << 30),
        "HOSTNAME=\"www.example.org\"\nPHYSPAGES=\"0:262400\"\nSWAPPAGES=\"0:131072\"\n\
         DISKSPACE=\"11534336:11534336\"\nCPUS=\"2\"\nONBOOT=\"yes\"\nDESCRIPTION=\"it's mine\"\n\
         OSTEMPLATE=\"debian-8.0-x86_64\"\nIP_ADDRESS=\"192.0.2.10 192.0.2.11 2001:db8::10\"\n\
         NAMESERVER=\"192.0.2.53 192.0.2.54\"\nSEARCHDOMAIN=\"example.org\"\n"
    );
    assert_eq!(
        vps_conf(&Config::default(), (5 << 30) + 1),
        "HOSTNAME=\"container\"\nDISKSPACE=\"5242881:5242881\"\n"
    );
}

/// Its reader goes line by line, knows this form only, and dies of any other.
#[test]
fn every_line_has_the_form_that_proxmox_knows() {
    let text = vps_conf(&config(), 5 << 30);
    let again = Config::parse(text.as_bytes()).unwrap();
    assert_eq!(again.problems(), []);
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap();
        let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        assert!(key.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        assert_eq!(again.get(key), Some(value), "{line}");
    }
    // Memory is a whole number of MiB, and no less than before.
    let memory = (config().memory().unwrap(), again.memory().unwrap());
    assert_eq!(memory, ((1 << 30) + 4096, 1025 << 20));
}

#[test]
fn an_image_of_incus_says_what_it_is() {
    assert_eq!(
        metadata_yaml(&config(), &debian("8.11"), 1_700_000_000),
        "architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  \
         description: \"www.example.org, Debian GNU/Linux 8.11\"\n  os: \"debian\"\n  \
         release: \"8.11\"\n  name: \"www.example.org\"\n"
    );
}

#[test]
fn commands_are_filled_from_the_configuration() {
    let hints = next(
        &archive("101.tar.zst"),
        &config(),
        &debian("12.1"),
        &Kind::Lxc.into(),
    );
    let options = "--rootfs local-lvm:11 --hostname www.example.org --memory 1025 --swap 512 \
        --cores 2 --cpulimit 1.5 --net0 name=eth0,bridge=vmbr0,ip=dhcp \
        --nameserver '192.0.2.53 192.0.2.54' --searchdomain example.org --onboot 1 \
        --unprivileged 1 --features nesting=1";
    let restore = format!("pct restore 101 101.tar.zst {options}");
    let create = format!("pct create 101 101.tar.zst {options}");
    assert_eq!(
        lines(&hints),
        [
            restore.as_str(),
            "pct start 101",
            &create,
            "zstd -dc 101.tar.zst | machinectl import-tar - www",
            "machinectl start www",
            "zstd -dc 101.tar.zst | docker import --change 'CMD [\"/sbin/init\"]' - openvz-www",
        ]
    );
    let hints = next(
        &archive("my 101.tar.gz"),
        &config(),
        &debian("12.1"),
        &Kind::Incus.into(),
    );
    assert_eq!(
        lines(&hints),
        [
            "incus image import 'my 101.tar.gz' --alias openvz-www",
            "incus launch openvz-www www --config limits.memory=1025MiB --config limits.cpu=2 \
             --config limits.cpu.allowance=150ms/100ms --config boot.autostart=true \
             --device root,size=11GiB",
        ]
    );
}

#[test]
fn without_a_configuration_there_are_commands_too() {
    let archive = Archive {
        path: "-a.tar",
        ending: ".tar",
        id: "5d2b8a9e-0000-4000-8000-000000000001",
        disk_size: 1,
    };
    let mut system = debian("3.1");
    system.init = Init::Sysv;
    let hints = next(&archive, &Config::default(), &system, &Kind::Lxc.into());
    let name = "ct5d2b8a9e-0000-4000-8000-000000000001";
    let options = "--rootfs local-lvm:1 --net0 name=eth0,bridge=vmbr0,ip=dhcp --ostype unmanaged \
        --unprivileged 1";
    let restore = format!("pct restore $(pvesh get /cluster/nextid) ./-a.tar {options}");
    assert_eq!(
        [0, 2, 4].map(|at| lines(&hints)[at].to_owned()),
        [
            restore,
            format!("machinectl import-tar ./-a.tar {name}"),
            format!("docker import --change 'CMD [\"/sbin/init\"]' ./-a.tar openvz-{name}"),
        ]
    );
}

#[test]
fn addresses_and_hardware_addresses_go_along() {
    let card = |config: &str, network: Network| {
        let config = Config::parse(config.as_bytes()).unwrap();
        let kind = Kind::Lxc;
        let hints = next(
            &archive("a.tar"),
            &config,
            &debian("12.1"),
            &Receiver {
                network,
                ..kind.into()
            },
        );
        let line = hints[0].commands[0].clone();
        let card = line
            .split("--net0 ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        (card.to_owned(), hints[0].notes.join("; "))
    };
    let gateways = vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()];
    let keep = Network::Keep { gateways };
    let (line, notes) = card(CONFIG, keep.clone());
    assert_eq!(
        line,
        "name=eth0,bridge=vmbr0,ip=192.0.2.10/32,gw=192.0.2.1,ip6=2001:db8::10/128,gw6=fe80::1"
    );
    assert!(notes.ends_with("see that eth0 keeps 192.0.2.11"), "{notes}");
    let netif = "NETIF=\"ifname=eth0,mac=00:18:51:AA:BB:CC,ip=10.0.0.5/24,gw=10.0.0.1\"\n";
    let mac = "name=eth0,bridge=vmbr0,hwaddr=00:18:51:AA:BB:CC";
    let none = Network::Keep {
        gateways: Vec::new(),
    };
    assert_eq!(
        card(netif, none.clone()).0,
        format!("{mac},ip=10.0.0.5/24,gw=10.0.0.1")
    );
    // Without an address Proxmox leaves the guest's own settings alone.
    assert_eq!(card("", none).0, "name=eth0,bridge=vmbr0");
    assert_eq!(card("", Network::None).0, "name=eth0,bridge=vmbr0");
}

/// The shell hands the program the words that were meant.
#[test]
fn commands_mean_the_same_to_a_shell() {
    let config = Config::parse(b"NAMESERVER=\"192.0.2.53 192.0.2.54\"\n").unwrap();
    let archive = archive("a'b $(reboot) `c`.tar");
    let hints = next(&archive, &config, &debian("12.1"), &Kind::Lxc.into());
    let script = format!(
        "pct() {{ printf '%s\\n' \"$@\"; }}; {}",
        hints[0].commands[0]
    );
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(words[..3], ["restore", "101", "a'b $(reboot) `c`.tar"]);
    assert!(words.contains(&"192.0.2.53 192.0.2.54"), "{words:?}");
}

/// Releases that Proxmox refuses to set up are restored all the same.
#[test]
fn systems_that_proxmox_refuses_are_unmanaged() {
    for (family, id, version, unmanaged) in [
        (Family::Debian, "debian", "5.0.10", false),
        (Family::Ubuntu, "ubuntu", "8.04", true),
        (Family::Ubuntu, "ubuntu", "14.04", false),
        (Family::RedHat, "centos", "6.10", false),
        (Family::RedHat, "centos", "4.9", true),
        (Family::Fedora, "fedora", "15", true),
        (Family::Suse, "opensuse", "13.2", false),
        (Family::Suse, "sles", "12.5", false),
        (Family::Suse, "opensuse", "11.4", true),
        // It takes two numbers, or a date.
        (Family::Suse, "sles", "12", true),
        (Family::Suse, "sles", "15", true),
        (Family::Suse, "sles", "15.4", false),
        (Family::Suse, "opensuse-tumbleweed", "20241010", false),
        (Family::Alpine, "alpine", "3.12.0", false),
        (Family::Arch, "arch", "", false),
        (Family::Other, "slackware", "14.2", true),
    ] {
        let system = System {
            family,
            id: id.to_owned(),
            ..debian(version)
        };
        let hints = next(&archive("a.tar"), &config(), &system, &Kind::Lxc.into());
        let says = hints[0].commands[0].contains("--ostype unmanaged");
        assert_eq!(says, unmanaged, "{id} {version}");
    }
}

#[test]
fn the_configuration_is_beside_the_disk_or_in_the_hosts_folder() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("conf");
    let area = folder.path().join("private/101");
    fs::create_dir_all(&area).unwrap();
    fs::create_dir(&host).unwrap();
    let find = || find_config(&area, None, &[&host]).map(|found| found.map(|(path, _)| path));
    assert_eq!(find().unwrap(), None);
    // The number alone proves nothing: this area may be a backup from another host.
    let conf = host.join("101.conf");
    fs::write(&conf, "HOSTNAME=\"other\"\n").unwrap();
    assert_eq!(find().unwrap(), None);
    let private = folder.path().canonicalize().unwrap().join("private/$VEID");
    fs::write(&conf, format!("VE_PRIVATE=\"{}\"\n", private.display())).unwrap();
    assert_eq!(find().unwrap().as_deref(), Some(conf.as_path()));
    // A link to a host that is gone is none.
    let beside = area.join("ve.conf");
    std::os::unix::fs::symlink("/nowhere/101.conf", &beside).unwrap();
    assert_eq!(find().unwrap().as_deref(), Some(conf.as_path()));
    fs::remove_file(&beside).unwrap();
    fs::write(&beside, "HOSTNAME=\"www\"\n").unwrap();
    assert_eq!(
        find().unwrap(),
        Some(area.canonicalize().unwrap().join("ve.conf"))
    );
    fs::write(&beside, b"\x7fELF\0").unwrap();
    let error = find().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("reading the container's configuration in ")
    );
    assert_eq!(error.code(), "no-container-configuration");
}

#[test]
fn an_id_that_is_no_name_is_looked_for_nowhere() {
    let conf = Path::new("/etc/vz/conf");
    for id in ["../101", "..", "", "a/b"] {
        assert_eq!(
            candidates(Path::new("/x/1"), Some(id), &[conf]).len(),
            1,
            "{id}"
        );
    }
    let found = candidates(Path::new("/x/101"), None, &[conf]);
    assert_eq!(found[1], Path::new("/etc/vz/conf/101.conf"));
}

/// `pct` knows endings of names in small letters and none of the short ones.
#[test]
fn pct_gets_a_name_that_it_takes() {
    let first = |path: &str, ending: &str| {
        let archive = Archive {
            ending,
            ..archive(path)
        };
        let hints = next(&archive, &config(), &debian("12.1"), &Kind::Lxc.into());
        let commands = hints[0].commands.iter();
        let words = commands.map(|line| line.split(" --").next().unwrap().to_owned());
        words.collect::<Vec<_>>().join("; ")
    };
    for (path, ending, commands) in [
        (
            "a.tar.gz",
            ".tar.gz",
            "pct restore 101 a.tar.gz; pct start 101",
        ),
        (
            "a.tzst",
            ".tar.zst",
            "ln a.tzst a.tar.zst; pct restore 101 a.tar.zst; pct start 101",
        ),
        (
            "/b/a.tgz",
            ".tar.gz",
            "ln /b/a.tgz /b/a.tar.gz; pct restore 101 /b/a.tar.gz; pct start 101",
        ),
        (
            "A.TAR",
            ".tar",
            "ln A.TAR A.tar; pct restore 101 A.tar; pct start 101",
        ),
        (
            "ct",
            ".tar.zst",
            "ln ct ct.tar.zst; pct restore 101 ct.tar.zst; pct start 101",
        ),
        (
            "a.tar",
            ".tar.gz",
            "ln a.tar a.tar.gz; pct restore 101 a.tar.gz; pct start 101",
        ),
        (
            ".tgz",
            ".tar.gz",
            "ln .tgz .tgz.tar.gz; pct restore 101 .tgz.tar.gz; pct start 101",
        ),
        // Without the folder it would be a volume of the storage `local`.
        (
            "local:a.tar",
            ".tar",
            "pct restore 101 ./local:a.tar; pct start 101",
        ),
    ] {
        assert_eq!(first(path, ending), commands, "{path}");
    }
}

/// Where the command does not say the swap, pct takes the sum of memory and swap for it.
#[test]
fn the_swap_is_said_wherever_the_memory_is() {
    let options = |config: &str| {
        let config = Config::parse(config.as_bytes()).unwrap();
        let hints = next(
            &archive("a.tar"),
            &config,
            &debian("12.1"),
            &Kind::Lxc.into(),
        );
        (hints[0].commands[0].clone(), hints[0].notes.join("; "))
    };
    let (line, notes) = options("PHYSPAGES=\"0:262144\"\n");
    assert!(line.contains(" --memory 1024 --swap 0 "), "{line}");
    assert!(!notes.contains("512 MiB"), "{notes}");
    let (line, notes) = options("CPUS=\"1\"\n");
    assert!(
        !line.contains("--memory") && !line.contains("--swap"),
        "{line}"
    );
    assert!(notes.contains("pct gives it 512 MiB"), "{notes}");
}

/// Incus refuses an image without a time, and 0 is none.
#[test]
fn an_image_of_1970_has_a_time() {
    let text = metadata_yaml(&config(), &debian("12"), 0);
    assert!(text.contains("\ncreation_date: 1\n"), "{text}");
}
