//! `ploopconv IMAGE -o TARGET`: the main job.

mod args;
mod becoming;
mod disks;
mod files;
mod format;
mod guest;
mod machine;
mod packing;
mod refuse;
mod report;
mod reporter;
mod resources;
mod steps;
mod target;
mod update;
mod warnings;

use std::time::Instant;

use anyhow::Context;
use ploopconv::convert::{Input, Target, clear_leftovers, plan};

pub(crate) use self::args::ConvertArgs;

use self::reporter::Reporter;
use self::resources::resources;
use self::steps::{finish, open};
use self::warnings::of_updates;
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
    args.refuse_place_beside_image(&target, &input)?;
    let doing = doing(args, &target);
    if !args.dry_run {
        // First, because what a killed run left may take the room that is needed now.
        say_what_was_left(args, &target);
    }
    warnings.extend(say_of_updates(args, &target, &input));
    let fate = match args.writes() {
        "archive" if !target.is_files() => "what was sent is part of the archive",
        _ => target.fate(),
    };
    let container = container(args, &input, &mut warnings).with_context(|| doing.clone())?;
    let (input, mut machine) =
        (args.guest.booting(input, container.as_ref(), &workers)).with_context(|| doing.clone())?;
    if let Some(machine) = &mut machine {
        (machine.notes).extend(machine::note_on_device(&target, input.disk()));
    }
    let guest = container.as_ref().and_then(|it| args.guest.options(it));
    let options = args.options(guest);
    let reporter = Reporter {
        args,
        started,
        warnings,
        container,
        machine,
    };
    if args.update {
        let with = (&workers, &signals);
        return update::run(&reporter, (input, target), options, with, doing);
    }
    let with = resources(&workers, &signals, &());
    let planned = plan(input, target, options, &with);
    finish(&reporter, planned, (&workers, &signals), doing, fate)
}

/// Says where no update can follow, which is better known before a container is stopped for it.
fn say_of_updates(args: &ConvertArgs, target: &Target, input: &Input) -> Option<String> {
    let may_follow = args.keeps_state() && !args.update;
    let warning = may_follow.then(|| of_updates(target, input.disk()))??;
    if !args.quiet {
        write_message(&warning);
    }
    Some(warning)
}

/// What is being done, for messages.
fn doing(args: &ConvertArgs, target: &Target) -> String {
    let image = args.open.name();
    match target {
        _ if args.update => format!("updating {}", args.output.display()),
        Target::Directory(_) => format!("converting the partitions of {image}"),
        _ if args.tar_options().is_some() => format!("packing the files of {image}"),
        _ => format!("converting {image}"),
    }
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
