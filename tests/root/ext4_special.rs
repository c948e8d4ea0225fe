//! What is no kind that can be mounted and compared as a whole: blocks that this kernel does not
//! take, encrypted directories, a journal on another disk, and journals that debugfs writes.

use crate::file_tree;
use crate::support::Scratch;
use crate::support::crashes::replayed_by_the_kernel;
use crate::support::ext4_kinds::{list_of, mke2fs};
use crate::support::hard_attributes;
use crate::support::hard_files::{Filling, sync};
use crate::support::listing::{Listing, of_mount};
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::unlike::{differences, errors, silent_differences};
use crate::tools::tool;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

fn debugfs(image: &Path, requests: &[&str]) -> String {
    let script = image.with_extension("requests");
    std::fs::write(&script, requests.join("\n") + "\n").unwrap();
    let mut debugfs = Command::new("debugfs");
    tool(
        "e2fsprogs",
        debugfs.args(["-w", "-f"]).arg(&script).arg(image),
    )
}

/// A copy of a list without what `mke2fs -d` and debugfs's `rdump` do not copy.
pub(crate) fn as_copied(mut list: Listing) -> Listing {
    list.remove(b"lost+found".as_slice());
    for (path, file) in &mut list {
        file.inode = 0;
        let stat = file.stat.as_mut().unwrap();
        stat.sectors = 0;
        stat.created = None;
        // It writes whole seconds; those of the access and of the change are its own.
        stat.accessed = (0, 0);
        stat.changed = (0, 0);
        stat.modified.1 = 0;
        if path.is_empty() || stat.letter == 'd' {
            stat.size = 0;
            stat.links = 0;
            stat.modified = (0, 0);
        }
        if let Ok(contents) = &mut file.contents {
            contents.runs.clear();
        }
    }
    list
}

/// The list of a folder, in file systems that mke2fs fills itself, with blocks of up to 64 KiB.
#[test]
fn blocks_of_every_size_that_mke2fs_fills() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let small = Filling {
        extents: 30,
        attribute: 900,
        ..Filling::SMALL
    };
    // Its own file system has names, owners, times and attributes as they are to be.
    let source = scratch.path().join("filled");
    mke2fs(&source, 96 << 20, "-t ext4 -b 1024 -N 4096");
    let mounted = Mounted::image(&source, &folder, "loop");
    small.fill(&mounted.dir);
    // Files that reach further than the small file systems of the largest blocks; and a link to a
    // link, which it copies as two.
    let gone = ["data/far*", "data/hole-everywhere", "'links/link60 again'"];
    let gone = format!("cd {} && rm {}", folder.display(), gone.join(" "));
    tool("coreutils", Command::new("sh").args(["-c", &gone]));
    let expected = as_copied(of_mount(&mounted.dir));
    for size in [1024u64, 2048, 4096, 8192, 16384, 32768, 65536] {
        for features in [
            "-t ext4",
            "-t ext4 -O ^metadata_csum,^64bit",
            "-t ext3 -O ^dir_index",
        ] {
            let image = scratch.path().join(format!("image{size}"));
            let options = format!("{features} -b {size} -N 4096 -d {}", folder.display());
            mke2fs(&image, 200 << 20, &options);
            let ours = as_copied(file_tree::list_of(&image).unwrap());
            let differences = differences(&expected, &ours);
            assert!(
                differences.is_empty(),
                "{features} {size}: {}",
                differences.join("\n")
            );
            std::fs::remove_file(&image).unwrap();
        }
    }
    mounted.end();
}

