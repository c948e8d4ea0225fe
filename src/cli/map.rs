//! `ploopconv map`: where every part of the disk is stored.

mod print;
mod rows;

use std::io::Write;

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::disk::{Role, VirtualDisk};
use ploopconv::util::text;

use self::print::print_rows;
use self::rows::{Json, Text};
use super::compact::DiskArgs;
use super::ending::Ending;
use super::outcome::{Reported, Verdict};
use super::output::{Stdout, finish, results, safe_json};
use super::report::{path, warn};

/// Show where every part of the disk is stored
#[derive(Debug, clap::Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) open: DiskArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &MapArgs) -> anyhow::Result<Verdict> {
    let context = || format!("mapping {}", args.open.name());
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers).with_context(context)?;
    warn(&examined, args.open.if_in_use());
    let opened = args.open.disk(examined, &workers).with_context(context)?;
    // What is lost is shown as that.
    let stored = opened.view().stored();
    let disk = stored.as_ref();
    let mut out = results();
    if args.json {
        let image = args.open.name().to_string();
        // Part of it is on stdout by then.
        print_json(disk, &image, &workers, &mut out).map_err(mark_unless_stdout)?;
    } else {
        print_text(disk, &workers, &mut out)?;
    }
    let unchanged = disk.check_unchanged();
    let mut losses = opened.losses();
    let verdict = match losses.next() {
        Some(_) => Verdict::Salvaged,
        None => Verdict::Done,
    };
    if args.json {
        let ending = match &unchanged {
            Ok(()) => Ending::of(verdict, || "part of the disk is lost".to_owned()),
            Err(error) => Ending::of_error(error),
        };
        end_json(&ending, &mut out)?;
    }
    finish(out)?;
    let unchanged = unchanged.with_context(context);
    unchanged.map_err(Reported::after)?;
    Ok(verdict)
}

/// Ends the report with what is known only then: how the command ended.
fn end_json(ending: &Ending, out: &mut impl Write) -> anyhow::Result<()> {
    let fields = serde_json::to_string_pretty(ending)?;
    let fields = safe_json(fields.trim_start_matches('{'));
    writeln!(out, "\n  ],{fields}").context(Stdout)
}

/// What went wrong with stdout itself is known as that.
fn mark_unless_stdout(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Stdout>() {
        error
    } else {
        Reported::after(error)
    }
}

fn print_text(
    disk: &dyn VirtualDisk,
    workers: &Workers,
    mut out: impl Write,
) -> anyhow::Result<()> {
    let parts = parts_of(disk);
    let heading = if parts.is_empty() {
        rows::HEADING
    } else {
        rows::HEADING_WITH_PARTS
    };
    out.write_all(heading.as_bytes()).context(Stdout)?;
    let files = file_names(disk);
    let files = files.iter().map(|file| text::safe(file).into_owned());
    print_rows(disk, &Text::new(files.collect(), parts), workers, &mut out)
}

/// One object a line, in one array.
fn print_json(
    disk: &dyn VirtualDisk,
    image: &str,
    workers: &Workers,
    mut out: impl Write,
) -> anyhow::Result<()> {
    let string = |text: &str| serde_json::to_string(text).map(|text| safe_json(&text));
    let (image, size) = (string(image)?, disk.size());
    write!(
        out,
        "{{\n  \"image\": {image},\n  \"size\": {size},\n  \"extents\": ["
    )
    .context(Stdout)?;
    let files = file_names(disk);
    let files: Result<_, _> = files.iter().map(|file| string(file)).collect();
    let row = Json {
        files: files?,
        parts: parts_of(disk),
    };
    print_rows(disk, &row, workers, &mut out)
}

/// What the stores of a split disk are.
fn parts_of(disk: &dyn VirtualDisk) -> rows::Parts {
    let stores = disk.stores().iter();
    let places = stores.map(|store| match store.role() {
        Role::PartLayer { part, layer } => Some((part, layer)),
        _ => None,
    });
    places.collect::<Option<_>>().unwrap_or_default()
}

/// What the stores of a disk are called.
fn file_names(disk: &dyn VirtualDisk) -> Vec<String> {
    let stores = disk.stores().iter();
    stores.map(|store| path(store.path())).collect()
}
