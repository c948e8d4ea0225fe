//! One image file: header, BAT and source together.

use std::io;
use std::ops::Range;

use super::bat::{BadEntries, BadEntry, Bat, BatFindings, Cursor, IfUnreadable, Slot};
use super::check::{Finding, FindingKind as Kind};
use super::error::OpenError;
use super::header::{Header, HeaderError, State, Version};
use crate::error::{Error, Result};
use crate::foreign::recognise;
use crate::source::SourceError;
use crate::source::{FileSource, Source, is_bad_sector};

/// What is being done where a header cannot be read.
const READING: &str = "reading the header of";

/// One image file, opened for reading.
#[derive(Debug)]
pub struct Image {
    source: FileSource,
    header: Header,
    /// The bytes that [`Self::header`] was read from.
    header_bytes: Box<[u8; Header::SIZE]>,
    bat: Bat,
    allocated: u64,
    /// The file that header and BAT were read from, where it is another one.
    index: Option<Box<FileSource>>,
}

impl Image {
    /// Reads the header and the whole BAT of an image. What is wrong with BAT entries is among
    /// the findings, and the image answers [`Slot::Lost`] there.
    ///
    /// With [`IfUnreadable::Salvage`], entries that cannot be read are such a finding too, and
    /// [`Image::doubtful_in`] answers. `index` is the saved table of an image whose conversion
    /// between versions of the format was cut short: header and BAT are read from there.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotPloop`] where the file is something else, [`HeaderError`] where the header
    /// cannot be used, [`OpenError::SavedTable`] where the saved table does not fit,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where reading fails.
    pub fn open(
        source: FileSource,
        index: Option<FileSource>,
        if_unreadable: IfUnreadable,
    ) -> Result<(Self, Vec<Finding>)> {
        let path = source.path().to_owned();
        let len = source.len();
        let header_bytes = read_header(&source)?;
        let index = index.filter(|_| Header::is_being_converted(&header_bytes));
        let header = match &index {
            Some(index) => saved_header(&header_bytes, index, len)?,
            None => Header::parse(&header_bytes, len)
                .map_err(|why| Error::during(READING, why).of(&path))?,
        };
        let table = index.as_ref().unwrap_or(&source);
        let (bat, found) =
            Bat::read(table, &header, len, if_unreadable).map_err(|(offset, error)| {
                Error::io_at("reading the BAT of", table.path(), offset, error)
            })?;
        let mut findings = header_findings(&header, len);
        findings.extend(bat_findings(&header, &found, len));
        if let Some(index) = &index {
            let name = index.path().file_name().unwrap_or_default();
            let message = format!("header and BAT are read from {}", name.display());
            findings.push(Finding::new(Kind::IndexUsed, message));
        }
        for finding in &mut findings {
            finding.file = Some(path.clone());
        }
        let image = Self {
            source,
            header,
            header_bytes: Box::new(header_bytes),
            bat,
            allocated: found.allocated,
            index: index.map(Box::new),
        };
        Ok((image, findings))
    }

    /// The checked header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file.
    #[must_use]
    pub fn source(&self) -> &FileSource {
        &self.source
    }

    /// How many clusters are stored in the image.
    #[must_use]
    pub fn allocated_clusters(&self) -> u64 {
        self.allocated
    }

    /// Says where a run of the disk is stored in this image; see [`Bat::lookup`].
    #[must_use]
    pub fn lookup(&self, offset: u64, max: u64) -> Slot {
        self.bat.lookup(offset, max)
    }

