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

/// The lines of an inittab that its init reads: the first of each name.
fn read_by_init(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let name = line.split(':').next().unwrap();
        if !line.starts_with('#') && !line.is_empty() && !names.contains(&name) {
            names.push(name);
            lines.push(line.to_owned());
        }
    }
    lines
}

/// How many logins the init starts on a terminal.
fn logins(text: &str, tty: &str) -> usize {
    let lines = read_by_init(text);
    let on =
        |line: &&String| line.contains("getty") && line.split([':', ' ']).any(|word| word == tty);
    lines.iter().filter(on).count()
}

/// Of two lines of one name, the second was not read.
#[test]
fn every_terminal_has_one_login_whatever_vzctl_named_its_lines() {
    let vzctl = "1:2345:respawn:/sbin/mingetty console\n2:2345:respawn:/sbin/mingetty tty2\n";
    for before in [
        "#1:2345:respawn:/sbin/mingetty tty1\n",
        "1:2345:respawn:/sbin/mingetty tty1\n2:2345:respawn:/sbin/mingetty tty2\n",
        "1:2345:once:/usr/bin/mine\nco:2345:wait:/usr/bin/other\nc0:2345:wait:/usr/bin/a\n",
        " #co:2345:respawn:/sbin/mingetty console\n\t# 1:2345:respawn:/sbin/mingetty tty1\n",
    ] {
        let inittab = format!("id:3:initdefault:\nsi::sysinit:/a\n{before}{vzctl}");
        let files = centos_5().file("etc/inittab", &inittab);
        let found = container(&files);
        let after = text(&found, "etc/inittab");
        for (tty, number) in [("console", 1), ("tty1", 1), ("tty2", 0)] {
            assert_eq!(logins(after, tty), number, "{tty}: {after}");
        }
        let found = machine(&files);
        let after = text(&found, "etc/inittab");
        for (tty, number) in [("console", 0), ("tty1", 1), ("ttyS0", 1), ("tty2", 1)] {
            assert_eq!(logins(after, tty), number, "{tty}: {after}");
        }
        // What is no login stays.
        for line in before.lines().filter(|line| line.contains("/usr/bin")) {
            assert!(read_by_init(after).contains(&line.to_owned()), "{after}");
        }
    }
    for files in [debian_sysv("7.11\n"), gentoo(), centos_5()] {
        let found = container(&files);
        let after = text(&found, "etc/inittab");
        assert_eq!(
            (logins(after, "console"), logins(after, "tty1")),
            (1, 1),
            "{after}"
        );
    }
}

/// BusyBox's init opens the terminal that a line is named by, and there is no `/dev/1`.
#[test]
fn lines_of_vzctl_for_another_init_are_no_logins_of_busybox() {
    let found = container(&alpine());
    let after = text(&found, "etc/inittab");
    assert!(
        after.contains("\nconsole::respawn:/sbin/getty 38400 console\n"),
        "{after}"
    );
    for found in [found.as_slice(), &machine(&alpine())] {
        let after = text(found, "etc/inittab");
        for line in ["1:2345:respawn:", "2:2345:respawn:"] {
            assert!(after.contains(&format!("\n#container# {line}")), "{after}");
        }
    }
}

#[test]
fn the_jobs_that_vzctl_writes_hang_nobody_up() {
    let found = container(&centos_6());
    for tty in ["console", "tty2"] {
        let job = format!("etc/init/{tty}.conf");
        let expected = format!("\nexec /sbin/mingetty --nohangup {tty}\n");
        assert!(text(&found, &job).ends_with(&expected), "{job}");
    }
    let old = ubuntu_upstart("10.04").file("etc/event.d/tty2", "exec /sbin/mingetty tty2\n");
    let found = container(&old);
    assert_eq!(
        text(&found, "etc/event.d/tty2"),
        "exec /sbin/mingetty --nohangup tty2\n"
    );
}

#[test]
fn a_job_for_a_terminal_that_centos_serves_goes() {
    let job = "etc/init/tty2.conf";
    let list = |text: &str| centos_6().file("etc/sysconfig/init", text);
    for (files, goes) in [
        (list("ACTIVE_CONSOLES=/dev/tty[1-6]\n"), true),
        (list("ACTIVE_CONSOLES=\"/dev/tty1 /dev/tty2\"\n"), true),
        (list("BOOTUP=color\n"), true),
        (list("ACTIVE_CONSOLES=/dev/tty1\n"), false),
        (list("ACTIVE_CONSOLES=\"$TTYS\"\n"), false),
        (
            list("ACTIVE_CONSOLES=/dev/tty[1-6]\n").file(job, "exec /usr/bin/mine tty2\n"),
            false,
        ),
    ] {
        for found in [container(&files), machine(&files)] {
            let removed = shown(&found).contains(&format!("remove {job}"));
            assert_eq!(removed, goes, "{files:?}");
        }
    }
    let found = machine(&centos_6());
    assert!(reason(&found, "etc/init/serial.conf").contains("CentOS's job"));
}

