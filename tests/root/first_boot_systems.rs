//! Changes at the first boot of systems that no test starts: their files are what the library says,
//! whichever programs the initramfs has, and a change that failed is made later or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use ploopconv::guest::What;

use crate::first_boot::{Booting, Programs, changes_of, listed};
use crate::support::Scratch;
use crate::support::systems::{centos_5, centos_6, debian_sysv, every};
use crate::tools::tool;

/// Files that some change is for, the first that a system has.
const WRITTEN: [&str; 4] = [
    "etc/inittab",
    "etc/network/interfaces",
    "etc/sysconfig/network",
    "etc/sysconfig/network/routes",
];

/// What a template does not have and a container may: attributes, owners, other names of a file.
fn lived_in(tree: &Path) {
    let fstab = tree.join("etc/fstab");
    for (name, value) in [
        ("security.selinux", &b"system_u:object_r:etc_t:s0\0"[..]),
        ("user.note", b"mine"),
    ] {
        xattr::set(&fstab, name, value).unwrap();
    }
    fs::hard_link(&fstab, tree.join("etc/fstab.linked")).unwrap();
    if let Some(path) = WRITTEN.iter().find(|path| tree.join(path).is_file()) {
        let path = tree.join(path);
        fs::hard_link(&path, path.with_extension("other")).unwrap();
    }
    let securetty = tree.join("etc/securetty");
    if securetty.exists() {
        let mut setfacl = Command::new("setfacl");
        tool("acl", setfacl.args(["-m", "u:42:r,g:7:rw"]).arg(&securetty));
        std::os::unix::fs::chown(&securetty, Some(7), Some(8)).unwrap();
    }
}

#[track_caller]
fn assert_every_system(programs: &Programs) {
    for (name, files) in every() {
        let booting = Booting::with(|tree| {
            files.write(tree);
            lived_in(tree);
        });
        let root = booting.mounted();
        let before = listed(&root.dir);
        let said = booting.boot(programs, &root.dir);
        assert!(
            said.contains("write /etc/fstab, in its other names, too:"),
            "{name}: {said}"
        );
        booting.assert_changed(&before, &root.dir);
        let after = listed(&root.dir);
        assert_eq!(booting.boot(programs, &root.dir), "", "{name}");
        assert_eq!(listed(&root.dir), after, "{name}");
        root.end();
        // The library finds nothing more to do in what the script left.
        let (_, _, mut changes) = changes_of(&booting.raw);
        changes.retain(|change| change.what != What::Keep);
        assert_eq!(changes, [], "{name}");
        let mut e2fsck = Command::new("e2fsck");
        tool("e2fsprogs", e2fsck.arg("-fn").arg(&booting.raw));
    }
}

#[test]
fn every_system_is_changed_by_klibcs_programs() {
    assert_every_system(&Programs::of_klibc());
}

#[test]
fn every_system_is_changed_by_busyboxs_programs() {
    assert_every_system(&Programs::of_busybox(&Scratch::new()));
}

#[test]
fn every_system_is_changed_by_the_programs_of_dracut() {
    assert_every_system(&Programs::of_dracut(&Scratch::new()));
}

#[test]
fn an_old_c_library_gets_its_addresses() {
    let five = Booting::with(|tree| centos_5().write(tree));
    assert!(
        five.command_line.ends_with(" vsyscall=emulate"),
        "{}",
        five.command_line
    );
    let six = Booting::with(|tree| centos_6().file("lib64/libc-2.12.so", "").write(tree));
    assert!(
        six.command_line.ends_with(" vsyscall=emulate"),
        "{}",
        six.command_line
    );
    let seven = Booting::with(|tree| debian_sysv("7.11\n").write(tree));
    assert!(
        !seven.command_line.contains("vsyscall"),
        "{}",
        seven.command_line
    );
}

