//! Trees in memory, written by any user, and what must not become of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::sink::IfExists;
use crate::tree::testing::Memory;
use crate::tree::{FileType, IfLost, LastLink, Resolved, Tree, resolve};
use crate::workers::Workers;

/// A folder with the target, and one beside it that must stay as it is.
struct Place {
    folder: tempfile::TempDir,
    into: PathBuf,
    outside: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [into, outside] = ["into", "outside"].map(|name| folder.path().join(name));
        fs::create_dir(&into).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("passwd"), "outside").unwrap();
        Self {
            folder,
            into,
            outside,
        }
    }

    fn extract(&self, tree: &Memory, paths: &[&str], if_exists: IfExists) -> Extracted {
        self.extract_until(
            tree,
            paths,
            if_exists,
            IfLost::Refuse,
            &AtomicBool::new(false),
        )
    }

    fn extract_until(
        &self,
        tree: &Memory,
        paths: &[&str],
        if_exists: IfExists,
        if_lost: IfLost,
        stop: &AtomicBool,
    ) -> Extracted {
        let paths: Vec<Resolved> = paths
            .iter()
            .map(|path| resolve(tree, path.as_bytes(), LastLink::Keep).unwrap())
            .collect();
        let workers = Workers::new(3).unwrap();
        let options = ExtractOptions {
            into: &self.into,
            if_exists,
            if_lost,
            is_source: &|_| false,
            workers: &workers,
            stop,
            progress: &(),
        };
        extract(tree, &paths, &options).unwrap()
    }

    /// Nothing beside the target was made or changed, and nothing half made is in it.
    fn assert_safe(&self) {
        let beside = names(self.folder.path());
        assert_eq!(beside, ["into", "outside"]);
        assert_eq!(names(&self.outside), ["passwd"]);
        let text = fs::read_to_string(self.outside.join("passwd")).unwrap();
        assert_eq!(text, "outside");
        assert_no_part(&self.into);
    }
}

