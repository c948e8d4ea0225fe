//! Directories of every size and state, and names that are hard to carry.

use super::hard_files::{Filling, node};
use nix::sys::stat::SFlag;
use std::ffi::OsString;
use std::fs::{create_dir, create_dir_all, hard_link, remove_file, write};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

pub(crate) fn fill(folder: &Path, filling: &Filling) {
    many(&folder.join("many"), filling);
    odd(&folder.join("odd"), filling.every);
    thinned(folder);
    growing(folder, filling.every);
    let deep: String = (0..70).map(|level| format!("d{level}/")).collect();
    create_dir_all(folder.join(&deep)).unwrap();
    write(folder.join(&deep).join("bottom"), "deep").unwrap();
    let below = folder.join("directories");
    create_dir(&below).unwrap();
    for number in 0..filling.directories {
        create_dir(below.join(format!("{number}"))).unwrap();
    }
}

/// A directory with this many names, most of them of few files.
fn many(folder: &Path, filling: &Filling) {
    create_dir(folder).unwrap();
    let mut file = folder.join("first");
    write(&file, "").unwrap();
    for number in 0..filling.names {
        let len = 1 + number as usize * 37 % filling.longest;
        let name = format!("{number}-{}", "n".repeat(len));
        let name = folder.join(&name[..name.len().min(255)]);
        if number % 16 == 0 {
            write(&name, number.to_string()).unwrap();
            file = name;
        } else {
            hard_link(&file, name).unwrap();
        }
    }
}

/// A name of any bytes.
fn of(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}

fn odd(folder: &Path, every: usize) {
    create_dir(folder).unwrap();
    let bytes = (1..=255u8).filter(|byte| ![b'/', b'.'].contains(byte));
    for byte in bytes.step_by(every) {
        write(folder.join(of(vec![byte])), [byte]).unwrap();
        write(folder.join(of(vec![byte; 255])), [byte]).unwrap();
    }
    for name in [
        "...",
        "..a",
        ".hidden",
        "-rf",
        "a\nb",
        "tab\there",
        " space ",
        "lost+found",
        "\u{e4}\u{301}",
        "\u{41}\u{308}",
        "%3D",
        "=",
    ] {
        write(folder.join(name), name).unwrap();
    }
    write(folder.join(of(b"not \xff\xfe utf-8".to_vec())), "latin").unwrap();
    for len in [2, 3, 4, 5, 253, 254] {
        create_dir(folder.join("l".repeat(len))).unwrap();
    }
}

/// Directories that had many names, and have few or none.
fn thinned(folder: &Path) {
    for (name, kept) in [("emptied", 0), ("thinned", 3)] {
        let below = folder.join(name);
        create_dir(&below).unwrap();
        let file = |number: u32| below.join(format!("{number}-{}", "g".repeat(60)));
        write(file(0), "x").unwrap();
        (1..900).for_each(|number| hard_link(file(0), file(number)).unwrap());
        let gone = (0..900).filter(|number| kept == 0 || number % (900 / kept) != 7);
        gone.for_each(|number| remove_file(file(number)).unwrap());
    }
}

/// Directories that grow name by name, so that each way to store them is met at its end: in the
/// inode, in a block, in several, with an index.
fn growing(folder: &Path, every: usize) {
    for names in [0, 1, 2, 3, 4, 5, 6, 8, 12, 30, 31, 62, 63, 64, 130, 300]
        .into_iter()
        .step_by(every.min(4))
    {
        let below = folder.join(format!("grown{names}"));
        create_dir(&below).unwrap();
        for number in 0..names {
            let path = below.join(format!("name{number:08}"));
            match number % 5 {
                0 => write(path, "").unwrap(),
                1 => create_dir(path).unwrap(),
                2 => symlink("x", path).unwrap(),
                3 => node(&path, SFlag::S_IFIFO, (0, 0)),
                _ => node(&path, SFlag::S_IFCHR, (5, 1)),
            }
        }
    }
}
