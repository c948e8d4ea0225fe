//! Containers of several systems, each with another kernel, initramfs, firmware, format and bus,
//! become machines with a login, twice. `tests/boot` runs these tests.

#![allow(
    clippy::print_stderr,
    reason = "the command shows how long each row took"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::console::Console;
use crate::support::debian::{fill, layers, script, state};
use crate::support::guide::Guide;
use crate::support::{Program, Scratch};
use crate::tools::tool;

/// One machine: a word for each column of the table.
#[derive(Debug)]
pub(crate) struct Row {
    suite: &'static str,
    /// What `tests/debian` calls the kind of the container.
    kind: &'static str,
    architecture: &'static str,
    /// `mounted` for a journal that has to be replayed, or `clean`.
    state: &'static str,
    /// `host`, or what `tests/debian` calls the kind of the kernel.
    kernel: &'static str,
    /// What starts it first, and what again.
    firmware: [&'static str; 2],
    target: &'static str,
    bus: &'static str,
}

impl Row {
    pub(crate) fn parse(row: &'static str) -> Self {
        let words: Vec<_> = row.split_whitespace().collect();
        let [
            suite,
            kind,
            architecture,
            state,
            kernel,
            first,
            second,
            target,
            bus,
        ] = words[..]
        else {
            panic!("a word for each column: {row}")
        };
        Self {
            suite,
            kind,
            architecture,
            state,
            kernel,
            firmware: [first, second],
            target,
            bus,
        }
    }

    /// The first process.
    fn init(&self) -> &'static str {
        match self.kind {
            "networkd" | "networkmanager" => "systemd",
            other => other,
        }
    }
}

macro_rules! rows {
    ($($name:ident $row:literal)*) => {$(
        #[test]
        #[ignore = "takes minutes: tests/boot"]
        fn $name() {
            assert_boots(&Row::parse($row));
        }
    )*};
}

// Each value at least once. UEFI starts no kernel of 32 bits, and Debian's cloud kernel, which is
// the host's, has no driver for SATA.
rows! {
//  test                container                             kernel   firmware   target     bus
    debian_11          "bullseye systemd        amd64 clean   host     bios uefi  raw        virtio"
    debian_12          "bookworm systemd        amd64 clean   host     bios uefi  qcow2      virtio"
    debian_13          "trixie   systemd        amd64 clean   host     uefi bios  compressed virtio"
    sysvinit           "bookworm sysvinit       amd64 clean   host     bios uefi  raw        scsi"
    openrc             "bookworm openrc         amd64 clean   host     bios uefi  qcow2      virtio"
    busybox            "bookworm busybox        amd64 clean   host     bios uefi  compressed virtio"
    networkd           "bookworm networkd       amd64 clean   host     uefi bios  raw        scsi"
    network_manager    "bookworm networkmanager amd64 clean   host     bios uefi  qcow2      virtio"
    dirty_journal      "bookworm systemd        amd64 mounted host     bios uefi  qcow2      virtio"
    sata               "bookworm systemd        amd64 clean   generic  bios uefi  raw        sata"
    dracut             "bookworm systemd        amd64 clean   dracut   bios uefi  raw        virtio"
    dracut_busybox     "bookworm busybox        amd64 mounted dracut   bios uefi  qcow2      scsi"
    of_32_bits         "bookworm systemd        i386  clean   i386     bios bios  raw        sata"
}

