//! `packaging/ansible/README.md`, run against three hosts on this machine: `tests/ansible-hosts`
//! makes them.

use crate::support::guide::{Guide, listed};
use crate::support::image::ImageBuilder;
use crate::support::{ChainBuilder, Scratch, SourceGuard, program, repository};
use crate::tools::tool;
use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = "packaging/ansible/README.md";

/// A container's private area with one disk, which is in use or not.
fn container(area: &Path, tag: u32, is_in_use: bool) {
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(3);
    let image = match is_in_use {
        true => image.in_use(0x746F_6E59),
        false => image,
    };
    ChainBuilder::base(&image.store(tag)).write(&area.join("root.hdd"));
}

/// A Debian package with the program alone.
fn package(program: &Path, folder: &Path, to: &Path) {
    fs::create_dir_all(folder.join("DEBIAN")).unwrap();
    fs::create_dir_all(folder.join("usr/bin")).unwrap();
    fs::copy(program, folder.join("usr/bin/ploopconv")).unwrap();
    let architecture = tool("dpkg", Command::new("dpkg").arg("--print-architecture"));
    let control = format!(
        "Package: ploopconv\nVersion: 0.1.0-1\nArchitecture: {}\nMaintainer: tests \
         <tests@example.org>\nDescription: of a test\n",
        architecture.trim()
    );
    fs::write(folder.join("DEBIAN/control"), control).unwrap();
    let mut build = Command::new("dpkg-deb");
    build.args(["-Znone", "--root-owner-group", "--build"]);
    tool("dpkg", build.arg(folder).arg(to));
    fs::remove_dir_all(folder).unwrap();
}

/// The inventory of the page.
fn inventory() -> String {
    let list = listed(PAGE, "ansible-inventory");
    let lines = list.lines().filter(|line| !line.starts_with("```"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_role_converts_what_is_on_three_hosts_and_changes_nothing_the_second_time() {
    let scratch = Scratch::new();
    let hosts = scratch.out().join("hosts");
    let root = hosts.join("root");
    fs::create_dir_all(&root).unwrap();
    for (host, id, is_in_use) in [
        ("node1", 101, false),
        ("node2", 202, false),
        ("node2", 203, true),
        ("node3", 304, false),
    ] {
        let private = hosts.join(host).join("vz/private");
        container(&private.join(id.to_string()), id, is_in_use);
    }
    let in_use = hosts.join("node2/vz/private/203");
    let stopped = scratch.out().join("stopped");
    container(&stopped, 203, false);
    let guards = [
        SourceGuard::new(&hosts.join("node1/vz/private")),
        SourceGuard::new(&hosts.join("node2/vz/private/202")),
        SourceGuard::new(&hosts.join("node3/vz/private")),
    ];
    // Without what only a debugger needs: it is copied to each host.
    let program = root.join("ploopconv");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&program).arg(program::path());
    tool("binutils", &mut strip);
    let folder = scratch.out().join("package");
    package(&program, &folder, &root.join("ploopconv.deb"));
    fs::write(root.join("hosts.ini"), inventory()).unwrap();
    tool(
        "coreutils",
        Command::new("cp")
            .arg("-r")
            .arg(repository("packaging/ansible"))
            .arg(root.join("ansible")),
    );
    // The container is stopped between the first run and the second one.
    let mut page = Guide::read(PAGE).blocks(&["ansible-run", "ansible-again", "ansible-sshfs"]);
    let again = page.blocks[1].steps[0].command.clone();
    page.blocks[1].steps[0].command = format!(
        "cp '{}'/root.hdd/* '{}/root.hdd/' && {again}",
        stopped.display(),
        in_use.display()
    );
    let said = run(&hosts, &page);
    page.compare(&said);
    for (host, id) in [
        ("node1", 101),
        ("node2", 202),
        ("node2", 203),
        ("node3", 304),
    ] {
        let vz = hosts.join(host).join("vz");
        let target = vz.join(format!("converted/{id}.qcow2"));
        let raw = scratch.out().join("witness.raw");
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-O", "raw"]).arg(target).arg(&raw);
        tool("qemu-utils", &mut convert);
        let image = vz.join(format!("private/{id}/root.hdd/root.hds"));
        let expected = scratch.out().join("expected.raw");
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", "parallels", "-O", "raw"]);
        tool("qemu-utils", convert.arg(image).arg(&expected));
        assert!(
            fs::read(raw).unwrap() == fs::read(expected).unwrap(),
            "{id}"
        );
    }
    drop(guards);
}

/// Runs a page where the hosts are.
fn run(hosts: &Path, page: &Guide) -> String {
    let script = hosts.join("root/page");
    let before = "export PATH=/root/bin:$PATH ANSIBLE_NOCOLOR=1; cd /root/ansible";
    fs::write(&script, page.script(before)).unwrap();
    fs::create_dir(hosts.join("root/bin")).unwrap();
    std::os::unix::fs::symlink("../ploopconv", hosts.join("root/bin/ploopconv")).unwrap();
    let output = Command::new(repository("tests/ansible-hosts"))
        .arg(hosts)
        .args(["bash", "/root/page"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