/// A file that has become a link: its target was taken from the other place than the kernel's. And
/// a file of the user −1, by which `chown` changes no owner.
#[test]
fn a_link_and_an_owner_are_what_the_kernel_takes_them_for() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for (name, bytes) in [("one", "x"), ("three", "abc"), ("many", &*"y".repeat(70))] {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink("short", folder.join("short")).unwrap();
    std::os::unix::fs::symlink("z".repeat(70), folder.join("long")).unwrap();
    for features in [
        "-t ext2",
        "-t ext3 -b 1024",
        "-t ext4",
        "-t ext4 -O ea_inode",
        "-t ext4 -O inline_data",
        "-t ext4 -O ea_inode,inline_data",
        "-t ext4 -O bigalloc -C 16384",
    ] {
        let image = scratch.path().join("image");
        mke2fs(
            &image,
            16 << 20,
            &format!("{features} -d {}", folder.display()),
        );
        let owner = ["sif /short uid 4294967295", "sif /short gid 4294967295"];
        let links = ["one", "three", "many"].map(|name| format!("sif /{name} mode 0120644"));
        let others = [
            "sif /long size 5".to_owned(),
            "sif /short blocks 2".to_owned(),
        ];
        for requests in [
            &owner[..],
            &links.each_ref().map(String::as_str),
            &others.each_ref().map(String::as_str),
        ] {
            debugfs(&image, requests);
            let kernel = replayed_by_the_kernel(&image).unwrap();
            let ours = file_tree::list_of(&image).unwrap();
            let silent = silent_differences(&kernel, &ours);
            assert!(
                silent.is_empty(),
                "{features}: {requests:?}: {}",
                silent.join("\n")
            );
            let stat = ours[b"short".as_slice()].stat.as_ref().unwrap();
            assert_eq!((stat.uid, stat.gid), (65534, 65534), "{features}");
        }
        // A short target in a block, as some programs wrote it; or in the inode, as inline data.
        let target = file_tree::list_of(&image).unwrap()[b"three".as_slice()]
            .target
            .clone();
        match features.ends_with("ea_inode") {
            true => assert_ne!(target.ok(), Some(b"abc".to_vec()), "{features}"),
            false => assert_eq!(target.ok(), Some(b"abc".to_vec()), "{features}"),
        }
        std::fs::remove_file(&image).unwrap();
    }
}

/// Makes an encrypted directory, and files in it. The key goes with the mount.
fn encrypt(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let xfs_io = |commands: &[&str]| {
        let mut xfs_io = Command::new("xfs_io");
        for command in commands {
            xfs_io.args(["-c", command]);
        }
        tool("xfsprogs", xfs_io.arg(folder))
    };
    let key = "\\021".repeat(64);
    let script = format!("printf '{key}' | xfs_io -c add_enckey {}", folder.display());
    let added = tool("xfsprogs", Command::new("sh").args(["-c", &script]));
    let key = added.split_whitespace().last().unwrap().to_owned();
    xfs_io(&[&format!("set_encpolicy {key}")]);
    std::fs::write(folder.join("secret"), "contents").unwrap();
    std::fs::create_dir(folder.join("below")).unwrap();
    std::os::unix::fs::symlink("somewhere", folder.join("link")).unwrap();
}

#[test]
fn encrypted_directories_are_refused_by_name_and_the_rest_is_read() {
    let scratch = Scratch::new();
    let image = scratch.path().join("image");
    mke2fs(&image, 48 << 20, "-t ext4 -b 4096 -N 4096 -O encrypt");
    let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
    Filling::SMALL.fill(&mounted.dir);
    encrypt(&mounted.dir.join("private"));
    mounted.end();

    let is_private = |path: &[u8]| path.starts_with(b"private/");
    let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop,ro");
    let mut kernel = of_mount(&mounted.dir);
    mounted.end();
    let ours = file_tree::list_of(&image).unwrap();

    // Without the key the kernel makes up names.
    assert!(
        kernel.keys().any(|path| is_private(path)),
        "{:?}",
        kernel.keys()
    );
    kernel.retain(|path, _| !is_private(path));
    let names = &ours[b"private".as_slice()].names;
    let refusal = names.as_ref().unwrap_err();
    assert!(refusal.contains("encrypted"), "{refusal}");
    kernel.get_mut(b"private".as_slice()).unwrap().names = names.clone();
    assert_eq!(differences(&kernel, &ours), [""; 0]);
}