    /// Looks up one run after the other; see [`Bat::cursor`].
    pub(super) fn cursor(&self) -> Cursor<'_> {
        self.bat.cursor()
    }

    /// The ranges of the disk that are stored and cannot be trusted; see [`Bat::doubtful_in`].
    #[must_use]
    pub fn doubtful_in(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.bat.doubtful_in(range)
    }

    /// The saved table that stands for the image's own, where it was asked for and needed.
    #[must_use]
    pub fn index(&self) -> Option<&FileSource> {
        self.index.as_deref()
    }

    /// Makes sure that the file is what it was when it was opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where its size, its times or its header
    /// differ.
    pub fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()?;
        if let Some(index) = &self.index {
            index.check_unchanged()?;
        }
        // A file system with coarse times can hide a write; a writer marks the header first.
        let mut now = [0; Header::SIZE];
        let path = self.source.path();
        read_start(&self.source, &mut now)
            .map_err(|error| Error::io_at(READING, path, 0, error))?;
        if now == *self.header_bytes {
            Ok(())
        } else {
            Err(SourceError::Changed {
                path: path.to_owned(),
            }
            .into())
        }
    }
}

/// The header of a file, where it is a ploop image with a usable one. Reads nothing else.
pub(crate) fn peek(source: &FileSource) -> Option<Header> {
    let bytes = read_header(source).ok()?;
    Header::parse(&bytes, source.len()).ok()
}

/// Whether a file begins like a ploop image.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
pub(crate) fn has_signature(source: &FileSource) -> Result<bool> {
    if source.len() < 16 {
        return Ok(false);
    }
    let mut bytes = [0; 16];
    read_start(source, &mut bytes)
        .map_err(|error| Error::io_at("reading", source.path(), 0, error))?;
    Ok(Version::from_signature(&bytes).is_some())
}

fn read_header(source: &FileSource) -> Result<[u8; Header::SIZE]> {
    let path = source.path();
    if !has_signature(source)? {
        return Err(OpenError::NotPloop {
            path: path.to_owned(),
            found: recognise(source),
        }
        .into());
    }
    let mut bytes = [0; Header::SIZE];
    if source.len() < Header::SIZE as u64 {
        let why = HeaderError::Truncated { len: source.len() };
        return Err(Error::during(READING, why).of(path));
    }
    read_start(source, &mut bytes).map_err(|error| Error::io_at(READING, path, 0, error))?;
    Ok(bytes)
}

/// Reads what lies in the first sector of a file, whatever became of the sectors after it.
fn read_start(source: &FileSource, buf: &mut [u8]) -> io::Result<()> {
    match source.read_exact_at(buf, 0) {
        Err(error) if is_bad_sector(&error) => source.read_sector(buf, 0),
        other => other,
    }
}

/// The header in the saved table of an image that was being converted, where the two belong
/// together.
///
/// libploop copies the first sectors of the image, up to where data starts, before it changes a
/// byte. The conversion changes neither the cluster size nor the disk's size.
fn saved_header(image: &[u8; Header::SIZE], index: &FileSource, file_len: u64) -> Result<Header> {
    let wrong = |source| {
        OpenError::SavedTable {
            path: index.path().to_owned(),
            source,
        }
        .into()
    };
    if index.len() < Header::SIZE as u64 {
        return Err(wrong(HeaderError::Truncated { len: index.len() }));
    }
    let mut bytes = [0; Header::SIZE];
    read_start(index, &mut bytes).map_err(|error| Error::io_at(READING, index.path(), 0, error))?;
    if !Header::describe_one_disk(image, &bytes) {
        return Err(wrong(HeaderError::OtherImage));
    }
    let header = Header::parse(&bytes, file_len).map_err(wrong)?;
    if index.len() < header.data_start() {
        return Err(wrong(HeaderError::TruncatedBat {
            len: index.len(),
            entries: header.bat_entries(),
            bat_end: header.data_start(),
        }));
    }
    Ok(header)
}

