//! Disks of several layers: image files, branches and the descriptor that ties them.

use super::descriptor::{Descriptor, Image, NO_PARENT, Shot, Storage, TOP, guid};
use super::image::{ImageBuilder, ImageFile};
use super::model::{Layer, Model};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
struct Node {
    image: ImageFile,
    parent: Option<usize>,
    raw: bool,
}

/// Collects layers; the one added last is the top unless [`top`](Self::top) says otherwise.
#[derive(Clone, Debug, Default)]
pub struct ChainBuilder {
    nodes: Vec<Node>,
    top: Option<usize>,
}

impl ChainBuilder {
    pub fn base(image: &ImageBuilder) -> Self {
        Self::base_file(image.build())
    }

    /// A base that a test has spoiled.
    pub fn base_file(image: ImageFile) -> Self {
        Self {
            nodes: vec![Node {
                image,
                parent: None,
                raw: false,
            }],
            top: None,
        }
    }

    pub fn raw_base(bytes: &[u8], cluster_sectors: u32) -> Self {
        let image = ImageFile::raw(bytes, cluster_sectors);
        Self {
            nodes: vec![Node {
                image,
                parent: None,
                raw: true,
            }],
            top: None,
        }
    }

    /// A layer over the one added before it.
    pub fn child(self, image: &ImageBuilder) -> Self {
        self.child_file(image.build())
    }

    pub fn child_file(self, image: ImageFile) -> Self {
        let parent = self.nodes.len() - 1;
        self.branch_file(parent, image)
    }

    /// A layer over the layer numbered `parent`, in the order they were added.
    pub fn branch(self, parent: usize, image: &ImageBuilder) -> Self {
        self.branch_file(parent, image.build())
    }

    fn branch_file(mut self, parent: usize, image: ImageFile) -> Self {
        self.nodes.push(Node {
            image,
            parent: Some(parent),
            raw: false,
        });
        self
    }

    /// Makes the layer numbered so the top.
    pub fn top(mut self, number: usize) -> Self {
        self.top = Some(number);
        self
    }

    fn top_number(&self) -> usize {
        self.top.unwrap_or(self.nodes.len() - 1)
    }

    /// The base keeps the plain name; the others get one with a GUID that means nothing.
    fn file_name(number: usize) -> String {
        if number == 0 {
            "root.hds".to_owned()
        } else {
            format!("root.hds.{{{number:08x}-9999-4999-8999-999999999999}}")
        }
    }

    fn guid_of(&self, number: usize) -> String {
        if number == self.top_number() {
            TOP.to_owned()
        } else {
            guid(number)
        }
    }

    /// The descriptor as libploop 7 would write it.
    pub fn descriptor(&self) -> Descriptor {
        let any_raw = self.nodes.iter().any(|node| node.raw);
        let top = &self.nodes[self.top_number()].image;
        let images = (0..self.nodes.len())
            .map(|number| Image {
                guid: self.guid_of(number),
                kind: if any_raw { "Plain" } else { "Compressed" }.to_owned(),
                file: Self::file_name(number),
            })
            .collect();
        let shots = self.nodes.iter().enumerate().map(|(number, node)| Shot {
            guid: self.guid_of(number),
            parent: node
                .parent
                .map_or_else(|| NO_PARENT.to_owned(), |parent| self.guid_of(parent)),
            mark: String::new(),
        });
        Descriptor {
            declaration: "<?xml version=\"1.0\"?>".to_owned(),
            root: "Parallels_disk_image".to_owned(),
            disk_size: top.sectors,
            padding: 0,
            parameters: String::new(),
            volume: String::new(),
            storages: vec![Storage {
                start: 0,
                end: top.sectors,
                blocksize: top.cluster_sectors,
                images,
            }],
            top: Some(TOP.to_owned()),
            shots: shots.collect(),
        }
    }

    /// Writes the disk into `dir`, which is made.
    pub fn write(&self, dir: &Path) -> Chain {
        self.write_with(dir, |_| {})
    }

    /// Writes the disk with a descriptor that `bend` has changed.
    pub fn write_with(&self, dir: &Path, bend: impl FnOnce(&mut Descriptor)) -> Chain {
        let mut descriptor = self.descriptor();
        bend(&mut descriptor);
        self.write_text(dir, &descriptor.xml())
    }

    /// Writes the disk with this text for a descriptor.
    pub fn write_text(&self, dir: &Path, text: &str) -> Chain {
        std::fs::create_dir_all(dir).unwrap();
        let names: Vec<String> = (0..self.nodes.len()).map(Self::file_name).collect();
        for (node, name) in self.nodes.iter().zip(&names) {
            node.image.write(&dir.join(name));
        }
        std::fs::write(dir.join("DiskDescriptor.xml"), text).unwrap();
        Chain {
            dir: dir.to_owned(),
            files: names.iter().map(|name| dir.join(name)).collect(),
            layers: self
                .nodes
                .iter()
                .zip(names)
                .map(|(node, file)| Layer {
                    file,
                    ..node.image.layer.clone()
                })
                .collect(),
            raw: self.nodes.iter().map(|node| node.raw).collect(),
            parents: self.nodes.iter().map(|node| node.parent).collect(),
            guids: (0..self.nodes.len())
                .map(|number| self.guid_of(number))
                .collect(),
            top: self.top_number(),
        }
    }
}

/// A disk that was written.
#[derive(Clone, Debug)]
pub struct Chain {
    pub dir: PathBuf,
    /// The layers' files in the order they were added.
    pub files: Vec<PathBuf>,
    pub guids: Vec<String>,
    pub layers: Vec<Layer>,
    raw: Vec<bool>,
    parents: Vec<Option<usize>>,
    top: usize,
}

impl Chain {
    pub fn descriptor(&self) -> PathBuf {
        self.dir.join("DiskDescriptor.xml")
    }

    /// The layers that the snapshot numbered so is made of, base first.
    pub fn line_of(&self, number: usize) -> Vec<usize> {
        let mut line = vec![number];
        while let Some(parent) = self.parents[line[line.len() - 1]] {
            line.push(parent);
        }
        line.reverse();
        line
    }

    /// What the top reads as.
    pub fn model(&self) -> Model {
        self.model_of(self.top)
    }

    /// What the snapshot numbered so reads as.
    pub fn model_of(&self, number: usize) -> Model {
        Model::new(
            self.line_of(number)
                .into_iter()
                .map(|layer| self.layers[layer].clone())
                .collect(),
        )
    }

    /// The files of the snapshot numbered so with whether each is raw, base first: what `qemu-img`
    /// needs to be given.
    pub fn files_of(&self, number: usize) -> Vec<(PathBuf, bool)> {
        self.line_of(number)
            .into_iter()
            .map(|layer| (self.files[layer].clone(), self.raw[layer]))
            .collect()
    }
}
