//! `docs/migrate-to-kvm.md`, done: a Debian container on a disk of two layers becomes a machine that
//! somebody logs in to, with a kernel of this machine and with one of its own. Its commands are those
//! of the page.

use crate::debian::{fill, layers, script, state};
use crate::support::console::Console;
use crate::support::guide::{Guide, Place};
use crate::support::{Scratch, names_in};
use crate::tools::tool;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What the page shows, and what its blocks need: `qemu` starts a machine, `guest` is typed there,
/// `libvirt` only makes definitions. `proxmox` is the one that nobody runs, and the page says so.
fn page() -> Guide {
    let page = Guide::read("docs/migrate-to-kvm.md");
    let run = page.unmarked(&["qemu", "guest", "libvirt", "proxmox"]);
    let headings: Vec<_> = run.blocks.iter().map(|block| &*block.heading).collect();
    assert_eq!(headings, [CONVERT, PREPARE, OUR_KERNEL, ITS_KERNEL]);
    for block in page.marked("proxmox").blocks {
        assert_eq!(block.heading, "Proxmox");
    }
    let text = fs::read_to_string(repository("docs/migrate-to-kvm.md")).unwrap();
    assert!(text.contains("### Proxmox\n\nNot run by this project's tests"));
    page
}

const CONVERT: &str = "2. Convert, and prove it";
const PREPARE: &str = "3. Prepare the guest";
const OUR_KERNEL: &str = "4 (a). Your kernel";
const ITS_KERNEL: &str = "4 (b). A kernel and a boot loader in the guest";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
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

/// The folder that the commands of the page are run in. Loop devices over its files do not outlive it.
struct Workplace<'a>(&'a Scratch);

impl Workplace<'_> {
    fn path(&self) -> PathBuf {
        self.0.out()
    }

    /// Runs the blocks below a heading.
    #[track_caller]
    fn run(&self, page: &Guide, heading: &str) {
        let number = heading.split('.').next().unwrap();
        Place::new(&self.0.path().join(format!("place{number}")))
            .with(&self.0.source().join("101"), "/backup/101")
            .with(&self.path(), "/root")
            .before(&format!("uname() {{ echo '{}'; }}", kernel()))
            .run(&page.below(heading));
    }

    /// Starts the machine of the page's block with this number, where processors are emulated
    /// with the flags that `tests/vm` explains.
    #[track_caller]
    fn start(&self, page: &Guide, number: usize) -> Console {
        let block = &page.marked("qemu").blocks[number];
        let [step] = &block.steps[..] else {
            panic!("one machine a block: {block:?}")
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
    workplace.run(&page, CONVERT);
    let raw = out.join("101.raw");
    tool(
        "diffutils",
        Command::new("cmp").args([&raw, &made.join("2.raw")]),
    );
    fs::remove_dir_all(made).unwrap();
    workplace.run(&page, PREPARE);

    workplace.run(&page, OUR_KERNEL);
    let image = out.join("101.qcow2");
    assert_machine(
        &page,
        workplace.start(&page, 0),
        &image,
        "root=UUID=… noresume",
    );
    fs::remove_file(&image).unwrap();

    workplace.run(&page, ITS_KERNEL);
    assert_machine(
        &page,
        workplace.start(&page, 1),
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
    console.run(&page.marked("guest"), minutes(3));
    let own = format!(
        "```console\n\
        # cat /proc/cmdline\n{cmdline}\n\
        # cat /root/top\nonly in the top layer\n\
        # cat /etc/ssh/ssh_host_ed25519_key /etc/machine-id\n\
        a key\n0123456789abcdef0123456789abcdef\n\
        # ls -d /.vzfifo /etc/udev/devices /aquota.user 2>/dev/null\n\
        # echo $?\n2\n\
        # ls /lib/modules/$(uname -r)/modules.dep && modprobe loop\n/lib/modules/…\n\
        ```\n"
    );
    console.run(&Guide::parse("this container's own", &own), minutes(1));
    console.power_off(minutes(2));
    let checked = tool(
        "qemu-utils",
        Command::new("qemu-img").arg("check").arg(image),
    );
    assert!(checked.contains("No errors were found"), "{checked}");
}

#[test]
fn the_definitions_for_libvirt_say_what_the_page_says() {
    let page = page().marked("libvirt");
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

// --- prepare-guest.sh on what other distributions have ------------------------------------------

/// A tree of files, on a file system of its own, after `prepare-guest.sh` has run twice.
struct Prepared {
    scratch: Scratch,
    said: String,
}

impl Prepared {
    /// `files` are paths and contents; a content `-> TARGET` makes a link.
    #[track_caller]
    fn new(files: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let tree = scratch.source();
        for (path, content) in files {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("-> ") {
                Some(target) => symlink(
                    target.replace("OUTSIDE", &scratch.path().display().to_string()),
                    path,
                )
                .unwrap(),
                None => fs::write(path, content).unwrap(),
            }
        }
        // What a link that leads out of the guest could reach.
        let victim = scratch.path().join("victim");
        fs::create_dir_all(victim.join("devices")).unwrap();
        fs::write(victim.join("config"), UNTOUCHED).unwrap();
        let run = tool(
            "mount",
            Command::new("unshare")
                .args(["--mount", "bash", "-euc", PREPARED, "bash"])
                .arg(scratch.path())
                .arg(repository("docs/prepare-guest.sh")),
        );
        let (said, again) = run.split_once("=== again\n").unwrap();
        let uuid = said.lines().last().unwrap();
        assert!(uuid.starts_with("ready    root=UUID="), "{said}");
        // What is only told is told again.
        let changes = again
            .lines()
            .filter(|line| !line.starts_with("note ") && !line.starts_with("skipped "));
        assert_eq!(
            changes.collect::<Vec<_>>(),
            [uuid],
            "the second run changed something"
        );
        assert_eq!(names_in(&victim), ["config", "devices"]);
        let config = fs::read_to_string(victim.join("config")).unwrap();
        assert_eq!(config, UNTOUCHED);
        let said = said.to_owned();
        Self { scratch, said }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.out().join(path)
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path))
            .unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.said))
    }

    #[track_caller]
    fn assert_says(&self, line: &str) {
        assert!(
            self.said.lines().any(|said| said == line),
            "{line}\n{}",
            self.said
        );
    }

    #[track_caller]
    fn assert_gone(&self, paths: &[&str]) {
        for path in paths {
            assert!(
                self.path(path).symlink_metadata().is_err(),
                "{path}\n{}",
                self.said
            );
        }
    }
}

