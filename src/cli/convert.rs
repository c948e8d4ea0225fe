//! `ploopconv IMAGE -o TARGET`: the main job.

mod args;
mod files;
mod format;
mod guest;
mod packing;
mod refuse;
mod report;
mod resources;
mod target;
mod update;
mod warnings;

use std::time::Instant;

use anyhow::Context;
use ploopconv::convert::{ConvertFailure, Input, Plan, Room, Target, clear_leftovers, plan};
use ploopconv::ploop::Severity;
use ploopconv::sink::{Limit, TargetError};
use ploopconv::util::size::human;
use ploopconv::{Error, Workers};

pub(crate) use self::args::ConvertArgs;

use self::report::Reporter;
use self::resources::resources;
use self::warnings::of_contents;
use super::compact::of_whole_partitions;
use super::guest::Container;
use super::outcome::{Noted, Verdict};
use super::output::write_message;
use super::progress::{Display, When};
use super::report::warnings;
use super::signals::{Guard, end_with_parent};

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<Verdict> {
    let target = target::of(args)?;
    let promise = args.refuse_promise(&target);
    // What is there may be a file of the image, and that is worth more than what its name promises.
    let may_be_source = matches!(&target, Target::File(path) if path.exists());
    if !may_be_source {
        promise.as_ref().map_err(Clone::clone)?;
    }
    args.refuse_nonsense(&target)?;
    let started = Instant::now();
    let signals = Guard::start()?;
    if args.progress == When::Numbers {
        end_with_parent()?;
    }
    let workers = args.open.workers()?;
    let opening = || format!("converting {}", args.open.name());
    let (input, mut warnings) = open(args, &workers).with_context(opening)?;
    target.refuse_files_of(&input).with_context(opening)?;
    promise?;
    args.refuse_place_of_list(&target, &input)?;
    let doing = || match target {
        Target::Directory(_) => format!("converting the partitions of {}", args.open.name()),
        _ if args.tar_options().is_some() => format!("packing the files of {}", args.open.name()),
        _ => opening(),
    };
    let doing = doing();
    if !args.dry_run {
        // First, because what a killed run left may take the room that is needed now.
        say_what_was_left(args, &target);
    }
    let fate = match args.writes() {
        "archive" if !target.is_files() => "what was sent is part of the archive",
        _ => target.fate(),
    };
    if args.update {
        let reporter = Reporter {
            args,
            started,
            warnings,
            container: None,
        };
        return update::run(&reporter, (input, target), &workers, &signals);
    }
    let container = container(args, &input, &mut warnings).with_context(|| doing.clone())?;
    let guest = container.as_ref().and_then(|it| args.guest.options(it));
    let planned = plan(
        input,
        target,
        args.options(guest),
        &resources(&workers, &signals, &()),
    );
    let plan = match (planned, signals.interrupted()) {
        (Err(_), Some(interrupted)) => return Err(interrupted.into()),
        (planned, _) => planned.with_context(|| doing.clone())?,
    };
    let reporter = Reporter {
        args,
        started,
        warnings,
        container,
    };
    if args.dry_run {
        return reporter.dry_run(&plan).with_context(|| doing.clone());
    }
    let room = plan.room();
    match carry_out(args, plan, &workers, &signals) {
        Ok(done) => reporter.done(&done),
        Err(failure) => Err(match signals.interrupted() {
            Some(interrupted) => interrupted.leaving(fate).into(),
            None => failed(failure, doing, room, fate),
        }),
    }
}

/// Opens the image, and says what a user should know about it; that is given, too.
fn open(args: &ConvertArgs, workers: &Workers) -> anyhow::Result<(Input, Vec<String>)> {
    let examined = args.open.examine(workers)?;
    let least = if args.verbose {
        Severity::Info
    } else {
        Severity::Warning
    };
    let mut warnings = warnings(&examined, least, args.open.if_in_use());
    // Before the image may be refused.
    let say = |line: &String| {
        if !args.quiet {
            write_message(line);
        }
    };
    warnings.iter().for_each(say);
    let input = args.open.disk(examined, workers)?;
    let holds_files = args.tar_options().is_some();
    let mut more = of_contents(input.disk(), input.partition(), holds_files);
    more.extend(of_whole_partitions(&input));
    more.iter().for_each(say);
    warnings.extend(more);
    Ok((input, warnings))
}

/// What is known of a container that goes to another host; what is wrong with its configuration is
/// said.
fn container(
    args: &ConvertArgs,
    input: &Input,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Option<Container>> {
    if !args.guest.is_given() {
        return Ok(None);
    }
    let container = args.guest.container(input, &args.open.image)?;
    let more = container.warnings();
    for line in more.iter().filter(|_| !args.quiet) {
        write_message(line);
    }
    warnings.extend(more);
    Ok(Some(container))
}

/// A user should not wonder where a file went.
fn say_what_was_left(args: &ConvertArgs, target: &Target) {
    let removed = clear_leftovers(target);
    for path in removed.iter().filter(|_| !args.quiet) {
        write_message(&format!(
            "removed what a killed run left: {}",
            path.display()
        ));
    }
}

fn carry_out(
    args: &ConvertArgs,
    plan: Plan,
    workers: &Workers,
    signals: &Guard,
) -> Result<ploopconv::convert::Done, ConvertFailure> {
    let progress = Display::new(args.progress, args.quiet, plan.work());
    let done = plan.run(&resources(workers, signals, &progress));
    progress.clear();
    done
}

/// The error of a conversion that did not come to its end.
fn failed(failure: ConvertFailure, doing: String, room: Room, fate: &str) -> anyhow::Error {
    let notes = notes(&failure.error, room, fate);
    let error = anyhow::Error::from(failure.error);
    let error = match failure.image {
        Some(path) => error.context(path.display().to_string()),
        None => error,
    };
    error.context(Noted { doing, notes })
}

/// What there is to say about a target that has no room left: what became of it, and how much room
/// it needs. Nothing, where something else went wrong.
fn notes(error: &Error, room: Room, fate: &str) -> Vec<String> {
    let Some(TargetError::Full { limit, .. }) = error.detail() else {
        return Vec::new();
    };
    let needed = format!("{fate}; at most {} are needed", human(room.most));
    vec![match (limit, room.free) {
        (Limit::FileSystem(_), Some(free)) => format!("{needed}, and {} were free", human(free)),
        (Limit::FileSystem(_) | Limit::Device | Limit::Quota(_), _) => needed,
        (Limit::Inodes(_), _) => format!("{fate}; the file system has no inode left"),
        (Limit::FileSize, _) => format!(
            "{fate}; the file system, or a limit of this shell (ulimit -f), takes no file of this \
             size"
        ),
    }]
}