#[test]
fn an_empty_list_of_terminals_is_seen_however_it_is_written() {
    for line in ["", "''", "\"\"", "\" \"", "'' # none", " # none", "\t"] {
        let text_before = format!("BOOTUP=color\nACTIVE_CONSOLES={line}\n");
        let files = centos_6().file("etc/sysconfig/init", text_before);
        for (found, list) in [
            (container(&files), "/dev/tty1"),
            (machine(&files), "/dev/tty[1-6]"),
        ] {
            let after = text(&found, "etc/sysconfig/init");
            let start = format!("BOOTUP=color\nACTIVE_CONSOLES={list}");
            assert!(after.starts_with(&start), "{after}");
        }
    }
}

/// LXC and Incus mount none, OpenRC's `devfs` leaves itself out there, and the folder of a fresh
/// `/dev` is new at each start.
#[test]
fn programs_share_memory_where_the_init_does_not_see_to_it() {
    let command = "/bin/mkdir /dev/shm 2>/dev/null && /bin/chmod 1777 /dev/shm && \
                   /bin/mount /dev/shm\n";
    for files in [centos_5(), centos_6()] {
        let found = container(&files);
        let script = text(&found, "etc/rc.d/rc.sysinit");
        let begins = format!("#!/bin/bash\n{command}");
        assert!(script.starts_with(&begins), "{script}");
        let fstab = text(&found, "etc/fstab");
        assert!(
            fstab.contains("\nnone /dev/shm tmpfs defaults 0 0\n"),
            "{fstab}"
        );
    }
    for (files, before) in [
        (gentoo(), "m0::sysinit:"),
        (alpine(), "::sysinit:"),
        // A comment that reads like the line.
        (
            gentoo().file(
                "etc/inittab",
                "#si::sysinit:/a\nm0:3:wait:/b\nsi::sysinit:/a\n",
            ),
            "m1::sysinit:",
        ),
    ] {
        let found = container(&files);
        let inittab = text(&found, "etc/inittab");
        let lines = inittab.lines().filter(|line| !line.starts_with('#'));
        let first = lines
            .clone()
            .find(|line| line.contains(":sysinit:"))
            .unwrap();
        let process = first.strip_prefix(before).unwrap();
        assert!(
            process.ends_with("&& chmod 1777 /dev/shm && mount /dev/shm\""),
            "{first}"
        );
        assert!(
            process.len() <= 127,
            "System V's init passes it over: {process}"
        );
        let fstab = text(&found, "etc/fstab");
        assert!(
            fstab.ends_with("\ntmpfs /dev/shm tmpfs nosuid,nodev 0 0\n"),
            "{fstab}"
        );
    }
    // A machine's kernel has its own, and so have these.
    for files in [
        debian_sysv("7.11\n"),
        ubuntu_upstart("14.04"),
        systemd("almalinux", "9.3"),
    ] {
        let files = files.file("etc/fstab", "none /dev/shm tmpfs defaults 0 0\n");
        let found = container(&files);
        assert_eq!(
            text(&found, "etc/fstab"),
            "#container# none /dev/shm tmpfs defaults 0 0\n"
        );
    }
    // No shell's script, and no line that starts OpenRC.
    let path = "etc/rc.d/rc.sysinit";
    let found = container(&centos_6().file(path, "#!/usr/bin/perl\nprint;\n"));
    assert!(shown(&found).contains(&format!("keep {path}")));
    assert!(reason(&found, path).contains("by hand"));
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

/// It mounts a /dev of its own over the one that the new host made.
#[test]
fn suses_boot_starts_no_udev_in_a_container() {
    let order = "etc/init.d/.depend.boot";
    let link = "etc/init.d/boot.d/S02boot.udev";
    let files = Files::new()
        .file(
            "etc/SuSE-release",
            "openSUSE 11.4 (x86_64)\nVERSION = 11.4\n",
        )
        .files(&["sbin/init", "sbin/mingetty", "etc/init.d/boot.udev"])
        .file("etc/inittab", "si::bootwait:/etc/init.d/boot\n")
        .link(link, "../boot.udev")
        .link("etc/init.d/boot.d/S03boot.clock", "../boot.clock")
        .file(
            order,
            "TARGETS = boot.rootfsck boot.udev boot.clock\nINTERACTIVE = boot.rootfsck\n\
             boot.udev: boot.rootfsck\nboot.clock: boot.rootfsck boot.udev\n",
        );
    let found = changes(&files, &Config::default(), Kind::Lxc).unwrap();
    assert_eq!(
        text(&found, order),
        "TARGETS = boot.rootfsck boot.clock\nINTERACTIVE = boot.rootfsck\n\
         boot.clock: boot.rootfsck\n"
    );
    let shown = shown(&found);
    assert!(shown.contains(&format!("remove {link}")), "{shown:?}");
    assert!(!shown.join("\n").contains("boot.clock"), "{shown:?}");
    let found = changes(&files, &Config::default(), receiver()).unwrap();
    assert!(!crate::guest_networks::has(&found, link));
}
