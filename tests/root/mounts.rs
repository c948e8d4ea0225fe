//! `mount`: what it shows is what the kernel shows of the same file system, and of the same disk.

use crate::support::divided::{MIB, Raw};
use crate::support::ext4_kinds::{mke2fs, named};
use crate::support::listing::{Listing, of_mount};
use crate::support::shown::{Shown, fuse_for_users, is_mounted};
use crate::support::system::Mounted;
use crate::support::system::own_mounts;
use crate::support::unlike::{differences, errors};
use crate::support::{Program, Scratch, SourceGuard, convert, repository};
use crate::tools::tool;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ordinary one.
const USER: u32 = 65534;

/// A raw file system as a ploop image.
fn as_ploop(scratch: &Scratch, raw: &Path) -> PathBuf {
    let image = scratch.source().join("root.hds");
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", qemu.arg(raw).arg(&image));
    image
}

/// When a file was made is not among what FUSE tells programs here.
fn without_birth(mut list: Listing) -> Listing {
    for file in list.values_mut() {
        if let Ok(stat) = &mut file.stat {
            stat.created = None;
        }
    }
    list
}

/// What `df` says of a mount.
fn room(dir: &Path) -> [u64; 8] {
    let room = statvfs(dir).unwrap();
    [
        room.block_size(),
        room.fragment_size(),
        room.blocks(),
        room.blocks_free(),
        room.blocks_available(),
        room.files(),
        room.files_free(),
        room.name_max(),
    ]
}

/// Asserts that a mount of this kind shows what the kernel does.
fn same_as_the_kernel(name: &str) {
    own_mounts();
    let scratch = Scratch::new();
    let raw = scratch.path().join("image");
    let kernel = without_birth(named(name).make(&raw));
    assert_eq!(errors(&kernel), [""; 0]);
    let image = as_ploop(&scratch, &raw);
    let _guard = SourceGuard::new(&scratch.source());
    let shown = Shown::new(&image, &scratch.path().join("shown"), &[]);
    // What the kernel asks for the first time, and what it remembers.
    for _ in 0..2 {
        let ours = of_mount(&shown.dir);
        let differences = differences(&kernel, &ours);
        assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
    }
    let mounted = Mounted::image(&raw, &scratch.path().join("kernel"), "loop,ro");
    assert_eq!(room(&shown.dir), room(&mounted.dir), "{name}");
    mounted.end();
    shown.end();
}

/// A test for each kind, so that they run beside each other.
macro_rules! each {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            same_as_the_kernel(stringify!($name));
        })*
    };
}

each! {
    openvz7 openvz6 ext2_1k ext2_rev0 ext3_linear ext4 inode128 flex_bg meta_bg_64 sparse_super2
    no_sparse_super uninit_bg inline_data ea_inode_1k bigalloc_1k large_dir dir_nlink no_filetype
    no_extent
}

/// An ext4 with what archives and file systems find hard, as a raw file.
fn filled(scratch: &Scratch) -> PathBuf {
    let raw = scratch.path().join("raw");
    mke2fs(&raw, 96 * MIB, "-t ext4 -b 4096 -N 8192");
    let mounted = Mounted::image(&raw, &scratch.path().join("filled"), "loop");
    let mut fill = Command::new(repository("tests/files/fill"));
    tool("python3", fill.arg(&mounted.dir));
    mounted.end();
    raw
}

/// What `tests/files/list` says of a folder, for a user, or root without the right to see what only
/// the kernel's administrator does.
fn list(dir: &Path, user: Option<u32>) -> String {
    let script = repository("tests/files/list");
    match user {
        Some(user) => {
            // The repository may be where others come to nothing.
            let text = fs::read_to_string(script).unwrap();
            let mut python = Command::new("python3");
            python.arg("-c").arg(text).arg(dir).uid(user).gid(user);
            tool("python3", python.current_dir("/"))
        }
        None => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]);
            tool("util-linux", setpriv.arg(script).arg(dir))
        }
    }
}

