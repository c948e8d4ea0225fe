//! `ploopconv info`: what an image or a chain is, without reading its data.

mod args;
mod layer;
mod survey;
mod text;
mod view;

use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{Examined, OpenError, PartInfo, SnapshotInfo};
use serde::Serialize;

pub(crate) use self::args::InfoArgs;

use self::layer::{JsonLayer, json_layer};
use self::survey::Survey;
use self::view::View;
use super::ending::Ending;
use super::list;
use super::outcome::{Reported, Verdict};
use super::output::write_message;
use super::partitions::Division;
use super::report::{JsonFinding, json_findings, path};

#[derive(Serialize)]
struct Report {
    image: String,
    descriptor: Option<String>,
    snapshot: Option<String>,
    partition: Option<u32>,
    virtual_size: Option<u64>,
    data_bytes: Option<u64>,
    /// With `--compact`: what of it a conversion leaves out.
    left_out_bytes: Option<u64>,
    /// With `--salvage`.
    lost_bytes: Option<u64>,
    doubtful_bytes: Option<u64>,
    in_use: bool,
    damaged: bool,
    #[serde(flatten)]
    division: Division,
    /// Of a split disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<JsonPart>,
    layers: Vec<JsonLayer>,
    snapshots: Vec<JsonSnapshot>,
    unlisted_layers: Vec<String>,
    /// Further disks of the container.
    other_disks: Vec<String>,
    findings: Vec<JsonFinding>,
    /// Where the descriptor cannot be used: what lies there.
    #[serde(flatten)]
    survey: Survey,
}

#[derive(Serialize)]
struct JsonPart {
    part: usize,
    offset: u64,
    length: u64,
}

impl From<&PartInfo> for JsonPart {
    fn from(part: &PartInfo) -> Self {
        Self {
            part: part.part,
            offset: part.range.start,
            length: part.range.end - part.range.start,
        }
    }
}

#[derive(Serialize)]
struct JsonSnapshot {
    guid: String,
    parent: Option<String>,
    top: bool,
    name: Option<String>,
    taken: Option<String>,
    temporary: &'static str,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Verdict> {
    let workers = args.open.workers()?;
    let examined = match args.open.examine(&workers) {
        Err(error) => {
            if let Some(OpenError::Containers { path, .. }) = error.detail() {
                return list::of_folder(path, args.json);
            }
            return Err(match error.detail() {
                Some(OpenError::NoImage { path, images }) if !images.is_empty() => {
                    let ending = Ending::of_error(&error);
                    survey::without_descriptor(args, path, images, &ending, &workers)?;
                    Reported::after(error)
                }
                _ => error.into(),
            });
        }
        Ok(examined) => examined,
    };
    let view = View::of(&args.open, &examined, &workers)?;
    let lost = view.lost.unwrap_or_default();
    let name = args.open.name().to_string();
    let survey = Survey::of(&args.open, &examined, &workers);
    let verdict = if !examined.is_damaged() {
        Verdict::Done
    } else if !(args.open.salvage && examined.is_readable()) {
        Verdict::Damaged
    } else if lost.is_nothing() {
        Verdict::Done
    } else {
        Verdict::Salvaged
    };
    let not_converted = || format!("{name} is damaged, and would not be converted");
    let unchanged = examined
        .disk()
        .map_or(Ok(()), |disk| disk.check_unchanged());
    if args.json {
        // A report does not say less than the exit status.
        unchanged?;
        let ending = Ending::of(verdict, || match verdict {
            Verdict::Salvaged => lost.text(),
            _ => not_converted(),
        });
        ending.print(&report(&examined, name.clone(), view, survey))?;
    } else {
        text::print(&examined, &name, &view, &survey)?;
        unchanged.map_err(Reported::after)?;
    }
    if verdict == Verdict::Damaged {
        write_message(&not_converted());
    }
    Ok(verdict)
}

fn report(examined: &Examined, image: String, view: View, survey: Survey) -> Report {
    Report {
        image,
        descriptor: examined.descriptor.as_deref().map(path),
        snapshot: examined.snapshot.map(|guid| guid.to_string()),
        partition: view.partition,
        virtual_size: view.size,
        data_bytes: view.data,
        left_out_bytes: view.left_out,
        lost_bytes: view.lost.map(|lost| lost.zeros),
        doubtful_bytes: view.lost.map(|lost| lost.doubtful),
        in_use: examined.is_in_use(),
        damaged: examined.is_damaged(),
        division: view.division,
        parts: examined.parts.iter().map(JsonPart::from).collect(),
        layers: examined.layers.iter().map(json_layer).collect(),
        snapshots: examined.snapshots.iter().map(json_snapshot).collect(),
        unlisted_layers: examined.unlisted.iter().map(|file| path(file)).collect(),
        other_disks: examined.other_disks.iter().map(|disk| path(disk)).collect(),
        findings: json_findings(examined),
        survey,
    }
}

fn json_snapshot(snapshot: &SnapshotInfo) -> JsonSnapshot {
    JsonSnapshot {
        guid: snapshot.guid.to_string(),
        parent: snapshot.parent.map(|guid| guid.to_string()),
        top: snapshot.top,
        name: snapshot.name.clone(),
        taken: snapshot.taken.clone(),
        temporary: snapshot.temporary.name(),
    }
}
