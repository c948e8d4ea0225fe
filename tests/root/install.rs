//! The first half of `tests/run`, in fresh Debian systems: afterwards every outside tool is there,
//! or the one that is missing is named with what was tried.

use crate::support::{Scratch, files_of_support, files_of_tests, repository};
use crate::tools::tool;
use std::fs::{create_dir_all, read_to_string, write};
use std::path::PathBuf;
use std::process::{Command, Output};

/// The version that no list has any more, of a package that breaks Debian 12's own
/// `qemu-system-common`.
const NEWER: &str = "1:10.0.2+ds-2+deb13u1~bpo12+1";

/// What `qemu-utils` of that version says of its relations, but for its number.
const RELATIONS: &str = "Source: qemu
Replaces: qemu-system-common (<< 1:8.0+dfsg-5~)
Depends: libaio1 (>= 0.3.93), libc6 (>= 2.34), libfuse3-3 (>= 3.2.3), libglib2.0-0 (>= 2.67.3), \
libgmp10 (>= 2:6.2.1+dfsg1), libgnutls30 (>= 3.7.5), libhogweed6, libnettle8 (>= 3.8~), \
libnuma1 (>= 2.0.11), libselinux1 (>= 3.1~), liburing2 (>= 2.3), libzstd1 (>= 1.5.2), \
zlib1g (>= 1:1.1.4)
Recommends: qemu-block-extra (= 1:10.0.2+ds-2+deb13u1~bpo12+1)
Breaks: qemu-system-common (<< 1:8.0+dfsg-5~)
Multi-Arch: foreign
";

/// Tool and package of each line of the list.
fn needed() -> Vec<(String, String)> {
    let list = tool(
        "bash",
        Command::new(repository("tests/install")).arg("--list"),
    );
    let pair = |line: &str| {
        let (tool, package) = line.split_once(' ').unwrap();
        (tool.to_owned(), package.trim().to_owned())
    };
    list.lines().map(pair).collect()
}

/// A Debian 12 in a folder.
struct Fresh {
    scratch: Scratch,
}

impl Fresh {
    fn new() -> Self {
        let fresh = Self {
            scratch: Scratch::new(),
        };
        let mut make = Command::new(repository("tests/fresh"));
        make.arg("make").arg(fresh.dir());
        tool("debootstrap", make.arg(env!("CARGO_TARGET_TMPDIR")));
        fresh
    }

    fn dir(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    fn command(&self, who: &str) -> Command {
        let mut command = Command::new(repository("tests/fresh"));
        command
            .arg(who)
            .arg(self.dir())
            .arg(env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// What a script prints that runs in the system as root.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        tool("apt", self.command("root").args(["sh", "-ec", script]))
    }

    fn install(&self, who: &str) -> Output {
        let mut command = self.command(who);
        command.args(["/ploopconv/tests/run", "--install"]);
        command.output().unwrap()
    }

    /// Installs everything that is missing and gives what was said.
    #[track_caller]
    fn installs(&self, who: &str) -> String {
        let output = self.install(who);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}\n{complaints}{said}",
            output.status
        );
        assert!(!complaints.contains("missing"), "{complaints}");
        said
    }

    fn version(&self, package: &str) -> String {
        self.sh(&format!("dpkg-query -Wf '${{Version}}' {package}"))
    }

    fn has(&self, tool: &str) -> bool {
        let root = self.dir();
        if let Some((folder, start)) = tool.rsplit_once('/') {
            let names = crate::support::names_in(&root.join(&folder[1..]));
            let start = start.trim_end_matches('*');
            return names.iter().any(|name| name.starts_with(start));
        }
        // /bin and /sbin are links to these; alternatives are links that lead out of the folder.
        ["usr/bin", "usr/sbin"]
            .iter()
            .any(|folder| root.join(folder).join(tool).symlink_metadata().is_ok())
    }

    /// Every tool is there and packages are whole; those that need others of their own version run.
    #[track_caller]
    fn assert_complete(&self) {
        for (tool, package) in needed() {
            assert!(self.has(&tool), "{tool} of {package}");
        }
        assert_eq!(self.sh("dpkg --audit; apt-get -qq check"), "");
        for line in [
            "qemu-img --version",
            "qemu-system-x86_64 --version",
            "virt-install --version",
            "nbdsh --version",
            "systemd-nspawn --version",
            "cc --version",
            "lintian --version",
        ] {
            assert_ne!(self.sh(line), "", "{line}");
        }
        let again = self.install("user");
        assert!(again.status.success() && again.stdout.is_empty() && again.stderr.is_empty());
    }

