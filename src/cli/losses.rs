//! What reading over damage cost, as people and as scripts read it.

use std::fmt::Write as _;

use ploopconv::Result;
use ploopconv::disk::{Loss, Slice, VirtualDisk};
use ploopconv::ext4::{self, Affected, AffectedFile, FileKind};
use ploopconv::partition::{self, Content, FileSystem};
use serde::Serialize;

use super::open::Salvage;
use super::output::complain;
use super::size::{human, short};

/// How much is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes that read as zeros.
    pub(crate) zeros: u64,
    /// Bytes that are read as they are stored, and may be wrong.
    pub(crate) doubtful: u64,
    /// Runs of either.
    pub(crate) ranges: u64,
}

impl Tally {
    /// Counts losses.
    pub(crate) fn of(losses: impl Iterator<Item = Result<Loss>>) -> Result<Self> {
        let mut tally = Self::default();
        for loss in losses {
            tally.add(&loss?);
        }
        Ok(tally)
    }

    fn add(&mut self, loss: &Loss) {
        self.ranges += 1;
        if loss.kind.is_zeros() {
            self.zeros += loss.len;
        } else {
            self.doubtful += loss.len;
        }
    }

    /// Whether everything is what it was.
    pub(crate) fn is_nothing(&self) -> bool {
        self.ranges == 0
    }

    /// Says on stderr what of an image was compared as zeros.
    pub(crate) fn warn(&self, image: &str) {
        if !self.is_nothing() {
            complain(&format!("warning: {image}: {}", self.text()));
        }
    }

    /// The amounts in words.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.zeros > 0 {
            let _ = write!(text, "{} lost, read as zeros", human(self.zeros));
        }
        if self.doubtful > 0 {
            let and = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{and}{} doubtful", human(self.doubtful));
        }
        text
    }
}

/// What a conversion lost, for its report.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    lost_bytes: u64,
    doubtful_bytes: u64,
    ranges: u64,
    /// The mapfile.
    pub(crate) list: Option<String>,
    partitions: Vec<Part>,
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

/// The most files of a partition that are named on stderr.
const SHOWN: usize = 20;
/// The most ranges for which files are looked up (some 40 MiB).
const MOST_RANGES: u64 = 1 << 20;

impl Account {
    /// Finds out what a disk, or the partition `number` of one, lost.
    pub(crate) fn of(
        salvage: &Salvage,
        disk: &dyn VirtualDisk,
        number: Option<u32>,
    ) -> Result<Self> {
        let tally = Tally::of(salvage.losses())?;
        let mut account = Self {
            lost_bytes: tally.zeros,
            doubtful_bytes: tally.doubtful,
            ranges: tally.ranges,
            list: None,
            partitions: Vec::new(),
        };
        if tally.is_nothing() {
            return Ok(account);
        }
        let layout = match number {
            Some(_) => None,
            // A table that is lost or cannot be believed names no partitions.
            None => partition::read(disk).ok(),
        };
        let Some(layout) = layout.filter(|layout| layout.table.is_some()) else {
            let part = Part::of(salvage, disk, number, None, tally)?;
            account.partitions.push(part);
            return Ok(account);
        };
        let mut outside = tally;
        for partition in layout.partitions.iter().filter(|part| !part.is_extended) {
            let inside = salvage.part(partition.start, partition.len);
            let lost = Tally::of(inside.losses())?;
            if lost.is_nothing() {
                continue;
            }
            outside.zeros = outside.zeros.saturating_sub(lost.zeros);
            outside.doubtful = outside.doubtful.saturating_sub(lost.doubtful);
            let slice = Slice::new(disk, partition.start, partition.len)?;
            let content = partition.content.as_ref();
            let number = Some(partition.number);
            account
                .partitions
                .push(Part::of(&inside, &slice, number, content, lost)?);
        }
        if outside.zeros + outside.doubtful > 0 {
            account.partitions.push(Part::new(None, None, outside));
        }
        Ok(account)
    }

    /// Whether everything is what it was.
    pub(crate) fn is_nothing(&self) -> bool {
        self.ranges == 0
    }

    /// The account in lines; of each partition at most `most` files.
    pub(crate) fn lines(&self, most: usize) -> Vec<String> {
        let tally = Tally {
            zeros: self.lost_bytes,
            doubtful: self.doubtful_bytes,
            ranges: self.ranges,
        };
        if tally.is_nothing() {
            return vec!["nothing is lost".to_owned()];
        }
        let ranges = match self.ranges {
            1 => "1 range".to_owned(),
            many => format!("{many} ranges"),
        };
        let mut lines = vec![format!("{}, in {ranges}", tally.text())];
        for part in &self.partitions {
            part.say(most, &mut lines);
        }
        lines
    }

    /// Says on stderr what is lost of a target.
    pub(crate) fn complain(&self, target: &str) {
        for line in self.lines(SHOWN) {
            complain(&format!("{target}: {line}"));
        }
        if let Some(list) = &self.list {
            complain(&format!(
                "{target}: every range and file is listed in {list}"
            ));
        }
    }
}

