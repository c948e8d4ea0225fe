//! What a command line that cannot be read was meant to say.
//!
//! People bring habits from `qemu-img`, `cp` and `tar`. The parser would answer them with its own
//! view of the words; here the words are looked at once more. Nothing is rewritten and run: a
//! command that seems to be meant is shown, and only where it can be read.

mod commands;
mod habits;
mod mistake;
mod places;
mod words;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;

use self::commands::Found;
use self::mistake::Mistake;
use self::words::Words;
use crate::advice::hints::Hint;
use crate::advice::lex::{Kind, KnownOptions, lex};
use crate::advice::promise::Promised;
use crate::cli::command_line::what_is_read;
use crate::cli::commands::{Command, command};
use crate::cli::exit::Failure;

const SHORT_USAGE: &str = "\
Usage: ploopconv IMAGE -o TARGET [OPTIONS]    convert a disk
       ploopconv COMMAND IMAGE [OPTIONS]      info, check, map, verify …

  ploopconv /vz/private/101 -o 101.qcow2      a container's disk, as qcow2
  ploopconv root.hdd -o disk.raw              as a raw disk
  ploopconv info root.hdd                     what is in it

All commands and options: ploopconv --help
";

/// Says what is wrong, and gives the exit status.
pub(super) fn say(mistake: Mistake, words: &[OsString]) -> ExitCode {
    let mut lines = mistake.lines.into_iter();
    let message = lines.next().unwrap_or_default();
    let hints = lines.map(Hint::say).chain(mistake.hints).collect();
    Failure::usage(message, hints).say(wants_json(words))
}

/// Says what is wrong with a command line that the parser refused, or gives what was asked for:
/// help, or the version.
pub(super) fn report(error: &clap::Error, words: &[OsString]) -> ExitCode {
    // Help and version go to stdout with status 0, mistakes to stderr with 2.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if words.is_empty() {
        crate::cli::output::write_to_stderr(SHORT_USAGE);
        return ExitCode::from(2);
    }
    if let Some(mistake) = explain(words) {
        return say(mistake, words);
    }
    let _ = error.print();
    if wants_json(words) {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let failure = Failure::usage(message.to_owned(), lines.map(Hint::say).collect());
        let _ = crate::cli::output::json(&failure);
    }
    ExitCode::from(2)
}

/// A report is wanted, and stdout is not the target.
fn wants_json(words: &[OsString]) -> bool {
    let kinds = lex(&KnownOptions::of_words(&command(), words), words);
    let (mut wanted, mut output) = (false, None);
    for (at, kind) in kinds.iter().enumerate() {
        let (Kind::Option(given), Some(word)) = (kind, words.get(at)) else {
            continue;
        };
        wanted |= given.has("json");
        if given.has("output") {
            let next = words.get(at.saturating_add(1)).map(OsString::as_os_str);
            output = given.value(word).or(next);
        }
    }
    wanted && output.is_none_or(|output| output != "-")
}

/// `None` where the parser's own words are as good.
fn explain(typed: &[OsString]) -> Option<Mistake> {
    let mut words = Words::read(&command(), typed);
    let mut mistake = Mistake::default();
    match commands::find(&words) {
        Some(Found::Mistake(mistake)) => return Some(mistake),
        Some(Found::Command(says, name)) => {
            mistake.says(says);
            words.replace(0, &[name]);
            words = words.again();
        }
        None => {}
    }
    let mut later = Mistake::default();
    habits::of_another_command(&words, &mut later);
    if !later.lines.is_empty() {
        return Some(later);
    }
    let mut promised = None;
    places::names_that_are_options(&mut words, &mut mistake);
    values_after_a_space(&mut words, &mut mistake);
    habits::formats_of_images(&mut words, &mut mistake);
    habits::habits(&mut words, &mut mistake);
    words = words.again();
    if words.is_of_convert() {
        promised = format_of_target(&mut words, &mut mistake);
        habits::options_of_formats(&mut words, &mut mistake);
        words = words.again();
    }
    // Where an option is not known, options and operands cannot be separated.
    if words.unknown().is_empty() {
        places::positions(&mut words, promised.as_deref(), &mut mistake);
    }
    if mistake.lines.is_empty() {
        return None;
    }
    mistake.hints.extend(what_was_meant(&words, promised));
    Some(mistake)
}

