//! What `info` prints for people: lines of a name and what it stands for.

use ploopconv::ploop::{Examined, LayerInfo, PartInfo, Severity, SnapshotInfo};

use super::layer::format;
use super::survey::Survey;
use super::view::View;
use crate::cli::output::{finish, line, results};
use crate::cli::report::{finding_line, is_missing, other_reading, path};
use ploopconv::util::size::{human, short};

/// A name, or nothing for more about the name above, and what it stands for.
type Field = (String, String);

fn field(name: &str, text: impl Into<String>) -> Field {
    (name.to_owned(), text.into())
}

pub(super) fn print(
    examined: &Examined,
    name: &str,
    view: &View,
    survey: &Survey,
) -> anyhow::Result<()> {
    let mut fields = of_disk(examined, name, view);
    fields.extend(view.division.lines());
    let of_parts = examined.parts.iter().flat_map(|part| {
        let layers = examined.layers.iter();
        let layers = layers.filter(|layer| layer.part == Some(part.part));
        std::iter::once(of_part(part)).chain(layers.flat_map(of_layer))
    });
    fields.extend(of_parts);
    let of_whole = examined.layers.iter().filter(|layer| layer.part.is_none());
    fields.extend(of_whole.flat_map(of_layer));
    fields.extend(examined.snapshots.iter().flat_map(of_snapshot));
    fields.extend(others(examined, survey));
    fields.extend(survey.lines());
    let mut out = results();
    for (name, text) in fields {
        line(&mut out, &format!("{name:<13} {text}"))?;
    }
    for finding in &examined.findings {
        if finding.severity() != Severity::Info {
            line(&mut out, &finding_line(finding))?;
            if let Some(reading) = other_reading(examined, finding) {
                line(&mut out, &reading)?;
            }
        }
    }
    finish(out)
}

/// The disk, or the partition of it that is looked at.
fn of_disk(examined: &Examined, name: &str, view: &View) -> Vec<Field> {
    let mut fields = vec![field("image:", name)];
    if let Some(descriptor) = &examined.descriptor {
        fields.push(field("descriptor:", path(descriptor)));
    }
    if let Some(snapshot) = examined.snapshot {
        let current = examined
            .snapshots
            .iter()
            .any(|shot| shot.top && shot.guid == snapshot);
        let note = if current { " (current state)" } else { "" };
        fields.push(field("snapshot:", format!("{snapshot}{note}")));
    }
    if let Some(size) = view.size {
        let of = match view.partition {
            Some(number) => format!(", partition {number}"),
            None => String::new(),
        };
        fields.push(field("virtual size:", format!("{}{of}", human(size))));
    }
    if let Some(data) = view.data {
        let text = format!("{}; a raw disk takes about as much", human(data));
        fields.push(field("stored:", text));
    }
    if let Some(left_out) = view.left_out {
        let text = format!(
            "{} in free blocks, which --compact leaves out",
            human(left_out)
        );
        fields.push(field("unused:", text));
    }
    if let Some(lost) = view.lost.filter(|lost| !lost.is_nothing()) {
        fields.push(field("lost:", lost.text()));
    }
    let in_use = if examined.is_in_use() {
        "yes, or not closed cleanly"
    } else {
        "no"
    };
    fields.push(field("in use:", in_use));
    fields
}

fn of_part(part: &PartInfo) -> Field {
    let (start, end) = (part.range.start, part.range.end);
    let text = format!(
        "{} from {start:#x} to {end:#x} of the disk",
        short(end - start)
    );
    field(&format!("part {}:", part.part), text)
}

fn of_layer(layer: &LayerInfo) -> Vec<Field> {
    let LayerInfo {
        part: _,
        layer: at,
        file,
        guid,
        virtual_size,
        file_size,
        disk_usage,
        image,
    } = layer;
    let mut fields = vec![field(&format!("layer {at}:"), path(file))];
    fields.extend(guid.iter().map(|guid| field("", format!("guid {guid}"))));
    let sizes = format!(
        "{}, disk of {}, file of {} ({} on disk)",
        format(layer),
        short(*virtual_size),
        short(*file_size),
        short(*disk_usage)
    );
    fields.push(field("", sizes));
    fields.extend(image.iter().map(|image| {
        let clusters = format!(
            "{} of {} clusters of {} stored, {}",
            image.allocated_clusters,
            image.bat_entries,
            short(image.cluster_size),
            image.state
        );
        field("", clusters)
    }));
    fields
}

fn of_snapshot(snapshot: &SnapshotInfo) -> Vec<Field> {
    let parent = snapshot
        .parent
        .map_or_else(|| "none".to_owned(), |guid| guid.to_string());
    let top = if snapshot.top { ", current state" } else { "" };
    let temporary = match snapshot.temporary.name() {
        "no" => String::new(),
        other => format!(", {other}"),
    };
    let text = format!("{} on {parent}{top}{temporary}", snapshot.guid);
    let mut fields = vec![field("snapshot:", text)];
    let taken = snapshot.taken.iter().map(|taken| format!("taken {taken}"));
    let known = snapshot.name.iter().map(|name| format!("{name:?}"));
    let known: Vec<_> = known.chain(taken).collect();
    if !known.is_empty() {
        fields.push(field("", known.join(", ")));
    }
    fields
}

/// What lies there besides the disk.
fn others(examined: &Examined, survey: &Survey) -> Vec<Field> {
    let unlisted = examined.unlisted.iter().filter(|_| survey.is_empty());
    let unlisted = unlisted.map(|file| field("unlisted:", path(file)));
    let disks = examined.other_disks.iter().map(|disk| {
        let name = if is_missing(disk) {
            "missing disk:"
        } else {
            "other disk:"
        };
        field(name, path(disk))
    });
    unlisted.chain(disks).collect()
}