#[test]
fn an_ordinary_user_mounts_and_reads_every_file_and_nobody_else_sees_it() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = filled(&scratch);
    let image = as_ploop(&scratch, &raw);
    fuse_for_users(scratch.path(), "0666");
    let mounted = Mounted::image(&raw, &scratch.path().join("kernel"), "loop,ro");
    let kernel = list(&mounted.dir, None);
    mounted.end();
    let dir = scratch.path().join("theirs");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(USER), Some(USER)).unwrap();
    let shown = Shown { dir: dir.clone() };
    let _guard = SourceGuard::new(&scratch.source());
    let as_nobody = |args: &[&str]| {
        let mut command = scratch.as_nobody();
        let output = command.args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (image, name) = (image.to_str().unwrap(), dir.to_str().unwrap());
    assert_eq!(as_nobody(&["mount", image, name]), format!("{name}\n"));
    let ours = list(&dir, Some(USER));
    assert!(ours == kernel, "{}", first_difference(&kernel, &ours));
    // Not even root.
    assert!(fs::read_dir(&dir).is_err());
    let listed = as_nobody(&["attached"]);
    assert!(
        listed.contains(&format!("{name} ")) && listed.contains("of user 65534"),
        "{listed}"
    );
    assert_eq!(as_nobody(&["detach", name]), "");
    assert!(!is_mounted(&dir));
    // And root takes away what a user has left.
    as_nobody(&["mount", image, name, "--disk"]);
    Program::new(["detach", "--all"]).run().done();
    assert!(!is_mounted(&dir));
    drop(shown);
}

fn first_difference(one: &str, other: &str) -> String {
    let mut lines = one.lines().zip(other.lines());
    match lines.find(|(one, other)| one != other) {
        Some((one, other)) => format!("{one}\n{other}"),
        None => "one has more lines".to_owned(),
    }
}