/// A command line that can be read, but not in the way it was meant: where the value of an option
/// stands in the place of IMAGE.
pub(super) fn misread(typed: &[OsString], matches: &ArgMatches) -> Option<Mistake> {
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    let image = matches.try_get_one::<std::path::PathBuf>("image").ok()??;
    if image.symlink_metadata().is_ok() {
        return None;
    }
    let mut words = Words::read(&command(), typed);
    let mut mistake = Mistake::default();
    values_after_a_space(&mut words, &mut mistake);
    habits::formats_of_images(&mut words, &mut mistake);
    if mistake.lines.is_empty() {
        return None;
    }
    if words.positions().is_empty() {
        mistake.says("and IMAGE is missing");
    }
    Some(mistake)
}

/// `--sparse all`, `--checksum sha256`: a value that has to stand after an equals sign.
fn values_after_a_space(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        let Some(option) = words.wants_equals(at) else {
            continue;
        };
        let next = at + 1;
        if !words.is_position(next) {
            continue;
        }
        let value = words.text(next).into_owned();
        if option.values.is_empty() && words.positions().len() > 1 {
            let name = words.text(at).into_owned();
            mistake.says(format!(
                "the value of {name} goes after an equals sign: {name}={value}"
            ));
            words.replace(at, &[&format!("{name}={value}")]);
            words.remove(next);
            continue;
        }
        let is_value = option.values.contains(&value);
        // What may well be IMAGE stays that.
        let is_word = value.chars().all(|c| c.is_ascii_alphabetic());
        if option.values.is_empty() || !is_value && (!is_word || Path::new(&value).exists()) {
            continue;
        }
        let name = words.text(at).into_owned();
        let all: Vec<_> = option
            .values
            .iter()
            .map(|value| format!("{name}={value}"))
            .collect();
        let all = all.join(", ");
        if is_value {
            mistake.says(format!(
                "the value of {name} goes after an equals sign: {name}={value}"
            ));
            words.replace(at, &[&format!("{name}={value}")]);
        } else {
            mistake.says(format!("{name} {value}: there is {name} alone, and {all}"));
            words.spoil();
        }
        words.remove(next);
    }
}

/// `-O vmdk`: a format that is not written. Gives its name.
fn format_of_target(words: &mut Words, mistake: &mut Mistake) -> Option<String> {
    let (at, value) = (0..words.len()).find_map(|at| Some((at, words.format_at(at)?)))?;
    let promised = Promised::by_format(&value, Path::new(""))?;
    mistake.says(promised.to_string());
    if words.is_value(at + 1) {
        words.remove(at + 1);
    }
    words.remove(at);
    Some(value)
}

/// The command line as it seems to be meant, where it can be read: what to type.
fn what_was_meant(words: &Words, format: Option<String>) -> Vec<Hint> {
    if words.is_spoiled() {
        return Vec::new();
    }
    let meant = words.meant();
    let Ok((matches, read)) = Command::read(&meant) else {
        return Vec::new();
    };
    if let Command::Convert(args) = &read {
        let promised = match &format {
            Some(_) if args.partitions => return Vec::new(),
            Some(format) => Promised::by_format(format, &args.output),
            None => args.promised(),
        };
        if let Some(promised) = promised {
            let matches = matches.subcommand().map_or(&matches, |(_, inner)| inner);
            return promised.hints_for(&what_is_read(matches));
        }
        // A command that replaces a file is not put into anybody's mouth.
        if args.replaces() {
            return Vec::new();
        }
    }
    vec![Hint::run("perhaps this was meant", words::line(&meant))]
}
