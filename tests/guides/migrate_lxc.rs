//! `docs/migrate-to-lxc.md`, run from its start to its end on the container of `tests/lxc-images`:
//! with Docker's daemon, with LXC, with the importer and the nspawn of systemd, and with programs
//! that stand for those of Proxmox and Incus (`tests/hosts`). Nothing of the files may be lost on
//! the way, and every container starts.

use crate::support::divided::Raw;
use crate::support::guide::{Guide, Place};
use crate::support::system::Mounted;
use crate::support::vm::Vm;
use crate::support::{Program, Scratch, convert, names_in, repository};
use crate::tools::tool;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A daemon of the test's own, which is installed nowhere.
const DOCKER: &str = r#"
mkdir -p /root/docker && mount -t tmpfs none /run
export PATH=/docker/usr/sbin:/docker/usr/bin:$PATH
dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
    --data-root=/root/docker/data --exec-root=/run/docker-exec --pidfile=/run/docker.pid \
    --host=unix:///run/docker.sock >/root/docker/log 2>&1 &
trap 'kill %1; wait' EXIT
export DOCKER_HOST=unix:///run/docker.sock
tries=0
until docker version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [[ $tries == 300 ]]; then cat /root/docker/log; exit 1; fi
    sleep 0.1
done
"#;

/// What machinectl does through a daemon that asks systemd; systemd does not run everywhere.
const MACHINECTL: &str = r#"
mount -t tmpfs none /run
machinectl() {
    case $1 in
    import-tar) /lib/systemd/systemd-import tar "$2" "$3" ;;
    start) systemd-nspawn -q --register=no --keep-unit -M "$2" -b </dev/null ;;
    esac
}
"#;

/// Owners that root of the test may give away, and not root of this machine.
const RANGE: &str = "touch /root/range\nmount --bind /root/range /etc/subuid\n\
    mount --bind /root/range /etc/subgid\n";

fn guide() -> Guide {
    Guide::read("docs/migrate-to-lxc.md")
}

fn script() -> Command {
    Command::new(repository("tests/lxc-images"))
}

fn container() -> Scratch {
    let scratch = Scratch::new();
    tool("qemu-utils", script().arg(scratch.source()));
    scratch
}

/// A node that an unprivileged container cannot make: for one, `tar` would end with an error.
const NODE: &str = "./var/spool/postfix/dev/random";

/// The programs of Docker, which are not to be installed: that would start a daemon.
fn docker() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker");
    let mut fetch = Command::new(repository("tests/unpacked"));
    tool(
        "apt",
        fetch.arg(&dir).args(["docker.io", "containerd", "runc"]),
    );
    dir
}

/// What tar unpacks of a tarball, and what was on the container's disk.
fn listed(tarball: &Path, scratch: &Scratch) -> (String, String) {
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    tar.args(["--acls", "-xpf"]).arg(tarball).arg("-C");
    tool("tar", tar.arg(&tree));
    let found = tool("attr", script().arg("list").current_dir(&tree));
    (found, expected(scratch))
}

fn expected(scratch: &Scratch) -> String {
    let expected = std::fs::read_to_string(scratch.source().join("list")).unwrap();
    for words in ["security.capability", "posix_acl_default", "user.origin"] {
        assert!(expected.contains(words), "{words} in {expected}");
    }
    expected
}

/// Asserts that a tree has all that was on the container's disk, but for the files that the move
/// changes and what the first start leaves.
#[track_caller]
fn assert_moved(found: &str, scratch: &Scratch) {
    let stays = |line: &&str| {
        let other = [
            "./etc/fstab",
            "./etc/network/interfaces",
            "./etc/vzdump",
            "./srv/started",
            NODE,
            // nspawn's.
            "./etc/localtime",
            "./etc/resolv.conf",
            "./var/log",
        ];
        !other.iter().any(|part| line.contains(part))
    };
    // The times of directories, which have something new in them by now, are looked at elsewhere.
    let without_time = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["d", mode, owners, _, _, path] => format!("d {mode} {owners} {path}"),
        _ => line.to_owned(),
    };
    let lines = |text: &str| -> Vec<String> {
        let mut lines: Vec<_> = text.lines().filter(stays).map(without_time).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(lines(found), lines(&expected(scratch)));
}

/// What is in a tree on this machine.
fn list(tree: &Path) -> String {
    tool("attr", script().arg("list").current_dir(tree))
}

