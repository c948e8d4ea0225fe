//! The script that changes a guest at its first boot, with the few programs that an initramfs has:
//! it leaves what the library says, file for file, and may be ended at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ploopconv::Workers;
use ploopconv::boot::{BootGuest, Modules, Wanted, prepare};
use ploopconv::disk::RawDisk;
use ploopconv::ext4::Files;
use ploopconv::guest::{Change, Config, Kind, Receiver, RootFileSystem, What, changes};

use crate::support::Scratch;
use crate::support::kernels::{initramfs, kernel};
use crate::support::system::Mounted;
use crate::tools::tool;

/// Names that a shell could take for something else, and that an older container may have.
const HOSTILE: &str = "etc/systemd/system/a 'b' $(touch x) *\n;.wants";

/// A container as OpenVZ leaves it, in a folder.
fn container(tree: &Path, init: &str) {
    let write = |path: &str, text: &str| {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "etc/fstab",
        "/dev/ploop1p1 / ext4 defaults 0 1\nnone /dev/shm x x 0 0\n",
    );
    write("etc/securetty", "console\n");
    write(
        "etc/network/interfaces",
        "auto venet0\niface venet0 inet manual\n",
    );
    write("etc/udev/devices/ploop1", "node");
    write("etc/debian_version", "12.1\n");
    write("sbin/ifup", "");
    write("sbin/dhclient", "");
    write("sbin/getty", "");
    write("aquota.user", "");
    write("lib/ld.so", "");
    write("root/secret", "stays");
    write("home/a b/c", "stays");
    match init {
        "systemd" => {
            write("lib/systemd/systemd", "");
            write("lib/systemd/system/serial-getty@.service", "");
            write("lib/systemd/system/getty@.service", "");
            fs::create_dir_all(tree.join("etc/systemd/system")).unwrap();
            for unit in ["systemd-udevd.service", "getty.target"] {
                symlink("/dev/null", tree.join("etc/systemd/system").join(unit)).unwrap();
            }
            write(&format!("{HOSTILE}/vzfifo.service"), "hostile");
            symlink("/lib/systemd/systemd", tree.join("sbin/init")).unwrap();
        }
        _ => {
            write("sbin/init", "sysv");
            write(
                "etc/inittab",
                "id:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 console\n",
            );
            write("etc/init.d/vzquota", "x");
        }
    }
    // Another name of a file keeps what the container had, and owner and mode stay.
    fs::hard_link(tree.join("etc/fstab"), tree.join("etc/fstab.old")).unwrap();
    let interfaces = tree.join("etc/network/interfaces");
    fs::set_permissions(&interfaces, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&interfaces, Some(0), Some(42)).unwrap();
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    mode: u32,
    owner: (u32, u32),
    /// The text of a file, or where a link leads.
    pub(super) what: String,
    attributes: Vec<(String, Vec<u8>)>,
    /// The other names of a file.
    others: BTreeSet<Vec<u8>>,
}

pub(super) type List = BTreeMap<Vec<u8>, Entry>;

/// Every path of a tree with what it is.
pub(super) fn listed(root: &Path) -> List {
    let (mut found, mut inodes) = (List::new(), BTreeMap::<u64, BTreeSet<Vec<u8>>>::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                folders.push(path.clone());
                String::new()
            } else if meta.is_file() {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            } else {
                format!("device {}", meta.rdev())
            };
            let names = xattr::list(&path).unwrap();
            let attributes = names.map(|name| {
                let value = xattr::get(&path, &name).unwrap().unwrap();
                (name.to_string_lossy().into_owned(), value)
            });
            let is_link = meta.is_symlink();
            let entry = Entry {
                mode: if is_link { 0 } else { meta.mode() & 0o7777 },
                owner: (meta.uid(), meta.gid()),
                what,
                attributes: attributes.collect(),
                others: BTreeSet::new(),
            };
            let name = path.strip_prefix(root).unwrap().as_os_str();
            let name = std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec();
            if meta.is_file() {
                inodes.entry(meta.ino()).or_default().insert(name.clone());
            }
            found.insert(name, entry);
        }
    }
    for names in inodes.values() {
        for name in names {
            let others = names.iter().filter(|other| *other != name).cloned();
            found.get_mut(name).unwrap().others = others.collect();
        }
    }
    // What was replaced is kept there, and what a file system has of its own stays.
    found.retain(|path, _| {
        !path.starts_with(b"root/from-container") && !path.starts_with(b"lost+found")
    });
    found
}

