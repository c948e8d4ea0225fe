//! `DiskDescriptor.xml`, read into a plain description. Opens nothing.
//!
//! The element names are those of libploop and the Parallels products; what is not used for
//! reading (geometry, identifiers, sizes that the images know better) is passed over.

mod error;
mod guid;
mod scan;
mod storage;
mod text;
mod xml;

use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};

pub use self::error::DescriptorError;
pub use self::guid::Guid;
use self::scan::is_engine;
pub(super) use self::scan::told;
pub use self::storage::{ImageEntry, Label, Storage};
pub(crate) use self::text::decode;
use self::xml::{child, children, name, number, required, size, text_of};
use super::header::SECTOR;

impl FromStr for Guid {
    type Err = DescriptorError;

    /// Takes 36 characters with hyphens, with or without braces, in any case.
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| DescriptorError::Guid(text.to_owned()))
    }
}

/// What a snapshot's mark says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temporary {
    /// An ordinary snapshot.
    #[default]
    No,
    /// Made for a backup, or by a merge that was cut short: may hold data of its child already.
    Temporary,
    /// A reverse merge was zeroing entries: wrong by itself.
    TemporaryZero,
    /// The same, after the files were swapped: wrong by itself.
    TemporaryZeroSwap,
}

impl Temporary {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Temporary => "temporary",
            Self::TemporaryZero => "temporary-zero",
            Self::TemporaryZeroSwap => "temporary-zero-swap",
        }
    }
}

/// A snapshot: a step in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// The image that is the last layer of the snapshot.
    pub guid: Guid,
    /// The snapshot it builds on; `None` for the base.
    pub parent: Option<Guid>,
    /// Whether it was meant to stay.
    pub temporary: Temporary,
}

/// What a descriptor says about the files of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The size it states, in bytes. The images know better.
    pub disk_size: Option<u64>,
    /// The parts of the disk, in its order and without gap or overlap; never empty. Most disks are
    /// of one part.
    pub storages: Vec<Storage>,
    /// The snapshots, in no useful order.
    pub shots: Vec<Shot>,
    /// The top, where the descriptor names it.
    pub top: Option<Guid>,
}

type Result<T, E = DescriptorError> = std::result::Result<T, E>;

/// Nodes of the document: room for thousands of images, not for a bomb.
const MAX_NODES: u32 = 100_000;
/// Every attribute and every namespace has one of these; descriptors have three or so, and names
/// of files hardly any.
const MAX_EQUALS_SIGNS: usize = 1024;

impl Descriptor {
    /// The most bytes a descriptor may have: thousands of times what any writer makes.
    pub const MAX_LEN: u64 = 4 << 20;

    /// The size of the disk that it states, in bytes; the larger one of two.
    #[must_use]
    pub fn stated_size(&self) -> Option<u64> {
        self.disk_size.max(self.end())
    }

    /// Where it states that the disk ends, in bytes. The images know better where there is only one
    /// part.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.storages.last().and_then(|storage| storage.end)
    }

    /// Whether the disk has several parts.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.storages.len() > 1
    }

    /// All images of all parts.
    pub fn images(&self) -> impl Iterator<Item = &ImageEntry> {
        self.storages.iter().flat_map(|storage| &storage.images)
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    ///
    /// The first condition of [`DescriptorError`] that holds.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = decode(bytes).ok_or(DescriptorError::NotText)?;
        // The parser compares attributes with each other, and names with all namespaces.
        if text.bytes().filter(|&byte| byte == b'=').count() > MAX_EQUALS_SIGNS {
            return Err(DescriptorError::Attributes);
        }
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(&text, options)
            .map_err(|error| DescriptorError::Xml(error.to_string()))?;
        let root = document.root_element();
        let Some(data) = child(root, "StorageData")? else {
            return Err(DescriptorError::NotADescriptor(name(root)));
        };
        let parameters = child(root, "Disk_Parameters")?;
        if let Some(parameters) = parameters {
            refuse_unreadable(parameters)?;
        }
        if let Some(volume) = child(data, "Volume")?
            && let Some(parent) = child(volume, "Parent")?
        {
            return Err(DescriptorError::ParentVolume(text_of(parent)));
        }
        let storages = storage::all(data)?;
        let snapshots = child(root, "Snapshots")?;
        let shots = match snapshots {
            Some(snapshots) => children(snapshots, "Shot")
                .map(shot)
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let top = match snapshots {
            Some(snapshots) => child(snapshots, "TopGUID")?.map(text_of),
            None => None,
        };
        let this = Self {
            disk_size: size(parameters, "Disk_size")?,
            storages,
            shots,
            top: top
                .filter(|text| !text.is_empty())
                .map(|text| text.parse())
                .transpose()?,
        };
        if let Some(guid) = ambiguous_root(snapshots, &this.shots)? {
            return Err(DescriptorError::ParentUnstated(guid));
        }
        for storage in &this.storages {
            if let Some(guid) = first_repeated(storage.images.iter().map(|image| image.guid)) {
                return Err(DescriptorError::DuplicateImage(guid));
            }
        }
        if let Some(guid) = first_repeated(this.shots.iter().map(|shot| shot.guid)) {
            return Err(DescriptorError::DuplicateShot(guid));
        }
        if this.is_split()
            && let (Some(disk_size), Some(end)) = (this.disk_size, this.end())
            && disk_size > end
        {
            return Err(DescriptorError::PartsEnd { disk_size, end });
        }
        Ok(this)
    }
}

