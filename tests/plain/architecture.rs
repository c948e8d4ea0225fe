//! The rooms of the library, and who may use whom: checked by reading the source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::imports::{Sources, rust_files, strings, words};

/// Rooms below the disk, which whatever reads or moves disks may use.
const GROUND: &[&str] = &[
    "error", "foreign", "in_use", "observe", "source", "sys", "util", "workers",
];

/// A room of the library and the rooms that it may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("util", &[]),
    ("error", &[]),
    ("sys", &["error", "util"]),
    ("source", &["error", "sys", "util"]),
    ("observe", &["util"]),
    ("foreign", &["source", "util"]),
    ("workers", &["error", "util"]),
    ("in_use", &["util"]),
    ("disk", &["error", "source", "sys", "util", "workers"]),
    // A raw base has no header: only its partition table or file system says how long it was.
    ("ploop", &["disk", "partition"]),
    ("partition", &["disk"]),
    ("ext4", &["disk", "tree"]),
    ("tree", &["disk"]),
    // Pure: what becomes of a tree of files. It knows no disk and no target.
    ("guest", &["error", "tree", "util"]),
    ("salvage", &["disk"]),
    ("sink", &["error", "observe", "sys", "util"]),
    // What full targets say is the sinks' own.
    ("extract", &["sink", "tree"]),
    ("copy", &["disk", "sink"]),
    ("hash", &[]),
    ("compare", &["disk"]),
    ("format", &["disk", "ext4", "sink", "tree"]),
    ("nbd", &["disk"]),
    ("overlay", &["disk"]),
    ("attach", &["disk", "partition"]),
    // A mount is found and taken away as an attached disk is.
    (
        "fuse",
        &["attach", "disk", "ext4", "partition", "salvage", "tree"],
    ),
    // An attached disk, served by either driver of the kernel.
    (
        "served",
        &["attach", "disk", "fuse", "nbd", "overlay", "salvage"],
    ),
    // What starts a container as a machine, and the disk with it.
    ("boot", &["disk", "ext4", "guest", "partition", "tree"]),
    // The job: all of the above but serving and attaching.
    (
        "convert",
        &[
            "boot",
            "compare",
            "copy",
            "disk",
            "ext4",
            "format",
            "guest",
            "hash",
            "partition",
            "ploop",
            "salvage",
            "sink",
            "tree",
        ],
    ),
    // What a host keeps: containers, and whether a conversion would take them.
    (
        "host",
        &[
            "convert",
            "disk",
            "ext4",
            "guest",
            "partition",
            "ploop",
            "tree",
        ],
    ),
];

/// The rooms of the program, which stand on the library's public face: what to type next, the
/// commands, and what was meant by words that are no command.
const PROGRAM: &[(&str, &[&str])] = &[
    ("advice", &[]),
    ("cli", &["advice"]),
    ("mistakes", &["advice", "cli"]),
];

fn is_of_the_program(room: &str) -> bool {
    PROGRAM.iter().any(|(own, _)| *own == room)
}

/// The ground itself, and the sinks, which know neither disks nor what they hold: these may name
/// only the rooms that the table gives them.
const ABOVE_NOTHING: &[&str] = &[
    "util", "error", "sys", "source", "observe", "foreign", "workers", "in_use", "disk", "sink",
    "guest",
];

