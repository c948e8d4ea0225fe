//! From what a user names to the file that has to be read: an image, or a descriptor.

mod area;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::image::has_signature;
use crate::error::{Error, Result};
use crate::foreign::{Foreign, by_name, recognise};
use crate::source::{FileSource, is_absence, is_there};

/// Where containers live on OpenVZ and Virtuozzo hosts, and on Debian's OpenVZ.
pub const DEFAULT_PRIVATE_DIRS: [&str; 2] = ["/vz/private", "/var/lib/vz/private"];

/// What a user's IMAGE stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// A file that describes a disk.
    Descriptor(PathBuf),
    /// A file that begins like a ploop image.
    Image {
        /// The file.
        path: PathBuf,
        /// The descriptor in the same folder, which may know that the image is not all there is.
        descriptor: Option<PathBuf>,
    },
}

pub(super) const DESCRIPTOR: &str = "DiskDescriptor.xml";
pub(super) const ROOT_DISK: &str = "root.hdd";

/// Where OpenVZ and Virtuozzo keep the configuration of their containers.
pub const DEFAULT_CONFIG_DIR: &str = "/etc/vz/conf";

/// Finds what `input` stands for: a file, a descriptor, the directory of a disk or of a
/// container, or (where no such path exists) a container's id below one of `private_dirs`.
///
/// What a file is, is decided by its first bytes and never by its name.
///
/// # Errors
///
/// [`Error::NotPloop`], [`Error::NoImage`] and [`Error::NoContainer`] where there is nothing to
/// read, [`Error::SeveralDisks`], [`Error::Containers`] and [`Error::Simfs`] where a directory
/// holds something else than one disk, [`Error::NotAFile`] and [`Error::Io`] where it cannot be
/// opened, [`Error::Outside`] where a container's disk is a link that leads out of its directory
/// and that is not allowed.
pub fn locate(input: &Path, private_dirs: &[PathBuf], allow_outside: bool) -> Result<Located> {
    match directory(input, private_dirs)? {
        Some(dir) => in_directory(&dir, allow_outside),
        None => file(input),
    }
}

