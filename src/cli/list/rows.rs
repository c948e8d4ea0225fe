//! What was found, as people read it: columns, and a last line with the sums.

use ploopconv::host::{Container, FoundDisk, Inventory, VeLayout};
use ploopconv::util::size::short;
use ploopconv::util::text::safe;

use super::report::{Totals, addresses};
use crate::cli::output::story_of;

const COLUMNS: [&str; 10] = [
    "ID", "NAME", "SYSTEM", "ADDRESS", "DISK", "LAYERS", "VIRTUAL", "STORED", "USED", "STATE",
];

/// What stands for nothing in a column, so that `awk` counts right.
const NOTHING: &str = "-";

type Row = [String; COLUMNS.len()];

pub(super) fn lines(found: &Inventory) -> Vec<String> {
    if found.containers.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(found.containers.iter().flat_map(of_container));
    let mut lines = aligned(&rows);
    lines.push(sums(&Totals::of(found)));
    lines
}

fn aligned(rows: &[Row]) -> Vec<String> {
    let mut widths = [0; COLUMNS.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let aligned = rows.iter().map(|row| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    aligned.collect()
}

fn of_container(container: &Container) -> Vec<Row> {
    match &container.layout {
        VeLayout::Simfs(root) => {
            let state = format!("simfs: its files lie in {}, no disk", root.display());
            let mut row = row(container, NOTHING);
            row[9] = cell(Some(&state));
            vec![row]
        }
        VeLayout::Ploop(disks) => disks.iter().map(|disk| of_disk(container, disk)).collect(),
    }
}

/// A row of a container, without what is the disk's.
fn row(container: &Container, disk: &str) -> Row {
    let mut row: Row = std::array::from_fn(|_| NOTHING.to_owned());
    row[0] = cell(Some(&container.id));
    row[1] = cell(container.name().as_deref());
    row[2] = cell(container.system_name());
    row[3] = cell(Some(&addresses(container).join(",")));
    row[4] = cell(Some(disk));
    row
}

/// Text of other people in a column. Spaces stay: the columns are for eyes, JSON is for programs.
fn cell(text: Option<&str>) -> String {
    let text = text.filter(|text| !text.is_empty());
    text.map_or_else(|| NOTHING.to_owned(), |text| safe(text).into_owned())
}

fn of_disk(container: &Container, disk: &FoundDisk) -> Row {
    let name = match disk.disk == container.area {
        // What should be a disk, or is one without a container.
        true => NOTHING.into(),
        false => disk.disk.file_name().unwrap_or_default().to_string_lossy(),
    };
    let mut row = row(container, &name);
    if let Some(shape) = &disk.shape {
        row[5] = match shape.snapshots {
            0 => shape.layers.to_string(),
            1 => format!("{} (1 snapshot)", shape.layers),
            more => format!("{} ({more} snapshots)", shape.layers),
        };
        row[6] = short(shape.virtual_size);
        row[7] = short(shape.stored);
        row[8] = cell(shape.used.map(short).as_deref());
    }
    let state = match &disk.obstacle {
        None => "ready".to_owned(),
        Some(error) if disk.is_in_use => format!("in use: {}", story_of(error)),
        Some(error) => story_of(error),
    };
    row[9] = cell(Some(&state));
    row
}

fn sums(totals: &Totals) -> String {
    let count = |number: usize, one: &str| {
        let more = if number == 1 { "" } else { "s" };
        format!("{number} {one}{more}")
    };
    let mut text = format!(
        "{}, {}: {} virtual, {} stored, {} used",
        count(totals.containers, "container"),
        count(totals.disks, "disk"),
        short(totals.virtual_size),
        short(totals.stored_bytes),
        short(totals.used_bytes)
    );
    let refused = totals.refused;
    for (number, what) in [
        (totals.in_use, "in use"),
        (
            refused.saturating_sub(totals.in_use),
            "not convertible as they are",
        ),
        (totals.simfs, "without a disk"),
    ] {
        if number > 0 {
            text += &format!("; {number} {what}");
        }
    }
    text
}