/// The disk of a machine becomes one with another kernel; what its guest did stays.
#[test]
#[ignore = "takes minutes: tests/boot"]
fn another_kernel() {
    let row = Row::parse("bookworm busybox amd64 clean host bios bios qcow2 virtio");
    let container = Container::new(&row);
    let disk = container.scratch.out().join("101.qcow2");
    let memory = converted(&row, &container, &disk);
    let boot = |disk: &Path, memory: &str, page: &str| {
        let mut console = machine(disk, memory, "bios", "virtio");
        console.log_in("root", "ploop", minutes(10));
        console.run(&Guide::of("the guest", page), minutes(4));
        console.power_off(minutes(3));
    };
    boot(
        &disk,
        &memory,
        "# echo since >/root/since\n# uname -r\n…cloud-amd64\n",
    );

    let again = container.scratch.out().join("again.qcow2");
    let program = Program::new([&disk])
        .args(["--for", "kvm", "-o"])
        .arg(&again);
    let said = with_kernel(program, "generic").run().status(0);
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
    RootPartition::of(&disk).assert_same(&RootPartition::of(&again));
    let page = "# cat /root/since\nsince\n\
        # uname -r | grep cloud || echo other\nother\n\
        # ls /lib/modules | grep -c amd64\n2\n\
        # modprobe dummy && ls -d /sys/module/dummy\n/sys/module/dummy\n\
        # dmesg | grep 'ploopconv: not done' || echo none\nnone\n";
    boot(&again, &memory_of(&said), page);
    assert_sound(&again);
}

/// A container in `source/101`, and its disk as the kernel had it.
pub(crate) struct Container {
    pub(crate) scratch: Scratch,
    pub(crate) before: PathBuf,
}

fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Container {
    pub(crate) fn new(row: &Row) -> Self {
        let scratch = Scratch::new();
        let made = scratch.path().join("made");
        fs::create_dir(&made).unwrap();
        let mut build = script();
        build.arg("container").args([&made, cache()]);
        build.args([row.suite, row.kind, row.architecture, row.state]);
        tool("debootstrap", &mut build);
        let container = scratch.source().join("101");
        fs::create_dir(&container).unwrap();
        fs::rename(made.join("disk"), container.join("root.hdd")).unwrap();
        let files = layers(&container.join("root.hdd"));
        let before = made.join("2.raw");
        let filled = fill(&files[1], &made.join("1.raw"), &before);
        assert!(filled.written > 5, "{filled:?}");
        Self { scratch, before }
    }
}

/// With a kernel of a kind that `tests/debian` knows.
fn with_kernel(program: Program, kind: &str) -> Program {
    tool("debootstrap", script().args(["kernel", kind]).arg(cache()));
    let kernel = cache().join(format!("kernel-{kind}"));
    let mut files = fs::read_dir(kernel.join("boot")).unwrap();
    let file = files.find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        name.starts_with("vmlinuz-").then_some(path)
    });
    let program = program.arg("--kernel").arg(file.unwrap());
    program.arg("--modules").arg(kernel.join("modules"))
}

/// Runs the program, and gives the memory in MiB that it says the machine needs.
#[track_caller]
pub(crate) fn converted(row: &Row, container: &Container, disk: &Path) -> String {
    let mut program = Program::new([container.scratch.source().join("101")])
        .args(["--for", "kvm", "-o"])
        .arg(disk);
    if row.target == "compressed" {
        program = program.arg("--compress");
    }
    if row.kernel != "host" {
        program = with_kernel(program, row.kernel);
    }
    // What the machine has to be like is said before anything is written.
    let plan = program.clone().arg("--dry-run").run().status(0);
    let plan = format!("{}{}", String::from_utf8_lossy(&plan.stdout), plan.stderr);
    let warns = plan.contains("no driver for SATA");
    assert_eq!(warns, !["generic", "i386"].contains(&row.kernel), "{plan}");
    let said = program.run().status(0);
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
    memory_of(&said)
}

/// The memory in the command that starts a machine.
fn memory_of(said: &str) -> String {
    let mut words = said.split_whitespace().skip_while(|word| *word != "-m");
    let memory = words.nth(1).unwrap_or_else(|| panic!("no -m: {said}"));
    memory.to_owned()
}

/// The root partition of a disk, in a raw file.
pub(crate) struct RootPartition {
    /// The disk, or a copy of it.
    pub(crate) raw: PathBuf,
    is_copy: bool,
    /// In bytes.
    pub(crate) start: u64,
    pub(crate) len: u64,
}

