//! The options of all commands and how they are written, for those that look at a command line once
//! more. The parser has them from the commands' own arguments; a test in `commands.rs` compares.

use super::lex::{KnownOption, KnownOptions, Takes};

/// Every command, as it is typed.
pub(crate) const COMMANDS: [&str; 18] = [
    "convert",
    "info",
    "check",
    "map",
    "compare",
    "verify",
    "serve",
    "attach",
    "detach",
    "attached",
    "ls",
    "cat",
    "extract",
    "list",
    "batch",
    "mount",
    "completions",
    "man",
];

/// Every option, as it is typed, its short form and where its value stands.
#[rustfmt::skip]
const OPTIONS: [(&str, Option<char>, Takes); 62] = [
    ("disk", None, Takes::Next),
    ("disk", None, Takes::Nothing),
    ("disk-name", None, Takes::Next),
    ("snapshot", None, Takes::Next),
    ("single-layer", None, Takes::Nothing),
    ("partition", None, Takes::Next),
    ("allow-dirty", None, Takes::Nothing),
    ("salvage", None, Takes::Nothing),
    ("allow-outside", None, Takes::Nothing),
    ("layers", None, Takes::Next),
    ("use-idx", None, Takes::Nothing),
    ("private-dir", None, Takes::Next),
    ("compact", None, Takes::Nothing),
    ("threads", Some('j'), Takes::Next),
    ("output", Some('o'), Takes::Next),
    ("format", Some('O'), Takes::Next),
    ("cluster-size", None, Takes::Next),
    ("compress", None, Takes::Equals),
    ("sparse", None, Takes::Equals),
    ("reflink", None, Takes::Equals),
    ("force", Some('f'), Takes::Nothing),
    ("update", None, Takes::Nothing),
    ("no-state", None, Takes::Nothing),
    ("partitions", None, Takes::Nothing),
    ("disks", None, Takes::Nothing),
    ("checksum", None, Takes::Equals),
    ("dry-run", None, Takes::Nothing),
    ("no-sync", None, Takes::Nothing),
    ("for", None, Takes::Next),
    ("config", None, Takes::Next),
    ("network", None, Takes::Next),
    ("gateway", None, Takes::Next),
    ("kernel", None, Takes::Next),
    ("initrd", None, Takes::Next),
    ("modules", None, Takes::Next),
    ("append", None, Takes::Next),
    ("verify", None, Takes::Nothing),
    ("json", None, Takes::Nothing),
    ("quiet", Some('q'), Takes::Nothing),
    ("verbose", Some('v'), Takes::Nothing),
    ("progress", None, Takes::Next),
    ("against", None, Takes::Next),
    ("trace", None, Takes::Nothing),
    ("socket", None, Takes::Next),
    ("tcp", None, Takes::Next),
    ("stdio", None, Takes::Nothing),
    ("mount", None, Takes::Next),
    ("via", None, Takes::Next),
    ("overlay", None, Takes::Equals),
    ("device", None, Takes::Next),
    ("connections", None, Takes::Next),
    ("block-size", None, Takes::Next),
    ("disk", None, Takes::Nothing),
    ("foreground", None, Takes::Nothing),
    ("in-background", None, Takes::Nothing),
    ("all", None, Takes::Nothing),
    ("all", Some('a'), Takes::Nothing),
    ("long", Some('l'), Takes::Nothing),
    ("recursive", Some('R'), Takes::Nothing),
    ("itself", Some('d'), Takes::Nothing),
    ("directory", Some('C'), Takes::Next),
    ("jobs", None, Takes::Next),
];

/// The options that say what is read of IMAGE, and how, by their names in the parser.
pub(crate) const READING: [&str; 10] = [
    "disk_name",
    "snapshot",
    "single_layer",
    "partition",
    "allow_dirty",
    "salvage",
    "allow_outside",
    "layers",
    "use_idx",
    "private_dir",
];

/// What is known of a command line that begins with this word.
pub(crate) fn known(first: Option<&str>) -> KnownOptions {
    // Of mount, --disk is a flag.
    let is_of_others = |long: &str, takes: Takes| {
        first == Some("mount") && long == "disk" && matches!(takes, Takes::Next)
    };
    let options = OPTIONS.iter();
    let options = options.filter(|(long, _, takes)| !is_of_others(long, *takes));
    let options = options.map(|(long, short, takes)| KnownOption {
        id: id_of(long, *takes),
        long: Some((*long).to_owned()),
        short: *short,
        takes: *takes,
    });
    KnownOptions {
        has_command: first.is_some_and(|first| COMMANDS.contains(&first)),
        options: options.collect(),
    }
}

/// What the parser calls an option.
fn id_of(long: &str, takes: Takes) -> String {
    match (long, takes) {
        // The IMAGE of verify.
        ("against", _) => "image".to_owned(),
        // `mount` has a flag of this name, and calls this one --disk-name.
        ("disk", Takes::Next) => "disk_name".to_owned(),
        // A word of the language.
        ("for", _) => "host".to_owned(),
        (long, _) => long.replace('-', "_"),
    }
}
