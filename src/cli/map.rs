//! `ploopconv map`: where every part of the disk is stored.

mod rows;

use std::io::Write;
use std::mem;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, SyncSender};

use anyhow::Context;
use ploopconv::Workers;
use ploopconv::disk::{Extent, Role, VirtualDisk};
use ploopconv::util::text;

use self::rows::{Json, Row, Text};
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

/// The most extents on the way together, and the most threads that make rows of them.
const BATCH: usize = 2048;
const MAKERS: usize = 4;

/// Writes a row for every extent. A thread beside this one finds them and gives a batch to each of
/// some others in turn, which make rows; a disk may have millions, so no more than some thousand
/// are on the way.
fn print_rows<R: Row>(
    disk: &dyn VirtualDisk,
    row: &R,
    workers: &Workers,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let makers = workers.threads().clamp(1, MAKERS);
    std::thread::scope(|scope| {
        let makers = (0..makers).map(|_| {
            let (found, batches) = mpsc::sync_channel(2);
            let (made, rows) = mpsc::sync_channel(1);
            let row = row.clone();
            scope.spawn(move || make_rows(&batches, row, &made));
            (found, rows)
        });
        let (found, rows): (Vec<_>, Vec<_>) = makers.unzip();
        scope.spawn(move || find(disk, &found));
        // In turn, as they were given. The makers end once writing has failed.
        let mut left_out = R::LEFT_OUT;
        for rows in rows.iter().cycle() {
            let Ok(rows) = rows.recv() else { break };
            let rows: Vec<u8> = rows?;
            let rows = rows.get(left_out..).unwrap_or_default();
            left_out = 0;
            out.write_all(rows).context(Stdout)?;
        }
        Ok(())
    })
}

/// A batch of extents, or what the disk said instead.
type Batch = ploopconv::Result<Vec<Extent>>;

/// Finds the extents and gives them out in turn, until all are found or no thread takes more.
fn find(disk: &dyn VirtualDisk, found: &[SyncSender<Batch>]) {
    let mut takers = found.iter().cycle();
    let mut give = |batch| match takers.next().map(|taker| taker.send(batch)) {
        Some(Ok(())) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let mut batch = Vec::with_capacity(BATCH);
    let walked = disk.each_extent_in(0..disk.size(), &mut |extent| {
        batch.push(extent);
        if batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        give(Ok(mem::replace(&mut batch, Vec::with_capacity(BATCH))))
    });
    // What was found before an error is shown before it. Where giving failed, no thread waits.
    let _ = give(Ok(batch));
    if let Err(error) = walked {
        let _ = give(Err(error));
    }
}

/// Makes rows of batches, until there are no more of them or the rows are not taken any more.
fn make_rows(
    batches: &Receiver<Batch>,
    mut row: impl Row,
    made: &SyncSender<ploopconv::Result<Vec<u8>>>,
) {
    let mut longest = 0;
    for batch in batches {
        let rows = batch.map(|batch| {
            let mut rows = Vec::with_capacity(longest);
            batch.iter().for_each(|extent| row.add(&mut rows, extent));
            longest = longest.max(rows.len());
            rows
        });
        if made.send(rows).is_err() {
            break;
        }
    }
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