fn new_entry(mode: u16, owner: (u32, u32), what: String) -> Entry {
    Entry {
        mode: mode.into(),
        owner,
        what,
        attributes: Vec::new(),
        others: BTreeSet::new(),
    }
}

/// What the list becomes by the changes.
pub(super) fn changed(mut list: List, changes: &[Change]) -> List {
    for change in changes {
        let path = &change.path;
        let inside = [&path[..], b"/"].concat();
        match &change.what {
            What::Write {
                contents,
                mode,
                uid,
                gid,
            } => {
                let text = String::from_utf8_lossy(contents).into_owned();
                let entry = list.get(path).cloned();
                let mut entry = entry.unwrap_or_else(|| new_entry(0, (0, 0), String::new()));
                (entry.mode, entry.owner) = ((*mode).into(), (*uid, *gid));
                entry.what = text.clone();
                let others = entry.others.clone();
                let is_shared = !entry.attributes.is_empty();
                for other in &others {
                    let other = list.get_mut(other).unwrap();
                    match is_shared {
                        // Attributes cannot be given to a file of its own.
                        true => other.what = text.clone(),
                        false => drop(other.others.remove(path)),
                    }
                }
                if !is_shared {
                    entry.others.clear();
                }
                list.insert(path.clone(), entry);
            }
            What::Remove => {
                list.retain(|known, _| known != path && !known.starts_with(&inside));
            }
            What::Empty => list.retain(|path, _| !path.starts_with(&inside)),
            What::Link { target } => {
                let target = format!("-> {}", String::from_utf8_lossy(target));
                list.insert(path.clone(), new_entry(0, (0, 0), target));
            }
            What::Mkdir { mode, uid, gid } => {
                let entry = new_entry(*mode, (*uid, *gid), String::new());
                list.insert(path.clone(), entry);
            }
            _ => {}
        }
    }
    list
}

/// A kernel's first bytes, and an initramfs and modules beside it.
fn wanted(scratch: &Scratch) -> Wanted {
    let folder = scratch.path().join("boot");
    let modules = scratch.path().join("modules/6.1.0-test");
    fs::create_dir_all(modules.join("kernel/fs")).unwrap();
    fs::write(modules.join("modules.dep"), "kernel/fs/x.ko:\n").unwrap();
    fs::write(modules.join("kernel/fs/x.ko"), "a module").unwrap();
    symlink("/usr/src/linux", modules.join("build")).unwrap();
    kernel(&folder, true);
    initramfs(&folder);
    Wanted {
        modules: Modules::Auto,
        boot: folder,
        modules_folder: scratch.path().join("modules"),
        ..Wanted::default()
    }
}

/// The changes that a machine on this file system needs.
pub(super) fn changes_of(raw: &Path) -> (Files, RootFileSystem, Vec<Change>) {
    let files = Files::open(Arc::new(RawDisk::open(raw).unwrap())).unwrap();
    let root = RootFileSystem {
        uuid: "10101010-0000-4000-8000-000000000001".to_owned(),
        kind: "ext4".to_owned(),
    };
    let receiver = Receiver {
        root: Some(root.clone()),
        ..Kind::Kvm.into()
    };
    let changes = changes(&files, &Config::default(), receiver).unwrap();
    (files, root, changes)
}

/// A container on a file system, its changes, and what its initramfs has of ours.
pub(super) struct Booting {
    pub(super) scratch: Scratch,
    pub(super) raw: PathBuf,
    changes: Vec<Change>,
    pub(super) command_line: String,
    ours: PathBuf,
}

impl Booting {
    fn new(init: &str) -> Self {
        Self::with(|tree| container(tree, init))
    }

