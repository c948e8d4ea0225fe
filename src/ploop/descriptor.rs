//! `DiskDescriptor.xml`, read into a plain description. Opens nothing.
//!
//! The element names are those of libploop and the Parallels products; what is not used for
//! reading (geometry, identifiers, sizes that the images know better) is passed over.

mod text;

use std::fmt;
use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};
use uuid::Uuid;

use super::header::SECTOR;
use crate::error::{Detail, ErrorKind};

pub(crate) use self::text::decode;

/// Names an image of a disk, and the snapshot whose last layer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(Uuid);

impl Guid {
    /// "No parent".
    pub const NULL: Self = Self(Uuid::nil());
    /// The top of every chain written since 2012, unless `TopGUID` says otherwise.
    pub const CONSTANT_TOP: Self = Self(Uuid::from_u128(0x5fba_abe3_6958_40ff_92a7_860e_329a_ab41));
}

impl FromStr for Guid {
    type Err = DescriptorError;

    /// Takes 36 characters with hyphens, with or without braces, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text
            .strip_prefix('{')
            .map_or(Some(text), |rest| rest.strip_suffix('}'));
        inner
            .filter(|inner| inner.len() == 36) // no other spelling that the crate knows
            .and_then(|inner| Uuid::try_parse(inner).ok())
            .map(Self)
            .ok_or_else(|| DescriptorError::Guid(text.to_owned()))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.braced())
    }
}

/// What a descriptor calls an image (its `Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `Compressed`: a ploop image. Nothing in it is compressed.
    Compressed,
    /// `Plain`: a raw disk.
    Plain,
    /// Nothing.
    Missing,
}

/// An image as the descriptor names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEntry {
    /// The image's name.
    pub guid: Guid,
    /// What the descriptor calls it. Only the base of a disk is raw, whatever the others are
    /// called.
    pub label: Label,
    /// The file, as written: someone else's text until it went through the gate.
    pub file: String,
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
    /// The size it states, in bytes. The last layer knows better.
    pub disk_size: Option<u64>,
    /// Where it states that the disk ends, in bytes. The last layer knows better here too.
    pub end: Option<u64>,
    /// The cluster size it states, in bytes. The images know better.
    pub block_size: Option<u64>,
    /// The images, in no useful order.
    pub images: Vec<ImageEntry>,
    /// The snapshots, in no useful order.
    pub shots: Vec<Shot>,
    /// The top, where the descriptor names it.
    pub top: Option<Guid>,
}

/// Why a descriptor cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// More bytes than any descriptor has.
    #[error("{0} bytes are too many for a descriptor")]
    TooLarge(u64),
    /// Not text.
    #[error("it is text neither in UTF-8 nor in UTF-16")]
    NotText,
    /// More attributes or namespaces than any descriptor has.
    #[error("it has too many attributes for a descriptor")]
    Attributes,
    /// Not well-formed, or with a document type definition, which no writer uses.
    #[error("it is not usable XML: {0}")]
    Xml(String),
    /// XML of another kind.
    #[error("it is XML, but not a disk descriptor: its root element is <{0}>")]
    NotADescriptor(String),
    /// An element is missing.
    #[error("<{element}> is missing in <{parent}>")]
    Missing {
        /// The element that should be there.
        element: &'static str,
        /// Where it should be.
        parent: String,
    },
    /// An element stands twice where only one makes sense.
    #[error("<{element}> stands more than once in <{parent}>")]
    Twice {
        /// The element.
        element: &'static str,
        /// Where it stands.
        parent: String,
    },
    /// Text that should be a number is not.
    #[error("<{element}> is {text:?}, not a number")]
    Number {
        /// The element.
        element: &'static str,
        /// Its text.
        text: String,
    },
    /// Text that should be a GUID is not.
    #[error("{0:?} is not a GUID")]
    Guid(String),
    /// An image type that is neither `Compressed` nor `Plain`.
    #[error("image type {0:?} is neither Compressed nor Plain")]
    ImageType(String),
    /// Two images have the same GUID.
    #[error("two images are called {0}")]
    DuplicateImage(Guid),
    /// The parent of a snapshot is left empty, and the snapshot is not the only one without.
    #[error("snapshot {0} has no parent, and nothing says whether it is the base")]
    ParentUnstated(Guid),
    /// Two snapshots have the same GUID.
    #[error("two snapshots are called {0}")]
    DuplicateShot(Guid),
    /// The disk is split over several storages.
    #[error("the disk is split into {0} parts, which this program does not read")]
    Split(usize),
    /// The only storage is not the first part of the disk.
    #[error("the disk's only part starts at {0:#x}, so what comes before it is missing")]
    NotTheStart(u64),
    /// The chain continues in the descriptor of another volume.
    #[error("the disk continues in another volume ({0:?}), which this program does not read")]
    ParentVolume(String),
    /// A padding that no public writer uses, and whose meaning is unknown.
    #[error("padding {0} is not known, so the place of its data is not known either")]
    Padding(u64),
    /// The data inside the clusters is encrypted by a Parallels product.
    #[error("the disk is encrypted with engine {0}")]
    Encrypted(String),
}