/// Whether `room` may name `other`.
fn may_use(room: &str, allowed: &[&str], other: &str) -> bool {
    let stands_on_ground = !ABOVE_NOTHING.contains(&room);
    room == other || allowed.contains(&other) || stands_on_ground && GROUND.contains(&other)
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
    let known: Vec<_> = ROOMS.iter().chain(PROGRAM).map(|(room, _)| *room).collect();
    assert!(
        rooms.keys().all(|room| known.contains(&room.as_str())),
        "a new room: {:?}",
        rooms.keys()
    );
    for (room, allowed) in ROOMS {
        for (path, text) in &rooms[*room] {
            for name in named(text) {
                // What the crate root gives is its error.
                let name = if ["Detail", "Error", "ErrorKind", "Result"].contains(&name) {
                    "error"
                } else {
                    name
                };
                assert!(
                    may_use(room, allowed, name),
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
        .filter(|(room, _)| !is_of_the_program(room))
        .flat_map(|(_, files)| files)
    {
        // Examples in comments may print.
        let lines = text.lines();
        let code = lines.filter(|line| !line.trim_start().starts_with("//"));
        let code: String = code.collect();
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
            // What lies beside a target is a file format of the library's own, and JSON.
            let keeps_state = path.ends_with("host/state.rs")
                || path.ends_with("util/exact_path.rs")
                || path.parent().unwrap().ends_with("convert/update");
            if word == "serde" && keeps_state {
                continue;
            }
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
    for (room, allowed) in PROGRAM {
        for (path, text) in &rooms[*room] {
            assert!(
                named(text).all(|name| name == *room || allowed.contains(&name)),
                "{} reaches into another room or a crate root",
                path.display()
            );
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The command line parses, makes options, calls once and renders: there is little of it.
#[test]
fn the_command_line_has_at_most_15_percent_of_the_lines() {
    let lines = |files: &[(PathBuf, String)]| -> usize {
        files.iter().map(|(_, text)| text.lines().count()).sum()
    };
    let rooms = files();
    let all: usize = rooms.values().map(|files| lines(files)).sum();
    let own = lines(&rooms["cli"]);
    assert!(own * 100 <= all * 15, "{own} of {all} lines");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = Sources::read(&src()).circles();
    assert!(circles.is_empty(), "in circles:\n{}", circles.join("\n"));
}

/// The code of the library's files, in words and signs and without its tests.
fn library() -> Vec<(PathBuf, Vec<String>)> {
    let rooms = files()
        .into_iter()
        .filter(|(room, _)| !is_of_the_program(room));
    rooms
        .flat_map(|(_, files)| files)
        .filter(|(path, _)| !path.ends_with("tests.rs"))
        .map(|(path, text)| {
            let code = text.split("#[cfg(test)]\nmod tests {").next();
            (path, words(code.unwrap_or_default()))
        })
        .collect()
}

/// An option's name is the command line's business: a message of the library says what it needs in
/// its own words, or hands over a value that the command line has a word for.
#[test]
fn no_message_of_the_library_names_an_option() {
    let library = files().into_iter();
    let library = library.filter(|(room, _)| !is_of_the_program(room));
    let files = library.flat_map(|(_, files)| files);
    let mut texts = 0;
    for (path, text) in files.filter(|(path, _)| !path.ends_with("tests.rs")) {
        let code = text.split("#[cfg(test)]\nmod tests {").next();
        for text in strings(code.unwrap_or_default()) {
            texts += 1;
            assert!(!names_option(&text), "{}: {text:?}", path.display());
        }
    }
    assert!(texts > 1000, "only {texts} texts were found");
    for (text, names) in [
        ("--salvage reads on", true),
        ("it needs --partitions", true),
        ("(-o)", true),
        ("a -- b", false),
        ("2026-11-28", false),
        ("add -f", true),
        ("a-f", false),
    ] {
        assert_eq!(names_option(text), names, "{text:?}");
    }
    assert_eq!(
        strings(r##"a("b\"c", r#"d"e"#, '"') // "f"'"##),
        ["b\"c", "d\"e"]
    );
}

/// Whether a text has a word that begins like an option, as in `--salvage` or `-o`.
fn names_option(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
    (0..chars.len()).any(|at| {
        let begins = at == 0 || !is_word(chars[at - 1]);
        let dashes = chars[at..].iter().take_while(|c| **c == '-').count();
        let next = chars.get(at + dashes).copied().unwrap_or(' ');
        let after = chars.get(at + dashes + 1).copied().unwrap_or(' ');
        let is_long = dashes == 2 && next.is_ascii_alphabetic();
        let is_short = dashes == 1 && next.is_ascii_alphabetic() && !is_word(after);
        begins && (is_long || is_short)
    })
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, words) in library() {
        for three in words.windows(3) {
            let [public, kind, name] = three else {
                continue;
            };
            let is_type = ["struct", "enum", "trait", "type", "union"].contains(&kind.as_str());
            if public != "pub" || !is_type {
                continue;
            }
            if let Some(other) = seen.insert(name.clone(), path.clone()) {
                panic!("{name} is in {} and {}", other.display(), path.display());
            }
        }
    }
    assert!(seen.len() > 100, "only {} types were found", seen.len());
}

/// A parameter that is `true` or `false` says nothing where it is given; two variants with names
/// do. Fields of options and of reports may be booleans: their names stand beside the values.
#[test]
fn no_public_function_of_the_library_takes_a_boolean() {
    let mut functions = 0;
    for (path, words) in library() {
        for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == "fn") {
            let before = words[..at].iter().rev();
            let is_public = before
                .take_while(|word| ["const", "unsafe", "async", "pub"].contains(&word.as_str()))
                .any(|word| word == "pub");
            if !is_public {
                continue;
            }
            functions += 1;
            let signature = words[at..].split(|word| word == "{" || word == ";").next();
            let signature = signature.unwrap_or_default();
            let takes = signature.windows(2).any(|two| two == [":", "bool"]);
            let name = &words[at + 1];
            assert!(!takes, "{}: {name} takes a boolean", path.display());
        }
    }
    assert!(functions > 200, "only {functions} functions were found");
}

/// What such a fallback hides is a wrong number. `util::bytes` has conversions that lose nothing,
/// and others whose names say what they do.
#[test]
fn no_conversion_of_integers_falls_back_to_another_number() {
    const INTEGERS: [&str; 10] = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
    ];
    for path in rust_files(&src()) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let words = words(code);
        for (at, word) in words.iter().enumerate() {
            let of_integer = at >= 2 && INTEGERS.contains(&words[at - 2].as_str());
            let converts = word == "try_into" || word == "try_from" && of_integer;
            if !converts {
                continue;
            }
            assert!(
                words[at - 2] != "usize",
                "{}: to_usize loses nothing",
                path.display()
            );
            let mut depth = 0;
            let end = words[at + 1..].iter().position(|word| {
                depth += i32::from(word == "(") - i32::from(word == ")");
                depth == 0
            });
            let after = words.get(at + 1 + end.unwrap() + 2);
            let falls_back = after
                .is_some_and(|word| word.starts_with("unwrap_or") || word.starts_with("map_or"));
            assert!(
                !falls_back,
                "{}: {:?}",
                path.display(),
                &words[at - 2..at + 9]
            );
        }
    }
}
