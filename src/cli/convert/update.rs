//! `--update`: a target of an earlier run is brought up to date.

use std::path::PathBuf;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::convert::{
    ConvertOptions, Input, Left, Target, UpdateFailure, UpdatePlan, Updated, plan_update,
};
use ploopconv::copy::Summary;
use ploopconv::util::size::{human, short};
use serde::Serialize;

use super::args::ConvertArgs;
use super::becoming::Becoming;
use super::guest::{GuestReport, JsonHint};
use super::machine::MachineReport;
use super::reporter::Reporter;
use super::resources::resources;
use super::warnings::stale_sums;
use crate::cli::ending::Ending;
use crate::cli::outcome::{Noted, Usage, Verdict};
use crate::cli::output::{finish, line, results, write_message};
use crate::cli::progress::Display;
use crate::cli::report::path;
use crate::cli::signals::Guard;

#[derive(Serialize)]
struct Report {
    image: String,
    target: String,
    format: &'static str,
    dry_run: bool,
    virtual_size: u64,
    /// The snapshot that the target was made from, and the one that the next update begins at.
    from_snapshot: String,
    snapshot: Option<String>,
    /// Whether an earlier update did not come to its end.
    goes_on: bool,
    /// Bytes of the disk that may be others than the target's, and those of them that are stored.
    changed_bytes: u64,
    data_bytes: u64,
    written_bytes: u64,
    zero_bytes: u64,
    /// Whether a new file took the place of the target; null for a dry run.
    replaced: Option<bool>,
    verified: bool,
    seconds: Option<f64>,
    state_file: String,
    checksum_file: Option<String>,
    algorithm: Option<&'static str>,
    digest: Option<String>,
    warnings: Vec<String>,
    /// With `--for kvm`: what is changed, what starts it, and what to type next.
    container: Option<GuestReport>,
    machine: Option<MachineReport>,
    next: Vec<JsonHint>,
}

impl ConvertArgs {
    /// Refuses options that an update cannot follow.
    pub(super) fn refuse_for_update(&self, target: &Target) -> Result<(), Usage> {
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        if !self.update {
            return Ok(());
        }
        if !matches!(target, Target::File(_) | Target::Device(_)) {
            return mistake("--update changes a file or a block device that is there");
        }
        if self.output.is_dir() {
            let target = self.output.display();
            return mistake(&format!(
                "--update changes a file, and {target} is a directory"
            ));
        }
        let is_for_archive = self.guest.is_given() && !self.guest.is_for_machine();
        if is_for_archive || self.tar_options().is_some() {
            return mistake(
                "--update is for disks, those that boot included, and not for archives",
            );
        }
        if self.open.compact {
            return mistake("--update and --compact exclude each other");
        }
        if self.open.salvage {
            return mistake("--update and --salvage exclude each other");
        }
        if self.no_sync {
            return mistake("--update waits for the disk, and --no-sync does not");
        }
        Ok(())
    }
}

/// What became of a target that was not brought to its end.
fn fate(left: Left) -> &'static str {
    match left {
        Left::AsItWas => "the target is as it was",
        Left::Incomplete => {
            "the target is not complete and has no valid start; the same command again makes it \
             right"
        }
        Left::Wrong => {
            "the target has no valid start; a conversion of all of the disk (-f and no --update) \
             makes it right"
        }
        Left::Complete => {
            "the target is complete, but what is kept of it does not say so; the same command \
             again makes that right, if it comes before the target is used"
        }
    }
}

/// Brings a target up to date.
pub(super) fn run(
    reporter: &Reporter<'_>,
    (input, target): (Input, Target),
    options: ConvertOptions,
    (workers, signals): (&Workers, &Guard),
    doing: String,
) -> anyhow::Result<Verdict> {
    let args = reporter.args;
    let with = resources(workers, signals, &());
    let plan = plan_update(input, target, options, &with);
    let plan = plan.with_context(|| doing.clone())?;
    if args.dry_run {
        return dry_run(reporter, &plan);
    }
    let report = report(reporter, &plan);
    let progress = Display::new(args.progress, args.quiet, plan.work());
    let done = plan.run(&resources(workers, signals, &progress));
    progress.clear();
    match (done, signals.interrupted()) {
        (Ok(done), _) => said(reporter, report, done),
        (Err(failure), Some(interrupted)) => Err(interrupted.leaving(fate(failure.left)).into()),
        (Err(UpdateFailure { error, left }), None) => {
            let notes = vec![fate(left).to_owned()];
            Err(anyhow::Error::from(error).context(Noted { doing, notes }))
        }
    }
}

