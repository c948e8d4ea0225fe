//! `ploopconv extract`: files and trees into a directory.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ploopconv::extract::{ExtractOptions, Extracted, Property, extract, total_size};
use ploopconv::sink::IfExists;
use ploopconv::tree::{LastLink, Resolved, resolve};
use ploopconv::util::bytes::to_u64;
use ploopconv::util::size::short;
use ploopconv::util::text::safe_bytes;
use serde::Serialize;

use super::ending::Ending;
use super::files::{JsonPath, JsonProblem, Opened, every_path, if_lost, is_of_image, open};
use super::open::OpenArgs;
use super::outcome::{Reported, Verdict};
use super::output::write_message;
use super::progress::{Display, When};
use super::report::path;
use super::signals::Guard;

/// The most lines of a kind on stderr.
const SHOWN: usize = 20;

pub(super) const USAGE: &str = "ploopconv extract IMAGE [PATH]... -C DIR [OPTIONS]";

/// Write files and directories of the container into a directory
#[derive(Debug, clap::Args)]
pub(crate) struct ExtractArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Files and directories, from the root of the container's file system
    /// [default: everything]; may be patterns such as 'etc/*.conf', in quotes
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Write into this directory, which exists: etc/passwd goes to DIR/etc/passwd
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: PathBuf,
    /// Replace files that exist, and give directories that exist the owner,
    /// mode and times that they have in the container
    #[arg(short, long)]
    force: bool,
    /// Print a report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExtractArgs) -> anyhow::Result<Verdict> {
    let context = || format!("extracting files of {}", args.open.name());
    let signals = Guard::start()?;
    let workers = args.open.workers()?;
    let mut opened = open(&args.open, &workers).with_context(context)?;
    opened.problems.most = SHOWN;
    let paths = args.find(&mut opened).with_context(context)?;
    let input = &opened.input;
    let progress = progress(&opened, &paths, &signals);
    let options = ExtractOptions {
        into: &args.directory,
        if_exists: match args.force {
            true => IfExists::Replace,
            false => IfExists::Refuse,
        },
        if_lost: if_lost(input),
        is_source: &|file| input.has_file(file),
        workers: &workers,
        stop: signals.stop(),
        progress: &progress,
    };
    let made = extract(&opened.files, &paths, &options);
    progress.clear();
    let mut made = made.with_context(context)?;
    let ended = made.ended_by.take().map_or(Ok(()), Err);
    let ended = ended.and_then(|()| opened.input.disk().check_unchanged());
    for problem in std::mem::take(&mut made.problems) {
        let (path, error) = (problem.path, problem.error);
        opened.problems.add("extracting", &path, error, &args.open);
    }
    opened.problems.has_loss |= !made.lost.is_empty();
    say(&made, &opened, &args.directory);
    if let Some(interrupted) = signals.interrupted() {
        return Err(interrupted
            .leaving("and the files that were complete stay")
            .into());
    }
    let problems = &mut opened.problems;
    let verdict = problems.verdict();
    if args.json {
        let ending = match &ended {
            Ok(()) => problems.ending(),
            Err(error) => Ending::of_error(error),
        };
        let list = std::mem::take(&mut problems.list);
        ending.print(&JsonExtracted::of(args, &made, list))?;
    }
    let ended = ended.with_context(context);
    if args.json {
        ended.map_err(Reported::after)?;
    } else {
        ended?;
    }
    Ok(verdict)
}

/// What is extracted is counted for people only.
fn progress(opened: &Opened, paths: &[Resolved], signals: &Guard) -> Display {
    match stderr().is_terminal() {
        true => {
            let total = total_size(&opened.files, paths, signals.stop());
            Display::new(When::Auto, false, total)
        }
        false => Display::new(When::Never, false, 0),
    }
}

