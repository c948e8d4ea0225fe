//! From what a user names to the file that has to be read: an image, or a descriptor.

mod area;
mod bundle;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{OpenError, Wish};
use super::folders::{DESCRIPTOR, MAX_ENTRIES, ROOT_DISK, is_container_id, is_directory};
use super::gate::Reach;
use super::image::has_signature;
use crate::error::{Error, Result};
use crate::foreign::{Foreign, by_name, recognise};
use crate::source::{FileSource, is_there};
use crate::util::paths::folder_of;

pub use self::bundle::{BundleDisk, bundle_disks};
pub(super) use self::bundle::{findings_of as bundle_findings, is_bundle};

/// How a disk is looked for that is named by what holds it.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Where container ids are looked for.
    pub private_dirs: &'a [PathBuf],
    /// Which disk is meant where a directory holds several: its name or its number.
    pub disk: Option<&'a str>,
    /// How far links may lead.
    pub reach: Reach,
}

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

/// Where OpenVZ and Virtuozzo keep the configuration of their containers.
pub const DEFAULT_CONFIG_DIR: &str = "/etc/vz/conf";

/// Finds what `input` stands for: a file, a descriptor, the directory of a disk, of a container or
/// of a virtual machine, or (where no such path exists) a container's id.
///
/// What a file is, is decided by its first bytes and never by its name.
///
/// # Errors
///
/// [`OpenError::NotPloop`], [`OpenError::NoImage`] and [`OpenError::NoContainer`] where there is
/// nothing to read, [`OpenError::SeveralDisks`], [`OpenError::Containers`] and [`OpenError::Simfs`]
/// where a directory holds something else than one disk,
/// [`SourceError::NotAFile`](crate::source::SourceError::NotAFile) and
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be opened, [`OpenError::Outside`] where
/// a container's disk is a link that leads out of its directory and that is not allowed. Where a
/// disk is chosen by its name, [`OpenError::NoSuchDisk`], and [`OpenError::WrongInput`] for an
/// input that has no disks to choose from.
pub fn locate(input: &Path, search: &Search<'_>) -> Result<Located> {
    match directory(input, search.private_dirs)? {
        Some(dir) => in_directory(&dir, search),
        None => match (file(input)?, search.disk) {
            (_, Some(_)) => Err(no_disks(input)),
            (located, None) => Ok(located),
        },
    }
}

/// Why no disk can be chosen of what was given.
fn no_disks(input: &Path) -> Error {
    OpenError::WrongInput {
        wish: Wish::Disk,
        path: input.to_owned(),
    }
    .into()
}