/// Lets no program change a file, or lets them again.
fn set_immutable(sign: &str, path: &Path) {
    let mut chattr = Command::new("chattr");
    tool("e2fsprogs", chattr.arg(format!("{sign}i")).arg(path));
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_change_that_failed_is_made_at_the_next_boot_and_no_other_is_made_twice() {
    for programs in [Programs::of_klibc(), Programs::of_busybox(&Scratch::new())] {
        let booting = Booting::with(|tree| debian_sysv("7.11\n").write(tree));
        let root = booting.mounted();
        let inittab = root.dir.join("etc/inittab");
        let securetty = root.dir.join("etc/securetty");
        for path in [&inittab, &securetty] {
            set_immutable("+", path);
        }
        let said = booting.boot(&programs, &root.dir);
        assert!(said.contains("not done: write /etc/inittab"), "{said}");
        assert!(said.contains("not done: write /etc/securetty"), "{said}");
        assert!(
            said.contains("\n<5>ploopconv: write /etc/fstab: "),
            "{said}"
        );
        // A person changes what succeeded, and one of those that did not.
        for path in [&inittab, &securetty] {
            set_immutable("-", path);
        }
        append(&root.dir.join("etc/fstab"), "# mine\n");
        append(&securetty, "hvc0\n");
        let said = booting.boot(&programs, &root.dir);
        assert!(
            said.contains("left as it was changed since: /etc/securetty"),
            "{said}"
        );
        assert!(
            said.contains("\n<5>ploopconv: write /etc/inittab: "),
            "{said}"
        );
        assert!(
            !said.contains("fstab") && !said.contains("not done"),
            "{said}"
        );
        // Nothing is left to do, and all is as it was left.
        assert_eq!(booting.boot(&programs, &root.dir), "");
        let read = |path: &str| fs::read_to_string(root.dir.join(path)).unwrap();
        assert!(read("etc/fstab").ends_with("# mine\n"));
        assert_eq!(read("etc/securetty"), "console\ntty1\nhvc0\n");
        assert!(read("etc/inittab").contains("\nS0:2345:respawn:"));
        assert!(!root.dir.join("root/from-container/.absent").exists());
    }
}

#[test]
fn a_boot_that_was_cut_off_while_it_tried_again_is_finished() {
    let booting = Booting::with(|tree| debian_sysv("7.11\n").write(tree));
    let root = booting.mounted();
    let inittab = root.dir.join("etc/inittab");
    set_immutable("+", &inittab);
    booting.boot(&Programs::usual(), &root.dir);
    set_immutable("-", &inittab);
    let mark = root.dir.join("root/from-container/.first-boot");
    let text = fs::read_to_string(&mark).unwrap();
    let failed = text.lines().nth(1).unwrap();
    assert!(
        failed.chars().all(|c| c.is_ascii_digit()) && text.lines().count() == 2,
        "{text}"
    );
    // The mark of a try that has begun, and a file that was written in half.
    fs::write(&mark, text.replace(failed, &format!("{failed}!"))).unwrap();
    fs::write(&inittab, "id:2:init").unwrap();
    let said = booting.boot(&Programs::usual(), &root.dir);
    assert!(said.contains("write /etc/inittab"), "{said}");
    let text = fs::read_to_string(&inittab).unwrap();
    assert!(text.contains("\nS0:2345:respawn:"), "{text}");
    assert_eq!(booting.boot(&Programs::usual(), &root.dir), "");
}

#[test]
fn a_full_disk_loses_nothing_and_is_changed_once_there_is_room() {
    for programs in [Programs::of_klibc(), Programs::of_dracut(&Scratch::new())] {
        let booting = Booting::with(|tree| debian_sysv("7.11\n").write(tree));
        let root = booting.mounted();
        let filling = root.dir.join("filling");
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=1k"])
            .arg(format!("of={}", filling.display()));
        assert!(
            !dd.output().unwrap().status.success(),
            "the disk is not full"
        );
        let before = listed(&root.dir);
        let said = booting.boot(&programs, &root.dir);
        assert!(said.contains("too little room?"), "{said}");
        assert_eq!(listed(&root.dir), before);

        // Room for some of it, and then for all.
        let size = fs::metadata(&filling).unwrap().len();
        let file = OpenOptions::new().write(true).open(&filling).unwrap();
        file.set_len(size - (12 << 10)).unwrap();
        drop(file);
        booting.boot(&programs, &root.dir);
        fs::write(&filling, "").unwrap();
        booting.boot(&programs, &root.dir);
        let mut before = before;
        before.get_mut(&b"filling"[..]).unwrap().what.clear();
        booting.assert_changed(&before, &root.dir);
        assert_eq!(booting.boot(&programs, &root.dir), "");
    }
}
