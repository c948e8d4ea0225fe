//! What a command line that cannot be read was meant to say.
//!
//! People bring habits from `qemu-img`, `cp` and `tar`. The parser would answer them with its own
//! view of the words; here the words are looked at once more. Nothing is rewritten and run: a
//! command that seems to be meant is shown, and only where it can be read.

mod habits;
mod words;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::ErrorKind;

use self::habits::{COMING, COMING_OPTIONS, DISK_FORMATS, HABITS, Means};
use self::words::{Role, Words};
use super::command_line::what_is_read;
use super::convert::Promised;
use super::exit::Failure;
use super::hints::Hint;
use super::{Command, command};

const SHORT_USAGE: &str = "\
Usage: ploopconv IMAGE -o TARGET [OPTIONS]    convert a disk
       ploopconv COMMAND IMAGE [OPTIONS]      info, check, map, verify …

  ploopconv /vz/private/101 -o 101.qcow2      a container's disk, as qcow2
  ploopconv root.hdd -o disk.raw              as a raw disk
  ploopconv info root.hdd                     what is in it

All commands and options: ploopconv --help
";

/// What is wrong with a command line, for a person.
#[derive(Debug, Default)]
pub(super) struct Mistake {
    /// What is wrong: the first line is the message.
    lines: Vec<String>,
    /// What to type.
    hints: Vec<Hint>,
}

impl Mistake {
    fn says(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Says it, and gives the exit status.
    pub(super) fn say(self, words: &[OsString]) -> ExitCode {
        let mut lines = self.lines.into_iter();
        let message = lines.next().unwrap_or_default();
        let hints = lines.map(Hint::say).chain(self.hints).collect();
        Failure::usage(message, hints).say(wants_json(words))
    }
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
        super::output::write_to_stderr(SHORT_USAGE);
        return ExitCode::from(2);
    }
    if let Some(mistake) = explain(error, words) {
        return mistake.say(words);
    }
    let _ = error.print();
    if wants_json(words) {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let failure = Failure::usage(message.to_owned(), lines.map(Hint::say).collect());
        let _ = super::output::json(&failure);
    }
    ExitCode::from(2)
}

/// A report is wanted, and stdout is not the target.
fn wants_json(words: &[OsString]) -> bool {
    let own = words.iter().take_while(|word| *word != "--");
    let own: Vec<_> = own.map(|word| word.to_string_lossy()).collect();
    let to_stdout = own.windows(2).any(|pair| match pair {
        [option, value] => (option == "-o" || option == "--output") && value == "-",
        _ => false,
    });
    let to_stdout = to_stdout || own.iter().any(|word| word == "-o-" || word == "--output=-");
    !to_stdout && own.iter().any(|word| word == "--json")
}

