//! A disk of a container, as far as it matters for moving it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::convert::Input;
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::ext4;
use crate::guest::{System, identify};
use crate::partition::{self, FileSystem};
use crate::ploop::{Examined, IfInUse, OpenOptions, examine};
use crate::tree::Tree;

/// A disk that was found.
#[derive(Debug)]
pub struct FoundDisk {
    /// What a conversion is given to read it: the container's folder for its first disk, the disk's
    /// own folder for others.
    pub image: PathBuf,
    /// The folder of the disk, or its file where it has no folder of its own.
    pub disk: PathBuf,
    /// The files that it is stored in, whether they are read or not, sorted.
    pub files: Vec<PathBuf>,
    /// What is known of it; `None` where nothing could be read.
    pub shape: Option<Shape>,
    /// Whether somebody uses it, or it was not closed cleanly.
    pub is_in_use: bool,
    /// Why a conversion would refuse it as it is.
    pub obstacle: Option<Error>,
}

/// What is known of a disk without reading its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The size of the disk in bytes.
    pub virtual_size: u64,
    /// The room that its files take, in bytes, with those of snapshots that are not its current
    /// state.
    pub stored: u64,
    /// What its file systems say is used, in bytes; `None` where one of them does not say it here
    /// (only ext2, ext3 and ext4 do), or the disk is in use and what they say is old.
    pub used: Option<u64>,
    /// The layers of its current state.
    pub layers: usize,
    /// The snapshots besides the current state.
    pub snapshots: usize,
    /// What its partitions, or the whole disk, hold.
    pub file_systems: Vec<FileSystem>,
}

/// A disk, the system on it, and the other disks of its container.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) disk: FoundDisk,
    pub(super) system: Option<System>,
    pub(super) others: Vec<PathBuf>,
}

/// Looks at the disk that `image` stands for.
pub(super) fn look(image: &Path) -> Looked {
    let options = OpenOptions {
        private_dirs: Vec::new(),
        ..OpenOptions::default()
    };
    let mut looked = Looked {
        disk: FoundDisk {
            image: image.to_owned(),
            disk: image.to_owned(),
            files: Vec::new(),
            shape: None,
            is_in_use: false,
            obstacle: None,
        },
        system: None,
        others: Vec::new(),
    };
    match examine(image, &options) {
        Ok(examined) => looked.take(examined),
        Err(error) => looked.disk.obstacle = Some(error),
    }
    looked
}

impl Looked {
    fn take(&mut self, examined: Examined) {
        self.others.clone_from(&examined.other_disks);
        let files = examined
            .related
            .iter()
            .filter_map(|file| file.canonicalize().ok());
        self.disk.files = files.collect::<BTreeSet<_>>().into_iter().collect();
        let folder = examined.descriptor.as_deref().and_then(Path::parent);
        if let Some(folder) = folder {
            folder.clone_into(&mut self.disk.disk);
        }
        self.disk.is_in_use = examined.is_in_use();
        self.disk.shape = shape(&examined);
        let opened = Input::examined(examined, IfInUse::Refuse, "");
        let input = match opened {
            Ok(input) => input,
            Err(error) => {
                self.disk.obstacle = Some(error);
                return;
            }
        };
        // What is inside decides nothing: a disk without a table is converted, too.
        if let (Ok((kinds, used)), Some(shape)) = (inside(input.disk()), &mut self.disk.shape) {
            shape.file_systems = kinds;
            shape.used = used;
        }
        self.system = system_on(input).ok();
    }
}

/// What the files of a disk say of it.
fn shape(examined: &Examined) -> Option<Shape> {
    let size = examined.disk()?.size();
    // Layers of snapshots that are not read take their room, too.
    let stored = examined.related.iter().filter_map(|file| {
        let meta = std::fs::metadata(file).ok()?;
        Some((file.canonicalize().ok()?, room(&meta)))
    });
    let stored: std::collections::BTreeMap<_, _> = stored.collect();
    let layers = examined.layers.iter().map(|layer| layer.disk_usage);
    Some(Shape {
        virtual_size: size,
        stored: stored.values().sum::<u64>().max(layers.sum()),
        used: None,
        layers: examined.layers.len(),
        snapshots: examined.snapshots.iter().filter(|shot| !shot.top).count(),
        file_systems: Vec::new(),
    })
}

fn room(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    // st_blocks counts in 512 bytes, whatever the file system.
    meta.blocks().saturating_mul(512)
}

/// The file systems on a disk, and how many bytes all of them together say are used.
fn inside(disk: &dyn VirtualDisk) -> Result<(Vec<FileSystem>, Option<u64>)> {
    let layout = partition::read(disk)?;
    let mut kinds = Vec::new();
    let mut used = Some(0_u64);
    let mut add = |kind: FileSystem, bytes: Result<Option<u64>>| {
        kinds.push(kind);
        let sum = used.zip(bytes.ok().flatten());
        used = sum.and_then(|(sum, bytes)| sum.checked_add(bytes));
    };
    if let Some(whole) = &layout.whole {
        add(whole.kind, ext4::used_bytes(disk));
    }
    for part in &layout.partitions {
        if let Some(content) = &part.content {
            let used = part.of(disk).and_then(|part| ext4::used_bytes(&part));
            add(content.kind, used);
        }
    }
    // Nothing that is known says nothing of what is used.
    let used = used.filter(|_| !kinds.is_empty());
    Ok((kinds, used))
}

/// The system on a disk.
fn system_on(input: Input) -> Result<System> {
    let (files, _) = input.only_file_system()?.files()?;
    let files: Arc<dyn Tree> = Arc::new(files);
    identify(&*files)
}