#[test]
fn users_see_of_what_root_mounts_what_modes_and_acls_allow() {
    own_mounts();
    let scratch = Scratch::new();
    let raw = scratch.path().join("raw");
    mke2fs(&raw, 16 * MIB, "-t ext4 -b 4096");
    let mounted = Mounted::image(&raw, &scratch.path().join("filled"), "loop");
    let mode = |name: &str, mode| {
        let path = mounted.dir.join(name);
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("everybody", 0o644);
    mode("root", 0o600);
    mode("by-acl", 0o600);
    mode("not-by-acl", 0o644);
    let acl = |entry: &str, name: &str| {
        let path = mounted.dir.join(name);
        tool("acl", Command::new("setfacl").args(["-m", entry]).arg(path));
    };
    acl("u:65534:r", "by-acl");
    acl("u:65534:-", "not-by-acl");
    mounted.end();
    let image = as_ploop(&scratch, &raw);
    let _guard = SourceGuard::new(&scratch.source());
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shown = Shown::new(&image, &scratch.path().join("shown"), &[]);
    let reads = |name: &str| {
        let mut cat = Command::new("cat");
        let cat = cat.arg(shown.dir.join(name)).uid(USER).gid(USER);
        cat.output().unwrap().status.success()
    };
    assert!(reads("everybody") && reads("by-acl"));
    assert!(!reads("root") && !reads("not-by-acl"));
    // Device nodes open nothing, programs get no rights, and nothing is written.
    let mut findmnt = Command::new("findmnt");
    findmnt.args(["-n", "-o", "VFS-OPTIONS"]).arg(&shown.dir);
    let options = tool("util-linux", &mut findmnt);
    for option in ["ro", "nosuid", "nodev"] {
        assert!(
            options.trim().split(',').any(|it| it == option),
            "{options}"
        );
    }
    let refused = fs::write(shown.dir.join("new"), "").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    shown.end();
}

#[test]
fn a_disk_and_its_partitions_are_files_that_other_programs_take() {
    own_mounts();
    let raw = Raw::sgdisk(64 * MIB, &["-n1:2048:+20M", "-n3:0:+20M"]);
    let scratch = &raw.scratch;
    let part = scratch.path().join("part1");
    mke2fs(&part, 20 * MIB, "-t ext4 -L inside");
    raw.write(&fs::read(&part).unwrap(), MIB);
    raw.write(&[7; 5000], 22 * MIB);
    let image = raw.image();
    let _guard = SourceGuard::new(&scratch.source());
    let out = scratch.out();
    convert(&image, &out).arg("--partitions").run().done();
    convert(&image, &out.join("disk.raw")).run().done();
    let shown = Shown::new(&image, &scratch.path().join("shown"), &["--disk"]);
    assert_eq!(
        crate::support::names_in(&shown.dir),
        ["disk.raw", "p1.raw", "p3.raw"]
    );
    let modified = fs::metadata(&image).unwrap();
    for name in ["disk.raw", "p1.raw", "p3.raw"] {
        let (ours, theirs) = (shown.dir.join(name), out.join(name));
        assert!(
            fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
            "{name}"
        );
        let meta = fs::metadata(&ours).unwrap();
        assert_eq!(meta.mode(), 0o100_400);
        assert_eq!(
            (meta.mtime(), meta.mtime_nsec()),
            (modified.mtime(), modified.mtime_nsec())
        );
        assert!(meta.blocks() < meta.size() / 512, "{name} has holes");
        // What cp copies by its holes is the same too.
        let copy = scratch.path().join("copy");
        let mut cp = Command::new("cp");
        tool("coreutils", cp.arg("--sparse=auto").arg(&ours).arg(&copy));
        assert!(
            fs::read(&copy).unwrap() == fs::read(&theirs).unwrap(),
            "{name}"
        );
        assert!(
            fs::metadata(&copy).unwrap().blocks() <= meta.blocks(),
            "{name}"
        );
    }
    let inside = Mounted::image(
        &shown.dir.join("p1.raw"),
        &scratch.path().join("inside"),
        "loop,ro",
    );
    assert!(inside.dir.join("lost+found").is_dir());
    inside.end();
    shown.end();
    // Of one partition there is only that.
    let dir = scratch.path().join("shown");
    let shown = Shown::new(&image, &dir, &["--disk", "--partition", "3"]);
    assert_eq!(crate::support::names_in(&shown.dir), ["p3.raw"]);
    let mut first = [0; 5000];
    let file = fs::File::open(dir.join("p3.raw")).unwrap();
    file.read_exact_at(&mut first, MIB).unwrap();
    assert_eq!(first, [7; 5000]);
    drop(file);
    shown.end();
}

#[test]
fn a_directory_can_be_read_from_any_place_again() {
    own_mounts();
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..3000 {
        fs::write(tree.join(format!("{number:0200}")), "").unwrap();
    }
    let raw = scratch.path().join("raw");
    mke2fs(
        &raw,
        64 * MIB,
        &format!("-t ext4 -N 8192 -d {}", tree.display()),
    );
    let image = as_ploop(&scratch, &raw);
    let _guard = SourceGuard::new(&scratch.source());
    let shown = Shown::new(&image, &scratch.path().join("shown"), &[]);
    // telldir and seekdir, in C's words.
    let script = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16),
                ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
for name in ['readdir', 'telldir', 'seekdir', 'rewinddir']:
    getattr(libc, name).argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
libc.telldir.restype = ctypes.c_long
folder = libc.opendir(sys.argv[1].encode())
places, names = [], []
while True:
    places.append(libc.telldir(folder))
    found = libc.readdir(folder)
    if not found:
        break
    names.append((found.contents.name, found.contents.ino))
assert len(set(names)) == 3003, len(set(names))
for at in [2999, 0, 1, 2, 17, 1500, 3002, 700]:
    libc.seekdir(folder, places[at])
    found = libc.readdir(folder).contents
    assert (found.name, found.ino) == names[at], at
libc.rewinddir(folder)
assert libc.readdir(folder).contents.name == names[0][0]
";
    let mut python = Command::new("python3");
    tool("python3", python.args(["-c", script]).arg(&shown.dir));
    shown.end();
}