#[test]
fn a_journal_on_another_disk_is_refused_where_it_is_needed() {
    let scratch = Scratch::new();
    let journal = scratch.path().join("journal");
    mke2fs(&journal, 8 << 20, "-b 4096 -O journal_dev");
    let device = Loop::new(&journal);
    let image = scratch.path().join("image");
    let options = format!("-t ext4 -b 4096 -J device={}", device.path.display());
    mke2fs(&image, 32 << 20, &options);
    let dirty = scratch.path().join("dirty");
    let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
    std::fs::write(mounted.dir.join("file"), "contents").unwrap();
    sync(&mounted.dir);
    std::fs::copy(&image, &dirty).unwrap();
    mounted.end();

    let refusal = file_tree::list_of(&dirty).unwrap_err();
    assert!(refusal.contains("journal"), "{refusal}");
    file_tree::list_of(&journal).unwrap_err();
    // Nothing in it is newer than the file system.
    let ours = file_tree::list_of(&image).unwrap();
    assert_eq!(differences(&list_of(&image), &ours), [""; 0]);
}

#[test]
fn journals_that_debugfs_writes() {
    let cases = [
        ("-O ^metadata_csum,^64bit", "jo"),
        ("-O ^metadata_csum,64bit", "jo"),
        ("-O metadata_csum,^64bit", "jo -c -v 2"),
        ("-O metadata_csum,64bit", "jo -c -v 2"),
        ("-O metadata_csum,^64bit", "jo -c -v 3"),
        ("-O metadata_csum,64bit", "jo -c -v 3"),
    ];
    for (options, open) in cases {
        let scratch = Scratch::new();
        let image = scratch.path().join("image");
        mke2fs(
            &image,
            12 << 20,
            &format!("-t ext4 -b 1024 -J size=1 {options}"),
        );
        let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
        for name in ["replayed", "revoked", "replayed twice"] {
            std::fs::write(mounted.dir.join(name), vec![b'o'; 20 * 1024]).unwrap();
        }
        mounted.end();
        let blocks = |name: &str| {
            let text = debugfs(&image, &[&format!("blocks \"{name}\"")]);
            let numbers = text.lines().last().unwrap().split_whitespace();
            let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers.len(), 20, "{text}");
            format!("{}-{}", numbers[0], numbers[19])
        };
        // Blocks that begin like one of a journal, and others.
        let new = scratch.path().join("new");
        let file = File::create(&new).unwrap();
        for block in 0..20u64 {
            file.write_all_at(&[b'n'; 1024], block * 1024).unwrap();
            if block % 3 == 0 {
                file.write_all_at(&0xc03b_3998_u32.to_be_bytes(), block * 1024)
                    .unwrap();
            }
        }
        let write = |name: &str| format!("jw -b {} {}", blocks(name), new.display());
        let revoke = format!("jw -r {}", blocks("revoked"));
        let said = debugfs(
            &image,
            &[
                open,
                &write("replayed"),
                &write("revoked"),
                &revoke,
                &write("replayed twice"),
                &write("replayed twice"),
                "jc",
            ],
        );

        let ours = file_tree::list_of(&image).unwrap();
        let kernel = replayed_by_the_kernel(&image).unwrap();
        assert_eq!(errors(&kernel), [""; 0], "{options} {open}: {said}");
        assert_eq!(differences(&kernel, &ours), [""; 0], "{options} {open}");
        let contents = |name: &str| kernel[&name.as_bytes().to_vec()].contents.clone().unwrap();
        assert_ne!(
            contents("replayed"),
            contents("revoked"),
            "{options} {open}: {said}"
        );
        assert_eq!(
            contents("replayed"),
            contents("replayed twice"),
            "{options} {open}"
        );
    }
}

