//! `--disks`: every disk of a virtual machine or container, all together.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, bail};
use ploopconv::Workers;
use ploopconv::convert::{Input, plan_disks};
use ploopconv::host::{FoundDisk, area_of, disks_of};

use super::args::ConvertArgs;
use super::reporter::Reporter;
use super::resources::resources;
use super::steps::{finish, open as open_one};
use crate::cli::outcome::{Usage, Verdict};
use crate::cli::signals::Guard;

/// The disks, each with the name of its target, and what was said of them.
pub(super) struct Disks {
    inputs: Vec<(String, Input)>,
    warnings: Vec<String>,
}

/// Opens all of them: one that cannot be read stops all.
pub(super) fn open(args: &ConvertArgs, workers: &Workers) -> anyhow::Result<Disks> {
    if args.guest.is_given() {
        let mistake =
            "--for changes the disk that a system starts from; choose it with --disk NAME";
        return Err(Usage(mistake.to_owned()).into());
    }
    let mut disks = Disks {
        inputs: Vec::new(),
        warnings: Vec::new(),
    };
    let mut names = BTreeSet::new();
    let container = area_of(&args.open.image, args.open.private_dirs());
    for FoundDisk { disk, image, .. } in disks_of(&container, workers)? {
        let name = disk.file_stem().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if !names.insert(name.clone()) {
            bail!("two disks have the name {name}: convert each with --disk");
        }
        let doing = || format!("opening {}", image.display());
        let (input, warnings) =
            open_one(args, &args.open.of(&image), workers).with_context(doing)?;
        disks.warnings.extend(warnings);
        disks.inputs.push((name, input));
    }
    Ok(disks)
}

/// Converts all of them, complete or absent together.
pub(super) fn convert(
    args: &ConvertArgs,
    disks: Disks,
    workers: &Workers,
    signals: &Guard,
    started: Instant,
) -> anyhow::Result<Verdict> {
    let doing = format!("converting the disks of {}", args.open.name());
    let planned = plan_disks(
        disks.inputs,
        &args.output,
        args.options(None),
        &resources(workers, signals, &()),
    );
    let reporter = Reporter {
        args,
        started,
        warnings: disks.warnings,
        container: None,
        machine: None,
    };
    let fate = "nothing was left behind";
    finish(&reporter, planned, (workers, signals), doing, fate)
}
