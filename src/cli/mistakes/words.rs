//! The words of a command line and what each of them is, as far as that can be told, and changes to
//! them.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Command};

use crate::cli::hints::shell_word;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The command.
    Command,
    /// An option, perhaps with its value behind an equals sign.
    Option,
    /// The value of the option in front of it.
    Value,
    /// A word with a dash in front that is no option.
    Unknown,
    /// IMAGE, or what stands in its place.
    Position,
}

/// What is known of an option whose value has to stand behind an equals sign.
pub(super) struct WantsEquals {
    pub(super) values: Vec<String>,
}

/// A command line, and what is to become of its words.
pub(super) struct Words {
    words: Vec<OsString>,
    roles: Vec<Role>,
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
        let mut roles = Vec::with_capacity(words.len());
        let (mut has_output, mut only_positions) = (false, false);
        for (at, word) in words.iter().enumerate() {
            let text = word.to_string_lossy();
            let role = if at == 0 && chosen.is_some() {
                Role::Command
            } else if roles.last() == Some(&Role::Option)
                && words
                    .get(at - 1)
                    .is_some_and(|option| takes_next(&args, option))
            {
                Role::Value
            } else if only_positions || text == "-" || !text.starts_with('-') {
                Role::Position
            } else if text == "--" {
                only_positions = true;
                Role::Unknown
            } else if known_option(&args, &text).is_some() || text == "-h" || text == "--help" {
                Role::Option
            } else {
                Role::Unknown
            };
            let is_output = known_option(&args, &text).is_some_and(|arg| arg.get_id() == "output");
            has_output |= role == Role::Option && is_output;
            roles.push(role);
        }
        let all = args.iter().filter(|arg| arg.is_require_equals_set());
        let all = all.map(|arg| WithEquals {
            long: format!("--{}", arg.get_long().unwrap_or_default()),
            values: possible_values(arg),
        });
        Self {
            words: words.to_vec(),
            roles,
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
    pub(super) fn role(&self, at: usize) -> Option<Role> {
        let is_there = self.meant.get(at).is_some_and(|meant| !meant.is_empty());
        self.roles.get(at).copied().filter(|_| is_there)
    }

    fn all_of(&self, role: Role) -> Vec<usize> {
        let places = 0..self.words.len();
        places.filter(|at| self.role(*at) == Some(role)).collect()
    }

    /// The words that stand alone.
    pub(super) fn positions(&self) -> Vec<usize> {
        self.all_of(Role::Position)
    }

    /// The options that there are not.
    pub(super) fn unknown(&self) -> Vec<usize> {
        self.all_of(Role::Unknown)
    }

    pub(super) fn command(&self) -> Option<String> {
        let first = self.all_of(Role::Command).first().copied();
        first.map(|at| self.text(at).into_owned())
    }

    pub(super) fn is_of_convert(&self) -> bool {
        self.command().is_none_or(|command| command == "convert")
    }

    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// The format of the target, where the word is the option that says it.
    pub(super) fn format_at(&self, at: usize) -> Option<String> {
        if self.role(at) != Some(Role::Option) {
            return None;
        }
        let text = self.text(at);
        if text == "-O" || text == "--format" {
            return Some(self.text(at + 1).into_owned());
        }
        let value = text.strip_prefix("-O").or(text.strip_prefix("--format="));
        value.map(str::to_owned)
    }

    /// Whether what stands behind `-o` is an option of qemu-img, as in `-o cluster_size=64k`.
    pub(super) fn output_is_qemu_option(&self) -> bool {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        (0..self.words.len()).any(|at| {
            let value = self.text(at + 1);
            let name = value.split_once('=').map(|(name, _)| name);
            self.text(at) == "-o" && name.is_some_and(|name| name.chars().all(is_name))
        })
    }

    /// Whether the word is an option, alone, whose value has to stand behind an equals sign.
    pub(super) fn wants_equals(&self, at: usize) -> Option<WantsEquals> {
        if self.role(at) != Some(Role::Option) {
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

    /// `if=IMAGE of=TARGET`, as dd takes it.
    pub(super) fn split_dd_style(&mut self) {
        for at in self.positions() {
            let text = self.text(at).into_owned();
            if let Some(image) = text.strip_prefix("if=") {
                self.words[at] = image.into();
                self.replace(at, &[image]);
            } else if let Some(target) = text.strip_prefix("of=") {
                self.words[at] = target.into();
                self.replace(at, &[target]);
            }
        }
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
        if let Some(role) = self
            .roles
            .get_mut(at)
            .filter(|role| **role == Role::Unknown)
        {
            *role = Role::Option;
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

    /// The words after all changes.
    pub(super) fn meant(&self) -> Vec<OsString> {
        self.meant.iter().flatten().cloned().collect()
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

/// The option that a word is, or a row of short ones ends with.
fn known_option<'a>(args: &[&'a Arg], text: &str) -> Option<&'a Arg> {
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        return args
            .iter()
            .find(|arg| arg.get_long() == Some(name))
            .copied();
    }
    let mut found = None;
    for short in text.strip_prefix('-')?.chars() {
        let arg = args.iter().find(|arg| arg.get_short() == Some(short))?;
        found = Some(*arg);
        if arg.get_action().takes_values() {
            break; // the rest is its value
        }
    }
    found
}

/// Whether the value of an option is the word behind it.
fn takes_next(args: &[&Arg], option: &OsStr) -> bool {
    let text = option.to_string_lossy();
    let Some(arg) = known_option(args, &text) else {
        return false;
    };
    let is_complete = if text.starts_with("--") {
        text.contains('=')
    } else {
        let is_last = |short| text.ends_with(short);
        !arg.get_short().is_some_and(is_last)
    };
    arg.get_action().takes_values() && !arg.is_require_equals_set() && !is_complete
}

fn possible_values(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values();
    let values = values.iter().filter(|value| !value.is_hide_set());
    values.map(|value| value.get_name().to_owned()).collect()
}