fn assert_no_part(folder: &Path) {
    for name in names(folder) {
        assert!(!name.contains(".part-"), "{name}");
        let path = folder.join(name);
        if path.is_dir() && !path.is_symlink() {
            assert_no_part(&path);
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn codes(made: &Extracted) -> Vec<(String, &'static str)> {
    let problems = made.problems.iter();
    let mut codes: Vec<_> = problems
        .map(|problem| {
            let path = String::from_utf8_lossy(&problem.path).into_owned();
            (path, problem.error.code())
        })
        .collect();
    codes.sort();
    codes
}

fn tree() -> Memory {
    let mut tree = Memory::new();
    let passwd = tree.file("etc/passwd", b"inside");
    tree.enter("etc/passwd-", passwd);
    tree.link("lib", "usr/lib");
    tree.file("usr/lib/a.so", &[7; 5000]);
    tree.make("run/pipe", FileType::Fifo);
    let folder = tree.folder("usr/lib");
    tree.at(folder).metadata.permissions = 0o555;
    tree
}

#[test]
fn a_tree_comes_with_its_links_modes_times_and_holes() {
    let place = Place::new();
    let mut tree = tree();
    let mut bytes = vec![0; 20 << 20];
    bytes[10 << 20..(10 << 20) + 4096].fill(5);
    tree.file("sparse", &bytes);
    let made = place.extract(&tree, &[""], IfExists::Refuse);
    assert_eq!(codes(&made), []);
    assert_eq!((made.files, made.directories), (3, 4));
    assert_eq!((made.symlinks, made.hard_links, made.special), (1, 1, 1));
    let at = |path: &str| place.into.join(path);
    assert_eq!(fs::read_link(at("lib")).unwrap(), Path::new("usr/lib"));
    let [one, other] = ["etc/passwd", "etc/passwd-"].map(|path| fs::metadata(at(path)).unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    let folder = fs::metadata(at("usr/lib")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o555);
    for path in ["etc", "usr/lib", "lib", "etc/passwd", "run/pipe", "."] {
        let meta = fs::symlink_metadata(at(path)).unwrap();
        let time = (meta.mtime(), meta.mtime_nsec());
        assert_eq!(time, (1_000_000_000, 123_456_789), "{path}");
    }
    let sparse = fs::metadata(at("sparse")).unwrap();
    assert!(fs::read(at("sparse")).unwrap() == bytes);
    assert!(sparse.blocks() < 1000, "{}", sparse.blocks());
    fs::set_permissions(at("usr/lib"), fs::Permissions::from_mode(0o755)).unwrap();
    place.assert_safe();
}

#[test]
fn a_path_comes_with_the_directories_on_the_way_to_it() {
    let place = Place::new();
    let tree = tree();
    let paths = ["usr/lib/a.so", "etc/passwd", "lib"];
    let made = place.extract(&tree, &paths, IfExists::Refuse);
    assert_eq!(codes(&made), []);
    assert_eq!(names(&place.into), ["etc", "lib", "usr"]);
    assert_eq!(names(&place.into.join("etc")), ["passwd"]);
    let folder = place.into.join("usr/lib");
    let meta = fs::metadata(&folder).unwrap();
    assert_eq!((meta.mtime(), meta.mode() & 0o777), (1_000_000_000, 0o555));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let into = fs::metadata(&place.into).unwrap();
    assert_ne!(into.mtime(), 1_000_000_000);
}

#[test]
fn links_that_lie_in_the_target_are_never_followed() {
    for if_exists in [IfExists::Refuse, IfExists::Replace] {
        let place = Place::new();
        symlink(&place.outside, place.into.join("etc")).unwrap();
        fs::create_dir(place.into.join("run")).unwrap();
        symlink(place.outside.join("pipe"), place.into.join("run/pipe")).unwrap();
        symlink("../outside", place.into.join("usr")).unwrap();
        let made = place.extract(&tree(), &["etc", "run", "usr/lib/a.so"], if_exists);
        match if_exists {
            IfExists::Refuse => {
                let paths = ["etc", "run/pipe", "usr/lib/a.so"];
                let exists = paths.map(|path| (path.to_owned(), "target-exists"));
                assert_eq!(codes(&made), exists);
            }
            IfExists::Replace => {
                assert_eq!(codes(&made), []);
                assert!(!place.into.join("etc").is_symlink());
                assert_eq!(fs::read(place.into.join("etc/passwd")).unwrap(), b"inside");
                let folder = place.into.join("usr/lib");
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        place.assert_safe();
    }
}

#[test]
fn a_link_of_the_tree_is_no_way_out_either() {
    let place = Place::new();
    let mut tree = Memory::new();
    // Two entries of one name: first a link to the outside, then a directory.
    tree.link("x", place.outside.to_str().unwrap());
    let folder = tree.make("y", FileType::Directory);
    tree.file("y/passwd", b"inside");
    let root = tree.root();
    tree.enter_raw(root, b"x", folder);
    let made = place.extract(&tree, &[""], IfExists::Replace);
    // Whichever is first, the other one replaces it or is a directory in two places.
    assert!(made.files <= 1, "{made:?}");
    place.assert_safe();
    let place = Place::new();
    place.extract(&tree, &[""], IfExists::Refuse);
    place.assert_safe();
}

#[test]
fn names_that_no_file_can_have_are_a_problem_and_the_others_are_made() {
    let place = Place::new();
    let mut tree = tree();
    let inode = tree.file("usr/x", b"");
    let folder = tree.folder("etc");
    for name in [
        "../x",
        "/abs",
        "..",
        ".",
        "",
        "x\0y",
        "../../outside/passwd",
    ] {
        tree.enter_raw(folder, name.as_bytes(), inode);
    }
    let made = place.extract(&tree, &["etc"], IfExists::Replace);
    assert_eq!(codes(&made), [("etc".to_owned(), "file-system")]);
    assert!(made.has_damage && !made.has_refusal);
    assert_eq!(names(&place.into.join("etc")), ["passwd", "passwd-"]);
    place.assert_safe();
}

#[test]
fn directories_in_a_circle_end_and_the_rest_is_made() {
    let place = Place::new();
    let mut tree = tree();
    let (outer, inner) = (tree.folder("usr"), tree.folder("usr/deep/deeper"));
    tree.enter_raw(inner, b"again", outer);
    tree.enter_raw(inner, b"itself", inner);
    let made = place.extract(&tree, &["usr/deep", "etc"], IfExists::Refuse);
    let circles = ["usr/deep/deeper/again/deep", "usr/deep/deeper/itself"];
    let circles = circles.map(|path| (path.to_owned(), "file-system"));
    assert_eq!(codes(&made), circles);
    let again = place.into.join("usr/deep/deeper/again/lib");
    fs::set_permissions(again, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read(place.into.join("etc/passwd")).unwrap(), b"inside");
}

#[test]
fn a_nest_of_directories_without_end_is_refused_and_the_rest_is_made() {
    let place = Place::new();
    let mut tree = tree();
    let mut folder = tree.folder("usr");
    for _ in 0..1000 {
        let inode = tree.make("unused", FileType::Directory);
        tree.enter_raw(folder, b"d", inode);
        folder = inode;
    }
    let root = tree.root();
    tree.at(root)
        .entries
        .retain(|entry| entry.name != b"unused");
    let made = place.extract(&tree, &[""], IfExists::Refuse);
    assert_eq!(made.problems.len(), 1);
    let text = std::error::Error::source(&made.problems[0].error)
        .unwrap()
        .to_string();
    assert!(text.contains("too long"), "{text}");
    assert_eq!(fs::read(place.into.join("etc/passwd")).unwrap(), b"inside");
    let folder = place.into.join("usr/lib");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_exists_stays_unless_it_is_to_be_replaced() {
    let place = Place::new();
    let etc = place.into.join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("passwd"), "mine").unwrap();
    fs::create_dir(etc.join("passwd-")).unwrap();
    fs::write(etc.join("other"), "stays").unwrap();
    let made = place.extract(&tree(), &["etc"], IfExists::Refuse);
    let exists = ["etc/passwd", "etc/passwd-"].map(|path| (path.to_owned(), "target-exists"));
    assert_eq!(codes(&made), exists);
    assert!(made.has_refusal && !made.has_damage);
    assert_eq!(fs::read(etc.join("passwd")).unwrap(), b"mine");
    assert_ne!(fs::metadata(&etc).unwrap().mtime(), 1_000_000_000);
    let made = place.extract(&tree(), &["etc"], IfExists::Replace);
    // A directory is not replaced by a file.
    assert_eq!(codes(&made), [("etc/passwd-".to_owned(), "io")]);
    assert_eq!(fs::read(etc.join("passwd")).unwrap(), b"inside");
    assert_eq!(fs::read(etc.join("other")).unwrap(), b"stays");
    assert_eq!(fs::metadata(&etc).unwrap().mtime(), 1_000_000_000);
    // Again, over its own links.
    fs::remove_dir(etc.join("passwd-")).unwrap();
    for _ in 0..2 {
        let made = place.extract(&tree(), &["etc"], IfExists::Replace);
        assert_eq!((codes(&made), made.hard_links), (vec![], 1));
    }
    place.assert_safe();
}

#[test]
fn a_file_of_the_source_is_never_replaced() {
    let place = Place::new();
    fs::create_dir(place.into.join("etc")).unwrap();
    let source = place.into.join("etc/passwd");
    fs::write(&source, "source").unwrap();
    let meta = fs::metadata(&source).unwrap();
    let identity = (meta.dev(), meta.ino());
    let (workers, stop) = (Workers::new(1).unwrap(), AtomicBool::new(false));
    let tree = tree();
    let options = ExtractOptions {
        into: &place.into,
        if_exists: IfExists::Replace,
        if_lost: IfLost::Refuse,
        is_source: &|file| file == identity,
        workers: &workers,
        stop: &stop,
        progress: &(),
    };
    let etc = resolve(&tree, b"etc", LastLink::Keep).unwrap();
    let made = extract(&tree, &[etc], &options).unwrap();
    assert_eq!(
        codes(&made),
        [("etc/passwd".to_owned(), "target-is-source")]
    );
    assert_eq!(fs::read(&source).unwrap(), b"source");
}

#[test]
fn a_file_that_lost_bytes_is_left_out_or_made_with_zeros_that_are_listed() {
    let mut tree = tree();
    let inode = tree.file("var/lost", &[9; 30_000]);
    tree.at(inode).lost.extend([1, 5]);
    let damaged = tree.file("var/damaged", b"");
    tree.at(damaged).is_damaged = true;
    for if_lost in [IfLost::Refuse, IfLost::Zeros] {
        let place = Place::new();
        let stop = AtomicBool::new(false);
        let made = place.extract_until(&tree, &["var", "etc"], IfExists::Refuse, if_lost, &stop);
        let var = place.into.join("var");
        assert_eq!(fs::read(place.into.join("etc/passwd")).unwrap(), b"inside");
        if if_lost == IfLost::Refuse {
            let expected = [("var/damaged", "file-system"), ("var/lost", "lost")];
            assert_eq!(
                codes(&made),
                expected.map(|(path, code)| (path.to_owned(), code))
            );
            assert_eq!(names(&var), [""; 0]);
        } else {
            assert_eq!(codes(&made), [("var/damaged".to_owned(), "file-system")]);
            let ranges: Vec<_> = made.lost.iter().map(|lost| lost.range.clone()).collect();
            assert_eq!(ranges, [4096..8192, 20_480..24_576]);
            let bytes = fs::read(var.join("lost")).unwrap();
            let zeros = bytes.iter().filter(|byte| **byte == 0).count();
            assert_eq!((bytes.len(), zeros), (30_000, 8192));
        }
        place.assert_safe();
    }
}

#[test]
fn nothing_is_made_once_it_was_told_to_stop() {
    let place = Place::new();
    let stop = AtomicBool::new(true);
    let made = place.extract_until(&tree(), &[""], IfExists::Refuse, IfLost::Refuse, &stop);
    assert_eq!(made.ended_by.unwrap().code(), "interrupted");
    assert_eq!((made.files, made.problems.len()), (0, 0));
    place.assert_safe();
}

#[test]
fn a_target_that_somebody_changes_meanwhile_leads_nowhere_else() {
    let mut tree = Memory::new();
    for number in 0..300 {
        tree.file(&format!("d/{number}/passwd"), b"inside");
    }
    let place = Place::new();
    let (is_done, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let directory = place.into.join("d");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Every directory that appears is swapped for a link to the outside.
            while !is_done.load(Ordering::Relaxed) {
                for number in 0..300 {
                    let path = directory.join(number.to_string());
                    let swap = swaps.load(Ordering::Relaxed);
                    let away = place.into.join(format!("away{swap}"));
                    if path.is_symlink() {
                        let _ = fs::remove_file(&path);
                    } else if fs::rename(&path, &away).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                        let _ = symlink("../../outside", &path);
                    }
                }
            }
        });
        for _ in 0..100 {
            place.extract(&tree, &[""], IfExists::Replace);
            assert_eq!(names(&place.outside), ["passwd"]);
            let text = fs::read_to_string(place.outside.join("passwd")).unwrap();
            assert_eq!(text, "outside");
            if swaps.load(Ordering::Relaxed) > 2000 {
                break;
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(swaps.into_inner() > 100);
    assert_eq!(names(place.folder.path()), ["into", "outside"]);
}