impl Detail for DescriptorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADescriptor(_) => ErrorKind::NotThisFormat,
            Self::Split(_) | Self::ParentVolume(_) | Self::Padding(_) | Self::Encrypted(_) => {
                ErrorKind::Unsupported
            }
            Self::TooLarge(_)
            | Self::NotText
            | Self::Attributes
            | Self::Xml(_)
            | Self::Missing { .. }
            | Self::Twice { .. }
            | Self::Number { .. }
            | Self::Guid(_)
            | Self::ImageType(_)
            | Self::DuplicateImage(_)
            | Self::ParentUnstated(_)
            | Self::DuplicateShot(_)
            | Self::NotTheStart(_) => ErrorKind::Corrupt,
        }
    }

    fn code(&self) -> &'static str {
        "descriptor"
    }
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
        self.disk_size.max(self.end)
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
        let storages: Vec<_> = children(data, "Storage").collect();
        let [storage] = storages[..] else {
            return Err(match storages.len() {
                0 => missing("Storage", data),
                parts => DescriptorError::Split(parts),
            });
        };
        if let Some(start @ 1..) = size(Some(storage), "Start")? {
            return Err(DescriptorError::NotTheStart(start));
        }
        let images = children(storage, "Image")
            .map(image)
            .collect::<Result<Vec<_>>>()?;
        if images.is_empty() {
            return Err(missing("Image", storage));
        }
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
            end: size(Some(storage), "End")?,
            block_size: size(Some(storage), "Blocksize")?,
            images,
            shots,
            top: top
                .filter(|text| !text.is_empty())
                .map(|text| text.parse())
                .transpose()?,
        };
        if let Some(guid) = ambiguous_root(snapshots, &this.shots)? {
            return Err(DescriptorError::ParentUnstated(guid));
        }
        if let Some(guid) = first_repeated(this.images.iter().map(|image| image.guid)) {
            return Err(DescriptorError::DuplicateImage(guid));
        }
        if let Some(guid) = first_repeated(this.shots.iter().map(|shot| shot.guid)) {
            return Err(DescriptorError::DuplicateShot(guid));
        }
        Ok(this)
    }
}

