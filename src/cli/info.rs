//! `ploopconv info`: what an image or a chain is, without reading its data.

mod survey;

use anyhow::Context;
use ploopconv::Error;
use ploopconv::Workers;
use ploopconv::copy::stored_bytes;
use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{Examined, LayerInfo, Severity, SnapshotInfo, State};
use ploopconv::salvage::Salvaged;
use serde::Serialize;

use self::survey::Survey;
use super::Verdict;
use super::exit::Reported;
use super::losses::Tally;
use super::open::OpenArgs;
use super::output::{complain, finish, json, line, results};
use super::partitions::Division;
use super::report::{JsonFinding, finding_line, json_findings, path};
use super::size::{human, short};

/// Show what an image or a chain is, without reading its data
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    descriptor: Option<String>,
    snapshot: Option<String>,
    partition: Option<u32>,
    virtual_size: Option<u64>,
    data_bytes: Option<u64>,
    /// With `--salvage`.
    lost_bytes: Option<u64>,
    doubtful_bytes: Option<u64>,
    in_use: bool,
    damaged: bool,
    #[serde(flatten)]
    division: Division,
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

#[derive(Debug, Serialize)]
struct JsonLayer {
    layer: usize,
    file: String,
    guid: Option<String>,
    format: &'static str,
    virtual_size: u64,
    file_size: u64,
    disk_usage: u64,
    cluster_size: Option<u64>,
    bat_entries: Option<u32>,
    allocated_clusters: Option<u64>,
    in_use: bool,
    state: Option<String>,
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

/// What is seen of the disk: all of it, or one partition.
struct View {
    partition: Option<u32>,
    size: Option<u64>,
    data: Option<u64>,
    /// What is lost, where it is read over damage.
    lost: Option<Tally>,
    division: Division,
}

impl View {
    fn of(args: &OpenArgs, examined: &Examined, workers: &Workers) -> anyhow::Result<Self> {
        let Some(stored) = examined.disk() else {
            return Ok(Self::unknown(None));
        };
        if !examined.is_readable() {
            // What a damaged chain stores is not known.
            return Ok(Self::unknown(Some(stored.size())));
        }
        let salvaged = args.salvage.then(|| Salvaged::new(stored));
        let disk: &dyn VirtualDisk = match &salvaged {
            Some(salvaged) => salvaged,
            None => stored,
        };
        let lost = |range| {
            let losses = salvaged.as_ref().map(|disk| disk.losses_in(range));
            losses.map(Tally::of).transpose()
        };
        let chosen = args
            .choose(disk)
            .with_context(|| format!("looking into {}", args.name()))?;
        let Some((layout, partition)) = chosen else {
            return Ok(Self {
                partition: None,
                size: Some(disk.size()),
                data: Some(stored_bytes(disk, workers)?),
                division: Division::of(disk),
                lost: lost(0..disk.size())?,
            });
        };
        let slice = partition.of(disk)?;
        let end = partition.start.saturating_add(partition.len);
        Ok(Self {
            partition: Some(partition.number),
            size: Some(slice.size()),
            data: Some(stored_bytes(&slice, workers)?),
            division: Division::from(&layout, |other| *other == partition),
            lost: lost(partition.start..end)?,
        })
    }