/// The disk that a directory stands for which is none itself.
fn disk_of(dir: &Path, disk: Option<&str>) -> Result<Option<PathBuf>> {
    match disk {
        Some(name) => bundle::chosen(dir, name).map(Some),
        None => area::disk_in(dir),
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

/// The private area of a container.
fn container(id: &Path, private_dirs: &[PathBuf]) -> Result<PathBuf> {
    let bare = id.to_string_lossy();
    let bare = bare.trim_start_matches('{').trim_end_matches('}');
    // Tools write the letters of a UUID in either case.
    let spellings = [bare.to_owned(), bare.to_lowercase(), bare.to_uppercase()];
    for area in private_dirs
        .iter()
        .flat_map(|dir| spellings.iter().map(|name| dir.join(name)))
    {
        if is_directory(&area)? {
            return Ok(area);
        }
    }
    Err(OpenError::NoContainer {
        id: id.to_string_lossy().into_owned(),
        searched: private_dirs.to_vec(),
    }
    .into())
}

/// A disk's directory, or a container's directory that holds one.
fn in_directory(dir: &Path, search: &Search<'_>) -> Result<Located> {
    if let Some(descriptor) = descriptor_in(dir)? {
        return match search.disk {
            Some(_) => Err(no_disks(dir)),
            None => Ok(Located::Descriptor(descriptor)),
        };
    }
    let Some(disk) = disk_of(dir, search.disk)? else {
        return Err(area::what_else(dir).unwrap_or_else(|| no_image(dir)));
    };
    refuse_outside(&disk, dir, search.reach)?;
    let is_dir = is_directory(&disk)?;
    match descriptor_in(&disk)? {
        Some(descriptor) => Ok(Located::Descriptor(descriptor)),
        None if is_dir => Err(without_descriptor(&disk)),
        None => Err(without_descriptor(dir)),
    }
}

/// Refuses a disk that does not lie in the directory that it was found by: an unpacked archive must
/// not give out somebody else's.
fn refuse_outside(disk: &Path, dir: &Path, reach: Reach) -> Result<()> {
    let resolve = |path: &Path| {
        let real = path.canonicalize();
        real.map_err(|error| Error::io("resolving", path, error))
    };
    let real = resolve(disk)?;
    if reach == Reach::Folder && !real.starts_with(resolve(dir)?) {
        return Err(OpenError::Outside {
            named_by: disk.to_owned(),
            file: real,
        }
        .into());
    }
    Ok(())
}

/// The folder in which the layers of a disk are looked for that is named by hand: the directory
/// that was given, a container's disk in it, or the folder of the file that was given.
pub(super) fn disk_folder(input: &Path, search: &Search<'_>) -> Result<PathBuf> {
    let Some(dir) = directory(input, search.private_dirs)? else {
        return match search.disk {
            Some(_) => Err(no_disks(input)),
            None => Ok(folder_of(input).to_owned()),
        };
    };
    if descriptor_in(&dir)?.is_some() {
        return match search.disk {
            Some(_) => Err(no_disks(&dir)),
            None => Ok(dir),
        };
    }
    match disk_of(&dir, search.disk) {
        Ok(Some(disk)) if search.disk.is_some() => {
            refuse_outside(&disk, &dir, search.reach)?;
            Ok(disk)
        }
        Ok(Some(disk)) if is_directory(&disk)? => Ok(disk),
        Ok(_) => Ok(dir),
        Err(error) => match error.detail() {
            Some(OpenError::SeveralDisks { .. }) => Ok(dir),
            _ => Err(error),
        },
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

/// Why a folder that should have a descriptor cannot be read.
fn without_descriptor(dir: &Path) -> Error {
    let root_disk = dir.join(ROOT_DISK);
    // Virtuozzo 9 keeps qcow2 under this name. If it is a ploop image, nothing tells whether it
    // is all there is.
    match file(&root_disk) {
        Err(error) if is_of_another_format(&error) => error,
        _ => no_image(dir),
    }
}

fn is_of_another_format(error: &Error) -> bool {
    matches!(error.detail(), Some(OpenError::NotPloop { .. }))
}

/// The descriptor in a folder. Some programs and file systems change the case of names, so a name
/// in another case stands for it where no file has the usual one.
pub(super) fn descriptor_in(dir: &Path) -> Result<Option<PathBuf>> {
    let descriptor = dir.join(DESCRIPTOR);
    if is_there(&descriptor)? {
        return Ok(Some(descriptor));
    }
    let mut others = in_another_case(dir, DESCRIPTOR);
    match others.len() {
        0 | 1 => Ok(others.pop()),
        _ => Err(OpenError::SeveralDisks {
            path: dir.to_owned(),
            disks: others,
        }
        .into()),
    }
}

/// What Parallels products keep of the descriptor in a folder (`DiskDescriptor.xml.Backup`): an
/// earlier state of it, which is never used by itself.
#[must_use]
pub fn descriptor_backups(dir: &Path) -> Vec<PathBuf> {
    in_another_case(dir, &format!("{DESCRIPTOR}.Backup"))
}

/// The files of a folder whose names differ from `name` at most in the case of their letters,
/// sorted. A folder that cannot be listed has none: the usual name was asked for already.
fn in_another_case(dir: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut found: Vec<_> = entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| entry.file_name().eq_ignore_ascii_case(name))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    found.sort_unstable();
    found
}

fn no_image(dir: &Path) -> Error {
    OpenError::NoImage {
        path: dir.to_owned(),
        images: images_in(dir),
    }
    .into()
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
        // Which kind of XML is for the parser to say. A link means the file that it
        // leads to.
        Foreign::Xml => {
            let real = path.canonicalize();
            real.map(Located::Descriptor)
                .map_err(|error| Error::io("resolving", path, error))
        }
        found => Err(OpenError::NotPloop {
            path: path.to_owned(),
            found: match found {
                Foreign::Unknown => by_name(path),
                found => found,
            },
        }
        .into()),
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
        let is_descriptor = name
            .get(..DESCRIPTOR.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(DESCRIPTOR));
        is_descriptor || (name.contains(".hd") && name.ends_with(".idx"))
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| belongs(&entry.file_name()))
        .map(|entry| entry.path())
        .collect()
}