const UNTOUCHED: &str = "SELINUX=enforcing\n";

/// The scratch folder is $1: the tree `source` goes through a file system and comes to `out`.
const PREPARED: &str = r#"
mke2fs -q -t ext4 -d "$1/source" "$1/image" 16M
mkdir "$1/mnt"
mount -o loop "$1/image" "$1/mnt"
rmdir "$1/mnt/lost+found"
sh "$2" "$1/mnt"
echo "=== again"
sh "$2" "$1/mnt"
cp -a "$1/mnt/." "$1/out"
umount "$1/mnt"
"#;

#[test]
fn a_container_of_centos_6_gets_udev_logins_and_eth0() {
    let guest = Prepared::new(&[
        (
            "etc/fstab",
            "none /dev/pts devpts rw 0 0\nnone /dev/shm tmpfs rw 0 0\n/dev/simfs / simfs rw 0 0\n",
        ),
        (
            "etc/rc.d/rc.sysinit",
            "#!/bin/bash\n#/sbin/start_udev\necho on\n",
        ),
        ("sbin/start_udev", "grep devtmpfs /proc/mounts\n"),
        ("etc/init/rc.conf", ""),
        ("etc/init/console.conf", "exec /sbin/mingetty console\n"),
        ("etc/init/serial.conf", "instance $DEV\n"),
        ("sbin/agetty", ""),
        ("etc/inittab", "id:3:initdefault:\n"),
        ("etc/securetty", "console\ntty1\n"),
        (
            "etc/sysconfig/init",
            "ACTIVE_CONSOLES=\nSINGLE=/sbin/sushell\n",
        ),
        (
            "etc/sysconfig/network",
            "NETWORKING=yes\nGATEWAYDEV=\"venet0\"\nHOSTNAME=old\n",
        ),
        ("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n"),
        (
            "etc/sysconfig/network-scripts/ifcfg-venet0",
            "DEVICE=venet0\nIPADDR=127.0.0.1\n",
        ),
        (
            "etc/sysconfig/network-scripts/ifcfg-venet0:0",
            "DEVICE=venet0:0\nIPADDR=198.51.100.7\nNETMASK=255.255.255.255\n",
        ),
        ("etc/init.d", "-> rc.d/init.d"),
        ("etc/rc.d/init.d/vzquota", "quotaon -aug\n"),
        ("etc/rc.d/rc3.d/S10vzquota", "-> ../init.d/vzquota"),
        ("etc/rc.d/rc6.d/S00vzreboot", "touch /reboot\n"),
        ("etc/rc.d/rc3.d/S55sshd", "-> ../init.d/sshd"),
        (
            "etc/selinux/config",
            "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        ),
        ("etc/udev/devices/null", ""),
        ("etc/machine-id", "id\n"),
    ]);
    let fstab = guest.text("etc/fstab");
    let lines: Vec<_> = fstab.lines().collect();
    assert_eq!(
        (lines.len(), &lines[..3], lines[4]),
        (
            5,
            &[
                "none /dev/pts devpts rw 0 0",
                "#container# none /dev/shm tmpfs rw 0 0",
                "#container# /dev/simfs / simfs rw 0 0",
            ][..],
            "tmpfs /dev/shm tmpfs defaults 0 0"
        )
    );
    assert!(
        lines[3].starts_with("UUID=") && lines[3].ends_with(" / ext4 defaults 0 0"),
        "{fstab}"
    );
    assert_eq!(
        guest.text("etc/rc.d/rc.sysinit"),
        "#!/bin/bash\n/sbin/start_udev\necho on\n"
    );
    assert!(
        guest
            .text("etc/init/ttyS0.conf")
            .contains("\nexec /sbin/agetty -L 115200 ttyS0 vt100\n")
    );
    assert_eq!(guest.text("etc/securetty"), "console\ntty1\nttyS0\n");
    assert_eq!(
        guest.text("etc/sysconfig/init"),
        "ACTIVE_CONSOLES=/dev/tty[1-6]\nSINGLE=/sbin/sushell\n"
    );
    assert_eq!(
        guest.text("etc/sysconfig/network"),
        "NETWORKING=yes\nHOSTNAME=old\n"
    );
    assert!(
        guest
            .text("etc/sysconfig/network-scripts/ifcfg-eth0")
            .contains("BOOTPROTO=dhcp\nONBOOT=yes\n")
    );
    assert_eq!(
        guest.text("etc/selinux/config"),
        "SELINUX=permissive\nSELINUXTYPE=targeted\n"
    );
    assert_eq!(guest.text("etc/inittab"), "id:3:initdefault:\n");
    assert_eq!(guest.text("etc/machine-id"), "id\n");
    guest.assert_gone(&[
        "etc/sysconfig/network-scripts/ifcfg-venet0",
        "etc/sysconfig/network-scripts/ifcfg-venet0:0",
        "etc/rc.d/init.d/vzquota",
        "etc/rc.d/rc3.d/S10vzquota",
        "etc/rc.d/rc6.d/S00vzreboot",
        "etc/init/console.conf",
        "etc/init/serial.conf",
        "etc/udev/devices",
    ]);
    assert!(
        guest
            .path("etc/rc.d/rc3.d/S55sshd")
            .symlink_metadata()
            .is_ok()
    );
    let kept = guest.text("root/from-container/etc_sysconfig_network-scripts_ifcfg-venet0:0");
    assert!(kept.contains("198.51.100.7"));
    guest.assert_says("note     the container had the address 198.51.100.7");
}

#[test]
fn a_container_of_centos_5_gets_logins_from_inittab() {
    let guest = Prepared::new(&[
        ("etc/fstab", "none /dev/shm tmpfs defaults 0 0\n"),
        ("sbin/fsck.ext4", ""),
        ("etc/rc.d/rc.sysinit", "# /sbin/start_udev\n"),
        ("sbin/start_udev", "mount -t tmpfs none /dev\n"),
        ("sbin/agetty", ""),
        (
            "etc/inittab",
            "id:3:initdefault:\n#1:2345:respawn:/sbin/mingetty tty1\n1:2345:respawn:/sbin/mingetty console\n",
        ),
    ]);
    assert_eq!(
        guest.text("etc/inittab"),
        "id:3:initdefault:\n#1:2345:respawn:/sbin/mingetty tty1\n\
         #container# 1:2345:respawn:/sbin/mingetty console\n\
         S0:2345:respawn:/sbin/agetty -L 115200 ttyS0 vt100\n\
         1:2345:respawn:/sbin/agetty -L 115200 tty1 vt100\n"
    );
    assert!(guest.text("etc/fstab").contains(" / ext4 defaults 0 1\n"));
    assert_eq!(guest.text("etc/rc.d/rc.sysinit"), "# /sbin/start_udev\n");
    assert!(
        guest
            .said
            .contains("start_udev in /etc/rc.d/rc.sysinit stays off"),
        "{}",
        guest.said
    );
    guest.assert_gone(&["etc/securetty", "etc/init", "etc/network", "etc/sysconfig"]);
}

#[test]
fn a_container_of_ubuntu_14_gets_a_login_from_upstart() {
    let interfaces = "# Auto generated venet0 interfaces\nauto venet0\niface venet0 inet static\n\taddress 127.0.0.1\n\
        iface venet0 inet6 static\n\taddress ::2\n\tup ip addr add 2001:db8::5/64 dev venet0\nauto venet0:0\n\
        iface venet0:0 inet static\n\taddress 192.0.2.5\nauto lo\niface lo inet loopback\n\
        source interfaces.d/*.cfg\n";
    let guest = Prepared::new(&[
        ("etc/init/rc.conf", ""),
        ("etc/init/vzquota.conf", ""),
        ("sbin/getty", ""),
        ("sbin/ifup", ""),
        ("etc/network/interfaces", interfaces),
        ("etc/network/interfaces.d/venet.cfg", "auto venet0:1\n"),
        (
            "etc/udev/rules.d/70-persistent-net.rules",
            "NAME=\"eth0\"\n",
        ),
        ("fastboot", ""),
        (".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8", "air"),
    ]);
    assert_eq!(
        guest.text("etc/network/interfaces"),
        "auto lo\niface lo inet loopback\nsource interfaces.d/*.cfg\n\nauto eth0\niface eth0 inet dhcp\n"
    );
    assert!(
        guest
            .text("etc/init/ttyS0.conf")
            .contains("exec /sbin/getty -L 115200 ttyS0 vt100\n")
    );
    guest.assert_gone(&[
        "etc/init/vzquota.conf",
        "etc/network/interfaces.d/venet.cfg",
        "etc/udev/rules.d/70-persistent-net.rules",
        "fastboot",
        ".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8",
    ]);
    guest.assert_says("note     the container had the address 192.0.2.5");
    guest.assert_says("note     the container had the address 2001:db8::5");
    guest.assert_says("note     there is no DHCP client in the guest: write a fixed address into /etc/network/interfaces");
}

#[test]
fn netplan_and_networkd_get_eth0_and_what_is_set_up_stays() {
    let systemd = [
        ("lib/systemd/systemd", ""),
        ("lib/systemd/system/serial-getty@.service", ""),
        ("sbin/agetty", ""),
        (
            "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "-> /lib/systemd/system/systemd-networkd.service",
        ),
        ("etc/systemd/system/dev-hugepages.mount", "-> /dev/null"),
        ("etc/systemd/system/tmp.mount", "-> /dev/null"),
    ];
    let with = |files: &[(&str, &str)]| Prepared::new(&[&systemd[..], files].concat());

    let guest = with(&[(
        "etc/netplan/01-netcfg.yaml",
        "network:\n  ethernets:\n    venet0:\n      addresses: ['192.0.2.9/32', '2001:db8::9/128']\n",
    )]);
    assert!(
        guest
            .text("etc/netplan/60-eth0.yaml")
            .contains("    eth0:\n      dhcp4: true\n")
    );
    guest.assert_gone(&[
        "etc/netplan/01-netcfg.yaml",
        "etc/systemd/system/dev-hugepages.mount",
    ]);
    guest.assert_says("note     the container had the address 192.0.2.9");
    guest.assert_says("note     the container had the address 2001:db8::9");
    guest.assert_says("note     /etc/systemd/system/tmp.mount is masked, and stays so");
    assert!(
        guest
            .path("etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service")
            .symlink_metadata()
            .is_ok()
    );
    assert!(!guest.text("etc/fstab").contains("/dev/shm"));

    let guest = with(&[(
        "etc/systemd/network/venet.network",
        "[Match]\nName=venet0\n",
    )]);
    assert!(
        guest
            .text("etc/systemd/network/60-eth0.network")
            .contains("Name=eth0\n")
    );
    guest.assert_gone(&["etc/systemd/network/venet.network"]);

    let interfaces = "auto lo venet0 eth0\niface lo inet loopback\niface venet0 inet static\n\taddress 127.0.0.1\n\
        iface eth0 inet static\n\taddress 192.0.2.10\n";
    let guest = with(&[("sbin/ifup", ""), ("etc/network/interfaces", interfaces)]);
    assert_eq!(
        guest.text("etc/network/interfaces"),
        "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n\taddress 192.0.2.10\n"
    );
}

#[test]
fn a_guest_cannot_lead_the_script_out_of_its_file_system() {
    let guest = Prepared::new(&[
        ("etc/fstab", "-> OUTSIDE/victim/config"),
        ("etc/securetty", "-> OUTSIDE/victim/config"),
        ("etc/inittab", "-> ../../../../../../OUTSIDE/victim/config"),
        ("etc/selinux", "-> OUTSIDE/victim"),
        ("etc/udev", "-> OUTSIDE/victim"),
        ("sbin/getty", ""),
    ]);
    guest.assert_says("skipped  /etc/fstab is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/securetty is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/selinux/config is a link that leads out of the guest");
    guest.assert_says("skipped  /etc/udev is a link that leads out of the guest");

    let scratch = Scratch::new();
    for (dir, reason) in [
        ("/", "this is the running system"),
        ("source", "no /etc in source"),
    ] {
        let run = Command::new("sh")
            .arg(repository("docs/prepare-guest.sh"))
            .arg(dir)
            .current_dir(scratch.path())
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1));
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(
            said.starts_with(&format!("prepare-guest.sh: {reason}")),
            "{said}"
        );
    }
}
