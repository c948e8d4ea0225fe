//! Following the commands that messages propose, as a user who pastes them.

use super::{Chain, ChainBuilder, ImageBuilder, Outcome, Scratch, program};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the proposed commands give.
pub enum Right {
    /// These bytes: one command at least makes them, and none makes others.
    Bytes(Vec<u8>),
    /// Each makes one of several, where the hints name several disks, and one command at least
    /// makes one.
    OneOf(Vec<Vec<u8>>),
    /// Nothing: every command is refused.
    Nothing,
}

/// The commands that messages propose, as a shell takes them: whole ones, and options to add.
pub fn proposed(run: &Outcome, typed: &str) -> Vec<String> {
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
/// propose in their turn, and looks at every target. Where there are right bytes, one command has
/// to make them.
#[track_caller]
pub fn follow(scratch: &Scratch, arguments: &str, status: i32, right: &Right) -> Outcome {
    let target = scratch.target();
    let arguments = arguments.replace("OUT", target.to_str().unwrap());
    let _ = fs::remove_file(&target);
    let first = shell(&format!("ploopconv {arguments}"));
    let outcome = first.clone().status(status);
    let mut made = judge(&first, &target, right, &arguments);
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
            made |= judge(&run, &target, right, &command);
            later.extend(proposed(&run, &command));
            known.push(command);
        }
        next = later;
    }
    let none_expected = matches!(right, Right::Nothing);
    assert!(made || none_expected, "none made the bytes: {known:#?}");
    outcome
}

/// Whether the right bytes were made. A target that was made has to be right; status 5 says that
/// it is not all there.
#[track_caller]
fn judge(run: &Outcome, target: &Path, right: &Right, command: &str) -> bool {
    let Ok(made) = fs::read(target) else {
        return false;
    };
    if run.status == Some(5) {
        return false;
    }
    assert_eq!(run.status, Some(0), "{command}: {}", run.stderr);
    let right = match right {
        Right::Bytes(bytes) => made == *bytes,
        Right::OneOf(all) => all.contains(&made),
        Right::Nothing => false,
    };
    assert!(right, "wrong bytes by: {command}");
    true
}

/// Runs a command line as a user who pastes it.
pub fn shell(command: &str) -> Outcome {
    // Words between quotes have no quotes inside.
    let words = command.split(|c: char| c.is_whitespace() || c == '\'');
    let words: Vec<_> = words.map(OsString::from).collect();
    let _guards = program::guards(Path::new("."), &words);
    let folder = program::path().parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", command]).env("PATH", path).output();
    Outcome::new(output.unwrap(), command.to_owned())
}

pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// Runs the command after `text: ` in `dir`, as a user who pastes it there.
#[track_caller]
pub fn paste(run: &Outcome, text: &str, dir: &Path) {
    let line = run.stderr.lines().find_map(|line| line.split_once(text));
    let (_, command) = line.unwrap_or_else(|| panic!("no {text:?} in {}", run.stderr));
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", command]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

pub const IN_USE: u32 = 0x746F_6E59;

pub fn image(seed: u64) -> ImageBuilder {
    ImageBuilder::v2().seed(seed)
}

/// A chain of two layers.
pub fn two(scratch: &Scratch) -> Chain {
    ChainBuilder::base(&image(1).store_all([0, 2]))
        .child(&image(2).store(1))
        .write(&scratch.source())
}

pub fn three(scratch: &Scratch, top_in_use: bool) -> Chain {
    let top = image(3).store(0);
    let top = if top_in_use { top.in_use(IN_USE) } else { top };
    ChainBuilder::base(&image(1).store_all([0, 2]))
        .child(&image(2).store(1))
        .child(&top)
        .write(&scratch.source())
}

pub fn content(chain: &Chain, number: usize) -> Vec<u8> {
    chain.model_of(number).content()
}

pub fn cut_off(file: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - bytes).unwrap();
}
