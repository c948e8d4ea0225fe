//! The words of a command line and what each of them is, as far as that is known, and changes to
//! them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command};

use crate::advice::lex::{Given, Kind, KnownOptions, lex};
use crate::advice::shell::shell_word;
use crate::cli::commands::command;

/// What is known of an option whose value has to stand after an equals sign.
pub(super) struct WantsEquals {
    pub(super) values: Vec<String>,
}

/// A command line, and what is to become of its words.
pub(super) struct Words {
    words: Vec<OsString>,
    kinds: Vec<Kind>,
    /// What stands in the place of each word.
    meant: Vec<Vec<OsString>>,
    commands: Vec<String>,
    all: Vec<WithEquals>,
    has_output: bool,
    /// Whether it cannot be said what is meant.
    is_spoiled: bool,
}

struct WithEquals {
    long: String,
    values: Vec<String>,
}

impl Words {
    /// Finds the role of every word.
    pub(super) fn read(program: &Command, words: &[OsString]) -> Self {
        let names = program.get_subcommands().map(Command::get_name);
        let commands: Vec<_> = names.map(str::to_owned).collect();
        let first = words.first().and_then(|word| word.to_str());
        let chosen = first.and_then(|word| program.find_subcommand(word));
        let known = chosen.unwrap_or(program);
        let args: Vec<_> = known.get_arguments().collect();
        let kinds = lex(&KnownOptions::of_words(program, words), words);
        let is_output = |kind: &Kind| matches!(kind, Kind::Option(given) if given.has("output"));
        let has_output = kinds.iter().any(is_output);
        let all = args.iter().filter(|arg| arg.is_require_equals_set());
        let all = all.map(|arg| WithEquals {
            long: format!("--{}", arg.get_long().unwrap_or_default()),
            values: possible_values(arg),
        });
        Self {
            words: words.to_vec(),
            kinds,
            meant: words.iter().map(|word| vec![word.clone()]).collect(),
            commands,
            all: all.collect(),
            has_output,
            is_spoiled: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// A word as text; empty past the last one.
    pub(super) fn text(&self, at: usize) -> Cow<'_, str> {
        let word = self.words.get(at).map(OsString::as_os_str);
        word.unwrap_or_default().to_string_lossy()
    }

    /// A word as a shell takes it.
    pub(super) fn shell_word(&self, at: usize) -> String {
        let word = self.words.get(at).map(OsString::as_os_str);
        shell_word(word.unwrap_or_default())
    }

    /// `None` for a word that is not there, or no more.
    fn kind(&self, at: usize) -> Option<&Kind> {
        let is_there = self.meant.get(at).is_some_and(|meant| !meant.is_empty());
        self.kinds.get(at).filter(|_| is_there)
    }

    /// Whether a word stands alone.
    pub(super) fn is_position(&self, at: usize) -> bool {
        self.kind(at) == Some(&Kind::Position)
    }

    pub(super) fn is_option(&self, at: usize) -> bool {
        matches!(self.kind(at), Some(Kind::Option(_)))
    }

    /// Whether a word is an option that there is not.
    pub(super) fn is_unknown(&self, at: usize) -> bool {
        self.kind(at) == Some(&Kind::Unknown)
    }

    pub(super) fn is_value(&self, at: usize) -> bool {
        self.kind(at) == Some(&Kind::Value)
    }

    /// Whether an option was given, by its name in the parser.
    pub(super) fn has(&self, id: &str) -> bool {
        let mut all = (0..self.len()).filter_map(|at| self.kind(at));
        all.any(|kind| matches!(kind, Kind::Option(given) if given.has(id)))
    }

    /// The words that stand alone.
    pub(super) fn positions(&self) -> Vec<usize> {
        (0..self.len()).filter(|at| self.is_position(*at)).collect()
    }

    /// The options that there are not.
    pub(super) fn unknown(&self) -> Vec<usize> {
        (0..self.len()).filter(|at| self.is_unknown(*at)).collect()
    }

    /// Where only names follow.
    pub(super) fn dashes(&self) -> Option<usize> {
        (0..self.len()).find(|at| self.kind(*at) == Some(&Kind::Dashes))
    }

    pub(super) fn command(&self) -> Option<String> {
        let is_command = self.kinds.first() == Some(&Kind::Command);
        is_command.then(|| self.text(0).into_owned())
    }

    pub(super) fn is_of_convert(&self) -> bool {
        self.command().is_none_or(|command| command == "convert")
    }

    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// The format of the target, where the word is the option that says it.
    pub(super) fn format_at(&self, at: usize) -> Option<String> {
        if !self.is_option(at) {
            return None;
        }
        let text = self.text(at);
        if text == "-O" || text == "--format" {
            return Some(self.text(at + 1).into_owned());
        }
        let value = text.strip_prefix("-O").or(text.strip_prefix("--format="))?;
        Some(value.strip_prefix('=').unwrap_or(value).to_owned())
    }

    /// Whether what stands after `-o` is an option of qemu-img, as in `-o cluster_size=64k`.
    pub(super) fn output_is_qemu_option(&self) -> bool {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        (0..self.words.len()).any(|at| {
            let value = self.text(at + 1);
            let name = value.split_once('=').map(|(name, _)| name);
            self.text(at) == "-o" && name.is_some_and(|name| name.chars().all(is_name))
        })
    }

    /// Whether the word is an option, alone, whose value has to stand after an equals sign.
    pub(super) fn wants_equals(&self, at: usize) -> Option<WantsEquals> {
        if !self.is_option(at) {
            return None;
        }
        let found = self.all.iter().find(|option| option.long == self.text(at));
        found.map(|option| WantsEquals {
            values: option.values.clone(),
        })
    }

    pub(super) fn exists(&self, at: usize) -> bool {
        let word = self.words.get(at).map(OsString::as_os_str);
        Path::new(word.unwrap_or_default())
            .symlink_metadata()
            .is_ok()
    }

    pub(super) fn is_command(&self, at: usize) -> bool {
        let text = self.text(at);
        self.commands.iter().any(|command| *command == text)
    }

    /// The command that a word looks like.
    pub(super) fn near_command(&self, at: usize) -> Option<String> {
        let text = self.text(at).to_lowercase();
        let rated = self.commands.iter().map(|command| {
            // The parser rates in the same way.
            (strsim::jaro(&text, command), command)
        });
        let best = rated.max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.filter(|(rate, _)| *rate > 0.7 && text.len() > 2)
            .map(|(_, command)| command.clone())
    }

    /// Whether a word seems to be an image: it is there, or is the id of a container.
    pub(super) fn is_image_like(&self, at: usize) -> bool {
        self.exists(at) || self.text(at).bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Whether a word could be the name of a command.
    pub(super) fn is_plain(&self, at: usize) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        self.text(at).bytes().all(is_plain)
    }

    /// `if=IMAGE of=TARGET`, as dd takes it. Gives whether a part of the disk was asked for.
    pub(super) fn split_dd_style(&mut self) -> bool {
        let is_of_dd = |at: &usize| {
            let text = self.text(*at);
            !self.exists(*at) && (text.starts_with("if=") || text.starts_with("of="))
        };
        if !self.positions().iter().any(is_of_dd) {
            return false;
        }
        let mut is_part = false;
        for at in self.positions() {
            let text = self.text(at).into_owned();
            match text.split_once('=') {
                // How it is copied.
                Some(("bs" | "ibs" | "obs" | "conv" | "status" | "iflag" | "oflag", _)) => {
                    self.remove(at);
                }
                // What of it.
                Some(("count" | "skip" | "seek", _)) => {
                    self.remove(at);
                    is_part = true;
                }
                _ => {}
            }
            if let Some(image) = text.strip_prefix("if=") {
                self.words[at] = image.into();
                self.replace(at, &[image]);
            } else if let Some(target) = text.strip_prefix("of=") {
                self.words[at] = target.into();
                self.replace(at, &[target]);
            }
        }
        is_part
    }

    /// Whether a word is the path of a folder.
    pub(super) fn is_folder(&self, at: usize) -> bool {
        let word = self.words.get(at).map(OsString::as_os_str);
        Path::new(word.unwrap_or_default()).is_dir()
    }

    /// Whether a word is the path of a file or a folder, and of nothing else.
    pub(super) fn is_file_or_folder(&self, at: usize) -> bool {
        let word = self.words.get(at).map(OsString::as_os_str);
        let path = Path::new(word.unwrap_or_default());
        path.is_file() || path.is_dir()
    }

    /// Whether a word is the path of a folder that holds a disk, by the names in it.
    pub(super) fn is_disk_folder(&self, at: usize) -> bool {
        let word = self.words.get(at).map(OsString::as_os_str);
        let entries = std::fs::read_dir(Path::new(word.unwrap_or_default()));
        let mut names = entries.into_iter().flatten().flatten();
        names.any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == "DiskDescriptor.xml" || name.contains(".hdd") || name.contains(".hds")
        })
    }

    /// The words with all changes, read once more.
    pub(super) fn again(&self) -> Self {
        Self {
            is_spoiled: self.is_spoiled,
            ..Self::read(&command(), &self.meant())
        }
    }

    /// Puts words after all others, or in front of names that only follow.
    pub(super) fn append(&mut self, words: &[&str]) {
        let words = words.iter().map(OsString::from);
        match self.dashes().and_then(|at| self.meant.get_mut(at)) {
            Some(dashes) => drop(dashes.splice(0..0, words)),
            None => self.meant.push(words.collect()),
        }
    }

    /// The format of the target that was asked for.
    pub(super) fn format(&self) -> Option<String> {
        (0..self.len()).find_map(|at| self.format_at(at))
    }

    /// Leaves a word out.
    pub(super) fn remove(&mut self, at: usize) {
        if let Some(meant) = self.meant.get_mut(at) {
            meant.clear();
        }
    }

    pub(super) fn replace(&mut self, at: usize, by: &[&str]) {
        if let Some(meant) = self.meant.get_mut(at) {
            *meant = by.iter().map(OsString::from).collect();
        }
        // What was not known is known now.
        if let Some(kind) = self
            .kinds
            .get_mut(at)
            .filter(|kind| **kind == Kind::Unknown)
        {
            *kind = Kind::Option(Given::default());
        }
    }

    pub(super) fn insert_before(&mut self, at: usize, word: &str) {
        if let Some(meant) = self.meant.get_mut(at) {
            meant.insert(0, word.into());
        }
    }

    pub(super) fn move_to_front(&mut self, at: usize) {
        let word = self.meant.get_mut(at).map(std::mem::take);
        if let Some(first) = self.meant.first_mut() {
            first.splice(0..0, word.into_iter().flatten());
        }
    }

    /// Nothing that could be typed is known.
    pub(super) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// The words after all changes. Dashes in front of names that need none are left out.
    pub(super) fn meant(&self) -> Vec<OsString> {
        let dashes = self.dashes().unwrap_or(self.len());
        let is_dashed = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
        let (before, after) = self.meant.split_at(dashes);
        let names = || after.iter().skip(1).flatten();
        let needs_dashes = self.names_after_dashes().any(is_dashed);
        let own = after.first().into_iter().flatten();
        let own = own.filter(|word| needs_dashes || *word != "--");
        before
            .iter()
            .flatten()
            .chain(own)
            .chain(names())
            .cloned()
            .collect()
    }

    /// The names after two dashes, as they were given.
    fn names_after_dashes(&self) -> impl Iterator<Item = &OsString> {
        let dashes = self.dashes().unwrap_or(self.len());
        self.words.iter().skip(dashes.saturating_add(1))
    }
}

/// A command line as a shell takes it.
pub(super) fn line(words: &[OsString]) -> String {
    let words = words.iter().map(|word| shell_word(word));
    let all: Vec<_> = std::iter::once("ploopconv".to_owned())
        .chain(words)
        .collect();
    all.join(" ")
}

fn possible_values(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values();
    let values = values.iter().filter(|value| !value.is_hide_set());
    values.map(|value| value.get_name().to_owned()).collect()
}
