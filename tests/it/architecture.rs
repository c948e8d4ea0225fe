//! The rooms of the library, and who may use whom: checked by reading the source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room of the library and the rooms that it may name. `error` knows the format's own errors,
/// because every caller meets them; nobody else looks from below to above.
const ROOMS: &[(&str, &[&str])] = &[
    ("bytes", &[]),
    ("text", &[]),
    ("sys", &[]),
    (
        "error",
        &["attach", "foreign", "partition", "ploop", "qcow2"],
    ),
    ("source", &["error", "sys"]),
    ("foreign", &["source"]),
    ("workers", &["error"]),
    ("in_use", &[]),
    ("disk", &["error", "source"]),
    ("ext4", &["bytes", "disk", "error"]),
    ("partition", &["bytes", "disk", "error"]),
    (
        "ploop",
        // A raw base has no header: only its partition table or file system says how long it was.
        &[
            "bytes",
            "disk",
            "error",
            "foreign",
            "in_use",
            "partition",
            "source",
        ],
    ),
    ("salvage", &["disk", "error", "ploop", "source"]),
    ("sink", &["bytes", "error", "sys"]),
    ("qcow2", &["bytes", "copy", "disk", "error", "sink"]),
    ("hash", &["bytes", "copy", "sys"]),
    (
        "copy",
        &["bytes", "disk", "error", "sink", "source", "workers"],
    ),
    ("compare", &["bytes", "copy", "disk", "error", "workers"]),
    ("nbd", &["bytes", "disk", "error"]),
    ("overlay", &["bytes", "disk", "error", "nbd"]),
    ("attach", &["partition", "sys"]),
];

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .collect()
}

/// The library's files by room; the command line is `cli`, the two crate roots are left out.
fn files() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut rooms: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in rust_files(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        rooms.entry(room).or_default().push((path, text));
    }
    rooms.remove("lib");
    rooms.remove("main");
    rooms
}

/// Every `crate::name` in a text, by its first name.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let word = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    text.split("crate::")
        .skip(1)
        .map(move |rest| &rest[..word(rest).unwrap_or(rest.len())])
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    let rooms = files();
    let known: Vec<_> = ROOMS.iter().map(|(room, _)| *room).chain(["cli"]).collect();
    assert!(
        rooms.keys().all(|room| known.contains(&room.as_str())),
        "a new room: {:?}",
        rooms.keys()
    );
    for (room, allowed) in ROOMS {
        for (path, text) in &rooms[*room] {
            for name in named(text) {
                // What the crate root gives is its error.
                let name = if ["Error", "Result", "Class"].contains(&name) {
                    "error"
                } else {
                    name
                };
                assert!(
                    name == *room || allowed.contains(&name),
                    "{} uses {name}, which {room} may not",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_library_knows_nothing_of_the_command_line_and_the_command_line_only_the_public_library() {
    let rooms = files();
    for (path, text) in rooms
        .iter()
        .filter(|(room, _)| *room != "cli")
        .flat_map(|(_, files)| files)
    {
        for word in [
            "clap",
            "anyhow",
            "indicatif",
            "serde",
            "std::env",
            "println!",
            "eprintln!",
            "process::exit",
        ] {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
    }
    for (path, text) in &rooms["cli"] {
        assert!(
            named(text).all(|name| name == "cli"),
            "{} reaches into a crate root",
            path.display()
        );
    }
}
