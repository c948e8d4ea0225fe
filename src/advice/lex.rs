//! The words of a command line one by one, as the parser takes them: which is an option, which a
//! value, which a name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command};

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command.
    Command,
    /// An option, or several short ones in a row.
    Option(Given),
    /// The value of the option in front of it.
    Value,
    /// `--`: only names follow.
    Dashes,
    /// A word with a dash in front that is no option.
    Unknown,
    /// IMAGE, or what stands in its place.
    Position,
}

/// An option as it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The parser's names of all options in the word; a value belongs to the last one.
    pub(crate) ids: Vec<String>,
    /// Where in the word the value begins, in bytes.
    value_at: Option<usize>,
    /// Whether the value is the next word.
    takes_next: bool,
}

impl Given {
    /// Whether the word has this option, alone or in a row.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|own| own == id)
    }

    /// The value in the word itself.
    pub(crate) fn value<'a>(&self, word: &'a OsStr) -> Option<&'a OsStr> {
        let bytes = word.as_bytes().get(self.value_at?..)?;
        Some(OsStr::from_bytes(bytes))
    }

    /// The word with another value in its place.
    pub(crate) fn with_value(&self, word: &OsStr, value: &OsStr) -> OsString {
        let mut bytes = word.as_bytes().to_owned();
        bytes.truncate(self.value_at.unwrap_or(bytes.len()));
        bytes.extend(value.as_bytes());
        OsString::from_vec(bytes)
    }
}

/// The options of a word, each in a word of its own: `-f` and `-oTARGET` for `-foTARGET`.
pub(crate) fn apart(word: OsString, kind: Kind) -> Vec<(OsString, Kind)> {
    let Kind::Option(given) = &kind else {
        return vec![(word, kind)];
    };
    let Some((last, others)) = given.ids.split_last().filter(|(_, ids)| !ids.is_empty()) else {
        return vec![(word, kind)];
    };
    let bytes = word.as_bytes();
    let dashed = |bytes: &[u8]| OsString::from_vec([b"-", bytes].concat());
    let letters = bytes.get(1..).unwrap_or_default();
    let mut words = Vec::new();
    for (id, letter) in others.iter().zip(letters) {
        let given = Given {
            ids: vec![id.clone()],
            ..Given::default()
        };
        words.push((dashed(&[*letter]), Kind::Option(given)));
    }
    let rest = letters.get(others.len()..).unwrap_or_default();
    let given = Given {
        ids: vec![last.clone()],
        value_at: given.value_at.map(|at| at.saturating_sub(others.len())),
        takes_next: given.takes_next,
    };
    words.push((dashed(rest), Kind::Option(given)));
    words
}

/// Where the value of an option stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nowhere: it has none.
    Nothing,
    /// After an equals sign only, if anywhere.
    Equals,
    /// In the same word, or the next one.
    Next,
}

/// An option that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownOption {
    pub(crate) id: String,
    pub(crate) long: Option<String>,
    pub(crate) short: Option<char>,
    pub(crate) takes: Takes,
}

/// What is known of a command line: whether it begins with a command, and its options.
#[derive(Debug, Clone)]
pub(crate) struct KnownOptions {
    pub(crate) has_command: bool,
    pub(crate) options: Vec<KnownOption>,
}

impl KnownOptions {
    /// What `program` knows of these words.
    pub(crate) fn of_words(program: &Command, words: &[OsString]) -> Self {
        let first = words.first().and_then(|word| word.to_str());
        let chosen = first.and_then(|word| program.find_subcommand(word));
        let args = chosen.unwrap_or(program).get_arguments();
        let options = args.filter(|arg| arg.get_long().is_some() || arg.get_short().is_some());
        Self {
            has_command: chosen.is_some(),
            options: options.map(KnownOption::of).collect(),
        }
    }
}

impl KnownOption {
    fn of(arg: &Arg) -> Self {
        Self {
            id: arg.get_id().to_string(),
            long: arg.get_long().map(str::to_owned),
            short: arg.get_short(),
            takes: if !arg.get_action().takes_values() {
                Takes::Nothing
            } else if arg.is_require_equals_set() {
                Takes::Equals
            } else {
                Takes::Next
            },
        }
    }
}

/// Finds what every word is.
pub(crate) fn lex(known: &KnownOptions, words: &[OsString]) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(words.len());
    let mut only_names = false;
    for (at, word) in words.iter().enumerate() {
        let text = word.to_string_lossy();
        let is_dashed = text.starts_with('-') && text != "-";
        // The parser takes no word with a dash for a value.
        let is_value =
            matches!(kinds.last(), Some(Kind::Option(given)) if given.takes_next) && !is_dashed;
        let kind = if at == 0 && known.has_command {
            Kind::Command
        } else if is_value {
            Kind::Value
        } else if only_names || !is_dashed {
            Kind::Position
        } else if text == "--" {
            only_names = true;
            Kind::Dashes
        } else if text == "-h" || text == "--help" {
            Kind::Option(Given {
                ids: vec!["help".to_owned()],
                ..Given::default()
            })
        } else {
            given(&known.options, word).map_or(Kind::Unknown, Kind::Option)
        };
        kinds.push(kind);
    }
    kinds
}

/// The option that a word is, or the row of short ones; `None` where one of them is not known.
fn given(options: &[KnownOption], word: &OsStr) -> Option<Given> {
    let bytes = word.as_bytes();
    if let Some(long) = bytes.strip_prefix(b"--") {
        let end = long.iter().position(|&byte| byte == b'=');
        let name = &long[..end.unwrap_or(long.len())];
        let is_it = |option: &&KnownOption| {
            let long = option.long.as_ref();
            long.is_some_and(|own| own.as_bytes() == name)
        };
        let option = options.iter().find(is_it)?;
        return Some(Given {
            ids: vec![option.id.clone()],
            value_at: end.map(|end| end + "--=".len()),
            takes_next: end.is_none() && option.takes == Takes::Next,
        });
    }
    let mut found = Given::default();
    for (at, &short) in bytes.iter().enumerate().skip(1) {
        let short = char::from(short);
        let option = options.iter().find(|option| option.short == Some(short))?;
        found.ids.push(option.id.clone());
        if option.takes != Takes::Nothing {
            // The rest is its value, after an equals sign or not.
            let rest = &bytes[at + 1..];
            let value = rest.strip_prefix(b"=").unwrap_or(rest);
            found.value_at = (!rest.is_empty()).then(|| bytes.len() - value.len());
            found.takes_next = rest.is_empty() && option.takes == Takes::Next;
            break;
        }
    }
    (!found.ids.is_empty()).then_some(found)
}