    /// Makes a package of empty scripts and gives its path in the system.
    fn build(&self, package: &str, version: &str, relations: &str, programs: &[&str]) -> String {
        let tree = self.scratch.out().join(package);
        create_dir_all(tree.join("DEBIAN")).unwrap();
        create_dir_all(tree.join("usr/bin")).unwrap();
        for program in programs {
            let program = tree.join("usr/bin").join(program);
            write(&program, "#!/bin/sh\necho stand-in\n").unwrap();
            tool("coreutils", Command::new("chmod").arg("755").arg(program));
        }
        let control = format!(
            "Package: {package}\nVersion: {version}\nArchitecture: amd64\nPriority: optional\n\
             Section: otherosfs\nMaintainer: none <none@example.org>\n{relations}\
             Description: a stand-in\n"
        );
        write(tree.join("DEBIAN/control"), control).unwrap();
        let path = format!("/{package}.deb");
        let mut build = Command::new("dpkg-deb");
        build
            .args(["-Zgzip", "--root-owner-group", "--build"])
            .arg(&tree);
        tool("dpkg", build.arg(self.dir().join(&path[1..])));
        path
    }

    /// A source of packages, in the system, that holds these and no others.
    fn publish(&self, packages: &[&str], header: &str) {
        let script = format!(
            "rm -rf /local
            index=main/binary-amd64/Packages
            mkdir -p /local/dists/local/main/binary-amd64
            for deb in {}; do
                mv $deb /local$deb.$(dpkg-deb -f $deb Version)
                deb=$deb.$(dpkg-deb -f /local$deb.* Version)
                dpkg-deb -f /local$deb
                echo Filename: .$deb
                echo Size: $(stat -c %s /local$deb)
                echo SHA256: $(sha256sum </local$deb | cut -d ' ' -f 1)
                echo
            done >/local/dists/local/$index
            cd /local/dists/local
            {{
                printf '%s\\n' 'Suite: local' 'Codename: local' 'Components: main'
                printf 'Architectures: amd64\\n{header}SHA256:\\n'
                echo \" $(sha256sum <$index | cut -d ' ' -f 1) $(stat -c %s $index) $index\"
            }} >Release
            echo 'deb [trusted=yes] copy:/local local main' >/etc/apt/sources.list.d/local.list",
            packages.join(" ")
        );
        self.sh(&script);
    }
}

#[test]
fn a_bare_debian_gets_every_tool_and_later_what_is_gone() {
    let fresh = Fresh::new();
    assert!(!fresh.has("qemu-img") && !fresh.has("cc") && !fresh.has("/boot/initrd.img-*"));
    fresh.installs("root");
    fresh.assert_complete();

    the_one_that_cannot_be_had_is_named(&fresh);
    old_lists_are_fetched_again(&fresh);
    what_has_to_give_way_is_named(&fresh);
    a_newer_relative_that_a_list_has_stays(&fresh);
}

/// apt may not take one package, and there are no lists: the others are installed all the same.
fn the_one_that_cannot_be_had_is_named(fresh: &Fresh) {
    let pin = fresh.dir().join("etc/apt/preferences.d/never");
    write(
        &pin,
        "Package: shellcheck\nPin: release *\nPin-Priority: -1\n",
    )
    .unwrap();
    fresh.sh("dpkg --remove shellcheck acl strace && rm -rf /var/lib/apt/lists/*");
    let output = fresh.install("root");
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8(output.stderr).unwrap();
    let (_, complaints) = complaints.split_once("these tools are missing:\n").unwrap();
    assert!(
        complaints.starts_with(
            "shellcheck, of the Debian package shellcheck. Tried:\n    \
             apt-get install --no-remove --reinstall shellcheck\n        \
             E: Package 'shellcheck' has no installation candidate\n"
        ),
        "{complaints}"
    );
    assert_eq!(complaints.matches("Tried:").count(), 1, "{complaints}");
    assert!(fresh.has("setfacl") && fresh.has("strace") && !fresh.has("shellcheck"));

    // Without the network, it says that the lists are not new.
    fresh.sh("dpkg --remove acl && rm -rf /var/lib/apt/lists/*");
    let mut offline = Command::new("unshare");
    offline.arg("--net").arg(repository("tests/fresh"));
    let args = fresh.command("root");
    let output = offline
        .args(args.get_args())
        .arg("/ploopconv/tests/install")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8(output.stderr).unwrap();
    for needed in [
        "setfacl, of the Debian package acl.",
        "apt-get update\n",
        "E: ",
    ] {
        assert!(complaints.contains(needed), "{needed}: {complaints}");
    }

    std::fs::remove_file(pin).unwrap();
    fresh.installs("root");
    fresh.assert_complete();
}

/// The lists name a file that the source replaced since.
fn old_lists_are_fetched_again(fresh: &Fresh) {
    let build = |version| fresh.build("attr", version, "", &["setfattr", "getfattr", "attr"]);
    fresh.publish(&[&build("1:999-1")], "");
    fresh.sh("apt-get update && dpkg --remove attr");
    fresh.publish(&[&build("1:999-2")], "");
    let said = fresh.installs("root");
    assert!(said.contains("\n=== apt-get update\n"), "{said}");
    assert_eq!(fresh.version("attr"), "1:999-2");
}

/// Debian 12's old `fuse` and its `fuse3` cannot be there at the same time.
fn what_has_to_give_way_is_named(fresh: &Fresh) {
    fresh.sh("apt-get install --yes --no-install-recommends fuse fuse3-");
    assert!(!fresh.has("fusermount3"));
    let said = fresh.installs("root");
    assert!(said.contains("\n=== removing fuse: "), "{said}");
    assert!(fresh.has("fusermount3"));
}

