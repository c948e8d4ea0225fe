//! How a disk is divided, as people and as scripts read it.

use ploopconv::disk::VirtualDisk;
use ploopconv::partition::PartitionError;
use ploopconv::partition::{self, Content, Partition, PartitionLayout};
use serde::Serialize;

use super::output::story;
use ploopconv::util::size::{human, short};

/// What is known about the partitions of a disk.
#[derive(Debug, Serialize)]
pub(crate) struct Division {
    /// Null where the disk could not be looked at.
    partition_table: Option<JsonTable>,
    /// What the disk holds as a whole, where there is no table.
    whole_disk: Option<JsonContent>,
    partitions: Vec<JsonPartition>,
}

#[derive(Debug, Serialize)]
struct JsonTable {
    kind: &'static str,
    /// Whether there is a table that cannot be believed.
    damaged: bool,
    sector_size: Option<u64>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct JsonPartition {
    number: u32,
    start: u64,
    size: u64,
    #[serde(rename = "type")]
    kind: String,
    /// What the type is for, where it is a common one.
    type_name: Option<&'static str>,
    name: Option<String>,
    extended: bool,
    #[serde(flatten)]
    content: JsonContent,
}

#[derive(Debug, Default, Serialize)]
struct JsonContent {
    filesystem: Option<&'static str>,
    /// The word for people.
    #[serde(skip)]
    title: Option<&'static str>,
    label: Option<String>,
    uuid: Option<String>,
    journal_dirty: Option<bool>,
}

impl Division {
    /// Of a disk that cannot be read.
    pub(crate) fn unknown() -> Self {
        Self {
            partition_table: None,
            whole_disk: None,
            partitions: Vec::new(),
        }
    }

    /// Looks at a disk. What is wrong with its table is a warning here: the disk is as good as
    /// ever.
    pub(crate) fn of(disk: &dyn VirtualDisk) -> Self {
        match partition::read(disk) {
            Ok(layout) => Self::from(&layout, |_| true),
            Err(error) => {
                let kind = match error.detail() {
                    Some(PartitionError::Table { kind, .. }) => kind.name(),
                    _ => "none",
                };
                let table = JsonTable {
                    kind,
                    damaged: true,
                    sector_size: None,
                    warnings: vec![story(&error.into())],
                };
                Self {
                    partition_table: Some(table),
                    ..Self::unknown()
                }
            }
        }
    }

    /// Of a disk of which only some partitions are asked for.
    pub(crate) fn from(layout: &PartitionLayout, wanted: impl Fn(&Partition) -> bool) -> Self {
        let partitions = layout.partitions.iter().filter(|part| wanted(part));
        Self {
            partition_table: Some(JsonTable {
                kind: layout.table.map_or("none", |table| table.kind.name()),
                damaged: false,
                sector_size: layout.table.map(|table| table.sector_size),
                warnings: layout.warnings.iter().map(ToString::to_string).collect(),
            }),
            whole_disk: layout.whole.as_ref().map(JsonContent::of),
            partitions: partitions.map(JsonPartition::of).collect(),
        }
    }

    /// Lines of a name and what it stands for.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut say = |name: &str, text: String| lines.push((name.to_owned(), text));
        let Some(table) = &self.partition_table else {
            return lines;
        };
        say("partitions:", table.title());
        for part in &self.partitions {
            say(&format!("partition {}:", part.number), part.place());
            let inside = part.content.title();
            say(
                "",
                if part.extended {
                    "holds logical partitions".to_owned()
                } else {
                    inside
                },
            );
        }
        if let Some(whole) = &self.whole_disk {
            say("whole disk:", whole.title());
        }
        for warning in &table.warnings {
            say("warning:", warning.clone());
        }
        lines
    }
}

impl JsonTable {
    fn title(&self) -> String {
        let name = match self.kind {
            "none" if self.damaged => return "not known".to_owned(),
            "none" => return "no partition table".to_owned(),
            name => name.to_uppercase(),
        };
        match self.sector_size {
            _ if self.damaged => format!("{name}, damaged"),
            Some(size) => format!("{name}, sectors of {size} bytes"),
            None => name,
        }
    }
}

impl JsonPartition {
    fn of(partition: &Partition) -> Self {
        let name = partition.name.clone();
        Self {
            number: partition.number,
            start: partition.start,
            size: partition.len,
            kind: partition.kind.to_string(),
            type_name: partition.kind.title(),
            name: (!name.is_empty()).then_some(name),
            extended: partition.is_extended,
            content: partition
                .content
                .as_ref()
                .map_or_else(JsonContent::default, JsonContent::of),
        }
    }

    fn place(&self) -> String {
        let mut text = format!("{} at {}", human(self.size), short(self.start));
        text += &format!(", type {}", self.type_name.unwrap_or(&self.kind));
        if let Some(name) = &self.name {
            text += &format!(", name {name:?}");
        }
        text
    }
}

impl JsonContent {
    fn of(content: &Content) -> Self {
        Self {
            filesystem: Some(content.kind.name()),
            title: Some(content.kind.title()),
            label: content.label.clone(),
            uuid: content.uuid.clone(),
            journal_dirty: content.journal_dirty,
        }
    }

    fn title(&self) -> String {
        let Some(filesystem) = self.filesystem else {
            return "unknown content".to_owned();
        };
        let mut text = self.title.unwrap_or(filesystem).to_owned();
        if let Some(label) = &self.label {
            text += &format!(", label {label:?}");
        }
        if let Some(uuid) = &self.uuid {
            text += &format!(", uuid {uuid}");
        }
        if self.journal_dirty == Some(true) {
            text += match filesystem {
                "ext2" | "hfsplus" => ", not unmounted cleanly",
                _ => ", journal dirty: mount a writable copy once to replay it",
            };
        }
        text
    }
}
