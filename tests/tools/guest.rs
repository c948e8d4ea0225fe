//! `--for`: an archive whose files another host starts. What GNU tar unpacks of it is the tree with
//! the changes that the report lists, and no others.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::divided::{MIB, Raw};
use crate::support::{Outcome, Program, convert, names_in};
use crate::tools::tool;
use serde_json::Value;

const CONFIG: &str = "HOSTNAME=\"www.example.org\"\nPHYSPAGES=\"0:262144\"\nKMEMSIZE=\"1:2\"\n\
    IP_ADDRESS=\"192.0.2.10\"\nONBOOT=\"yes\"\n";

/// The files of a container with Debian 7, as OpenVZ leaves them.
fn fill(root: &Path) {
    for folder in [
        "bin",
        "dev",
        "proc",
        "sbin",
        "srv",
        "etc/init.d",
        "etc/network",
        "etc/rc2.d",
        "etc/ssh",
        "etc/udev/devices",
        "etc/vzdump",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (path, text) in [
        (
            "bin/sh",
            "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0",
        ),
        ("sbin/init", ""),
        ("sbin/getty", ""),
        ("sbin/ifup", ""),
        ("etc/debian_version", "7.11\n"),
        (
            "etc/fstab",
            "# mine\nproc /proc proc defaults 0 0\n/dev/simfs / simfs x 0 0\n",
        ),
        ("etc/hostname", "www\n"),
        ("etc/init.d/vzquota", ""),
        (
            "etc/inittab",
            "id:2:initdefault:\nvz:2345:once:touch /.vzfifo\n",
        ),
        (
            "etc/network/interfaces",
            "auto lo\niface lo inet loopback\n\nauto venet0\n\
            iface venet0 inet static\n    address 192.0.2.10\n",
        ),
        ("etc/ssh/ssh_host_rsa_key", "key\n"),
        ("etc/udev/devices/x", ""),
        ("etc/vzdump/pct.conf", "hostname: other\n"),
        ("srv/page", "page\n"),
    ] {
        fs::write(root.join(path), text).unwrap();
    }
    symlink("../init.d/vzquota", root.join("etc/rc2.d/S00vzquota")).unwrap();
    fs::set_permissions(root.join("etc/fstab"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// A container's private area, with its disk and its configuration.
fn container() -> (Raw, PathBuf) {
    let raw = Raw::new(32 * MIB);
    let root = raw.scratch.path().join("root");
    fill(&root);
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&root);
    tool("e2fsprogs", mke2fs.arg(&raw.path));
    let image = raw.image();
    fs::write(raw.scratch.source().join("ve.conf"), CONFIG).unwrap();
    (raw, image)
}

/// What is in a folder: the text of files, where links lead, and the modes.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for name in names_in(&at) {
            let path = at.join(name);
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode();
            let what = if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                open.push(path.clone());
                format!("{mode:o}")
            } else {
                format!("{mode:o} {:?}", fs::read(&path).unwrap())
            };
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.insert(format!("/{name}"), what);
        }
    }
    found
}

fn unpacked(raw: &Raw, archive: &Path, name: &str) -> PathBuf {
    let folder = raw.scratch.path().join(name);
    fs::create_dir(&folder).unwrap();
    let mut tar = Command::new("tar");
    tool("tar", tar.arg("-C").arg(&folder).arg("-xpf").arg(archive));
    folder
}

fn listed(archive: &Path) -> Vec<String> {
    let text = tool("tar", Command::new("tar").arg("-tf").arg(archive));
    text.lines().map(str::to_owned).collect()
}

fn packed(raw: &Raw, image: &Path, name: &str, args: &[&str]) -> (PathBuf, Outcome) {
    let target = raw.scratch.out().join(name);
    let run = convert(image, &target).args(args).run();
    (target, run)
}