/// Why none of the images may be read by itself either, as far as a descriptor tells that may be
/// damaged: they hold only parts of the disk, or not its bytes.
pub(super) fn refuses_images(bytes: &[u8]) -> Option<DescriptorError> {
    use DescriptorError::{Encrypted, NotTheStart, Padding, PartsEnd, Split};
    match Descriptor::parse(bytes) {
        Ok(descriptor) if descriptor.is_split() => {
            return Some(Split(descriptor.storages.len()));
        }
        Ok(_) => return None,
        Err(error @ (NotTheStart(_) | Padding(_) | Encrypted(_))) => return Some(error),
        // Whatever is wrong with it, another fault may hide behind that one.
        Err(_) => {}
    }
    let told = told(bytes);
    if let Some(engine) = told.engine {
        return Some(Encrypted(engine));
    }
    if let Some(padding) = told.padding {
        return Some(Padding(padding));
    }
    if told.parts > 1 {
        return Some(Split(told.parts));
    }
    let in_bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    if let Some(start) = told.start {
        return Some(NotTheStart(in_bytes(start)));
    }
    let (disk_size, end) = told.sizes?;
    (disk_size > end).then(|| PartsEnd {
        disk_size: in_bytes(disk_size),
        end: in_bytes(end),
    })
}

/// Refuses what would change the meaning of the data in a way that is not public.
fn refuse_unreadable(parameters: Node<'_, '_>) -> Result<()> {
    if let Some(padding) = child(parameters, "Padding")? {
        match number("Padding", &text_of(padding))? {
            0 => {}
            other => return Err(DescriptorError::Padding(other)),
        }
    }
    // libploop's KeyId names a LUKS key: the disk holds a LUKS volume, and its bytes are right.
    if let Some(encryption) = child(parameters, "Encryption")?
        && let Some(engine) = child(encryption, "Engine")?
    {
        let text = text_of(engine);
        if is_engine(&text) {
            return Err(DescriptorError::Encrypted(text));
        }
    }
    Ok(())
}

fn shot(node: Node<'_, '_>) -> Result<Shot> {
    let parent = text_of(required(node, "ParentGUID")?);
    let parent = match parent.as_str() {
        "" => Guid::NULL,
        text => text.parse()?,
    };
    let marked = |element| Ok::<_, DescriptorError>(child(node, element)?.is_some());
    let temporary = if marked("TemporaryZeroSwap")? {
        Temporary::TemporaryZeroSwap
    } else if marked("TemporaryZero")? {
        Temporary::TemporaryZero
    } else if marked("Temporary")? {
        Temporary::Temporary
    } else {
        Temporary::No
    };
    Ok(Shot {
        guid: text_of(required(node, "GUID")?).parse()?,
        parent: (parent != Guid::NULL).then_some(parent),
        temporary,
    })
}

/// A snapshot with an empty parent, where it is not certain that it is the base: there is another.
fn ambiguous_root(snapshots: Option<Node<'_, '_>>, shots: &[Shot]) -> Result<Option<Guid>> {
    let roots = shots.iter().filter(|shot| shot.parent.is_none());
    if roots.count() < 2 {
        return Ok(None);
    }
    let nodes = snapshots.into_iter().flat_map(|it| children(it, "Shot"));
    for (node, shot) in nodes.zip(shots) {
        if text_of(required(node, "ParentGUID")?).is_empty() {
            return Ok(Some(shot.guid));
        }
    }
    Ok(None)
}

fn first_repeated(guids: impl Iterator<Item = Guid>) -> Option<Guid> {
    let mut seen = std::collections::HashSet::new();
    let mut guids = guids;
    guids.find(|guid| !seen.insert(*guid))
}

#[cfg(test)]
mod tests;