/// Where these bytes are in an image, once.
fn place_of(image: &Path, bytes: &[u8]) -> u64 {
    let all = std::fs::read(image).unwrap();
    let mut found = all.windows(bytes.len()).enumerate();
    let mut found = found.by_ref().filter(|(_, window)| *window == bytes);
    let (place, _) = found.next().unwrap();
    assert!(found.next().is_none());
    place as u64
}

#[test]
fn attributes_that_the_kernel_refuses_are_refused() {
    let scratch = Scratch::new();
    let image = scratch.path().join("image");
    mke2fs(
        &image,
        16 << 20,
        "-t ext4 -b 1024 -N 64 -O ea_inode,^metadata_csum,^has_journal",
    );
    let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
    let set = |file: &str, name: &str, value: &[u8]| {
        let path = mounted.dir.join(file);
        std::fs::write(&path, "x").unwrap();
        assert!(hard_attributes::set(&path, name.as_bytes(), value));
    };
    set("name", "user.zzyzx-name", b"value");
    let value: Vec<u8> = (0..20_000u32)
        .flat_map(u32::to_le_bytes)
        .take(5000)
        .collect();
    set(
        "value",
        "user.large",
        &[b"begin-of-it", &value[..]].concat(),
    );
    set("sound", "user.small", b"value");
    mounted.end();

    for (file, bytes) in [("name", &b"zzyzx-name"[..]), ("value", b"begin-of-it")] {
        let damaged = scratch.path().join(file);
        std::fs::copy(&image, &damaged).unwrap();
        let place = place_of(&damaged, bytes) + 4;
        let open = std::fs::OpenOptions::new().write(true).open(&damaged);
        open.unwrap().write_all_at(&[0], place).unwrap();
        let kernel = list_of(&damaged);
        let ours = file_tree::list_of(&damaged).unwrap();
        for list in [&kernel, &ours] {
            assert!(list[b"sound".as_slice()].attributes.is_ok());
            let file = &list[file.as_bytes()];
            assert!(file.stat.is_err() || file.attributes.is_err(), "{file:?}");
        }
    }
}

#[test]
fn what_looks_like_a_hole_or_a_shorter_link_is_refused() {
    let scratch = Scratch::new();
    let image = scratch.path().join("image");
    let options = "-t ext4 -b 1024 -N 64 -O ^metadata_csum,^has_journal";
    mke2fs(&image, 16 << 20, options);
    let mounted = Mounted::image(&image, &scratch.path().join("mounted"), "loop");
    let file = File::create(mounted.dir.join("pieces")).unwrap();
    for piece in 0..20 {
        file.write_all_at(b"piece", piece * 2048).unwrap();
    }
    drop(file);
    std::os::unix::fs::symlink("a-link-to-zzyzx", mounted.dir.join("link")).unwrap();
    mounted.end();

    // A leaf with 20 extents: the first one begins a block later, and leaves a hole.
    let leaf = [0x0a, 0xf3, 20, 0, 84, 0, 0, 0];
    let damages = [
        ("pieces", &leaf[..], 12, 1),
        ("link", b"a-link-to-zzyzx", 6, 0),
    ];
    for (name, bytes, offset, byte) in damages {
        let damaged = scratch.path().join(name);
        std::fs::copy(&image, &damaged).unwrap();
        let place = place_of(&damaged, bytes) + offset;
        let open = std::fs::OpenOptions::new().write(true).open(&damaged);
        open.unwrap().write_all_at(&[byte], place).unwrap();
        let ours = file_tree::list_of(&damaged).unwrap();
        let file = &ours[name.as_bytes()];
        assert!(file.contents.is_err() || file.target.is_err(), "{file:?}");
        // The kernel, too, but older ones follow the link as far as it goes.
        let kernel = &list_of(&damaged)[name.as_bytes()];
        let refuses = kernel.contents.is_err() || kernel.stat.is_err();
        assert!(refuses || name == "link", "{kernel:?}");
    }
}
