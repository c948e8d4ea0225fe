//! The script that changes a guest at its first boot, with the few programs that an initramfs has:
//! it leaves what the library says, file for file, and may be ended at any point.

use std::collections::BTreeMap;
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

/// Every path of a tree with what it is.
fn listed(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
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
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let mode = if meta.is_symlink() {
                0
            } else {
                meta.mode() & 0o7777
            };
            let said = format!("{mode:o} {}:{} {what}", meta.uid(), meta.gid());
            let name = path.strip_prefix(root).unwrap().as_os_str();
            found.insert(std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec(), said);
        }
    }
    // What was replaced is kept there, and what a file system has of its own stays.
    found.retain(|path, _| {
        !path.starts_with(b"root/from-container") && !path.starts_with(b"lost+found")
    });
    found
}

/// What the list becomes by the changes.
fn changed(mut list: BTreeMap<Vec<u8>, String>, changes: &[Change]) -> BTreeMap<Vec<u8>, String> {
    for change in changes {
        let inside = [&change.path[..], b"/"].concat();
        match &change.what {
            What::Write {
                contents,
                mode,
                uid,
                gid,
            } => {
                let text = String::from_utf8_lossy(contents);
                list.insert(change.path.clone(), format!("{mode:o} {uid}:{gid} {text}"));
            }
            What::Remove => {
                list.retain(|path, _| *path != change.path && !path.starts_with(&inside));
            }
            What::Empty => list.retain(|path, _| !path.starts_with(&inside)),
            What::Link { target } => {
                let target = String::from_utf8_lossy(target);
                list.insert(change.path.clone(), format!("0 0:0 -> {target}"));
            }
            What::Mkdir { mode, uid, gid } => {
                list.insert(change.path.clone(), format!("{mode:o} {uid}:{gid} "));
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
    fs::create_dir_all(&folder).unwrap();
    fs::write(modules.join("modules.dep"), "kernel/fs/x.ko:\n").unwrap();
    fs::write(modules.join("kernel/fs/x.ko"), "a module").unwrap();
    symlink("/usr/src/linux", modules.join("build")).unwrap();
    let mut kernel = vec![0; 4096];
    kernel[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    kernel[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    kernel[0x20e] = 0x80;
    kernel[0x236] = 1;
    kernel[0x280..0x28b].copy_from_slice(b"6.1.0-test ");
    fs::write(folder.join("vmlinuz-6.1.0-test"), kernel).unwrap();
    fs::write(folder.join("initrd.img-6.1.0-test"), "not an archive").unwrap();
    Wanted {
        modules: Modules::Auto,
        boot: folder,
        modules_folder: scratch.path().join("modules"),
        ..Wanted::default()
    }
}

/// A container on a file system, its changes, and what its initramfs has of ours.
struct Booting {
    scratch: Scratch,
    raw: PathBuf,
    changes: Vec<Change>,
    ours: PathBuf,
}

impl Booting {
    fn new(init: &str) -> Self {
        let scratch = Scratch::new();
        let tree = scratch.path().join("tree");
        container(&tree, init);
        let raw = scratch.path().join("root.raw");
        File::create(&raw).unwrap().set_len(32 << 20).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree);
        tool("e2fsprogs", mke2fs.arg(&raw));
        let files = Files::open(Arc::new(RawDisk::open(&raw).unwrap())).unwrap();
        let root = RootFileSystem {
            uuid: "10101010-0000-4000-8000-000000000001".to_owned(),
            kind: "ext4".to_owned(),
        };
        let receiver = Receiver {
            root: Some(root.clone()),
            ..Kind::Kvm.into()
        };
        let changes = changes(&files, &Config::default(), receiver).unwrap();
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
            ours,
        }
    }

    /// The script, for a shell whose programs are those of `path` alone.
    fn script(&self, shell: &str, path: &str, root: &Path) -> Command {
        let script = self.ours.join("ploopconv/first-boot.sh");
        let log = self.scratch.path().join("log");
        File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        let mut command = Command::new(shell);
        command
            .env_clear()
            .env("PATH", path)
            .arg(script)
            .arg(root)
            .arg(log);
        command
    }

    #[track_caller]
    fn assert_changed(&self, before: &BTreeMap<Vec<u8>, String>, root: &Path) {
        let mut now = listed(root);
        now.retain(|path, _| !path.starts_with(b"lib/modules"));
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
        let kept = fs::read_to_string(root.join("root/from-container/etc_fstab")).unwrap();
        assert!(kept.starts_with("/dev/ploop1p1 / ext4"), "{kept}");
        assert!(!log.contains("not done"), "{log}");
    }
}

/// The programs that klibc brings into an initramfs: neither rm nor cp, chmod or chown.
const KLIBC: (&str, &str) = ("/usr/lib/klibc/bin/sh", "/usr/lib/klibc/bin");
const USUAL: (&str, &str) = ("/bin/dash", "/usr/sbin:/usr/bin:/sbin:/bin");

#[test]
fn every_change_is_what_the_library_says_with_the_programs_of_any_initramfs() {
    for init in ["systemd", "sysv"] {
        for (shell, path) in [KLIBC, USUAL] {
            let booting = Booting::new(init);
            let root = Mounted::image(&booting.raw, &booting.scratch.path().join("mnt"), "loop");
            // Without a program of the guest's own there is none for owners and modes.
            if shell == KLIBC.0 {
                let file = root.dir.join("etc/fstab.old");
                fs::remove_file(file).unwrap();
            }
            let before = listed(&root.dir);
            let output = booting.script(shell, path, &root.dir).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            booting.assert_changed(&before, &root.dir);
            let module = root.dir.join("lib/modules/6.1.0-test/kernel/fs/x.ko");
            assert_eq!(fs::read_to_string(module).unwrap(), "a module");
            assert!(!root.dir.join("lib/modules/6.1.0-test/build").exists());
            // The second boot changes nothing: what the user wrote meanwhile stays.
            fs::write(root.dir.join("etc/fstab"), "mine").unwrap();
            let output = booting.script(shell, path, &root.dir).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let now = fs::read_to_string(root.dir.join("etc/fstab")).unwrap();
            assert_eq!(now, "mine");
        }
    }
}

#[test]
fn a_boot_that_was_cut_off_is_finished_by_the_next_one() {
    let booting = Booting::new("systemd");
    let root = Mounted::image(&booting.raw, &booting.scratch.path().join("mnt"), "loop");
    let before = listed(&root.dir);
    for step in 0..12 {
        let mut command = booting.script(USUAL.0, USUAL.1, &root.dir);
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(step * 17 % 90));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let output = booting
        .script(USUAL.0, USUAL.1, &root.dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    booting.assert_changed(&before, &root.dir);
}

/// What changed since the plan was made, and a link that leads out, stop a change and not the boot.
#[test]
fn a_folder_that_became_a_link_leads_nowhere() {
    let booting = Booting::new("sysv");
    let root = Mounted::image(&booting.raw, &booting.scratch.path().join("mnt"), "loop");
    let outside = booting.scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("interfaces"), "of the host").unwrap();
    fs::remove_dir_all(root.dir.join("etc/network")).unwrap();
    symlink(&outside, root.dir.join("etc/network")).unwrap();
    let output = booting
        .script(USUAL.0, USUAL.1, &root.dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(outside.join("interfaces")).unwrap();
    assert_eq!(text, "of the host");
    let log = fs::read_to_string(booting.scratch.path().join("log")).unwrap();
    assert!(log.contains("not done, its folder is another"), "{log}");
    assert!(
        fs::read_to_string(root.dir.join("etc/fstab"))
            .unwrap()
            .contains("UUID=")
    );
}
