//! Disks that are split into several parts, as Parallels Desktop makes them: each part has a chain
//! of its own, and the snapshots are those of all parts.

use super::descriptor::{Descriptor, Image, NO_PARENT, Shot, Storage, TOP, guid};
use super::image::{ImageBuilder, ImageFile, SECTOR, Version, pattern};
use super::model::{Layer, Model};
use std::path::{Path, PathBuf};

/// One part: its layers, base first.
#[derive(Clone, Debug)]
pub struct Part {
    pub sectors: u64,
    pub layers: Vec<ImageFile>,
    pub is_plain: bool,
}

impl Part {
    /// A raw part with a pattern.
    pub fn plain(seed: u64, sectors: u64) -> Self {
        let len = usize::try_from(sectors * SECTOR).unwrap();
        Self {
            sectors,
            layers: vec![ImageFile::raw(&pattern(seed, 0, len), 64)],
            is_plain: true,
        }
    }

    /// A part in one image, of which every cluster is stored.
    pub fn full(seed: u64, version: Version, sectors: u64) -> Self {
        let image = ImageBuilder::new(version)
            .cluster_sectors(8)
            .sectors(sectors)
            .seed(seed);
        let clusters = u32::try_from(sectors.div_ceil(8)).unwrap();
        Self {
            sectors,
            layers: vec![image.store_all(0..clusters).build()],
            is_plain: false,
        }
    }

    /// What the first `layers` layers hold of the part.
    fn content(&self, layers: usize) -> Vec<u8> {
        let layers: Vec<Layer> = self.layers[..layers]
            .iter()
            .map(|file| file.layer.clone())
            .collect();
        let mut bytes = Model::new(layers).content();
        bytes.truncate(usize::try_from(self.sectors * SECTOR).unwrap());
        bytes
    }
}

/// Parts in the order of the disk, all with as many layers.
#[derive(Clone, Debug, Default)]
pub struct SplitBuilder {
    pub parts: Vec<Part>,
}

/// A disk that was written.
#[derive(Clone, Debug)]
pub struct Split {
    pub dir: PathBuf,
    /// For each part its layers, base first.
    pub files: Vec<Vec<PathBuf>>,
}

impl SplitBuilder {
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts = parts.into_iter().collect();
        Self { parts }
    }

    pub fn layers(&self) -> usize {
        self.parts[0].layers.len()
    }

    pub fn sectors(&self) -> u64 {
        self.parts.iter().map(|part| part.sectors).sum()
    }

    /// The name of a layer's snapshot.
    pub fn guid_of(&self, layer: usize) -> String {
        if layer + 1 == self.layers() {
            TOP.to_owned()
        } else {
            guid(layer + 1)
        }
    }

    fn file_name(part: usize, layer: usize) -> String {
        // The first image of a disk keeps its name when a snapshot is taken.
        let guid = if layer == 0 {
            TOP.to_owned()
        } else {
            guid(layer + 100)
        };
        format!("disk.hdd.{part}.{guid}.hds")
    }

    /// What the disk holds as of its first `layers` layers.
    pub fn content_of(&self, layers: usize) -> Vec<u8> {
        let parts = self.parts.iter();
        parts.flat_map(|part| part.content(layers)).collect()
    }

    /// What the disk holds now.
    pub fn content(&self) -> Vec<u8> {
        self.content_of(self.layers())
    }

    pub fn descriptor(&self) -> Descriptor {
        let mut at = 0;
        let storages = self.parts.iter().enumerate().map(|(number, part)| {
            let start = at;
            at += part.sectors;
            let images = (0..part.layers.len()).map(|layer| Image {
                guid: self.guid_of(layer),
                kind: if part.is_plain { "Plain" } else { "Compressed" }.to_owned(),
                file: Self::file_name(number, layer),
            });
            Storage {
                start,
                end: at,
                blocksize: part.layers[0].cluster_sectors,
                images: images.collect(),
            }
        });
        let storages = storages.collect();
        let shots = (0..self.layers()).map(|layer| Shot {
            guid: self.guid_of(layer),
            parent: match layer {
                0 => NO_PARENT.to_owned(),
                layer => self.guid_of(layer - 1),
            },
            mark: String::new(),
        });
        Descriptor {
            declaration: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
            root: "Parallels_disk_image".to_owned(),
            disk_size: at,
            padding: 0,
            parameters: String::new(),
            volume: String::new(),
            storages,
            top: None,
            shots: shots.collect(),
        }
    }

    /// Writes the disk into `dir`, which is made.
    pub fn write(&self, dir: &Path) -> Split {
        self.write_with(dir, |_| {})
    }

    /// Writes the disk with a descriptor that `bend` has changed.
    pub fn write_with(&self, dir: &Path, bend: impl FnOnce(&mut Descriptor)) -> Split {
        std::fs::create_dir_all(dir).unwrap();
        let mut descriptor = self.descriptor();
        bend(&mut descriptor);
        std::fs::write(dir.join("DiskDescriptor.xml"), descriptor.xml()).unwrap();
        let files = self.parts.iter().enumerate().map(|(number, part)| {
            let layers = part.layers.iter().enumerate().map(|(layer, file)| {
                let path = dir.join(Self::file_name(number, layer));
                file.write(&path);
                path
            });
            layers.collect()
        });
        Split {
            files: files.collect(),
            dir: dir.to_owned(),
        }
    }
}