/// With a source that has the whole of the newer QEMU, but is not asked by itself, as backports
/// are.
fn a_newer_relative_that_a_list_has_stays(fresh: &Fresh) {
    let source = "Source: qemu\n";
    let same = format!("{source}Depends: qemu-system-common (= {NEWER})\n");
    let packages = [
        fresh.build("qemu-utils", NEWER, RELATIONS, &["qemu-img"]),
        fresh.build("qemu-system-x86", NEWER, &same, &["qemu-system-x86_64"]),
        fresh.build("qemu-system-common", NEWER, source, &[]),
    ];
    let packages = packages.each_ref().map(String::as_str);
    fresh.publish(
        &packages,
        "NotAutomatic: yes\\nButAutomaticUpgrades: yes\\n",
    );
    fresh.sh("rm /var/lib/apt/lists/_local_*
        apt-get update
        apt-get remove --yes qemu-system-x86 qemu-system-common
        apt-get install --yes --no-install-recommends -t local qemu-utils");
    assert!(!fresh.has("qemu-system-x86_64"));
    let said = fresh.installs("root");
    assert!(!said.contains("setting"), "{said}");
    assert_eq!(fresh.version("qemu-utils"), NEWER);
    assert_eq!(fresh.version("qemu-system-x86"), NEWER);
}

#[test]
fn a_newer_qemu_utils_that_no_list_has_goes_back_for_a_user_with_sudo() {
    let fresh = Fresh::new();
    // Without sudo, somebody reads what root has to do.
    let output = fresh.install("user");
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(complaints.contains("there is no sudo"), "{complaints}");
    assert!(complaints.contains(" qemu-system-x86 "), "{complaints}");

    let stand_in = fresh.build(
        "qemu-utils",
        NEWER,
        RELATIONS,
        &["qemu-img", "qemu-io", "qemu-nbd"],
    );
    fresh.sh(&format!(
        "apt-get install --yes --no-install-recommends sudo {stand_in}"
    ));
    assert_eq!(fresh.version("qemu-utils"), NEWER);
    // This is what stopped the tests before they began.
    fresh.sh(
        "! apt-get install --simulate --no-install-recommends qemu-system-x86 virtinst \
            >/refusal 2>&1
        grep -q 'qemu-utils : Breaks: qemu-system-common' /refusal",
    );
    let said = fresh.installs("user");
    let sentence = format!("\n=== setting qemu-utils back from {NEWER} to 1:7.2+dfsg-");
    assert!(said.contains(&sentence), "{said}");
    assert!(!said.contains("removing"), "{said}");
    fresh.assert_complete();
    assert!(fresh.sh("qemu-img --version").contains("version 7.2"));
}

#[test]
fn debian_13_has_every_package_or_takes_it_from_12() {
    let fresh = Fresh::new();
    let packages: Vec<_> = needed().into_iter().map(|(_, package)| package).collect();
    let packages = packages.join(" ");
    let simulate = "apt-get --simulate --no-install-recommends install";
    fresh.sh("sed -i 's/bookworm/trixie/' /etc/apt/sources.list
        echo 'Dir::State::status \"/dev/null\";' >/etc/apt/apt.conf.d/empty
        apt-get update");
    let rest = packages.replace("ploop ", "");
    fresh.sh(&format!("{simulate} {rest} >/plan"));
    fresh.sh(
        "sed 's/trixie/bookworm/' /etc/apt/sources.list >/etc/apt/sources.list.d/12.list
        apt-get update",
    );
    fresh.sh(&format!("{simulate} {packages} >/plan"));
    let plan = read_to_string(fresh.dir().join("plan")).unwrap();
    for (package, release) in [
        ("ploop", "/oldstable"),
        ("qemu-system-x86", "/stable"),
        ("virt-install", "/stable"),
    ] {
        let start = format!("Inst {package} (");
        let line = plan.lines().find(|line| line.starts_with(&start));
        assert!(line.unwrap().contains(release), "{line:?}");
    }
}

/// Packages that a bare Debian has, and what cargo brings.
const ALWAYS: &[&str] = &[
    "apt",
    "bash",
    "cargo",
    "coreutils",
    "gzip",
    "dash",
    "diffutils",
    "dpkg",
    "findutils",
    "ploopconv",
    "tar",
    "util-linux",
];

#[test]
fn every_package_that_a_test_names_is_installed() {
    let needed = needed();
    let mut names = 0;
    for path in [files_of_tests(), files_of_support()].concat() {
        for name in packages_named(&read_to_string(&path).unwrap()) {
            names += 1;
            assert!(
                ALWAYS.contains(&name) || needed.iter().any(|(_, package)| package == name),
                "{} asks for {name}, which tests/install does not install",
                path.display()
            );
        }
    }
    assert!(names > 100, "{names}");
}

/// The packages that the calls of [`tool`] in a source text say.
fn packages_named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text
        .split("tool(")
        .filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
    quoted.filter(|name| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        !name.is_empty() && name.chars().all(allowed)
    })
}