/// What an unprivileged container sees of its tree, whose owners are shifted by 100000.
fn list_of_unprivileged(tree: &Path) -> String {
    let enter = "echo root:100000:65536 >\"$1\"; touch /etc/subuid /etc/subgid; \
        mount --bind \"$1\" /etc/subuid; mount --bind \"$1\" /etc/subgid; \
        exec lxc-usernsexec -m b:0:100000:65536 -- bash -s list";
    let range = tempfile::NamedTempFile::new().unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        enter,
        "sh",
    ]);
    // Its path may be closed to other users.
    let text = std::fs::File::open(repository("tests/lxc-images")).unwrap();
    let unshare = unshare.arg(range.path()).current_dir(tree);
    tool("lxc uidmap attr", unshare.stdin(Stdio::from(text)))
}

/// Runs blocks of the page. What LXC makes is in the folder that is given back.
fn run(scratch: &Scratch, place: Place, blocks: &[&str]) -> PathBuf {
    let lxc = scratch.path().join("lxc");
    std::fs::create_dir(&lxc).unwrap();
    place
        .with(&scratch.source().join("private"), "/vz/private")
        .with(&scratch.out(), "/root")
        .with(&lxc, "/var/lib/lxc")
        .with(&repository("tests/hosts"), "/hosts")
        .run(&guide().blocks(blocks));
    lxc
}

fn place(scratch: &Scratch, before: &str) -> Place {
    Place::new(&scratch.path().join("place")).before(&format!("export PATH=$PATH:/hosts\n{before}"))
}

/// The first process ran a program that has two names and a capability.
#[track_caller]
fn assert_started(root: &Path) {
    let said = std::fs::read_to_string(root.join("srv/started")).unwrap();
    assert_eq!(said, "new\n");
}

#[test]
fn proxmox_restores_and_starts_it() {
    let scratch = container();
    let range = format!("{RANGE}echo root:100000:65536 >/root/range\n");
    let place = place(&scratch, &range);
    let lxc = run(&scratch, place, &["lxc-proxmox", "lxc-verify"]);
    let root = lxc.join("201/rootfs");
    assert_moved(&list_of_unprivileged(&root), &scratch);
    assert!(root.join(NODE).parent().unwrap().is_dir() && !root.join(NODE).exists());
    assert_started(&root);
    assert!(!root.join("etc/vzdump/vps.conf").exists());
    let settings = std::fs::read_to_string(lxc.join("201/settings")).unwrap();
    for line in [
        "hostname: www.example.org\n",
        "memory: 256\n",
        "swap: 512\n",
        "unprivileged: 1\n",
    ] {
        assert!(settings.contains(line), "{line} in {settings}");
    }
}

/// Every name that a target may have: the commands that are printed lead to a container.
#[test]
fn proxmox_restores_archives_of_every_name() {
    let scratch = container();
    let mut page = String::new();
    let names = [
        "a.tar",
        "b.tar.gz",
        "c.tgz",
        "d.tzst",
        "e -O tar --compress=gzip",
    ];
    for (number, name) in (301..).zip(names) {
        // The first two or three commands: the name, the restore, the start.
        page += &format!(
            "# ploopconv 201 -o {name} --for lxc 2>said\n\
             # sed -n 's/^ploopconv: next: //p' said \\\n  \
             | grep -v '^#' | sed '/^pct start/q; s/^pct restore 201/pct restore {number}/' \\\n  \
             | sed 's/^pct start 201/pct start {number}/' >commands && sh -e commands\n"
        );
    }
    let range = format!("{RANGE}echo root:100000:65536 >/root/range\n");
    let lxc = scratch.path().join("lxc");
    std::fs::create_dir(&lxc).unwrap();
    place(&scratch, &range)
        .with(&scratch.source().join("private"), "/vz/private")
        .with(&scratch.out(), "/root")
        .with(&lxc, "/var/lib/lxc")
        .with(&repository("tests/hosts"), "/hosts")
        .run(&Guide::of("names", &page));
    for number in 301..306 {
        assert_started(&lxc.join(format!("{number}/rootfs")));
    }
}

#[test]
fn incus_imports_and_launches_it() {
    let scratch = container();
    let range = format!("{RANGE}echo root:100000:65536 >/root/range\n");
    let place = place(&scratch, &range);
    let lxc = run(&scratch, place, &["lxc-incus"]);
    let root = lxc.join("images/openvz-www/rootfs");
    assert_moved(&list(&root), &scratch);
    assert_started(&root);
}