fn report(reporter: &Reporter<'_>, plan: &UpdatePlan) -> Report {
    let args = reporter.args;
    let (changed, data) = (plan.changed_bytes(), plan.data_bytes());
    let Becoming {
        container,
        machine,
        next,
    } = reporter.becoming(None);
    Report {
        image: args.open.name().to_string(),
        target: args.output.display().to_string(),
        format: args.format().name,
        dry_run: args.dry_run,
        virtual_size: plan.disk().size(),
        from_snapshot: plan.snapshot().to_owned(),
        snapshot: None,
        goes_on: plan.goes_on(),
        changed_bytes: changed,
        data_bytes: data,
        written_bytes: data,
        zero_bytes: changed.saturating_sub(data),
        replaced: None,
        verified: false,
        seconds: None,
        state_file: path(plan.state_path()),
        checksum_file: None,
        algorithm: None,
        digest: None,
        warnings: reporter.warnings.clone(),
        container,
        machine,
        next,
    }
}

fn dry_run(reporter: &Reporter<'_>, plan: &UpdatePlan) -> anyhow::Result<Verdict> {
    if reporter.args.json {
        let ending = Ending::of(Verdict::Done, String::new);
        ending.print(&report(reporter, plan))?;
        return Ok(Verdict::Done);
    }
    let mut out = results();
    let mut field = |name: &str, value: &str| line(&mut out, &format!("{name:<8} {value}"));
    field("image:", &reporter.args.open.name().to_string())?;
    field("target:", &reporter.args.output.display().to_string())?;
    field("disk:", &human(plan.disk().size()))?;
    field("holds:", &format!("snapshot {}", plan.snapshot()))?;
    for (name, value) in reporter.plan_lines(None)? {
        field(name, &value)?;
    }
    let (changed, data) = (human(plan.changed_bytes()), human(plan.data_bytes()));
    field("to copy:", &format!("{changed}, {data} of it data"))?;
    finish(out)?;
    Ok(Verdict::Done)
}

/// What became of checksums of what the target held before.
fn about_sums(removed: &[PathBuf], stale: &[PathBuf]) -> Vec<String> {
    let removed = removed.iter().map(|file| {
        let file = file.display();
        format!("{file} was removed: it had the digest of what the target held before")
    });
    let stale = stale
        .iter()
        .map(|file| format!("warning: {}", stale_sums(file)));
    removed.chain(stale).collect()
}

/// Says what was done.
fn said(reporter: &Reporter<'_>, report: Report, done: Updated) -> anyhow::Result<Verdict> {
    let args = reporter.args;
    let seconds = reporter.seconds();
    let Updated {
        summary: Summary { written, zeros, .. },
        replaced,
        checksum,
        snapshot,
        removed,
        stale,
    } = done;
    let warnings = about_sums(&removed, &stale);
    warnings.iter().for_each(|line| write_message(line));
    let (changed, size) = (report.changed_bytes, report.virtual_size);
    if args.json {
        let (sums, digest) = match checksum {
            Some((file, algorithm, digest)) => (Some((file, algorithm)), Some(digest)),
            None => (None, None),
        };
        let ending = Ending::of(Verdict::Done, String::new);
        ending.print(&Report {
            written_bytes: written,
            zero_bytes: zeros,
            snapshot: Some(snapshot),
            replaced: Some(replaced),
            verified: args.verify,
            seconds: Some(seconds),
            checksum_file: sums.as_ref().map(|(file, _)| path(file)),
            algorithm: sums.map(|(_, algorithm)| algorithm.name()),
            digest,
            warnings: report.warnings.iter().chain(&warnings).cloned().collect(),
            ..report
        })?;
    }
    if !args.quiet {
        write_message(&format!(
            "{}: {} disk, {} of it copied ({} written) in {seconds:.1} s",
            args.output.display(),
            short(size),
            short(changed),
            short(written),
        ));
        reporter.say_next(None);
    }
    Ok(Verdict::Done)
}
