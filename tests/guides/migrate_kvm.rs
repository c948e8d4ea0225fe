//! `docs/migrate-to-kvm.md`, done: a Debian container on a disk of two layers becomes a machine
//! with a login, with a kernel of this machine and with one of its own. Its commands
//! are those of the page.

use crate::support::console::Console;
use crate::support::debian::{fill, layers, script, state};
use crate::support::guide::{Guide, Place};
use crate::support::{Scratch, names_in, repository};
use crate::tools::tool;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn page() -> Guide {
    Guide::read("docs/migrate-to-kvm.md")
}

/// The release of a kernel that is installed with its initramfs and modules, as on any Debian host;
/// the machine at hand may run another one.
fn kernel() -> String {
    let found = names_in(Path::new("/boot"))
        .into_iter()
        .rev()
        .find_map(|name| {
            let release = name.strip_prefix("vmlinuz-")?.to_owned();
            let initramfs = Path::new("/boot").join(format!("initrd.img-{release}"));
            let modules = Path::new("/lib/modules").join(&release);
            (initramfs.exists() && modules.exists()).then_some(release)
        });
    found
        .expect("a kernel in /boot with its initramfs; linux-image-cloud-amd64 is a Debian package")
}

/// The folder that the commands of the page are run in. Loop devices over its files do not outlive
/// it.
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
            .before(&format!("uname() {{ echo '{}'; }}", kernel()))
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

impl Drop for Workplace<'_> {
    fn drop(&mut self) {
        let raw = self.path().join("101.raw");
        let found = Command::new("losetup")
            .arg("-nO")
            .arg("NAME")
            .arg("-j")
            .arg(raw)
            .output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        for device in found.split_whitespace() {
            let _ = Command::new("partx").args(["--delete", device]).output();
            let _ = Command::new("losetup").args(["--detach", device]).output();
        }
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
    let ours = repository("docs/prepare-guest.sh");
    fs::copy(ours, out.join("prepare-guest.sh")).unwrap();
    workplace.run(&page, "kvm-convert");
    let raw = out.join("101.raw");
    tool(
        "diffutils",
        Command::new("cmp").args([&raw, &made.join("2.raw")]),
    );
    fs::remove_dir_all(made).unwrap();
    workplace.run(&page, "kvm-prepare");

    workplace.run(&page, "kvm-your-kernel");
    let image = out.join("101.qcow2");
    assert_machine(
        &page,
        workplace.start(&page, "kvm-start-your-kernel"),
        &image,
        "root=UUID=… noresume",
    );
    fs::remove_file(&image).unwrap();

    workplace.run(&page, "kvm-its-kernel");
    assert_machine(
        &page,
        workplace.start(&page, "kvm-start-its-kernel"),
        &image,
        "BOOT_IMAGE=/boot/vmlinuz-… net.ifnames=0…",
    );
    assert_eq!(state(&disk), untouched, "the source was changed");
}

/// Logs in, types what the page types, looks for what only this container has, and turns the
/// machine off, which leaves its disk sound.
fn assert_machine(page: &Guide, mut console: Console, image: &Path, cmdline: &str) {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    console.log_in("root", "ploop", minutes(6));
    console.run(&page.blocks(&["kvm-guest"]), minutes(3));
    let own = format!(
        "# cat /proc/cmdline\n{cmdline}\n\
        # cat /root/top\nonly in the top layer\n\
        # cat /etc/ssh/ssh_host_ed25519_key /etc/machine-id\n\
        a key\n0123456789abcdef0123456789abcdef\n\
        # ls -d /.vzfifo /etc/udev/devices /aquota.user 2>/dev/null\n\
        # echo $?\n2\n\
        # ls /lib/modules/$(uname -r)/modules.dep && modprobe loop\n/lib/modules/…\n"
    );
    console.run(&Guide::of("this container's own", &own), minutes(1));
    console.power_off(minutes(2));
    let checked = tool(
        "qemu-utils",
        Command::new("qemu-img").arg("check").arg(image),
    );
    assert!(checked.contains("No errors were found"), "{checked}");
}

#[test]
fn the_definitions_for_libvirt_say_what_the_page_says() {
    let page = page().blocks(&["kvm-libvirt-your-kernel", "kvm-libvirt-its-kernel"]);
    let scratch = Scratch::new();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let out = scratch.out();
    for name in ["101.vmlinuz", "101.initrd"] {
        fs::write(out.join(name), name).unwrap();
    }
    fs::write(
        out.join("101.cmdline"),
        "root=UUID=1234-5678 ro console=ttyS0\n",
    )
    .unwrap();
    tool(
        "qemu-utils",
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(out.join("101.qcow2"))
            .arg("1M"),
    );
    let mut definitions = Vec::new();
    for block in &page.blocks {
        // libvirt's own pretended host, and nothing is started.
        let mut commands =
            "set -e\nvirt-install() { command virt-install --connect test:///default \
            --dry-run --print-xml \"$@\"; }\n"
                .to_owned();
        for step in &block.steps {
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
        definitions.push(String::from_utf8(run.stdout).unwrap());
    }
    assert_eq!(definitions.len(), 2);
    let image = format!("<source file=\"{}/101.qcow2\"/>", images.display());
    for definition in &definitions {
        for part in [
            &*image,
            "<target dev=\"vda\" bus=\"virtio\"/>",
            "<model type=\"virtio\"/>",
            "<console type=\"pty\"/>",
        ] {
            assert!(definition.contains(part), "{part}: {definition}");
        }
    }
    let [ours, its] = &definitions[..] else {
        unreachable!()
    };
    for part in [
        &*format!("<kernel>{}/101.vmlinuz</kernel>", images.display()),
        &*format!("<initrd>{}/101.initrd</initrd>", images.display()),
        "<cmdline>root=UUID=1234-5678 ro console=ttyS0</cmdline>",
    ] {
        assert!(
            ours.contains(part) && !its.contains(part),
            "{part}: {ours}{its}"
        );
    }
    assert!(its.contains("<boot dev=\"hd\"/>"), "{its}");
}
