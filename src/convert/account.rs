//! What reading over damage cost: how much, of which partitions, and which files.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use super::input::Input;
use crate::disk::{Loss, Slice, VirtualDisk};
use crate::error::Result;
use crate::ext4::{self, Affected, AffectedFile, FileKind};
use crate::partition::{self, Content, FileSystem};
use crate::util::size::{human, short};

/// How much is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes that read as zeros.
    pub zeros: u64,
    /// Bytes that are read as they are stored, and may be wrong.
    pub doubtful: u64,
    /// Runs of either.
    pub ranges: u64,
}

impl Tally {
    /// Counts losses.
    ///
    /// # Errors
    ///
    /// What the disk says while they are found.
    pub fn of(losses: impl Iterator<Item = Result<Loss>>) -> Result<Self> {
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
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ranges == 0
    }

    /// The amounts in words.
    #[must_use]
    pub fn text(&self) -> String {
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

/// What a conversion lost.
#[derive(Debug, Clone)]
pub struct Account {
    /// How much of the disk.
    pub lost: Tally,
    /// The mapfile, where one was written.
    pub list: Option<PathBuf>,
    /// What each partition lost that lost something.
    pub parts: Vec<PartAccount>,
    /// What each part of a split disk lost that lost something.
    pub images: Vec<ImageAccount>,
}

/// What the images of one part of a split disk lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAccount {
    /// The part, 0 for the first.
    pub part: usize,
    /// Where it lies in what is read, in bytes.
    pub range: Range<u64>,
    /// How much of it.
    pub lost: Tally,
}

impl ImageAccount {
    fn of(input: &Input) -> Result<Vec<Self>> {
        let mut images = Vec::new();
        for (part, range) in input.parts() {
            let lost = Tally::of(input.disk().losses_in(range.clone()))?;
            if !lost.is_nothing() {
                images.push(Self {
                    part: *part,
                    range: range.clone(),
                    lost,
                });
            }
        }
        Ok(images)
    }

    fn line(&self) -> String {
        let Range { start, end } = self.range;
        format!(
            "part {} of the split disk (from {start:#x} to {end:#x}): {}",
            self.part,
            self.lost.text()
        )
    }
}

/// What one partition, or a disk without a table, lost.
#[derive(Debug, Clone)]
pub struct PartAccount {
    /// `None` for a disk without a table, and for what lies in no partition.
    pub number: Option<u32>,
    /// How much of it.
    pub lost: Tally,
    /// What it holds, where that is known.
    pub filesystem: Option<&'static str>,
    /// The files, where they could be looked up.
    pub affected: Option<Affected>,
    /// What a reader of the list has to know.
    pub notes: Vec<&'static str>,
}

/// The most ranges for which files are looked up (some 40 MiB).
const MOST_RANGES: u64 = 1 << 20;

impl Account {
    /// Finds out what a disk, or the partition that it is, lost; of a disk that was not read yet,
    /// what its tables say.
    ///
    /// # Errors
    ///
    /// What the disk says when it is read.
    pub fn of(input: &Input) -> Result<Self> {
        let disk = input.disk();
        let lost = Tally::of(input.losses())?;
        let mut account = Self {
            lost,
            list: None,
            parts: Vec::new(),
            images: Vec::new(),
        };
        if lost.is_nothing() {
            return Ok(account);
        }
        account.images = ImageAccount::of(input)?;
        let layout = match input.partition() {
            Some(_) => None,
            // A table that is lost or cannot be believed names no partitions.
            None => partition::read(disk).ok(),
        };
        let Some(layout) = layout.filter(|layout| layout.table.is_some()) else {
            let part = PartAccount::of(disk, input.partition(), None, lost)?;
            account.parts.push(part);
            return Ok(account);
        };
        let mut outside = lost;
        for partition in layout.partitions.iter().filter(|part| !part.is_extended) {
            let slice = Slice::new(disk, partition.start, partition.len)?;
            let lost = Tally::of(slice.losses_in(0..slice.size()))?;
            if lost.is_nothing() {
                continue;
            }
            outside.zeros = outside.zeros.saturating_sub(lost.zeros);
            outside.doubtful = outside.doubtful.saturating_sub(lost.doubtful);
            let content = partition.content.as_ref();
            let part = PartAccount::of(&slice, Some(partition.number), content, lost)?;
            account.parts.push(part);
        }
        if outside.zeros.saturating_add(outside.doubtful) > 0 {
            account.parts.push(PartAccount::new(None, None, outside));
        }
        Ok(account)
    }