impl RootPartition {
    pub(crate) fn of(disk: &Path) -> Self {
        let is_copy = disk.extension().unwrap() == "qcow2";
        let raw = match is_copy {
            true => disk.with_extension("copy"),
            false => disk.to_owned(),
        };
        if is_copy {
            let mut convert = Command::new("qemu-img");
            convert.args(["convert", "-O", "raw"]).arg(disk).arg(&raw);
            tool("qemu-utils", &mut convert);
        }
        let told = tool("gdisk", Command::new("sgdisk").arg("--info=1").arg(&raw));
        let number = |name: &str| -> u64 {
            let line = told.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap()
        };
        let (first, last) = (number("First sector:"), number("Last sector:"));
        Self {
            raw,
            is_copy,
            start: first * 512,
            len: (last + 1 - first) * 512,
        }
    }

    /// Asserts that another disk has a partition with the same bytes.
    #[track_caller]
    fn assert_same(&self, other: &Self) {
        assert_eq!(self.len, other.len);
        let mut cmp = Command::new("cmp");
        cmp.arg(format!("--ignore-initial={}:{}", self.start, other.start));
        cmp.arg(format!("--bytes={}", self.len));
        tool("diffutils", cmp.arg(&self.raw).arg(&other.raw));
    }

    /// Asserts that the file system is whole, with nothing in the journal.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let at = format!("{}?offset={}", self.raw.display(), self.start);
        let said = tool("e2fsprogs", Command::new("e2fsck").args(["-fn", &at]));
        assert!(!said.contains("recovery"), "{said}");
    }
}

impl Drop for RootPartition {
    fn drop(&mut self) {
        if self.is_copy {
            let _ = fs::remove_file(&self.raw);
        }
    }
}