    /// With the files that `fill` puts into a folder.
    pub(super) fn with(fill: impl FnOnce(&Path)) -> Self {
        let scratch = Scratch::new();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fill(&tree);
        let raw = scratch.path().join("root.raw");
        File::create(&raw).unwrap().set_len(32 << 20).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree);
        tool("e2fsprogs", mke2fs.arg(&raw));
        let (files, root, changes) = changes_of(&raw);
        assert!(changes.len() > 6, "{changes:?}");
        let guest = BootGuest {
            tree: Some(&files),
            root: Some(&root),
            architecture: None,
            changes: &changes,
        };
        let workers = Workers::new(2).unwrap();
        let prepared = prepare(&wanted(&scratch), &guest, &workers).unwrap();
        // As the kernel unpacks them, one behind the other.
        let ours = scratch.path().join("initramfs");
        for folder in ["conf/conf.d", "lib/dracut/hooks/pre-pivot"] {
            fs::create_dir_all(ours.join(folder)).unwrap();
        }
        for (at, part) in prepared.payload.initramfs.iter().enumerate().skip(1) {
            let file = scratch.path().join(format!("part{at}"));
            fs::write(&file, &part.bytes).unwrap();
            // Archives end where another begins, which cpio does not look past.
            let script = "cd \"$1\"; case $(head -c 6 \"$2\") in 070701) cat \"$2\" ;; \
                *) zstd -dcq \"$2\" ;; esac | { while cpio -idu --quiet 2>/dev/null; do :; done; }";
            let mut sh = Command::new("timeout");
            sh.args(["60", "sh", "-c", script, "sh"])
                .arg(&ours)
                .arg(file);
            let _ = sh.output().unwrap();
        }
        assert!(ours.join("ploopconv/plan").exists());
        Self {
            scratch,
            raw,
            changes,
            command_line: prepared.payload.command_line,
            ours,
        }
    }

    pub(super) fn mounted(&self) -> Mounted {
        Mounted::image(&self.raw, &self.scratch.path().join("mnt"), "loop")
    }

    /// Lets the script run, and gives what it said.
    #[track_caller]
    pub(super) fn boot(&self, programs: &Programs, root: &Path) -> String {
        let log = self.scratch.path().join("log");
        let _ = fs::remove_file(&log);
        let output = self.script(programs, root).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::read_to_string(log).unwrap()
    }

    /// The script, for a shell whose programs are those of a folder alone.
    fn script(&self, programs: &Programs, root: &Path) -> Command {
        // Every boot unpacks it anew.
        let fresh = self.scratch.path().join("booting");
        let _ = fs::remove_dir_all(&fresh);
        let mut cp = Command::new("cp");
        tool("coreutils", cp.arg("-a").arg(&self.ours).arg(&fresh));
        let script = fresh.join("ploopconv/first-boot.sh");
        let log = self.scratch.path().join("log");
        File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        let mut command = Command::new(programs.shell[0]);
        command
            .env_clear()
            .env("PATH", &programs.path)
            .args(&programs.shell[1..])
            .arg(script)
            .arg(root)
            .arg(log);
        command
    }

    #[track_caller]
    pub(super) fn assert_changed(&self, before: &List, root: &Path) {
        let mut now = listed(root);
        now.retain(|path, _| {
            !path.starts_with(b"lib/modules") && !path.starts_with(b"usr/lib/modules")
        });
        let expected = changed(before.clone(), &self.changes);
        let log = fs::read_to_string(self.scratch.path().join("log")).unwrap();
        for (path, what) in &expected {
            let name = String::from_utf8_lossy(path);
            assert_eq!(now.get(path), Some(what), "{name}\n{log}");
        }
        for path in now.keys() {
            let name = String::from_utf8_lossy(path);
            assert!(expected.contains_key(path), "{name} is new\n{log}");
        }
        assert!(!log.contains("not done"), "{log}");
    }
}

/// A shell, and where the programs are that it has.
pub(super) struct Programs {
    shell: &'static [&'static str],
    path: OsString,
}

/// What an initramfs of dracut has: no chroot, sync, chmod or chown.
const DRACUT: [&str; 9] = [
    "cat", "cp", "ln", "ls", "mkdir", "mount", "mv", "rm", "umount",
];

impl Programs {
    /// Those that klibc brings: neither rm nor cp, chmod or chown.
    pub(super) fn of_klibc() -> Self {
        assert!(Path::new("/usr/lib/klibc/bin/sh").exists(), "klibc-utils");
        Self {
            shell: &["/usr/lib/klibc/bin/sh"],
            path: "/usr/lib/klibc/bin".into(),
        }
    }

