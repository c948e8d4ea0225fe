//! Following the commands that messages propose, as a user who pastes them.

use super::{Outcome, Scratch, program};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a proposed command may give.
pub(crate) enum Right {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One of several, where the hints name several disks.
    OneOf(Vec<Vec<u8>>),
    /// Nothing: every command is refused.
    Nothing,
}

/// The commands that messages propose, as a shell takes them: whole ones, and options to add.
pub(crate) fn proposed(run: &Outcome, typed: &str) -> Vec<String> {
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some((_, option)) = line.rsplit_once(": add ") {
            commands.push(format!("{typed} {option}"));
        } else if let Some(at) = line.find(": ploopconv ").map(|at| at + 2) {
            commands.push(line[at..].to_owned());
        } else if let Some(at) = line.find(" ploopconv /").map(|at| at + 1) {
            commands.push(line[at..].to_owned());
        }
    }
    commands
}

/// Types `arguments` (a shell's words, OUT for the target), runs what is proposed, then what those
/// propose in their turn, and looks at every target.
#[track_caller]
pub(crate) fn follow(scratch: &Scratch, arguments: &str, status: i32, right: &Right) -> Outcome {
    let target = scratch.target();
    let arguments = arguments.replace("OUT", target.to_str().unwrap());
    let _ = fs::remove_file(&target);
    let first = shell(&format!("ploopconv {arguments}"));
    let outcome = first.clone().status(status);
    judge(&first, &target, right, &arguments);
    let mut known = vec![format!("ploopconv {arguments}")];
    let mut next: Vec<String> = proposed(&first, &known[0]);
    for _ in 0..4 {
        let mut later = Vec::new();
        for command in next {
            let command = command.replace("TARGET", target.to_str().unwrap());
            if known.contains(&command) {
                continue;
            }
            let _ = fs::remove_file(&target);
            let run = shell(&command);
            assert_ne!(
                run.status,
                Some(2),
                "{command} is no command: {}",
                run.stderr
            );
            judge(&run, &target, right, &command);
            later.extend(proposed(&run, &command));
            known.push(command);
        }
        next = later;
    }
    outcome
}

/// A target that was made has to be right; status 5 says that it is not all there.
#[track_caller]
pub(crate) fn judge(run: &Outcome, target: &Path, right: &Right, command: &str) {
    let Ok(made) = fs::read(target) else {
        return;
    };
    if run.status == Some(5) {
        return;
    }
    assert_eq!(run.status, Some(0), "{command}: {}", run.stderr);
    let right = match right {
        Right::Bytes(bytes) => made == *bytes,
        Right::OneOf(all) => all.contains(&made),
        Right::Nothing => false,
    };
    assert!(right, "wrong bytes by: {command}");
}

/// Runs a command line as a user who pastes it.
pub(crate) fn shell(command: &str) -> Outcome {
    // Words between quotes have no quotes inside.
    let words = command.split(|c: char| c.is_whitespace() || c == '\'');
    let words: Vec<_> = words.map(OsString::from).collect();
    let _guards = program::guards(&words);
    let folder = program::path().parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", command]).env("PATH", path).output();
    Outcome::new(output.unwrap(), command.to_owned())
}

pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// Runs the command behind `text: ` in `dir`, as a user who pastes it there.
#[track_caller]
pub(crate) fn paste(run: &Outcome, text: &str, dir: &Path) {
    let line = run.stderr.lines().find_map(|line| line.split_once(text));
    let (_, command) = line.unwrap_or_else(|| panic!("no {text:?} in {}", run.stderr));
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", command]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}
