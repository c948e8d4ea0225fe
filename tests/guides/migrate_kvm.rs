//! `docs/migrate-to-kvm.md`, done: a Debian container on a disk of two layers becomes a machine
//! with a login, with a kernel of this machine and with one of its own. Its commands
//! are those of the page.

use crate::support::Scratch;
use crate::support::console::Console;
use crate::support::debian::{fill, layers, script, state};
use crate::support::guide::{Guide, Place};
use crate::tools::tool;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn page() -> Guide {
    Guide::read("docs/migrate-to-kvm.md")
}

/// The folder that the commands of the page are run in.
struct Workplace<'a>(&'a Scratch);

impl Workplace<'_> {
    fn path(&self) -> PathBuf {
        self.0.out()
    }

    /// Runs a block.
    #[track_caller]
    fn run(&self, page: &Guide, block: &str) {
        Place::new(&self.0.path().join(block))
            .with(&self.0.source().join("101"), "/backup/101")
            .with(&self.path(), "/root")
            .run(&page.blocks(&[block]));
    }

    /// Starts the machine of a block, where processors are emulated with the flags that `tests/vm`
    /// explains.
    #[track_caller]
    fn start(&self, page: &Guide, block: &str) -> Console {
        let page = page.blocks(&[block]);
        let [step] = &page.blocks[0].steps[..] else {
            panic!("one machine a block: {page:?}")
        };
        let flags = [
            "-accel kvm -cpu host",
            "-accel tcg,thread=multi -cpu max,-cx16",
        ];
        assert!(step.command.contains(flags[0]), "{step:?}");
        let command = step.command.replace(flags[0], flags[1]);
        let mut shell = Command::new("sh");
        let shell = shell.arg("-c").arg(format!("exec {command}"));
        Console::start(shell.current_dir(self.path()))
    }
}

#[test]
fn a_container_becomes_a_machine_that_somebody_logs_in_to() {
    let page = page();
    let scratch = Scratch::new();
    let made = scratch.path().join("made");
    fs::create_dir(&made).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let build = tool(
        "debootstrap",
        script().arg("container").args([&made, cache]),
    );
    assert_eq!(build, "");
    let disk = scratch.source().join("101/root.hdd");
    fs::create_dir(scratch.source().join("101")).unwrap();
    fs::rename(made.join("disk"), &disk).unwrap();
    let files = layers(&disk);
    assert_eq!(files.len(), 2);
    let filled = fill(&files[1], &made.join("1.raw"), &made.join("2.raw"));
    assert!(filled.written > 5, "{filled:?}");
    let untouched = state(&disk);

    let workplace = Workplace(&scratch);
    let out = workplace.path();
    workplace.run(&page, "kvm-convert");
    let image = out.join("101.qcow2");
    assert_root_is_as_it_was(&image, &made.join("2.raw"));
    fs::remove_dir_all(made).unwrap();

    let first = workplace.start(&page, "kvm-start");
    assert_machine(&page, first, &image);
    // The changes are made once: another boot, by other firmware, finds them.
    let mut second = workplace.start(&page, "kvm-start-uefi");
    second.log_in("root", "ploop", Duration::from_secs(360));
    let again = "# dmesg | grep 'ploopconv: ' || echo none\nnone\n\
        # systemctl is-system-running --wait\nrunning\n\
        # ls -d /sys/firmware/efi\n/sys/firmware/efi\n";
    second.run(
        &Guide::of("the second boot", again),
        Duration::from_secs(180),
    );
    second.power_off(Duration::from_secs(120));
    // A newer kernel goes around the root partition as the guest left it.
    workplace.run(&page, "kvm-again");
    assert_same_root(&image, &out.join("101-new.qcow2"));
    assert_eq!(state(&disk), untouched, "the source was changed");
}