impl ExtractArgs {
    /// The files that PATHs stand for. Links at their ends are extracted as links.
    fn find(&self, opened: &mut Opened) -> anyhow::Result<Vec<Resolved>> {
        let Opened {
            files, problems, ..
        } = opened;
        let root = [OsString::from("/")];
        let paths = match &self.paths[..] {
            [] => &root,
            paths => paths,
        };
        let mut found = Vec::new();
        every_path(files, paths, |typed, path| {
            match path.and_then(|path| resolve(files, &path, LastLink::Keep)) {
                Ok(file) => found.push(file),
                Err(error) if is_of_image(&error) => return Err(error.into()),
                Err(error) => problems.add("extracting", typed, error, &self.open),
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Says on stderr what was made, and what was not.
fn say(made: &Extracted, opened: &Opened, into: &Path) {
    let problems = to_u64(opened.problems.list.len().saturating_sub(SHOWN));
    let more = problems + made.more_problems;
    if more > 0 {
        write_message(&format!("and {more} more that could not be extracted"));
    }
    for lost in made.lost.iter().take(SHOWN) {
        write_message(&format!(
            "warning: {}: {} bytes at offset {:#x} are lost, and zeros stand for them",
            safe_bytes(&lost.path),
            lost.range.end - lost.range.start,
            lost.range.start
        ));
    }
    let more = to_u64(made.lost.len().saturating_sub(SHOWN)) + made.more_lost;
    if more > 0 {
        write_message(&format!("warning: and {more} more ranges are lost"));
    }
    for (property, lacks) in &made.not_restored {
        let (title, count) = (property.title(), lacks.count);
        let what = match property {
            Property::Device => format!("{count} {title} were not made"),
            Property::HardLink => format!("{count} {title} were not kept"),
            _ if count == 1 => format!("{title} of 1 file were not restored"),
            _ => format!("{title} of {count} files were not restored"),
        };
        let (example, reason) = (safe_bytes(&lacks.example), &lacks.reason);
        write_message(&format!("warning: {what} ({example}: {reason})"));
    }
    write_message(&format!("{}: {}", into.display(), counts(made)));
}

/// What was made, as in "3 files, 1.2 KiB, 1 directory".
fn counts(made: &Extracted) -> String {
    let files = match made.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let mut text = format!("{files}, {}", short(made.bytes));
    for (count, one, several) in [
        (made.directories, "directory", "directories"),
        (made.symlinks, "symbolic link", "symbolic links"),
        (made.hard_links, "hard link", "hard links"),
        (
            made.special,
            "device, pipe or socket",
            "devices, pipes or sockets",
        ),
    ] {
        match count {
            0 => {}
            1 => text += &format!(", 1 {one}"),
            _ => text += &format!(", {count} {several}"),
        }
    }
    text
}

/// What was made, for scripts.
#[derive(Debug, Serialize)]
struct JsonExtracted {
    image: String,
    directory: String,
    files: u64,
    bytes: u64,
    directories: u64,
    symlinks: u64,
    hard_links: u64,
    special: u64,
    not_restored: Vec<JsonNotRestored>,
    problems: Vec<JsonProblem>,
    more_problems: u64,
    lost: Vec<JsonLost>,
    more_lost: u64,
}

/// What files lack.
#[derive(Debug, Serialize)]
struct JsonNotRestored {
    what: &'static str,
    count: u64,
    /// One of them.
    #[serde(flatten)]
    example: JsonPath,
    reason: String,
}

/// Bytes of a file that are lost.
#[derive(Debug, Serialize)]
struct JsonLost {
    #[serde(flatten)]
    path: JsonPath,
    offset: u64,
    length: u64,
}

impl JsonExtracted {
    fn of(args: &ExtractArgs, made: &Extracted, problems: Vec<JsonProblem>) -> Self {
        let lacks = made.not_restored.iter();
        let lacks = lacks.map(|(property, lacks)| JsonNotRestored {
            what: property.name(),
            count: lacks.count,
            example: JsonPath::of(&lacks.example),
            reason: lacks.reason.clone(),
        });
        let lost = made.lost.iter().map(|lost| JsonLost {
            path: JsonPath::of(&lost.path),
            offset: lost.range.start,
            length: lost.range.end - lost.range.start,
        });
        Self {
            image: path(&args.open.image),
            directory: path(&args.directory),
            files: made.files,
            bytes: made.bytes,
            directories: made.directories,
            symlinks: made.symlinks,
            hard_links: made.hard_links,
            special: made.special,
            not_restored: lacks.collect(),
            problems,
            more_problems: made.more_problems,
            lost: lost.collect(),
            more_lost: made.more_lost,
        }
    }
}
