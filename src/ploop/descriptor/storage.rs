//! The parts of a disk: most have one, and Parallels Desktop's split disks several, one after the
//! other, each with a chain of its own.

use roxmltree::Node;

use super::error::DescriptorError;
use super::guid::Guid;
use super::xml::{child, children, missing, required, size, text_of};

type Result<T, E = DescriptorError> = std::result::Result<T, E>;

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

/// A part of a disk, and the images that it is stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Where it begins, in bytes of the disk.
    pub start: u64,
    /// Where it states that it ends, in bytes of the disk; always there where the disk has several
    /// parts. The images know better where it has one.
    pub end: Option<u64>,
    /// The cluster size it states, in bytes. The images know better.
    pub block_size: Option<u64>,
    /// The images, in no useful order; never empty.
    pub images: Vec<ImageEntry>,
}

/// All parts of a disk, in its order.
pub(super) fn all(data: Node<'_, '_>) -> Result<Vec<Storage>> {
    let nodes: Vec<_> = children(data, "Storage").collect();
    let is_split = match nodes[..] {
        [] => return Err(missing("Storage", data)),
        [_] => false,
        _ => true,
    };
    let parsed = nodes.into_iter().map(|node| storage(node, is_split));
    let mut storages = parsed.collect::<Result<Vec<_>>>()?;
    if is_split {
        storages.sort_by_key(|storage| storage.start);
        check_ranges(&storages)?;
    }
    Ok(storages)
}

fn storage(node: Node<'_, '_>, is_split: bool) -> Result<Storage> {
    let (start, end) = (size(Some(node), "Start")?, size(Some(node), "End")?);
    if is_split {
        for (place, element) in [(start, "Start"), (end, "End")] {
            place.ok_or_else(|| missing(element, node))?;
        }
    } else if let Some(start @ 1..) = start {
        return Err(DescriptorError::NotTheStart(start));
    }
    let images = children(node, "Image")
        .map(image)
        .collect::<Result<Vec<_>>>()?;
    if images.is_empty() {
        return Err(missing("Image", node));
    }
    Ok(Storage {
        start: start.unwrap_or(0),
        end,
        block_size: size(Some(node), "Blocksize")?,
        images,
    })
}

/// Refuses parts that do not lie one after the other from the start of the disk.
fn check_ranges(storages: &[Storage]) -> Result<()> {
    let mut at = 0;
    for storage in storages {
        let (start, end) = (storage.start, storage.end.unwrap_or(0));
        // Offsets of files are signed.
        if end <= start || i64::try_from(end).is_err() {
            return Err(DescriptorError::PartRange { start, end });
        }
        if start > at {
            return Err(DescriptorError::PartGap {
                start: at,
                end: start,
            });
        }
        if start < at {
            return Err(DescriptorError::PartOverlap {
                start,
                end: at.min(end),
            });
        }
        at = end;
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
