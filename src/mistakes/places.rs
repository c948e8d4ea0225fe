//! Words in the wrong place, and places that have no word.

use std::ffi::OsString;
use std::fs::File;
use std::io::stdout;
use std::os::fd::AsFd;

use clap::error::ErrorKind;

use super::mistake::Mistake;
use super::words::{self, Words};
use crate::advice::hints::Hint;
use crate::advice::shell::quoted;
use crate::cli::command_line::what_is_read;
use crate::cli::commands::Command;

/// Words in the wrong place, or too many of them.
pub(super) fn positions(words: &mut Words, promised: Option<&str>, mistake: &mut Mistake) {
    if words.split_dd_style() {
        mistake.says("a target holds the whole disk, or with --partition N one partition");
        words.spoil();
    }
    let refusal = Command::read(&words.meant()).err();
    let missing = refusal.is_some_and(|error| error.kind() == ErrorKind::MissingRequiredArgument);
    match words.command().as_deref() {
        None if is_command_elsewhere(words, missing, mistake) => {
            // What else is wrong shows where the command is known.
            let again = words.again();
            if again.command().is_some() {
                *words = again;
                positions(words, promised, mistake);
            }
        }
        None | Some("convert") if !words.has_output() => {
            without_output(words, missing, promised, mistake);
        }
        Some("serve") if !has_place(words) => without_place(words, missing, mistake),
        command => too_many(words, command.unwrap_or("convert"), mistake),
    }
}

/// A first word that looks like a command, or a second one that is.
fn is_command_elsewhere(words: &mut Words, missing: bool, mistake: &mut Mistake) -> bool {
    match &words.positions()[..] {
        [first, rest @ ..] if !words.exists(*first) && words.near_command(*first).is_some() => {
            let (given, near) = (words.text(*first), words.near_command(*first));
            let near = near.unwrap_or_default();
            if !rest.is_empty() || missing {
                mistake.says(format!("there is no command {given}; there is {near}"));
                words.replace(*first, &[&near]);
            }
            true
        }
        [_, second, ..] if words.is_command(*second) && !words.exists(*second) => {
            let name = words.text(*second).into_owned();
            mistake.says(format!("the command goes first: {name}"));
            words.move_to_front(*second);
            true
        }
        _ => false,
    }
}

/// A conversion that has no target, or none after `-o`.
fn without_output(words: &mut Words, missing: bool, promised: Option<&str>, mistake: &mut Mistake) {
    match &words.positions()[..] {
        [first, second] if words.is_image_like(*first) && words.exists(*second) => {
            one_at_a_time(words, mistake);
        }
        [first, _] if words.is_plain(*first) && !words.is_image_like(*first) => {
            mistake.says(no_such(words, *first));
            words.spoil();
        }
        [_, second] => {
            mistake.says("the target goes after -o");
            words.insert_before(*second, "-o");
        }
        [image] if missing => {
            let name = words.shell_word(*image);
            match promised {
                _ if !words.is_image_like(*image) => mistake.says(no_such(words, *image)),
                Some(format) => {
                    mistake.says(format!(
                        "and there is no target for {name}; it goes after -o"
                    ));
                    words.append(&["-o", &format!("disk.{format}")]);
                    return;
                }
                None => {
                    mistake.says(format!("there is no target for {name}; it goes after -o"));
                    mistake.hints.extend(without_target(words));
                }
            }
            words.spoil();
        }
        _ => too_many(words, "convert", mistake),
    }
}

/// A server that has no place, or none after its option.
fn without_place(words: &mut Words, missing: bool, mistake: &mut Mistake) {
    match &words.positions()[..] {
        [_, place] if !words.is_file_or_folder(*place) => serve_at(words, *place, mistake),
        [image] if missing => {
            let name = words.shell_word(*image);
            mistake.says(format!(
                "there is no place where clients find {name}; a socket goes after --socket, a \
                 port after --tcp"
            ));
            words.append(&["--socket", "disk.sock"]);
        }
        _ => too_many(words, "serve", mistake),
    }
}