/// Why none of the images may be read by itself either, as far as a descriptor tells that may be
/// damaged: they hold only parts of the disk, or not its bytes.
pub(super) fn refuses_images(bytes: &[u8]) -> Option<DescriptorError> {
    use DescriptorError::{Encrypted, NotTheStart, Padding, Split};
    let damage = match Descriptor::parse(bytes) {
        Ok(_) => return None,
        Err(error @ (Split(_) | NotTheStart(_) | Padding(_) | Encrypted(_))) => return Some(error),
        Err(error) => error.kind() == ErrorKind::Corrupt,
    };
    let text = decode(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes));
    let texts = |element: &str| -> Vec<String> {
        let open = format!("<{element}>");
        let rests = text.split(&open).skip(1);
        let until_tag = |rest: &str| rest.split('<').next().unwrap_or_default().trim().to_owned();
        rests.map(until_tag).collect()
    };
    let engine = texts("Engine").into_iter().find(|text| is_engine(text));
    let padding = texts("Padding").iter().find_map(|text| text.parse().ok());
    let parts = texts("Storage").len();
    match (engine, padding) {
        _ if !damage => None,
        (Some(engine), _) => Some(Encrypted(engine)),
        (None, Some(padding @ 1..)) => Some(Padding(padding)),
        _ => (parts > 1).then_some(Split(parts)),
    }
}

/// Whether the text of an `Engine` names one that encrypts.
fn is_engine(text: &str) -> bool {
    !text.is_empty() && text.parse::<Guid>().ok() != Some(Guid::NULL)
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

fn image(node: Node<'_, '_>) -> Result<ImageEntry> {
    let file = text_of(required(node, "File")?);
    if file.is_empty() {
        return Err(missing("File", node));
    }
    let kind = child(node, "Type")?.map(text_of).unwrap_or_default();
    let label = match kind.as_str() {
        "Compressed" => Label::Compressed,
        "Plain" => Label::Plain,
        "" => Label::Missing,
        _ => return Err(DescriptorError::ImageType(kind)),
    };
    Ok(ImageEntry {
        guid: text_of(required(node, "GUID")?).parse()?,
        label,
        file,
    })
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

/// A size that the descriptor states in sectors, in bytes.
fn size(parent: Option<Node<'_, '_>>, element: &'static str) -> Result<Option<u64>> {
    let Some(node) = parent
        .map(|parent| child(parent, element))
        .transpose()?
        .flatten()
    else {
        return Ok(None);
    };
    let sectors = number(element, &text_of(node))?;
    Ok(Some(sectors.saturating_mul(SECTOR)))
}

/// A number as writers write it: decimal. libploop also reads `0x`, and a leading zero as octal,
/// which no writer means.
fn number(element: &'static str, text: &str) -> Result<u64> {
    let digits = |text: &str, radix| {
        (!text.starts_with('+'))
            .then(|| u64::from_str_radix(text, radix).ok())
            .flatten()
    };
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => None,
        None => digits(text, 10),
    };
    value.ok_or_else(|| DescriptorError::Number {
        element,
        text: text.to_owned(),
    })
}

fn children<'a, 'i>(
    node: Node<'a, 'i>,
    element: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.is_element() && child.tag_name().name() == element)
}

fn child<'a, 'i>(node: Node<'a, 'i>, element: &'static str) -> Result<Option<Node<'a, 'i>>> {
    let mut found = children(node, element);
    let first = found.next();
    if found.next().is_some() {
        return Err(DescriptorError::Twice {
            element,
            parent: name(node),
        });
    }
    Ok(first)
}

fn required<'a, 'i>(node: Node<'a, 'i>, element: &'static str) -> Result<Node<'a, 'i>> {
    child(node, element)?.ok_or_else(|| missing(element, node))
}

fn missing(element: &'static str, parent: Node<'_, '_>) -> DescriptorError {
    DescriptorError::Missing {
        element,
        parent: name(parent),
    }
}

/// The text of an element, without the white space around it. A comment inside does not cut it.
fn text_of(node: Node<'_, '_>) -> String {
    let pieces = node
        .children()
        .filter_map(|child| child.text().filter(|_| child.is_text()));
    pieces.collect::<String>().trim().to_owned()
}

fn name(node: Node<'_, '_>) -> String {
    node.tag_name().name().to_owned()
}

fn first_repeated(guids: impl Iterator<Item = Guid>) -> Option<Guid> {
    let mut seen = std::collections::HashSet::new();
    let mut guids = guids;
    guids.find(|guid| !seen.insert(*guid))
}

#[cfg(test)]
mod tests;