fn strings(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_archive_has_the_changes_of_the_report_and_no_others() {
    let (raw, image) = container();
    let (plain, run) = packed(&raw, &image, "plain.tar", &[]);
    run.done();
    let before = tree(&unpacked(&raw, &plain, "before"));
    for how in ["lxc", "incus"] {
        let name = format!("{how}.tar.gz");
        let args = ["--for", how, "--json", "--verify", "--checksum"];
        let (archive, run) = packed(&raw, &image, &name, &args);
        let report = run.status(0).json();
        let folder = unpacked(&raw, &archive, how);
        let after = match how {
            "incus" => tree(&folder.join("rootfs")),
            _ => tree(&folder),
        };
        let changes = &report["container"]["changes"];
        let paths = strings(changes, "path");
        assert!(paths.is_sorted(), "{paths:?}");
        let what: BTreeMap<_, _> = paths.into_iter().zip(strings(changes, "what")).collect();
        let all = before.keys().chain(after.keys());
        for path in all.filter(|path| before.get(*path) != after.get(*path)) {
            let mut above = Path::new(path).ancestors().skip(1);
            let goes = |folder: &Path| {
                let what = what.get(folder.to_str().unwrap());
                what.is_some_and(|what| what == "remove" || what == "empty")
            };
            assert!(what.contains_key(path) || above.any(goes), "{how}: {path}");
        }
        for (path, what) in &what {
            let (old, new) = (before.get(path), after.get(path));
            match what.as_str() {
                "keep" | "empty" => assert_eq!(old, new, "{path}"),
                "remove" => assert!(old.is_some() && new.is_none(), "{path}"),
                _ => assert!(new.is_some() && old != new, "{path}"),
            }
        }
        assert!(after["/etc/fstab"].starts_with("100640 "));
        assert_eq!(after["/srv/page"], before["/srv/page"]);
    }
}

/// `pct restore` looks for exactly this name, and takes another one in the same folder first.
#[test]
fn proxmox_finds_the_configuration_and_incus_its_metadata_near_the_start() {
    let (raw, image) = container();
    let (archive, run) = packed(&raw, &image, "ct.tar", &["--for", "lxc"]);
    run.done();
    let names = listed(&archive);
    let at = names
        .iter()
        .position(|name| name == "./etc/vzdump/vps.conf");
    assert!(at.is_some_and(|at| at < 20), "{names:?}");
    assert!(names.contains(&"./sbin/".to_owned()));
    assert!(!names.contains(&"./etc/vzdump/pct.conf".to_owned()));
    let mut tar = Command::new("tar");
    tar.arg("-xpOf").arg(&archive).arg("./etc/vzdump/vps.conf");
    assert_eq!(
        tool("tar", tar.arg("--occurrence")),
        "HOSTNAME=\"www.example.org\"\nPHYSPAGES=\"0:262144\"\nSWAPPAGES=\"0:0\"\n\
         DISKSPACE=\"32768:32768\"\nONBOOT=\"yes\"\nIP_ADDRESS=\"192.0.2.10\"\n"
    );
    let (archive, run) = packed(&raw, &image, "ct.tar.gz", &["--for", "incus"]);
    run.done();
    let names = listed(&archive);
    assert_eq!(names[..3], ["./", "./metadata.yaml", "./rootfs/"]);
    assert!(names[3..].iter().all(|name| name.starts_with("./rootfs/")));
    assert!(!names.contains(&"./rootfs/etc/vzdump/vps.conf".to_owned()));
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let (raw, image) = container();
    for how in ["lxc", "incus"] {
        let one = packed(&raw, &image, "one.tar.zst", &["-f", "--for", how, "-j1"]);
        let other = packed(&raw, &image, "other.tar.zst", &["-f", "--for", how, "-j3"]);
        assert_eq!(
            fs::read(one.0).unwrap(),
            fs::read(other.0).unwrap(),
            "{how}"
        );
    }
}

/// Programs of the hosts that write down what they are given, and read the archive as those do.
fn hosts(folder: &Path) {
    let script = "#!/bin/sh\nprintf '%s' \"${0##*/}\" >>log\nprintf ' <%s>' \"$@\" >>log\n\
        echo >>log\ncase \"$*\" in\n*' - '*) tar -t ;;\n*.tar*) for word; do case $word in \
        *.tar*) tar -tf \"$word\" ;; esac; done ;;\nesac >>listed\n";
    for name in ["pct", "machinectl", "docker", "incus"] {
        let path = folder.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn the_commands_that_come_next_find_the_archive() {
    let (raw, image) = container();
    let folder = raw.scratch.path().join("hosts");
    fs::create_dir(&folder).unwrap();
    hosts(&folder);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
    for (name, how, archives) in [
        ("it's.tar", "lxc", 4),
        ("a b.tar.zst", "lxc", 4),
        ("$(x).tar.gz", "incus", 1),
    ] {
        let target = raw.scratch.out().join(name);
        let run = convert(&image, Path::new(name)).args(["--for", how, "--json"]);
        let report = run.directory(raw.scratch.out()).run().status(0).json();
        let next = report["next"].as_array().unwrap();
        let commands = next
            .iter()
            .flat_map(|hint| hint["commands"].as_array().unwrap());
        let commands: Vec<_> = commands.map(|line| line.as_str().unwrap()).collect();
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &commands.join("\n")])
            .env("PATH", &path);
        tool("dash", shell.current_dir(raw.scratch.out()));
        let log = fs::read_to_string(raw.scratch.out().join("log")).unwrap();
        assert_eq!(log.lines().count(), commands.len(), "{log}");
        assert!(log.contains("www"), "{log}");
        let seen = fs::read_to_string(raw.scratch.out().join("listed")).unwrap();
        let once = listed(&target).join("\n") + "\n";
        assert_eq!(seen, once.repeat(archives), "{log}");
        for name in ["log", "listed"] {
            fs::remove_file(raw.scratch.out().join(name)).unwrap();
        }
    }
}

#[test]
fn a_dry_run_lists_the_changes_and_writes_nothing() {
    let (raw, image) = container();
    let (_, run) = packed(&raw, &image, "ct.tar.zst", &["--for", "lxc", "--dry-run"]);
    let stdout = String::from_utf8(run.status(0).stdout).unwrap();
    assert!(stdout.contains("change:  remove /etc/rc2.d/S00vzquota: switched the quota"));
    assert!(stdout.contains("left:    KMEMSIZE=1:2: a limit of OpenVZ's own kernel"));
    assert!(stdout.contains("next:    pct restore"));
    assert!(!stdout.contains("+++"));
    let (_, run) = packed(
        &raw,
        &image,
        "ct.tar.zst",
        &["--for", "lxc", "--dry-run", "-v"],
    );
    let stdout = String::from_utf8(run.status(0).stdout).unwrap();
    for line in [
        "--- /etc/fstab",
        "-proc /proc proc defaults 0 0",
        "+#container# proc /proc proc defaults 0 0",
        "--- /dev/null",
        "+++ /etc/vzdump/vps.conf",
    ] {
        let mut lines = stdout.lines().map(str::trim_start);
        assert!(lines.any(|found| found == line), "{line}: {}", stdout);
    }
    assert_eq!(names_in(&raw.scratch.out()), [""; 0]);
}

#[test]
fn the_network_is_what_was_asked_for() {
    let (raw, image) = container();
    for (args, has) in [
        (&["--network", "dhcp"][..], "iface eth0 inet dhcp\n"),
        (
            &["--network", "keep", "--gateway", "192.0.2.1"],
            "    up ip route add default via 192.0.2.1 dev eth0\n",
        ),
        (&["--network", "none"], "iface lo inet loopback\n"),
    ] {
        let all = [&["-f", "--for", "lxc"], args].concat();
        let (archive, run) = packed(&raw, &image, "ct.tar", &all);
        run.done();
        let mut tar = Command::new("tar");
        tar.arg("-xOf")
            .arg(&archive)
            .arg("./etc/network/interfaces");
        let text = tool("tar", &mut tar);
        assert!(text.ends_with(has), "{args:?}: {text}");
        assert!(!text.contains("venet0"));
    }
}

#[test]
fn the_configuration_may_be_elsewhere_or_nowhere() {
    let (raw, image) = container();
    let other = raw.scratch.path().join("other.conf");
    fs::write(&other, "HOSTNAME=\"other\"\nnonsense\n").unwrap();
    let other = other.to_str().unwrap();
    let args = ["--for", "lxc", "--config", other];
    let (_, run) = packed(&raw, &image, "a.tar", &args);
    run.status(0).says([
        "other.conf: line 2: the line is not KEY=",
        "--hostname other",
    ]);
    let (_, run) = packed(
        &raw,
        &image,
        "b.tar",
        &["--for", "lxc", "--config", "/nowhere"],
    );
    run.refused(1, &["reading the container's configuration in /nowhere"]);
    let (_, run) = packed(
        &raw,
        &image,
        "b.tar",
        &["--for", "lxc", "--config", "/dev/zero"],
    );
    run.refused(1, &["it has more than a mebibyte"]);
    fs::remove_file(raw.scratch.source().join("ve.conf")).unwrap();
    let (_, run) = packed(&raw, &image, "c.tar", &["--for", "lxc"]);
    run.status(0).says([
        "no configuration of the container was found",
        "next: pct restore",
    ]);
}

#[test]
fn an_archive_on_stdout_is_changed_too() {
    let (raw, image) = container();
    let program = Program::new([&image]).args(["-o", "-", "-O", "tar", "--for", "lxc"]);
    let run = program.run().status(0);
    assert!(!run.stderr.contains("next:"), "{}", run.stderr);
    let archive = raw.scratch.out().join("ct.tar");
    fs::write(&archive, run.stdout).unwrap();
    assert!(listed(&archive).contains(&"./etc/vzdump/vps.conf".to_owned()));
}

#[test]
fn options_that_say_nothing_are_refused() {
    let (raw, image) = container();
    for (name, args, says) in [
        (
            "a.raw",
            &["--for", "lxc"][..],
            "--for changes the files of an archive",
        ),
        ("a.tar", &["--for", "kvm"], "and no archive"),
        ("a.raw", &["--kernel", "x"], "--for"),
        ("a", &["--for", "kvm", "--partitions"], "--partitions would"),
        (
            "a.tar",
            &["--for", "lxc", "--kernel", "x"],
            "--kernel is for a disk that boots",
        ),
        ("a.tar", &["--network", "keep"], "--for"),
        (
            "a.tar",
            &["--for", "lxc", "--gateway", "192.0.2.1"],
            "--gateway is for --network keep",
        ),
        (
            "a.tar",
            &["--for", "lxc", "--network", "keep", "--gateway", "x"],
            "--gateway",
        ),
    ] {
        let (_, run) = packed(&raw, &image, name, args);
        run.status(2).says([says]);
    }
    assert_eq!(names_in(&raw.scratch.out()), [""; 0]);
}

/// What was changed for a host is verified with the options of the conversion, and with no others.
#[test]
fn an_archive_for_a_host_is_verified_as_it_was_made() {
    let (raw, image) = container();
    let keep = ["--network", "keep", "--gateway", "192.0.2.1"];
    for (name, how, more) in [
        ("a.tar", "lxc", &[][..]),
        ("b.tar.zst", "lxc", &keep),
        ("c.tar.gz", "incus", &[]),
    ] {
        let options = [&["--for", how], more].concat();
        let (target, run) = packed(&raw, &image, name, &options);
        run.status(0);
        let verify = |options: &[&str]| {
            let program = Program::new(["verify".as_ref(), target.as_os_str()]);
            let program = program.arg("--against").arg(&image);
            program.args(options).run()
        };
        verify(&options).status(0).says([] as [&str; 0]);
        let run = verify(&[]).status(1);
        let said = String::from_utf8(run.stdout).unwrap();
        assert!(said.contains("made with --for"), "{said}");
        verify(&["--for", how, "--network", "none"]).status(1);
    }
    let plain = raw.scratch.out().join("plain.raw");
    convert(&image, &plain).run().done();
    let verify = |words: &[&str]| {
        let program = Program::new(["verify".as_ref(), plain.as_os_str()]);
        program.args(words).run()
    };
    verify(&["--for", "lxc"])
        .status(2)
        .says(["add --against IMAGE"]);
    let image = image.to_str().unwrap();
    let run = verify(&["--against", image, "--for", "lxc"]);
    run.status(2).says(["is none"]);
}
