//! Extended attributes of every namespace, and values of every size.

use super::hard_files::{Filling, node};
use nix::sys::stat::SFlag;
use std::ffi::OsStr;
use std::fs::{create_dir, write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Sets an attribute; `false` where the file system has no room for it.
pub fn set(path: &Path, name: &[u8], value: &[u8]) -> bool {
    match xattr::set(path, OsStr::from_bytes(name), value) {
        Ok(()) => true,
        Err(error) => {
            let full = [28, 7].contains(&error.raw_os_error().unwrap_or_default());
            assert!(full, "{}: {}: {error}", path.display(), name.escape_ascii());
            false
        }
    }
}

/// As programs hand an ACL to the kernel: version 2, and of each entry its tag, its permissions
/// and an id.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NO_ID: u32 = u32::MAX;
const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// The owner, users, the group, groups, the mask and the others, in the order that the kernel
/// wants.
fn full_acl(users: &[u32]) -> Vec<u8> {
    let mut entries = vec![(1, 7, NO_ID)];
    entries.extend(users.iter().map(|&user| (2, 5, user)));
    entries.push((4, 4, NO_ID));
    entries.extend(users.iter().map(|&user| (8, 6, user)));
    entries.extend([(0x10, 7, NO_ID), (0x20, 1, NO_ID)]);
    acl(&entries)
}

/// Permissions of a program, effective: version 2, and version 3 with the owner of a namespace.
fn capability(version: u32, permitted: u64) -> Vec<u8> {
    let (low, high) = (permitted as u32, (permitted >> 32) as u32);
    let mut words = vec![version << 24 | 1, low, 0, high, 0];
    if version == 3 {
        words.push(100_000);
    }
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

pub(crate) fn fill(folder: &Path, filling: &Filling) {
    names(folder);
    sizes(folder, filling);
    acls(folder);
    other_types(folder);
    for number in 0..3 {
        // Several files share a block.
        let path = folder.join(format!("shared{number}"));
        write(&path, "x").unwrap();
        set(&path, b"user.shared", &[7; 700]);
        set(&path, b"trusted.shared", b"too");
    }
    // What was set and removed leaves a gap.
    let path = folder.join("removed");
    write(&path, "x").unwrap();
    for number in 0..12u8 {
        set(
            &path,
            &[b'u', b's', b'e', b'r', b'.', b'a' + number],
            &[number; 20],
        );
    }
    for name in ["user.b", "user.e", "user.l"] {
        xattr::remove(&path, name).unwrap();
    }
}

fn names(folder: &Path) {
    let path = folder.join("names");
    write(&path, "x").unwrap();
    let names: [&[u8]; 13] = [
        b"user.plain",
        b"user.a=b",
        b"user.a\nb",
        b"user.\xff\xfe",
        b"user.%3D",
        b"user.user.user",
        b"user.x",
        b"user. ",
        b"trusted.t",
        b"trusted.overlay.opaque",
        b"security.selinux",
        b"security.other",
        b"user.data",
    ];
    let values: [&[u8]; 4] = [b"", b"\0", b"a\0b\n=c", b"value"];
    for (number, name) in names.into_iter().enumerate() {
        set(&path, name, values[number % values.len()]);
    }
    let path = folder.join("long-name");
    write(&path, "x").unwrap();
    let name = [b"user.".to_vec(), vec![b'n'; 250]].concat();
    set(&path, &name, b"of 255 bytes");
}

fn sizes(folder: &Path, filling: &Filling) {
    let small = (0..120)
        .step_by(4 * filling.every.min(4))
        .chain([300, 500, 900]);
    for size in small {
        let path = folder.join(format!("value{size}"));
        write(&path, "x").unwrap();
        set(&path, b"user.v", &vec![b'v'; size]);
        // The second one may have to go elsewhere.
        set(&path, b"security.w", &vec![b'w'; size / 2]);
    }
    let large = [2000, 3000, 3900, 4096, 5000, 20_000, 60_000, 65_535];
    for size in large.into_iter().filter(|size| *size <= filling.attribute) {
        for copy in ["", "-again"] {
            let path = folder.join(format!("value{size}{copy}"));
            write(&path, "x").unwrap();
            let value: Vec<u8> = (0..size).map(|at| (at % 253) as u8).collect();
            set(&path, b"user.large", &value);
            set(&path, b"trusted.beside", b"small");
        }
    }
}

fn acls(folder: &Path) {
    let path = folder.join("acl");
    write(&path, "x").unwrap();
    assert!(set(&path, ACCESS, &full_acl(&[0, 1000, 4_294_967_294])));
    let path = folder.join("acl-of-many");
    write(&path, "x").unwrap();
    set(&path, ACCESS, &full_acl(&(1..30).collect::<Vec<_>>()));
    // Only a mask makes it more than the mode.
    let path = folder.join("acl-mask");
    write(&path, "x").unwrap();
    let mask = [
        (1, 6, NO_ID),
        (4, 4, NO_ID),
        (0x10, 2, NO_ID),
        (0x20, 0, NO_ID),
    ];
    assert!(set(&path, ACCESS, &acl(&mask)));
    let path = folder.join("acl-folder");
    create_dir(&path).unwrap();
    assert!(set(&path, DEFAULT, &full_acl(&[7, 70_000])));
    assert!(set(&path, ACCESS, &full_acl(&[8])));
    // These inherit.
    write(path.join("file"), "x").unwrap();
    create_dir(path.join("folder")).unwrap();
    node(&path.join("fifo"), SFlag::S_IFIFO, (0, 0));
    let path = folder.join("capability");
    write(&path, "x").unwrap();
    assert!(set(
        &path,
        b"security.capability",
        &capability(2, 0x1_0000_2400)
    ));
    let path = folder.join("capability-of-a-namespace");
    write(&path, "x").unwrap();
    set(&path, b"security.capability", &capability(3, 0x400));
    set(&path, b"user.beside", b"it");
}

fn other_types(folder: &Path) {
    let link = folder.join("link");
    symlink("x".repeat(80), &link).unwrap();
    set(&link, b"trusted.of-a-link", b"value");
    let link = folder.join("short-link");
    symlink("x", &link).unwrap();
    set(&link, b"security.of-a-link", &[1; 200]);
    let nodes = [
        ("fifo", SFlag::S_IFIFO),
        ("socket", SFlag::S_IFSOCK),
        ("device", SFlag::S_IFCHR),
    ];
    for (name, kind) in nodes {
        let path = folder.join(name);
        node(&path, kind, (1, 5));
        set(&path, b"trusted.of-a-node", name.as_bytes());
        set(&path, b"security.of-a-node", b"");
    }
    let path = folder.join("folder");
    create_dir(&path).unwrap();
    set(&path, b"user.of-a-folder", &[9; 333]);
}
