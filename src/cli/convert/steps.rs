//! The steps of a conversion, of one disk or several.

use anyhow::Context;
use ploopconv::convert::{ConvertFailure, Input, Plan, Room};
use ploopconv::ext4::IfDirty;
use ploopconv::ploop::Severity;
use ploopconv::sink::{Limit, TargetError};
use ploopconv::util::size::human;
use ploopconv::{Error, Workers};

use super::args::ConvertArgs;
use super::reporter::Reporter;
use super::resources::resources;
use super::warnings::of_contents;
use crate::cli::compact::{DiskArgs, of_whole_partitions};
use crate::cli::outcome::{Noted, Verdict};
use crate::cli::output::write_message;
use crate::cli::progress::Display;
use crate::cli::report::warnings;
use crate::cli::signals::Guard;
use crate::cli::source::Source;

/// Opens the image, and says what a user should know about it; that is given, too.
pub(super) fn open(
    args: &ConvertArgs,
    image: &DiskArgs,
    workers: &Workers,
) -> anyhow::Result<(Input, Vec<String>)> {
    let say = |line: &String| {
        if !args.quiet {
            write_message(line);
        }
    };
    // A machine replays the journal before it starts.
    let if_dirty = match args.guest.is_for_machine() {
        true => IfDirty::Replay,
        false => IfDirty::Refuse,
    };
    let (input, mut warnings) = match Source::of(image, &args.guest, workers)? {
        Source::Machine(input) => (*input, Vec::new()),
        Source::Image(examined) => {
            let least = if args.verbose {
                Severity::Info
            } else {
                Severity::Warning
            };
            let warnings = warnings(&examined, least, image.if_in_use());
            // Before the image may be refused.
            warnings.iter().for_each(say);
            (image.disk_with(*examined, if_dirty, workers)?, warnings)
        }
    };
    let is_read = args.tar_options().is_some() || args.guest.is_for_machine();
    let mut more = of_contents(input.disk(), input.partition(), is_read);
    more.extend(of_whole_partitions(&input));
    more.iter().for_each(say);
    warnings.extend(more);
    Ok((input, warnings))
}

/// Does what was planned, or only says it.
pub(super) fn finish(
    reporter: &Reporter<'_>,
    planned: ploopconv::Result<Plan>,
    (workers, signals): (&Workers, &Guard),
    doing: String,
    fate: &'static str,
) -> anyhow::Result<Verdict> {
    let plan = match (planned, signals.interrupted()) {
        (Err(_), Some(interrupted)) => return Err(interrupted.into()),
        (planned, _) => planned.with_context(|| doing.clone())?,
    };
    if reporter.args.dry_run {
        return reporter.dry_run(&plan).with_context(|| doing);
    }
    let room = plan.room();
    match carry_out(reporter.args, plan, workers, signals) {
        Ok(done) => reporter.done(&done),
        Err(failure) => Err(match signals.interrupted() {
            Some(interrupted) => interrupted.leaving(fate).into(),
            None => failed(failure, doing, room, fate),
        }),
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