/// A disk as a raw one beside it, by another program.
fn as_raw(disk: &Path) -> PathBuf {
    let raw = disk.with_extension("raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "raw"]).arg(disk).arg(&raw);
    tool("qemu-utils", &mut convert);
    raw
}

/// The container's partition, which begins at 1 MiB in both, has the bytes that it had.
fn assert_root_is_as_it_was(image: &Path, before: &Path) {
    let raw = as_raw(image);
    // A mebibyte in front of it, and two behind.
    let size = before.metadata().unwrap().len() - (3 << 20);
    let mut cmp = Command::new("cmp");
    cmp.args(["--ignore-initial", "1048576", "--bytes", &size.to_string()]);
    tool("diffutils", cmp.arg(&raw).arg(before));
    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(&raw));
    assert!(found.contains("No problems found"), "{found}");
    fs::remove_file(raw).unwrap();
}

/// The root partitions of two disks, from 1 MiB to the boot partition, have the same bytes.
fn assert_same_root(one: &Path, other: &Path) {
    let (one, other) = (as_raw(one), as_raw(other));
    let told = tool("gdisk", Command::new("sgdisk").arg("--info=1").arg(&other));
    let last = told
        .lines()
        .find_map(|line| line.strip_prefix("Last sector: "));
    let last = last.and_then(|rest| rest.split(' ').next()).unwrap();
    let size = (last.parse::<u64>().unwrap() + 1) * 512 - (1 << 20);
    let mut cmp = Command::new("cmp");
    cmp.args(["--ignore-initial", "1048576", "--bytes", &size.to_string()]);
    tool("diffutils", cmp.arg(&one).arg(&other));
    fs::remove_file(one).unwrap();
    fs::remove_file(other).unwrap();
}

/// Logs in, types what the page types, looks for what only this container has, and turns the
/// machine off, which leaves its disk sound.
fn assert_machine(page: &Guide, mut console: Console, image: &Path) {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    console.log_in("root", "ploop", minutes(6));
    console.run(&page.blocks(&["kvm-guest"]), minutes(3));
    let own = "# cat /root/top\nonly in the top layer\n\
        # cat /etc/ssh/ssh_host_ed25519_key /etc/machine-id\n\
        a key\n0123456789abcdef0123456789abcdef\n\
        # ls -d /.vzfifo /etc/udev/devices /aquota.user 2>/dev/null\n\
        # echo $?\n2\n\
        # ls /lib/modules/$(uname -r)/modules.dep && modprobe loop\n/lib/modules/…\n\
        # ls /root/from-container | grep fstab\netc_fstab\n";
    console.run(&Guide::of("this container's own", own), minutes(1));
    console.power_off(minutes(2));
    let checked = tool(
        "qemu-utils",
        Command::new("qemu-img").arg("check").arg(image),
    );
    assert!(checked.contains("No errors were found"), "{checked}");
}

#[test]
fn the_definition_for_libvirt_says_what_the_page_says() {
    let page = page().blocks(&["kvm-libvirt"]);
    let scratch = Scratch::new();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let out = scratch.out();
    tool(
        "qemu-utils",
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(out.join("101.qcow2"))
            .arg("1M"),
    );
    // libvirt's own pretended host, and nothing is started.
    let mut commands = "set -e\nvirt-install() { command virt-install --connect test:///default \
        --dry-run --print-xml \"$@\"; }\n"
        .to_owned();
    for step in &page.blocks[0].steps {
        assert!(step.prints.is_empty(), "{step:?}");
        let _ = writeln!(commands, "{}", step.command);
    }
    let commands = commands.replace("/var/lib/libvirt/images", images.to_str().unwrap());
    let run = Command::new("bash")
        .args(["-c", &commands])
        .current_dir(&out)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{commands}\n{run:?}; virt-install is in the package virtinst"
    );
    let definition = String::from_utf8(run.stdout).unwrap();
    let image = format!("<source file=\"{}/101.qcow2\"/>", images.display());
    for part in [
        &*image,
        "<target dev=\"vda\" bus=\"virtio\"/>",
        "<model type=\"virtio\"/>",
        "<console type=\"pty\"/>",
        "<boot dev=\"hd\"/>",
    ] {
        assert!(definition.contains(part), "{part}: {definition}");
    }
}