/// More words than a command takes.
fn too_many(words: &mut Words, command: &str, mistake: &mut Mistake) {
    match (command, &words.positions()[..]) {
        ("verify", [_, image]) => {
            mistake.says("the image that a target is compared with goes after --against");
            words.insert_before(*image, "--against");
        }
        ("compare", [_, _, _, ..]) => {
            mistake.says("two disks are compared, not more");
            words.spoil();
        }
        ("attach", [_, place])
            if !words.is_image_like(*place)
                || words.text(*place).starts_with("/dev/nbd")
                || words.is_folder(*place) && !words.is_disk_folder(*place) =>
        {
            attach_to(words, *place, mistake);
        }
        ("convert" | "info" | "check" | "map" | "serve" | "attach", [_, _, ..]) => {
            one_at_a_time(words, mistake);
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
    let target = match words.format() {
        Some(format) => format!("disk.{format}"),
        None => "disk.qcow2".to_owned(),
    };
    converted.extend(["-o", &target].map(OsString::from));
    let Ok((matches, _)) = Command::read(&converted) else {
        return Vec::new();
    };
    let matches = matches.subcommand().map_or(&matches, |(_, inner)| inner);
    let mut hints = vec![
        Hint::run("to convert it", words::line(&converted)),
        Hint::run(
            "to see what it is",
            format!("ploopconv info {}", what_is_read(matches)),
        ),
    ];
    hints.extend(into_stdout(words));
    hints
}

/// `ploopconv IMAGE > FILE`: stdout takes a disk where that is asked for.
fn into_stdout(words: &Words) -> Option<Hint> {
    let file = File::from(stdout().as_fd().try_clone_to_owned().ok()?);
    if !file.metadata().ok()?.is_file() || words.format().is_some_and(|format| format != "raw") {
        return None;
    }
    let name = std::fs::read_link("/proc/self/fd/1").ok()?;
    let mut meant = words.meant();
    meant.extend(["-o", "-"].map(OsString::from));
    let command = format!("{} >{}", words::line(&meant), quoted(&name));
    Some(Hint::run("to write it to stdout, as a raw disk", command))
}

/// A word that is one of `attach` besides IMAGE.
fn attach_to(words: &mut Words, place: usize, mistake: &mut Mistake) {
    if words.text(place).starts_with("/dev/") {
        mistake.says("the device goes after --device");
        words.insert_before(place, "--device");
    } else {
        mistake.says("the folder that the disk is mounted on goes after --mount");
        words.insert_before(place, "--mount");
    }
}

/// Whether `serve` knows where clients find it.
fn has_place(words: &Words) -> bool {
    ["socket", "tcp", "stdio"].iter().any(|id| words.has(id))
}

/// A word that is one of `serve` besides IMAGE.
fn serve_at(words: &mut Words, place: usize, mistake: &mut Mistake) {
    let text = words.text(place);
    let port = text.rsplit(':').next().unwrap_or_default();
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port {
        mistake.says("the port where clients find the disk goes after --tcp");
        words.insert_before(place, "--tcp");
    } else {
        mistake.says("the socket where clients find the disk goes after --socket");
        words.insert_before(place, "--socket");
    }
}

/// `-- IMAGE --json`: after two dashes every word is a name.
pub(super) fn names_that_are_options(words: &mut Words, mistake: &mut Mistake) {
    let Some(dashes) = words.dashes() else { return };
    let is_option =
        |at: &usize| *at > dashes && words.text(*at).starts_with('-') && words.text(*at) != "-";
    let dashed: Vec<_> = words.positions().into_iter().filter(is_option).collect();
    let Some(first) = dashed.first() else { return };
    mistake.says(format!(
        "after -- every word is a name, {} too: options go in front of it",
        words.text(*first)
    ));
    let is_name = dashed.iter().any(|at| words.exists(*at));
    words.remove(dashes);
    if is_name {
        words.spoil();
    } else {
        *words = words.again();
    }
}

fn one_at_a_time(words: &mut Words, mistake: &mut Mistake) {
    let positions = words.positions();
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