impl Part {
    fn new(number: Option<u32>, filesystem: Option<&'static str>, lost: Tally) -> Self {
        Self {
            number,
            lost_bytes: lost.zeros,
            doubtful_bytes: lost.doubtful,
            filesystem,
            files: Vec::new(),
            more_files: 0,
            metadata: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Looks up the files where the file system is one of the ext family, or is not known any more.
    fn of(
        salvage: &Salvage,
        disk: &dyn VirtualDisk,
        number: Option<u32>,
        content: Option<&Content>,
        lost: Tally,
    ) -> Result<Self> {
        let found;
        let content = match content {
            Some(content) => Some(content.kind),
            None => {
                found = partition::read(disk).ok().and_then(|layout| layout.whole);
                found.as_ref().map(|content| content.kind)
            }
        };
        let filesystem = content.map(FileSystem::name);
        let mut part = Self::new(number, filesystem, lost);
        let is_ext = matches!(
            content,
            None | Some(FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4)
        );
        if !is_ext {
            return Ok(part);
        }
        if lost.ranges > MOST_RANGES {
            part.notes
                .push("there are too many lost ranges to look up files");
            return Ok(part);
        }
        let losses: Vec<Loss> = salvage.losses().collect::<Result<_>>()?;
        if let Some(affected) = ext4::affected(disk, &losses)? {
            part.filesystem.get_or_insert("ext4");
            part.fill(affected);
        }
        Ok(part)
    }

    fn fill(&mut self, affected: Affected) {
        self.more_files = affected.more_files;
        self.files = affected.files.into_iter().map(File::of).collect();
        let metadata = affected.metadata.iter().map(|lost| Metadata {
            kind: lost.kind.name(),
            lost_bytes: lost.bytes,
            inodes: lost.inodes,
        });
        self.metadata = metadata.collect();
        if affected.journal_dirty {
            self.notes
                .push("the journal was not replayed, so the names are those before it");
        }
        if affected.gave_up {
            self.notes
                .push("the file system contradicts itself, and not all of it was looked at");
        }
    }

    fn say(&self, most: usize, lines: &mut Vec<String>) {
        let tally = Tally {
            zeros: self.lost_bytes,
            doubtful: self.doubtful_bytes,
            ranges: 1,
        };
        let what = match (self.number, self.filesystem) {
            (Some(number), Some(name)) => format!("partition {number} ({name})"),
            (Some(number), None) => format!("partition {number}"),
            (None, Some(name)) => format!("the disk ({name})"),
            (None, None) => "outside known partitions".to_owned(),
        };
        lines.push(format!("{what}: {}", tally.text()));
        for metadata in &self.metadata {
            let inodes = match metadata.inodes {
                0 => String::new(),
                inodes => format!(", {inodes} inodes"),
            };
            let lost = short(metadata.lost_bytes);
            lines.push(format!("  {}: {lost} of it lost{inodes}", metadata.kind));
        }
        let shown = self.files.iter().take(most);
        lines.extend(shown.map(|file| format!("  {}", file.line())));
        let left = self.files.len().saturating_sub(most) as u64 + self.more_files;
        if left > 0 {
            lines.push(format!("  and {left} more files"));
        }
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
    }
}

impl File {
    fn of(file: AffectedFile) -> Self {
        let ranges = file.ranges.into_iter().map(|range| Bytes {
            offset: range.start,
            length: range.end - range.start,
        });
        Self {
            inode: file.inode,
            path: file.path,
            kind: file.kind.name(),
            size: file.size,
            lost_bytes: file.bytes - file.doubtful,
            doubtful_bytes: file.doubtful,
            ranges: ranges.collect(),
            map_lost: file.map_lost,
        }
    }

    fn line(&self) -> String {
        let mut line = match (&self.path, self.kind) {
            (Some(path), _) => path.clone(),
            (None, "journal") => "the journal".to_owned(),
            (None, "system") => format!("the file system's own inode {}", self.inode),
            (None, _) => format!("inode {} (no name found)", self.inode),
        };
        if self.kind == FileKind::InodeLost.name() {
            line += ": its inode is lost, and all of it with that";
            return line;
        }
        if self.kind == FileKind::Directory.name() {
            line += " (a directory: names may be missing)";
        }
        let bytes = |range: &Bytes| format!("{}-{}", range.offset, range.offset + range.length - 1);
        let ranges: Vec<_> = self.ranges.iter().map(bytes).collect();
        if !ranges.is_empty() {
            let _ = write!(line, ": bytes {} of {}", ranges.join(", "), self.size);
        }
        let told: u64 = self.ranges.iter().map(|range| range.length).sum();
        let lost = self.lost_bytes + self.doubtful_bytes;
        if told < lost {
            let _ = write!(line, " and more, {} together", short(lost));
        }
        if self.lost_bytes == 0 && lost > 0 {
            line += ", doubtful";
        }
        if self.map_lost {
            line += "; part of the list of its blocks is lost";
        }
        line
    }
}