/// What a usable header gives to say.
fn header_findings(header: &Header, file_len: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |kind, message| findings.push(Finding::new(kind, message));
    let cluster = header.cluster_size();
    if !cluster.is_usual() {
        say(
            Kind::ClusterSizeUnusual,
            format!(
                "cluster size {} is one that ploop itself does not use",
                cluster.bytes()
            ),
        );
    }
    match header.state() {
        State::InUse => say(
            Kind::InUse,
            "marked in use: open somewhere, or not closed cleanly".to_owned(),
        ),
        State::Other(_) => say(
            Kind::UnknownState,
            format!("state word read as {}", header.state()),
        ),
        State::Closed | State::ClosedWithExtension => {}
    }
    if header.unknown_flags() != 0 {
        say(
            Kind::UnknownFlags,
            format!("unknown flag bits {:#x} are set", header.unknown_flags()),
        );
    }
    if header.high_size_word() != 0 {
        say(
            Kind::SizeHighWord,
            format!(
                "the unused upper half of the size is {:#x}, not zero",
                header.high_size_word()
            ),
        );
    }
    let whole_clusters = file_len
        .checked_sub(header.data_start())
        .is_some_and(|data| data.is_multiple_of(cluster.bytes()));
    if !whole_clusters {
        say(
            Kind::FileLength,
            format!("the file's {file_len} bytes do not end with a whole cluster"),
        );
    }
    findings
}

/// What the BAT gives to say.
fn bat_findings(header: &Header, found: &BatFindings, file_len: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut entries = |kind, bad: &BadEntries, tell: &dyn Fn(&BadEntry) -> String| {
        if let Some(first) = bad.first.first() {
            let mut message = tell(first);
            if bad.count > 1 {
                message += &format!(", and {} more like it", bad.count - 1);
            }
            findings.push(Finding::new(kind, message).times(bad.count));
        }
    };
    entries(Kind::EntryPastEnd, &found.past_end, &|bad| {
        format!(
            "BAT entry {} points to {:#x}, beyond the end of the file ({file_len:#x})",
            bad.index, bad.host_offset
        )
    });
    entries(Kind::ClusterTruncated, &found.truncated, &|bad| {
        format!(
            "cluster {} at {:#x} is cut off by the end of the file ({file_len:#x})",
            bad.index, bad.host_offset
        )
    });
    entries(Kind::EntryInTable, &found.in_table, &|bad| {
        format!(
            "BAT entry {} points to {:#x}, inside the header and BAT (data starts at {:#x})",
            bad.index,
            bad.host_offset,
            header.data_start()
        )
    });
    entries(Kind::EntryMisaligned, &found.misaligned, &|bad| {
        format!(
            "BAT entry {} points to {:#x}, into the middle of a cluster",
            bad.index, bad.host_offset
        )
    });
    entries(Kind::EntryDuplicate, &found.duplicate, &|bad| {
        let other = bad
            .other
            .map_or_else(String::new, |other| format!(" and {other}"));
        format!(
            "clusters {}{other} are both stored at {:#x}",
            bad.index, bad.host_offset
        )
    });
    entries(Kind::ReadError, &found.unreadable, &|bad| {
        format!(
            "BAT entry {} at {:#x} cannot be read",
            bad.index, bad.host_offset
        )
    });
    entries(Kind::LastClusterShort, &found.last_short, &|bad| {
        format!(
            "the last cluster, {}, is cut off by the end of the file, past the end of the disk",
            bad.index
        )
    });
    for (kind, count, place) in [
        (
            Kind::EntryBeyondDisk,
            found.beyond_disk,
            "past the end of the disk",
        ),
        (
            Kind::EntryBeyondTable,
            found.beyond_table,
            "past the end of the BAT",
        ),
    ] {
        if count > 0 {
            let message = format!("BAT entries {place} are in use and ignored: {count}");
            findings.push(Finding::new(kind, message).times(count));
        }
    }
    let stored = found
        .allocated
        .saturating_mul(header.cluster_size().bytes());
    let unreferenced = file_len
        .saturating_sub(header.data_start())
        .saturating_sub(stored);
    if unreferenced > 0 {
        let message = format!("{unreferenced} bytes of the file belong to no cluster");
        findings.push(Finding::new(Kind::Unreferenced, message).times(unreferenced));
    }
    findings
}