    fn unknown(size: Option<u64>) -> Self {
        Self {
            partition: None,
            size,
            data: None,
            lost: None,
            division: Division::unknown(),
        }
    }
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Verdict> {
    let workers = args.open.workers()?;
    let examined = match args.open.examine(&workers) {
        Err(error) => {
            return Err(match &error {
                Error::NoImage { path, images } if !images.is_empty() => {
                    survey::without_descriptor(args, path, images, &workers)?;
                    Reported::after(error)
                }
                _ => error.into(),
            });
        }
        Ok(examined) => examined,
    };
    let damaged = examined.is_damaged();
    let view = View::of(&args.open, &examined, &workers)?;
    let lost = view.lost.unwrap_or_default();
    let name = args.open.name().to_string();
    let survey = Survey::of(&args.open, &examined, &workers);
    if args.json {
        json(&report(&examined, name, view, survey))?;
    } else {
        print(&examined, &name, &view, &survey)?;
    }
    if let Some(disk) = examined.disk() {
        disk.check_unchanged().map_err(Reported::after)?;
    }
    if !damaged {
        return Ok(Verdict::Done);
    }
    if args.open.salvage && examined.is_readable() {
        return Ok(if lost.is_nothing() {
            Verdict::Done
        } else {
            Verdict::Salvaged
        });
    }
    complain(&format!(
        "{} is damaged, and would not be converted",
        args.open.name()
    ));
    Ok(Verdict::Damaged)
}

fn report(examined: &Examined, image: String, view: View, survey: Survey) -> Report {
    Report {
        image,
        descriptor: examined.descriptor.as_deref().map(path),
        snapshot: examined.snapshot.map(|guid| guid.to_string()),
        partition: view.partition,
        virtual_size: view.size,
        data_bytes: view.data,
        lost_bytes: view.lost.map(|lost| lost.zeros),
        doubtful_bytes: view.lost.map(|lost| lost.doubtful),
        in_use: examined.is_in_use(),
        damaged: examined.is_damaged(),
        division: view.division,
        layers: examined.layers.iter().map(json_layer).collect(),
        snapshots: examined.snapshots.iter().map(json_snapshot).collect(),
        unlisted_layers: examined.unlisted.iter().map(|file| path(file)).collect(),
        other_disks: examined.other_disks.iter().map(|disk| path(disk)).collect(),
        findings: json_findings(examined),
        survey,
    }
}

fn json_layer(layer: &LayerInfo) -> JsonLayer {
    let image = layer.image.as_ref();
    JsonLayer {
        layer: layer.layer,
        file: path(&layer.file),
        guid: layer.guid.map(|guid| guid.to_string()),
        format: format(layer),
        virtual_size: layer.virtual_size,
        file_size: layer.file_size,
        disk_usage: layer.disk_usage,
        cluster_size: image.map(|image| image.cluster_size),
        bat_entries: image.map(|image| image.bat_entries),
        allocated_clusters: image.map(|image| image.allocated_clusters),
        in_use: image.is_some_and(|image| image.state == State::InUse),
        state: image.map(|image| image.state.to_string()),
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

fn format(layer: &LayerInfo) -> &'static str {
    layer
        .image
        .as_ref()
        .map_or("raw", |image| image.version.name())
}

fn print(examined: &Examined, name: &str, view: &View, survey: &Survey) -> anyhow::Result<()> {
    let mut out = results();
    let mut field = |name: &str, value: &str| line(&mut out, &format!("{name:<13} {value}"));
    field("image:", name)?;
    if let Some(descriptor) = &examined.descriptor {
        field("descriptor:", &path(descriptor))?;
    }
    if let Some(snapshot) = examined.snapshot {
        let current = examined
            .snapshots
            .iter()
            .any(|shot| shot.top && shot.guid == snapshot);
        let note = if current { " (current state)" } else { "" };
        field("snapshot:", &format!("{snapshot}{note}"))?;
    }
    if let Some(size) = view.size {
        let of = match view.partition {
            Some(number) => format!(", partition {number}"),
            None => String::new(),
        };
        field("virtual size:", &format!("{}{of}", human(size)))?;
    }
    if let Some(data) = view.data {
        field(
            "stored:",
            &format!("{}; a raw disk takes about as much", human(data)),
        )?;
    }
    if let Some(lost) = view.lost.filter(|lost| !lost.is_nothing()) {
        field("lost:", &lost.text())?;
    }
    field(
        "in use:",
        if examined.is_in_use() {
            "yes, or not closed cleanly"
        } else {
            "no"
        },
    )?;
    for (name, text) in view.division.lines() {
        field(&name, &text)?;
    }
    for layer in &examined.layers {
        let LayerInfo {
            layer: at,
            file,
            guid,
            virtual_size,
            file_size,
            disk_usage,
            image,
        } = layer;
        field(&format!("layer {at}:"), &path(file))?;
        if let Some(guid) = guid {
            field("", &format!("guid {guid}"))?;
        }
        let sizes = format!(
            "{}, disk of {}, file of {} ({} on disk)",
            format(layer),
            short(*virtual_size),
            short(*file_size),
            short(*disk_usage)
        );
        field("", &sizes)?;
        if let Some(image) = image {
            let clusters = format!(
                "{} of {} clusters of {} stored, {}",
                image.allocated_clusters,
                image.bat_entries,
                short(image.cluster_size),
                image.state
            );
            field("", &clusters)?;
        }
    }
    for snapshot in &examined.snapshots {
        let parent = snapshot
            .parent
            .map_or_else(|| "none".to_owned(), |guid| guid.to_string());
        let top = if snapshot.top { ", current state" } else { "" };
        let temporary = match snapshot.temporary.name() {
            "no" => String::new(),
            other => format!(", {other}"),
        };
        field(
            "snapshot:",
            &format!("{} on {parent}{top}{temporary}", snapshot.guid),
        )?;
        let taken = snapshot.taken.iter().map(|taken| format!("taken {taken}"));
        let known = snapshot.name.iter().map(|name| format!("{name:?}"));
        let known: Vec<_> = known.chain(taken).collect();
        if !known.is_empty() {
            field("", &known.join(", "))?;
        }
    }
    if survey.is_empty() {
        for file in &examined.unlisted {
            field("unlisted:", &path(file))?;
        }
    }
    for disk in &examined.other_disks {
        field("other disk:", &path(disk))?;
    }
    for (name, text) in survey.lines() {
        field(&name, &text)?;
    }
    for finding in &examined.findings {
        if finding.severity() != Severity::Info {
            line(&mut out, &finding_line(finding))?;
        }
    }
    finish(out)
}
