use super::*;

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_configuration_of_openvz_6_is_read() {
    let config = config(
        "# vswap-1g\nONBOOT=\"yes\"\nPHYSPAGES=\"0:262144\"\nSWAPPAGES=\"0:512M\"\n\
         DISKSPACE=\"15728640:16777216\"\nCPUUNITS=\"1000\"\nCPUS=\"2\"\nCPULIMIT=\"150\"\n\
         OSTEMPLATE=\"debian-8.0-x86_64\"\nIP_ADDRESS=\"192.0.2.10 2001:db8::10\"\n\
         HOSTNAME=\"www.example.org\"\nNAMESERVER=\"inherit 192.0.2.53\"\n\
         SEARCHDOMAIN=\"example.org\"\nDEVNODES=\"net/tun:rw \"\nVE_ROOT=\"/vz/root/$VEID\"\n",
    );
    assert_eq!(config.host_name().as_deref(), Some("www.example.org"));
    assert_eq!(config.memory(), Some(1 << 30));
    assert_eq!(config.swap(), Some(512 << 20));
    assert_eq!(config.disk_size(), Some(16 << 30));
    assert_eq!(config.processors(), Some(2));
    assert_eq!(config.processor_limit(), Some(150));
    assert_eq!(config.starts_on_boot(), Some(true));
    assert_eq!(config.template(), Some("debian-8.0-x86_64"));
    let addresses: Vec<String> = config.addresses().iter().map(Address::to_string).collect();
    assert_eq!(addresses, ["192.0.2.10/32", "2001:db8::10/128"]);
    assert_eq!(config.name_servers().len(), 1);
    assert_eq!(config.search_domains(), ["example.org"]);
    assert_eq!(config.problems(), []);
    let left: Vec<&str> = config.left_out().iter().map(|left| left.key).collect();
    assert_eq!(left, ["CPUUNITS", "DEVNODES"]);
}

#[test]
fn memory_is_found_in_every_generation() {
    for (text, bytes) in [
        ("RAM=\"512M\"\nPHYSPAGES=\"0:1\"", Some(512 << 20)),
        ("PHYSPAGES=\"65536:65536\"", Some(256 << 20)),
        ("SLMMEMORYLIMIT=\"268435456:536870912\"", Some(512 << 20)),
        (
            "PHYSPAGES=\"0:2147483647\"\nPRIVVMPAGES=\"65536:69632\"",
            Some(272 << 20),
        ),
        ("PHYSPAGES=\"0:9223372036854775807\"", None),
        ("PHYSPAGES=\"unlimited\"", None),
        ("", None),
    ] {
        assert_eq!(config(text).memory(), bytes, "{text}");
    }
}

#[test]
fn a_name_that_no_host_takes_becomes_one() {
    for (text, name) in [
        ("HOSTNAME=\"my_box\"", Some("my-box")),
        ("HOSTNAME=\"\"\nNAME=\"web 1\"", Some("web-1")),
        ("HOSTNAME=\"$(reboot)\"", Some("reboot")),
        ("HOSTNAME=\"..\"", None),
        ("HOSTNAME=\"-x.-\"", Some("x")),
    ] {
        assert_eq!(config(text).host_name().as_deref(), name, "{text}");
    }
    let long = format!("HOSTNAME=\"{}\"", "abcdefghi.".repeat(100));
    assert!(config(&long).host_name().unwrap().len() <= 253);
}

#[test]
fn odd_lines_are_reported_and_the_rest_is_used() {
    let config = config("CPUS=\"2\nreboot\nNAME=\"$(reboot)\"\nHOSTNAME=\"a\"; reboot\nX=\"1\"");
    let problems = config.problems().iter();
    let lines: Vec<usize> = problems.map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
    assert_eq!(config.processors(), Some(2));
    assert_eq!(config.name(), Some("$(reboot)"));
    let left = config.left_out();
    assert_eq!((left.len(), left[0].key), (2, "HOSTNAME"));
    assert_eq!(left[1].reason, "the key is not known here");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    assert_eq!(Config::parse(b"\x7fELF\0\0"), Err(ConfigError::NotText(4)));
    assert_eq!(Config::parse(b"hello\n"), Err(ConfigError::NoKeys));
    let huge = vec![b'A'; MOST + 1];
    assert_eq!(Config::parse(&huge), Err(ConfigError::TooLarge));
    // None at all is none.
    assert_eq!(Config::parse(b""), Ok(Config::default()));
}