#[test]
fn systemd_imports_and_starts_it() {
    let scratch = container();
    let machines = scratch.path().join("machines");
    std::fs::create_dir(&machines).unwrap();
    let place = place(&scratch, MACHINECTL).with(&machines, "/var/lib/machines");
    run(&scratch, place, &["lxc-systemd"]);
    let root = machines.join("www");
    assert_moved(&list(&root), &scratch);
    assert_started(&root);
}

#[test]
fn docker_imports_and_runs_it() {
    let scratch = container();
    let place = place(&scratch, DOCKER).with(&docker(), "/docker");
    run(&scratch, place, &["lxc-docker", "lxc-docker-plain"]);
    // Docker's copy of the files: both archives are one layer to it.
    let layers = scratch.out().join("docker/data/vfs/dir");
    let layers: Vec<_> = names_in(&layers)
        .into_iter()
        .map(|name| layers.join(name))
        .collect();
    assert!(!layers.is_empty());
    for layer in layers {
        // The page says so: Docker lets a file inherit from the directory's default ACL.
        let found = list(&layer);
        let (before, inherited) = found.split_once("# file: ./var/www/index.html\n").unwrap();
        let (acl, after) = inherited.split_once("\n\n").unwrap();
        assert!(acl.starts_with("system.posix_acl_access=") && !acl.contains('\n'));
        assert_moved(&format!("{before}{after}"), &scratch);
    }
}

#[test]
fn lxc_starts_it_unprivileged() {
    let scratch = container();
    let place = place(&scratch, RANGE);
    let lxc = run(&scratch, place, &["lxc-range", "lxc-plain"]);
    let root = lxc.join("www/rootfs");
    assert_moved(&list_of_unprivileged(&root), &scratch);
    assert!(root.join(NODE).parent().unwrap().is_dir() && !root.join(NODE).exists());
    assert_started(&root);
}

#[test]
fn a_target_named_like_an_archive_is_one_with_the_containers_files() {
    let scratch = container();
    let image = scratch.source().join("private/201");
    for name in ["201.tar", "201.tar.gz", "201.tar.zst"] {
        let target = scratch.out().join(name);
        convert(&image, &target).run().done();
        // What the page leaves out is there, too.
        let (found, expected) = listed(&target, &scratch);
        assert!(expected.contains(NODE));
        let found: BTreeSet<_> = found.lines().collect();
        let missing = expected.lines().filter(|line| !found.contains(line));
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "{name}");
        std::fs::remove_dir_all(scratch.path().join("tree")).unwrap();
    }
}

/// The files of XFS are not read here, and the message has commands that read them in another way.
#[test]
fn files_of_xfs_become_an_archive_by_the_commands_of_the_message() {
    let raw = Raw::new(320 << 20);
    let mut mkfs = Command::new("mkfs.xfs");
    tool("xfsprogs", mkfs.arg("-q").arg(&raw.path));
    let folder = raw.scratch.path().join("mounted");
    let mounted = Mounted::image(&raw.path, &folder, "loop");
    std::fs::write(mounted.dir.join("kept"), "x\n").unwrap();
    drop(mounted);
    let image = raw.image();
    let run = convert(&image, Path::new("201.tar")).run();
    let run = run.refused(1, &["is XFS"]);
    // The commands of a message, for the path that the image has in the guest.
    let commands_of = |stderr: &str| -> Vec<String> {
        let commands = stderr.lines().filter_map(|line| {
            let at = [": ploopconv ", ": tar "].map(|start| line.find(start));
            let command = &line[at.into_iter().flatten().min()? + 2..];
            Some(command.replace(image.to_str().unwrap(), "/vz/root.hdd"))
        });
        commands
            .map(|command| format!("# {command}\n…\n"))
            .collect()
    };
    let commands = commands_of(&run.stderr);
    assert_eq!(commands.len(), 3, "{}", run.stderr);
    let listed = Program::new(["ls"]).arg(&image).run();
    let listed = listed.refused(1, &["is XFS"]);
    let seen = commands_of(&listed.stderr);
    assert_eq!(seen.len(), 1, "{}", listed.stderr);
    let page = format!(
        "{}# tar -tf 201.tar ./kept\n./kept\n{}# cat /mnt/kept\nx\n# ploopconv detach /mnt\n…\n",
        commands.concat(),
        seen.concat(),
    );
    Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
        .with("--module", &["nbd", "xfs"])
        .with("--binary", &["tar"])
        .file(&raw.scratch.source(), "/vz")
        .run_guide(&Guide::of("message", &page), "modprobe xfs; cd /tmp");
}
