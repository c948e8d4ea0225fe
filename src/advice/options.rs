//! The options of all commands and how they are written, for those that look at a command line once
//! more. The parser has them from the commands' own arguments; a test in `commands.rs` compares.

use super::lex::{KnownOption, KnownOptions, Takes};

/// Every command, as it is typed.
pub(crate) const COMMANDS: [&str; 17] = [
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
    "completions",
    "man",
];

/// Every option, as it is typed, its short form and where its value stands.
#[rustfmt::skip]
const OPTIONS: [(&str, Option<char>, Takes); 49] = [
    ("snapshot", None, Takes::Next),
    ("single-layer", None, Takes::Nothing),
    ("partition", None, Takes::Next),
    ("allow-dirty", None, Takes::Nothing),
    ("salvage", None, Takes::Nothing),
    ("allow-outside", None, Takes::Nothing),
    ("layers", None, Takes::Next),
    ("use-idx", None, Takes::Nothing),
    ("private-dir", None, Takes::Next),
    ("threads", Some('j'), Takes::Next),
    ("output", Some('o'), Takes::Next),
    ("format", Some('O'), Takes::Next),
    ("cluster-size", None, Takes::Next),
    ("compress", None, Takes::Equals),
    ("sparse", None, Takes::Equals),
    ("reflink", None, Takes::Equals),
    ("force", Some('f'), Takes::Nothing),
    ("partitions", None, Takes::Nothing),
    ("checksum", None, Takes::Equals),
    ("dry-run", None, Takes::Nothing),
    ("no-sync", None, Takes::Nothing),
    ("for", None, Takes::Next),
    ("config", None, Takes::Next),
    ("network", None, Takes::Next),
    ("gateway", None, Takes::Next),
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
    ("overlay", None, Takes::Equals),
    ("device", None, Takes::Next),
    ("connections", None, Takes::Next),
    ("block-size", None, Takes::Next),
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
pub(crate) const READING: [&str; 9] = [
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
    let options = OPTIONS.iter().map(|(long, short, takes)| KnownOption {
        id: id_of(long),
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
fn id_of(long: &str) -> String {
    match long {
        // The IMAGE of verify.
        "against" => "image".to_owned(),
        // A word of the language.
        "for" => "host".to_owned(),
        long => long.replace('-', "_"),
    }
}