/// `None` where the parser's own words are as good.
fn explain(error: &clap::Error, typed: &[OsString]) -> Option<Mistake> {
    let mut words = Words::read(&command(), typed);
    let mut mistake = Mistake::default();
    if let Some(coming) = coming_command(&words) {
        return Some(coming);
    }
    coming_options(&words, &mut mistake);
    if !mistake.lines.is_empty() {
        return Some(mistake);
    }
    let mut promised = None;
    values_behind_a_space(&mut words, &mut mistake);
    if words.is_of_convert() {
        formats_of_images(&mut words, &mut mistake);
        habits(&mut words, &mut mistake);
        promised = format_of_target(&mut words, &mut mistake);
    }
    // Where an option is not known, the rest cannot be told apart.
    if words.unknown().is_empty() {
        positions(error, &mut words, &mut mistake);
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
    values_behind_a_space(&mut words, &mut mistake);
    if words.is_of_convert() {
        formats_of_images(&mut words, &mut mistake);
    }
    if mistake.lines.is_empty() {
        return None;
    }
    if words.positions().is_empty() {
        mistake.says("and IMAGE is missing");
    }
    Some(mistake)
}

/// A command of a later version.
fn coming_command(words: &Words) -> Option<Mistake> {
    if words.command().is_some() {
        return None;
    }
    let first = words.positions().first().copied()?;
    let name = words.text(first);
    let coming = COMING.iter().find(|coming| coming.name == name)?;
    if first != 0 || Path::new(&*name).exists() {
        return None;
    }
    let mut mistake = Mistake::default();
    mistake.says(format!("{name} is not in this version"));
    let image = words.positions().get(1).map(|at| words.shell_word(*at));
    let image = image.unwrap_or_else(|| "IMAGE".to_owned());
    let hints = coming.today.iter().map(|(text, command)| match command {
        Some(command) => Hint::run(*text, command.replace("IMAGE", &image)),
        None => Hint::say(*text),
    });
    mistake.hints = hints.collect();
    Some(mistake)
}

/// Options of a later version.
fn coming_options(words: &Words, mistake: &mut Mistake) {
    for at in words.unknown() {
        let text = words.text(at);
        let name = text.split('=').next().unwrap_or_default().to_owned();
        if COMING_OPTIONS.contains(&&*name) {
            mistake.says(format!("{name} is not in this version"));
        }
    }
}

/// `--sparse all`, `--checksum sha256`: a value that has to stand behind an equals sign.
fn values_behind_a_space(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        let Some(option) = words.wants_equals(at) else {
            continue;
        };
        let next = at + 1;
        if words.role(next) != Some(Role::Position) {
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

/// `-f parallels`: other programs want to know what an image is.
fn formats_of_images(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        if words.text(at) != "-f" || words.role(at) != Some(Role::Option) {
            continue;
        }
        let next = at + 1;
        let value = words.text(next).to_ascii_lowercase();
        let is_format = words.role(next) == Some(Role::Position)
            && DISK_FORMATS.contains(&&*value)
            && !Path::new(&value).exists();
        if is_format {
            mistake.says(format!(
                "-f {value}: what IMAGE is shows in the file itself; here -f replaces an existing target"
            ));
            words.remove(at);
            words.remove(next);
        }
    }
}

/// Options that qemu-img has under another name, or that are not needed here.
fn habits(words: &mut Words, mistake: &mut Mistake) {
    for at in 0..words.len() {
        let text = words.text(at).into_owned();
        let habit = HABITS.iter().find(|habit| habit.option == text);
        let Some(habit) = habit.filter(|_| words.role(at) == Some(Role::Unknown)) else {
            continue;
        };
        mistake.says(format!("{text}: {}", habit.says));
        let value = habit.has_value.then(|| words.text(at + 1).into_owned());
        if habit.has_value {
            words.remove(at + 1);
        }
        match habit.means {
            Means::Nothing => words.remove(at),
            Means::Word(word) => words.replace(at, &[word]),
            Means::WithValue(word) => {
                words.replace(at, &[word, value.as_deref().unwrap_or_default()]);
            }
            Means::Something => words.spoil(),
        }
    }
}

/// `-O vmdk`: a format that is not written. Gives its name.
fn format_of_target(words: &mut Words, mistake: &mut Mistake) -> Option<String> {
    let (at, value) = (0..words.len()).find_map(|at| Some((at, words.format_at(at)?)))?;
    let promised = Promised::by_format(&value, Path::new(""))?;
    mistake.says(promised.to_string());
    if words.role(at + 1) == Some(Role::Value) {
        words.remove(at + 1);
    }
    words.remove(at);
    Some(value)
}

/// Words in the wrong place, or too many of them.
fn positions(error: &clap::Error, words: &mut Words, mistake: &mut Mistake) {
    words.split_dd_style();
    let positions = words.positions();
    let missing = error.kind() == ErrorKind::MissingRequiredArgument;
    match (words.command().as_deref(), &positions[..]) {
        (None, [first, rest @ ..])
            if !words.exists(*first) && words.near_command(*first).is_some() =>
        {
            let (given, near) = (words.text(*first), words.near_command(*first));
            let near = near.unwrap_or_default();
            let is_all = !rest.is_empty() || missing;
            if is_all {
                mistake.says(format!("there is no command {given}; there is {near}"));
                words.replace(*first, &[&near]);
            }
        }
        (None, [_, second, ..]) if words.is_command(*second) && !words.exists(*second) => {
            let name = words.text(*second).into_owned();
            mistake.says(format!("the command goes first: {name}"));
            words.move_to_front(*second);
        }
        (None | Some("convert"), [first, second]) if !words.has_output() => {
            if words.is_image_like(*first) && words.exists(*second) {
                one_at_a_time(words, &positions, mistake);
            } else if words.is_plain(*first) && !words.is_image_like(*first) {
                mistake.says(no_such(words, *first));
                words.spoil();
            } else {
                mistake.says("the target goes after -o");
                words.insert_before(*second, "-o");
            }
        }
        (None | Some("convert"), [image]) if missing && !words.has_output() => {
            let name = words.shell_word(*image);
            if words.is_image_like(*image) {
                mistake.says(format!("there is no target for {name}; it goes after -o"));
                mistake.hints.extend(without_target(words));
            } else {
                mistake.says(no_such(words, *image));
            }
            words.spoil();
        }
        (Some("verify"), [_, image]) => {
            mistake.says("the image that a target is compared with goes after --against");
            words.insert_before(*image, "--against");
        }
        (Some("compare"), [_, _, _, ..]) => {
            mistake.says("two disks are compared, not more");
            words.spoil();
        }
        (None | Some("convert" | "info" | "check" | "map" | "serve" | "attach"), [_, _, ..]) => {
            one_at_a_time(words, &positions, mistake)
        }
        _ => {}
    }
}

fn no_such(words: &Words, at: usize) -> String {
    format!(
        "there is no file {}, and no such command",
        words.shell_word(at)
    )
}

/// What can be done with an image that has no target.
fn without_target(words: &Words) -> Vec<Hint> {
    let mut converted = words.meant();
    converted.extend(["-o", "disk.qcow2"].map(OsString::from));
    let Ok((matches, _)) = Command::read(&converted) else {
        return Vec::new();
    };
    let matches = matches.subcommand().map_or(&matches, |(_, inner)| inner);
    vec![
        Hint::run("to convert it", words::line(&converted)),
        Hint::run(
            "to see what it is",
            format!("ploopconv info {}", what_is_read(matches)),
        ),
    ]
}

fn one_at_a_time(words: &mut Words, positions: &[usize], mistake: &mut Mistake) {
    let names: Vec<_> = positions.iter().map(|at| words.shell_word(*at)).collect();
    mistake.says(format!("one IMAGE at a time, not {}", names.join(" and ")));
    if words.output_is_qemu_option() {
        mistake.says("-o names the target here, and options have names of their own");
    } else {
        mistake.hints.push(Hint::say(
            "the layers of one disk are read together: name their folder or its \
             DiskDescriptor.xml",
        ));
    }
    words.spoil();
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