/// The directory that `input` stands for: itself, or the private area of the container with this
/// id; `None` for a file.
fn directory(input: &Path, private_dirs: &[PathBuf]) -> Result<Option<PathBuf>> {
    match std::fs::metadata(input) {
        Ok(meta) => Ok(meta.is_dir().then(|| input.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound && is_container_id(input) => {
            container(input, private_dirs).map(Some)
        }
        Err(error) => Err(Error::io("opening", input, error)),
    }
}

/// Digits, or a UUID in either spelling.
pub(super) fn is_container_id(input: &Path) -> bool {
    let text = input.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.parse::<super::Guid>().is_ok()
}

/// The private area of a container.
fn container(id: &Path, private_dirs: &[PathBuf]) -> Result<PathBuf> {
    let bare = id.to_string_lossy();
    let bare = bare.trim_start_matches('{').trim_end_matches('}');
    for dir in private_dirs {
        let area = dir.join(bare);
        if is_directory(&area)? {
            return Ok(area);
        }
    }
    Err(Error::NoContainer {
        id: id.to_string_lossy().into_owned(),
        searched: private_dirs.to_vec(),
    })
}

/// A disk's directory, or a container's directory that holds one.
fn in_directory(dir: &Path, allow_outside: bool) -> Result<Located> {
    if let Some(descriptor) = descriptor_in(dir)? {
        return Ok(Located::Descriptor(descriptor));
    }
    let Some(disk) = area::disk_in(dir)? else {
        return Err(area::what_else(dir).unwrap_or_else(|| no_image(dir)));
    };
    let resolve = |path: &Path| {
        let real = path.canonicalize();
        real.map_err(|error| Error::io("resolving", path, error))
    };
    let real = resolve(&disk)?;
    // An unpacked archive must not give out somebody else's disk.
    if !allow_outside && !real.starts_with(resolve(dir)?) {
        return Err(Error::Outside {
            named_by: disk,
            file: real,
        });
    }
    let is_dir = is_directory(&disk)?;
    match descriptor_in(&disk)? {
        Some(descriptor) => Ok(Located::Descriptor(descriptor)),
        None if is_dir => Err(without_descriptor(&disk)),
        None => Err(without_descriptor(dir)),
    }
}

/// The folder in which the layers of a disk are looked for that is named by hand: the directory
/// that was given, a container's disk in it, or the folder of the file that was given.
pub(super) fn disk_folder(input: &Path, private_dirs: &[PathBuf]) -> Result<PathBuf> {
    let Some(dir) = directory(input, private_dirs)? else {
        return Ok(match input.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        });
    };
    if descriptor_in(&dir)?.is_some() {
        return Ok(dir);
    }
    match area::disk_in(&dir) {
        Ok(Some(disk)) if is_directory(&disk)? => Ok(disk),
        Ok(_) | Err(Error::SeveralDisks { .. }) => Ok(dir),
        Err(error) => Err(error),
    }
}

/// The disks of a container besides the one that `input` stands for, where it stands for a
/// container: bundles in its private area, and those that its configuration names.
pub(super) fn other_disks(
    input: &Path,
    private_dirs: &[PathBuf],
    config_dir: &Path,
) -> Vec<PathBuf> {
    let Ok(Some(dir)) = directory(input, private_dirs) else {
        return Vec::new();
    };
    match descriptor_in(&dir) {
        Ok(None) => area::other_disks(&dir, config_dir),
        _ => Vec::new(),
    }
}

/// Whether a path leads to a directory.
pub(super) fn is_directory(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(meta.is_dir()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(Error::io("looking for", path, error)),
    }
}

/// Why a folder that should have a descriptor cannot be read.
fn without_descriptor(dir: &Path) -> Error {
    let root_disk = dir.join(ROOT_DISK);
    // Virtuozzo 9 keeps qcow2 under this name. If it is a ploop image, nothing tells whether it
    // is all there is.
    match file(&root_disk) {
        Err(error @ Error::NotPloop { .. }) => error,
        _ => no_image(dir),
    }
}

pub(super) fn descriptor_in(dir: &Path) -> Result<Option<PathBuf>> {
    let descriptor = dir.join(DESCRIPTOR);
    Ok(is_there(&descriptor)?.then_some(descriptor))
}

fn no_image(dir: &Path) -> Error {
    Error::NoImage {
        path: dir.to_owned(),
        images: images_in(dir),
    }
}

fn file(path: &Path) -> Result<Located> {
    let source = FileSource::open(path)?;
    if has_signature(&source)? {
        return Ok(Located::Image {
            path: path.to_owned(),
            descriptor: descriptor_beside(path)?,
        });
    }
    match recognise(&source) {
        // Which kind of XML is for the parser to say. Whoever names a link means what it links to.
        Foreign::Xml => {
            let real = path.canonicalize();
            real.map(Located::Descriptor)
                .map_err(|error| Error::io("resolving", path, error))
        }
        found => Err(Error::NotPloop {
            path: path.to_owned(),
            found: match found {
                Foreign::Unknown => by_name(path),
                found => found,
            },
        }),
    }
}

/// The descriptor in the folder of the file itself, or of the link that was given.
pub(super) fn descriptor_beside(path: &Path) -> Result<Option<PathBuf>> {
    let real = path.canonicalize();
    let real = real.map_err(|error| Error::io("resolving", path, error))?;
    for file in [real.as_path(), path] {
        if let Some(folder) = file.parent()
            && let Some(descriptor) = descriptor_in(folder)?
        {
            return Ok(Some(descriptor));
        }
    }
    Ok(None)
}

/// The most entries of a folder that are looked at: a disk's folder has a few.
pub(super) const MAX_ENTRIES: usize = 4096;

/// The files in a folder that begin like a ploop image, sorted, and those that cannot be read.
///
/// Only names of the kind that ploop gives are looked at, so that no other file is opened. A saved
/// table (`FILE.idx`) begins like the image that it is of, and is none.
pub(super) fn images_in(dir: &Path) -> Vec<PathBuf> {
    let has_image_name = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.contains(".hd") && !name.ends_with(".idx")
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| has_image_name(&entry.file_name()))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        // What cannot be read is there all the same.
        .filter(|path| match FileSource::open(path) {
            Ok(source) => has_signature(&source).unwrap_or(true),
            Err(_) => true,
        })
        .collect();
    found.sort_unstable();
    found
}

/// The descriptors in a folder, with their copies and locks, and the saved tables of images.
pub(super) fn companions_in(dir: &Path) -> Vec<PathBuf> {
    let belongs = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with(DESCRIPTOR) || (name.contains(".hd") && name.ends_with(".idx"))
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| belongs(&entry.file_name()))
        .map(|entry| entry.path())
        .collect()
}