    /// Whether everything is what it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.lost.is_nothing()
    }

    /// The account in lines; of each partition at most `most` files.
    #[must_use]
    pub fn lines(&self, most: usize) -> Vec<String> {
        if self.is_nothing() {
            return vec!["nothing is lost".to_owned()];
        }
        let ranges = match self.lost.ranges {
            1 => "1 range".to_owned(),
            many => format!("{many} ranges"),
        };
        let mut lines = vec![format!("{}, in {ranges}", self.lost.text())];
        lines.extend(self.images.iter().map(ImageAccount::line));
        for part in &self.parts {
            part.say(most, &mut lines);
        }
        lines
    }
}

impl PartAccount {
    fn new(number: Option<u32>, filesystem: Option<&'static str>, lost: Tally) -> Self {
        Self {
            number,
            lost,
            filesystem,
            affected: None,
            notes: Vec::new(),
        }
    }

    /// Looks up the files where the file system is one of the ext family, or is not known any more.
    fn of(
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
        let mut part = Self::new(number, content.map(FileSystem::name), lost);
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
        let losses: Vec<Loss> = disk.losses_in(0..disk.size()).collect::<Result<_>>()?;
        if let Some(affected) = ext4::affected(disk, &losses)? {
            part.filesystem.get_or_insert("ext4");
            part.note(&affected);
            part.affected = Some(affected);
        }
        Ok(part)
    }

    fn note(&mut self, affected: &Affected) {
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
        let what = match (self.number, self.filesystem) {
            (Some(number), Some(name)) => format!("partition {number} ({name})"),
            (Some(number), None) => format!("partition {number}"),
            (None, Some(name)) => format!("the disk ({name})"),
            (None, None) => "outside known partitions".to_owned(),
        };
        lines.push(format!("{what}: {}", self.lost.text()));
        if let Some(affected) = &self.affected {
            for metadata in &affected.metadata {
                let inodes = match metadata.inodes {
                    0 => String::new(),
                    inodes => format!(", {inodes} inodes"),
                };
                let lost = short(metadata.bytes);
                lines.push(format!(
                    "  {}: {lost} of it lost{inodes}",
                    metadata.kind.name()
                ));
            }
            let shown = affected.files.iter().take(most);
            lines.extend(shown.map(|file| format!("  {}", line_of(file))));
            let hidden = affected.files.len().saturating_sub(most) as u64;
            let left = hidden.saturating_add(affected.more_files);
            if left > 0 {
                lines.push(format!("  and {left} more files"));
            }
        }
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
    }
}

fn line_of(file: &AffectedFile) -> String {
    let mut line = match (&file.path, file.kind) {
        (Some(path), _) => path.clone(),
        (None, FileKind::Journal) => "the journal".to_owned(),
        (None, FileKind::System) => format!("the file system's own inode {}", file.inode),
        (None, _) => format!("inode {} (no name found)", file.inode),
    };
    if file.kind == FileKind::InodeLost {
        line += ": its inode is lost, and all of it with that";
        return line;
    }
    if file.kind == FileKind::Directory {
        line += " (a directory: names may be missing)";
    }
    let bytes = |range: &Range<u64>| format!("{}-{}", range.start, range.end - 1);
    let ranges: Vec<_> = file.ranges.iter().map(bytes).collect();
    if !ranges.is_empty() {
        let _ = write!(line, ": bytes {} of {}", ranges.join(", "), file.size);
    }
    let told: u64 = file
        .ranges
        .iter()
        .map(|range| range.end - range.start)
        .sum();
    if told < file.bytes {
        let _ = write!(line, " and more, {} together", short(file.bytes));
    }
    if file.bytes == file.doubtful && file.bytes > 0 {
        line += ", doubtful";
    }
    if file.map_lost {
        line += "; part of the list of its blocks is lost";
    }
    line
}
