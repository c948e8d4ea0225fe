//! `docs/migrate-to-lxc.md`, run from its start to its end on the container of `tests/lxc-images`:
//! here with the programs of Debian 12, Docker's daemon among them, and the part with the kernel's
//! NBD driver in a virtual machine. Nothing of the files may be lost on the way.

use crate::support::divided::Raw;
use crate::support::guide::{Guide, Place};
use crate::support::system::Mounted;
use crate::support::vm::Vm;
use crate::support::{Program, Scratch, convert, names_in};
use crate::tools::tool;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is run here, in the order of the page.
const HERE: [&str; 11] = [
    "lxc-left-out",
    "lxc-convert",
    "lxc-tree",
    "lxc-change",
    "lxc-compare-tree",
    "lxc-compare-archive",
    "lxc-pack",
    "lxc-metadata",
    "lxc-docker",
    "lxc-nspawn",
    "lxc-high-owners",
];

/// A daemon of the test's own, which is installed nowhere. nspawn would ask systemd to register a
/// machine, and systemd does not run everywhere.
const BEFORE: &str = r#"
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
systemd-nspawn() { command systemd-nspawn --register=no --keep-unit "$@"; }
"#;

fn guide() -> Guide {
    Guide::read("docs/migrate-to-lxc.md")
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lxc-images"))
}

fn container() -> Scratch {
    let scratch = Scratch::new();
    tool("qemu-utils", script().arg(scratch.source()));
    scratch
}

/// The programs of Docker, which are not to be installed: that would start a daemon.
fn docker() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker");
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unpacked");
    let mut fetch = Command::new(unpacked);
    tool(
        "apt",
        fetch.arg(&dir).args(["docker.io", "containerd", "runc"]),
    );
    dir
}

/// Asserts that a tarball holds all that was on the container's disk.
#[track_caller]
fn assert_complete(tarball: &Path, scratch: &Scratch) {
    let (found, expected) = listed(tarball, scratch);
    assert_eq!(found, expected);
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
    let expected = std::fs::read_to_string(scratch.source().join("list")).unwrap();
    for words in ["security.capability", "posix_acl_default", "user.origin"] {
        assert!(expected.contains(words), "{words} in {expected}");
    }
    (found, expected)
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let scratch = container();
    let home = scratch.out();
    let machines = scratch.path().join("machines");
    std::fs::create_dir(&machines).unwrap();
    Place::new(&scratch.path().join("place"))
        .with(&scratch.source(), "/vz")
        .with(&home, "/root")
        .with(&machines, "/var/lib/machines")
        .with(&docker(), "/docker")
        .before(BEFORE)
        .run(&guide().blocks(&HERE));
    assert_complete(&home.join("201.tar"), &scratch);
    for (name, most) in [("machines/201/var/lib/sparse.db", 1), ("out/201.tar", 9)] {
        let room = scratch.path().join(name).metadata().unwrap().blocks() * 512;
        assert!(room <= most << 20, "{name}: {room}");
    }
    assert_docker_keeps_what_the_guide_says(&home.join("docker/data/vfs/dir"));
}

/// Docker's copy of the files, in the only layer that is left.
fn assert_docker_keeps_what_the_guide_says(layers: &Path) {
    let layers = names_in(layers).into_iter().map(|name| layers.join(name));
    let [layer] = layers.collect::<Vec<_>>().try_into().unwrap();
    let attributes = |name: &str| {
        let mut getfattr = Command::new("getfattr");
        getfattr.args(["-d", "-m", "-"]).arg(name);
        tool("attr", getfattr.current_dir(&layer))
    };
    assert!(attributes("usr/bin/traceroute").contains("security.capability="));
    assert!(!attributes("usr/bin/ping").contains("security.capability="));
    assert!(attributes("var/www").contains("posix_acl_default="));
    let inode = |name: &str| layer.join(name).metadata().unwrap().ino();
    assert_eq!(inode("usr/bin/ping"), inode("usr/bin/ping4"));
}

#[test]
fn an_attached_disk_gives_the_same_files() {
    let scratch = container();
    let target = scratch.out().join("target.raw");
    std::fs::File::create(&target)
        .unwrap()
        .set_len(16 << 20)
        .unwrap();
    // The tarball comes out on a disk; where it ends, tar sees.
    let after = "# dd if=201.tar of=/dev/vda bs=1M conv=fsync status=none\n";
    let mut page = guide().blocks(&["lxc-left-out", "lxc-attach"]);
    page.blocks.extend(Guide::of("after", after).blocks);
    Vm::new(env!("CARGO_TARGET_TMPDIR"), None)
        .with("--module", &["nbd", "ext4"])
        .with("--binary", &["tar", "dd"])
        .with("--disk", &[&format!("{}:rw", target.display())])
        .file(&scratch.source().join("private"), "/vz/private")
        .run_guide(&page, "modprobe ext4; cd /tmp");
    assert_complete(&target, &scratch);
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
