//! What reading over damage cost, as people and as scripts read it.

use ploopconv::convert::{Account, ImageAccount, PartAccount, Tally};
use ploopconv::ext4::AffectedFile;
use serde::Serialize;

use super::output::write_message;
use super::report::path;

/// The most files of a partition that are named on stderr.
const SHOWN: usize = 20;

/// Says on stderr what of an image was compared as zeros.
pub(crate) fn warn_about(lost: &Tally, image: &str) {
    if !lost.is_nothing() {
        write_message(&format!("warning: {image}: {}", lost.text()));
    }
}

/// Says on stderr what is lost of a target.
pub(crate) fn complain_about(account: &Account, target: &str) {
    for line in account.lines(SHOWN) {
        write_message(&format!("{target}: {line}"));
    }
    if let Some(list) = &account.list {
        let list = list.display();
        write_message(&format!(
            "{target}: every range and file is listed in {list}"
        ));
    }
}

/// What a conversion lost, for its report.
#[derive(Debug, Serialize)]
pub(crate) struct JsonAccount {
    lost_bytes: u64,
    doubtful_bytes: u64,
    ranges: u64,
    /// The mapfile.
    list: Option<String>,
    partitions: Vec<Part>,
    /// Of a split disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
}

/// What one part of a split disk lost.
#[derive(Debug, Serialize)]
struct Image {
    part: usize,
    offset: u64,
    length: u64,
    lost_bytes: u64,
    doubtful_bytes: u64,
    ranges: u64,
}

impl Image {
    fn of(image: &ImageAccount) -> Self {
        Self {
            part: image.part,
            offset: image.range.start,
            length: image.range.end - image.range.start,
            lost_bytes: image.lost.zeros,
            doubtful_bytes: image.lost.doubtful,
            ranges: image.lost.ranges,
        }
    }
}

/// What one partition, or a disk without a table, lost.
#[derive(Debug, Serialize)]
struct Part {
    /// Null for a disk without a table, and for what lies in no partition.
    number: Option<u32>,
    lost_bytes: u64,
    doubtful_bytes: u64,
    filesystem: Option<&'static str>,
    files: Vec<File>,
    more_files: u64,
    metadata: Vec<Metadata>,
    /// What a reader of the list has to know.
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct File {
    inode: u32,
    path: Option<String>,
    kind: &'static str,
    size: u64,
    lost_bytes: u64,
    doubtful_bytes: u64,
    ranges: Vec<Bytes>,
    map_lost: bool,
}

#[derive(Debug, Serialize)]
struct Bytes {
    offset: u64,
    length: u64,
}

#[derive(Debug, Serialize)]
struct Metadata {
    kind: &'static str,
    lost_bytes: u64,
    inodes: u64,
}

impl JsonAccount {
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            lost_bytes: account.lost.zeros,
            doubtful_bytes: account.lost.doubtful,
            ranges: account.lost.ranges,
            list: account.list.as_deref().map(path),
            partitions: account.parts.iter().map(Part::of).collect(),
            images: account.images.iter().map(Image::of).collect(),
        }
    }
}

impl Part {
    fn of(part: &PartAccount) -> Self {
        let affected = part.affected.as_ref();
        let files = affected.iter().flat_map(|affected| &affected.files);
        let metadata = affected.iter().flat_map(|affected| &affected.metadata);
        Self {
            number: part.number,
            lost_bytes: part.lost.zeros,
            doubtful_bytes: part.lost.doubtful,
            filesystem: part.filesystem,
            files: files.map(File::of).collect(),
            more_files: affected.map_or(0, |affected| affected.more_files),
            metadata: metadata
                .map(|lost| Metadata {
                    kind: lost.kind.name(),
                    lost_bytes: lost.bytes,
                    inodes: lost.inodes,
                })
                .collect(),
            notes: part.notes.clone(),
        }
    }
}

impl File {
    fn of(file: &AffectedFile) -> Self {
        let ranges = file.ranges.iter().map(|range| Bytes {
            offset: range.start,
            length: range.end - range.start,
        });
        Self {
            inode: file.inode,
            path: file.path.clone(),
            kind: file.kind.name(),
            size: file.size,
            lost_bytes: file.bytes - file.doubtful,
            doubtful_bytes: file.doubtful,
            ranges: ranges.collect(),
            map_lost: file.map_lost,
        }
    }
}
