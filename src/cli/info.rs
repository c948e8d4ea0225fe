//! `ploopconv info`: what an image or a chain is, without reading its data.

use ploopconv::copy::stored_bytes;
use ploopconv::ploop::{Examined, LayerInfo, Severity, SnapshotInfo, State};
use serde::Serialize;

use super::Verdict;
use super::open::OpenArgs;
use super::output::{complain, finish, json, line, results};
use super::report::{JsonFinding, finding_line, json_findings, path};
use super::size::{human, short};

/// Show what an image or a chain is, without reading its data
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    descriptor: Option<String>,
    snapshot: Option<String>,
    virtual_size: Option<u64>,
    data_bytes: Option<u64>,
    in_use: bool,
    damaged: bool,
    layers: Vec<JsonLayer>,
    snapshots: Vec<JsonSnapshot>,
    unlisted_layers: Vec<String>,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
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
    temporary: &'static str,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Verdict> {
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers)?;
    let damaged = examined.is_damaged();
    // What a damaged chain stores is not known.
    let disk = examined.disk().filter(|_| !damaged);
    let data = disk.map(|disk| stored_bytes(disk)).transpose()?;
    let name = args.open.name().to_string();
    if args.json {
        json(&report(&examined, name, data))?;
    } else {
        print(&examined, &name, data)?;
    }
    if !damaged {
        return Ok(Verdict::Done);
    }
    complain(&format!(
        "{} is damaged, and would not be converted",
        args.open.name()
    ));
    Ok(Verdict::Damaged)
}

/// The size of the disk, where the last layer could be opened.
fn virtual_size(examined: &Examined) -> Option<u64> {
    use ploopconv::disk::VirtualDisk;
    examined.disk().map(VirtualDisk::size)
}

fn report(examined: &Examined, image: String, data_bytes: Option<u64>) -> Report {
    Report {
        image,
        descriptor: examined.descriptor.as_deref().map(path),
        snapshot: examined.snapshot.map(|guid| guid.to_string()),
        virtual_size: virtual_size(examined),
        data_bytes,
        in_use: examined.is_in_use(),
        damaged: examined.is_damaged(),
        layers: examined.layers.iter().map(json_layer).collect(),
        snapshots: examined.snapshots.iter().map(json_snapshot).collect(),
        unlisted_layers: examined.unlisted.iter().map(|file| path(file)).collect(),
        findings: json_findings(examined),
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
        temporary: snapshot.temporary.name(),
    }
}

fn format(layer: &LayerInfo) -> &'static str {
    layer
        .image
        .as_ref()
        .map_or("raw", |image| image.version.name())
}

fn print(examined: &Examined, name: &str, data: Option<u64>) -> anyhow::Result<()> {
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
    if let Some(size) = virtual_size(examined) {
        field("virtual size:", &human(size))?;
    }
    if let Some(data) = data {
        field(
            "stored:",
            &format!("{}; a raw disk takes about as much", human(data)),
        )?;
    }
    field(
        "in use:",
        if examined.is_in_use() {
            "yes, or not closed cleanly"
        } else {
            "no"
        },
    )?;
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
    }
    for file in &examined.unlisted {
        field("unlisted:", &path(file))?;
    }
    for finding in &examined.findings {
        if finding.severity() != Severity::Info {
            line(&mut out, &finding_line(finding))?;
        }
    }
    finish(out)
}