/// The machine with a disk, where processors are emulated with the flags that `tests/vm` explains.
pub(crate) fn machine(disk: &Path, memory: &str, firmware: &str, bus: &str) -> Console {
    let format = disk.extension().unwrap().to_str().unwrap();
    let drive = format!("if=none,id=disk,format={format},file={}", disk.display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-M", "q35", "-accel", "tcg,thread=multi"]);
    qemu.args(["-cpu", "max,-cx16", "-smp", "1", "-m", memory, "-nographic"]);
    qemu.args(["-drive", &drive]);
    let (devices, card): (&[&str], _) = match bus {
        "virtio" => (&["virtio-blk-pci,drive=disk"], "virtio-net-pci"),
        "scsi" => (&["virtio-scsi-pci", "scsi-hd,drive=disk"], "virtio-net-pci"),
        // A machine of real hardware: its card needs one of the modules that the guest got.
        "sata" => (&["ide-hd,drive=disk"], "e1000e"),
        other => panic!("{other}"),
    };
    for device in devices {
        qemu.args(["-device", device]);
    }
    qemu.args(["-nic", &format!("user,model={card}")]);
    match firmware {
        "bios" => {}
        "uefi" => {
            qemu.args(["-bios", "/usr/share/ovmf/OVMF.fd"]);
        }
        other => panic!("{other}"),
    }
    Console::start(&mut qemu)
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// Commands of the guest that say how it is, and what they print.
fn health(row: &Row) -> String {
    let of_init = match row.init() {
        "systemd" => {
            "# systemctl is-system-running --wait\nrunning\n\
             # systemctl --failed --no-legend --no-pager\n"
        }
        "sysvinit" => "# runlevel\nN 2\n",
        "openrc" => {
            "# runlevel\nN 2\n# rc-status --crashed || true\n\
             # rc-status default | grep -c stopped\n0\n\
             # echo $?\n1\n"
        }
        _ => "# cat /proc/1/comm\ninit\n",
    };
    let uname = match row.architecture {
        "i386" => "i686",
        _ => "x86_64",
    };
    format!(
        "# for n in $(seq 60); do ip -4 addr show eth0 | grep -q 10.0.2 && break; sleep 1; done\n\
         # ip -4 -br addr show eth0 | grep -o 'UP *10.0.2.15/24'\nUP             10.0.2.15/24\n\
         {of_init}\
         # hostname\nweb\n\
         # uname -m\n{uname}\n\
         # findmnt -n -o FSTYPE,OPTIONS /\next4…rw,…\n\
         # touch /root/written\n\
         # cat /root/top\nonly in the top layer\n\
         # cat /etc/ssh/ssh_host_ed25519_key /etc/machine-id\n\
         a key\n0123456789abcdef0123456789abcdef\n\
         # ls -d /.vzfifo /etc/udev/devices /aquota.user 2>/dev/null\n\
         # echo $?\n2\n\
         # ls /lib/modules/$(uname -r)/modules.dep && modprobe dummy && ls -d /sys/module/dummy\n\
         /lib/modules/…\n/sys/module/dummy\n\
         # ls /root/from-container | grep fstab\netc_fstab\n\
         # dmesg | grep 'ploopconv: not done' || echo none\nnone\n"
    )
}

/// What the scripts of a System V init say where something fails.
#[track_caller]
fn assert_nothing_failed(boot: &str) {
    let sign = ["fail", "ERROR", "can't", "cannot open", "not found"];
    let told = boot.lines().skip_while(|line| !is_of_init(line));
    let failed: Vec<&str> = told
        .filter(|line| sign.iter().any(|sign| line.contains(sign)))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}\n{boot}");
}

/// Whether a line is no message of the kernel: those tell what the emulated hardware lacks.
fn is_of_init(line: &str) -> bool {
    line.contains("ploopconv: ") || line.starts_with("INIT:")
}

#[track_caller]
fn assert_boots(row: &Row) {
    let start = Instant::now();
    let container = Container::new(row);
    let untouched = state(&container.scratch.source().join("101/root.hdd"));
    let name = match row.target {
        "raw" => "101.raw",
        _ => "101.qcow2",
    };
    let disk = container.scratch.out().join(name);
    let memory = converted(row, &container, &disk);
    RootPartition::of(&container.before).assert_same(&RootPartition::of(&disk));
    let made = start.elapsed();
    let mut took = Vec::new();
    for (number, firmware) in (1..).zip(row.firmware) {
        let start = Instant::now();
        let mut console = machine(&disk, &memory, firmware, row.bus);
        let boot = console.log_in("root", "ploop", minutes(10));
        took.push(start.elapsed().as_secs());
        let changes = match number {
            1 => "# dmesg | grep -o 'ploopconv: the first boot'\nploopconv: the first boot\n",
            _ => "# dmesg | grep 'ploopconv: ' || echo none\nnone\n",
        };
        let firmware = match firmware {
            "uefi" => "# ls -d /sys/firmware/efi\n/sys/firmware/efi\n",
            _ => "",
        };
        let page = format!("{}{changes}{firmware}", health(row));
        console.run(&Guide::of(&format!("boot {number}"), &page), minutes(4));
        if row.init() != "systemd" {
            assert_nothing_failed(&boot);
        }
        console.power_off(minutes(3));
    }
    assert_sound(&disk);
    let untouched_now = state(&container.scratch.source().join("101/root.hdd"));
    assert_eq!(untouched_now, untouched, "the source was changed");
    eprintln!(
        "{row:?}: made in {} s, logins after {took:?} s",
        made.as_secs()
    );
}

/// A machine that was turned off left its disk sound, with nothing in the journal.
#[track_caller]
fn assert_sound(disk: &Path) {
    if disk.extension().unwrap() == "qcow2" {
        let mut check = Command::new("qemu-img");
        let said = tool("qemu-utils", check.arg("check").arg(disk));
        assert!(said.contains("No errors were found"), "{said}");
    }
    RootPartition::of(disk).assert_sound();
}
