//! `ploopconv IMAGE -o TARGET`: the main job.

mod args;
mod disks;
mod files;
mod format;
mod guest;
mod machine;
mod packing;
mod refuse;
mod report;
mod resources;
mod steps;
mod target;
mod update;
mod warnings;

use std::time::Instant;

use anyhow::Context;
use ploopconv::convert::{Input, Target, clear_leftovers, plan};

pub(crate) use self::args::ConvertArgs;

use self::report::Reporter;
use self::resources::resources;
use self::steps::{finish, open};
use super::guest::Container;
use super::outcome::Verdict;
use super::output::write_message;
use super::progress::When;
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
    if args.disks {
        let inputs = disks::open(args, &workers).with_context(opening)?;
        return disks::convert(args, inputs, &workers, &signals, started);
    }
    let (input, mut warnings) = open(args, &args.open, &workers).with_context(opening)?;
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
            machine: None,
        };
        return update::run(&reporter, (input, target), &workers, &signals);
    }
    let container = container(args, &input, &mut warnings).with_context(|| doing.clone())?;
    let (input, mut machine) =
        (args.guest.booting(input, container.as_ref(), &workers)).with_context(|| doing.clone())?;
    if let Some(machine) = &mut machine {
        (machine.notes).extend(machine::note_on_device(&target, input.disk()));
    }
    let guest = container.as_ref().and_then(|it| args.guest.options(it));
    let planned = plan(
        input,
        target,
        args.options(guest),
        &resources(&workers, &signals, &()),
    );
    let reporter = Reporter {
        args,
        started,
        warnings,
        container,
        machine,
    };
    finish(&reporter, planned, (&workers, &signals), doing, fate)
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