    /// Those of BusyBox, by links in a new folder.
    pub(super) fn of_busybox(scratch: &Scratch) -> Self {
        let list = tool("busybox-static", Command::new("busybox").arg("--list"));
        Self::linked(scratch, &["/bin/busybox", "sh"], list.lines(), |_| {
            "/bin/busybox".into()
        })
    }

    pub(super) fn of_dracut(scratch: &Scratch) -> Self {
        Self::linked(scratch, &["/bin/dash"], DRACUT, |name| {
            Path::new("/bin").join(name)
        })
    }

    fn linked<'a>(
        scratch: &Scratch,
        shell: &'static [&'static str],
        names: impl IntoIterator<Item = &'a str>,
        program: impl Fn(&str) -> PathBuf,
    ) -> Self {
        let folder = scratch.path().join("programs");
        fs::create_dir(&folder).unwrap();
        for name in names {
            symlink(program(name), folder.join(name)).unwrap();
        }
        Self {
            shell,
            path: folder.into(),
        }
    }

    pub(super) fn usual() -> Self {
        Self {
            shell: &["/bin/dash"],
            path: "/usr/sbin:/usr/bin:/sbin:/bin".into(),
        }
    }
}

#[test]
fn every_change_is_what_the_library_says_with_the_programs_of_any_initramfs() {
    for init in ["systemd", "sysv"] {
        for programs in [Programs::of_klibc(), Programs::usual()] {
            let booting = Booting::new(init);
            let root = booting.mounted();
            let before = listed(&root.dir);
            booting.boot(&programs, &root.dir);
            booting.assert_changed(&before, &root.dir);
            let kept = root.dir.join("root/from-container/etc_fstab");
            let kept = fs::read_to_string(kept).unwrap();
            assert!(kept.starts_with("/dev/ploop1p1 / ext4"), "{kept}");
            let module = root.dir.join("lib/modules/6.1.0-test/kernel/fs/x.ko");
            assert_eq!(fs::read_to_string(module).unwrap(), "a module");
            assert!(!root.dir.join("lib/modules/6.1.0-test/build").exists());
            // The second boot changes nothing: what the user wrote meanwhile stays.
            fs::write(root.dir.join("etc/fstab"), "mine").unwrap();
            let said = booting.boot(&programs, &root.dir);
            assert_eq!(said, "");
            let now = fs::read_to_string(root.dir.join("etc/fstab")).unwrap();
            assert_eq!(now, "mine");
        }
    }
}

#[test]
fn a_boot_that_was_cut_off_is_finished_by_the_next_one() {
    let booting = Booting::new("systemd");
    let root = booting.mounted();
    let before = listed(&root.dir);
    let programs = Programs::usual();
    for step in 0..12 {
        let mut child = booting.script(&programs, &root.dir).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(step * 17 % 90));
        let _ = child.kill();
        child.wait().unwrap();
    }
    booting.boot(&programs, &root.dir);
    booting.assert_changed(&before, &root.dir);
}

/// What changed since the plan was made, and a link that leads out, stop a change and not the boot.
#[test]
fn a_folder_that_became_a_link_leads_nowhere() {
    let booting = Booting::new("sysv");
    let root = booting.mounted();
    let outside = booting.scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("interfaces"), "of the host").unwrap();
    let folder = root.dir.join("etc/network");
    let away = root.dir.join("etc/network.away");
    fs::rename(&folder, &away).unwrap();
    symlink(&outside, &folder).unwrap();
    // It is tried, and said, at every boot.
    for _ in 0..2 {
        let log = booting.boot(&Programs::usual(), &root.dir);
        let text = fs::read_to_string(outside.join("interfaces")).unwrap();
        assert_eq!(text, "of the host");
        assert!(log.contains("not done, its folder is another"), "{log}");
        let fstab = fs::read_to_string(root.dir.join("etc/fstab")).unwrap();
        assert!(fstab.contains("UUID="));
    }
    // And done where the folder is back.
    fs::remove_file(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    let log = booting.boot(&Programs::usual(), &root.dir);
    assert!(!log.contains("not done"), "{log}");
    let text = fs::read_to_string(folder.join("interfaces")).unwrap();
    assert!(text.contains("iface eth0 inet dhcp"), "{text}");
    assert_eq!(booting.boot(&Programs::usual(), &root.dir), "");
}
