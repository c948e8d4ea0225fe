//! What was found about a disk, and whether it may be read.

use std::path::{Path, PathBuf};

use super::OpenOptions;
use crate::error::{Error, Result};
use crate::ploop::check::{Finding, Severity};
use crate::ploop::descriptor::{Guid, Temporary};
use crate::ploop::disk::{Layer, PloopDisk};
use crate::ploop::header::{State, Version};

/// Everything that was found about a disk, sound or not.
#[derive(Debug)]
pub struct Examined {
    /// What the user named.
    pub input: PathBuf,
    /// The descriptor that was read.
    pub descriptor: Option<PathBuf>,
    /// The snapshot whose chain was opened, where there is a descriptor.
    pub snapshot: Option<Guid>,
    /// The layers that could be opened, base first.
    pub layers: Vec<LayerInfo>,
    /// The snapshots that the descriptor knows.
    pub snapshots: Vec<SnapshotInfo>,
    /// Images beside the descriptor that it does not name.
    pub unlisted: Vec<PathBuf>,
    /// Further disks of the container, where a container was named.
    pub other_disks: Vec<PathBuf>,
    /// Files that belong to the disk, whether they are read or not: all images that the descriptor
    /// names, those beside it, and its own. None of them may ever be written.
    pub related: Vec<PathBuf>,
    /// Everything worth saying, in the order of the layers.
    pub findings: Vec<Finding>,
    /// The disk, where every layer could be opened.
    pub(super) disk: Option<PloopDisk>,
    /// The error that says best why there is no disk.
    pub(super) failure: Option<Error>,
    /// How freely it is opened.
    pub(super) options: OpenOptions,
}

/// Why a disk may not be read.
enum Refusal {
    /// An error says it best.
    Failure,
    /// This is the first finding of damage, and there are others.
    Damage { first: Finding, others: usize },
    /// Somebody uses it.
    InUse(Finding),
}

/// What is known about an opened layer.
#[derive(Debug, Clone)]
pub struct LayerInfo {
    /// The place in the chain, 0 for the base.
    pub layer: usize,
    /// The file.
    pub file: PathBuf,
    /// The image's name in the descriptor.
    pub guid: Option<Guid>,
    /// The size of the disk as this layer knows it, in bytes.
    pub virtual_size: u64,
    /// The length of the file in bytes.
    pub file_size: u64,
    /// The room the file takes, in bytes.
    pub disk_usage: u64,
    /// What only a ploop image has; `None` for a raw base.
    pub image: Option<ImageInfo>,
}

/// What is known about a layer that is a ploop image.
#[derive(Debug, Clone)]
pub struct ImageInfo {
    /// The version of the format.
    pub version: Version,
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// The number of BAT entries.
    pub bat_entries: u32,
    /// The number of clusters that the image stores.
    pub allocated_clusters: u64,
    /// How the image was closed.
    pub state: State,
}

/// What a descriptor says about a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotInfo {
    /// Its name.
    pub guid: Guid,
    /// The snapshot it builds on.
    pub parent: Option<Guid>,
    /// Whether it is the current state.
    pub top: bool,
    /// What people call it.
    pub name: Option<String>,
    /// When it was taken, as the host wrote it.
    pub taken: Option<String>,
    /// Whether it was meant to stay.
    pub temporary: Temporary,
}

impl Examined {
    pub(super) fn nothing_yet(input: &Path, options: &OpenOptions) -> Self {
        Self {
            input: input.to_owned(),
            descriptor: None,
            snapshot: None,
            layers: Vec::new(),
            snapshots: Vec::new(),
            unlisted: Vec::new(),
            other_disks: Vec::new(),
            related: Vec::new(),
            findings: Vec::new(),
            disk: None,
            failure: None,
            options: options.clone(),
        }
    }

    /// Whether anything that is stored cannot be trusted.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.worst() == Some(Severity::Damage)
    }

    /// Whether there is a disk that may be read, damaged or not: one without damage, or only with
    /// such as it was opened to be read over. It may be in use all the same.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let stopped = self.findings.iter().any(|finding| self.stops(finding));
        self.disk.is_some() && self.failure.is_none() && !stopped
    }

    /// Whether it was opened to be read over damage.
    #[must_use]
    pub fn is_for_salvage(&self) -> bool {
        self.options.salvage
    }

    /// Whether the last layer is marked in use, or there is another sign that somebody writes.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity() == Severity::InUse)
    }

    /// How much the worst finding matters.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(Finding::severity).max()
    }

    /// The disk, damaged or not, where every layer could be opened.
    #[must_use]
    pub fn disk(&self) -> Option<&PloopDisk> {
        self.disk.as_ref()
    }

    /// Gives the disk to be read, or says why it may not be. Where it was opened for salvage, damage
    /// is no reason as long as [`FindingKind::is_salvageable`](crate::ploop::FindingKind::is_salvageable) holds for it.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or what stood in the way where there is damage, [`Error::InUse`] where
    /// the disk is in use and `allow_dirty` is not set, or does not help: see
    /// [`Examined::refuses_use`].
    pub fn into_disk(self, allow_dirty: bool) -> Result<PloopDisk> {
        if self.refusal(allow_dirty).is_none()
            && let Some(disk) = self.disk
        {
            return Ok(disk);
        }
        let instead = self.older_snapshot();
        let refusal = self.refusal(allow_dirty);
        let nothing = |path| Error::NoImage {
            path,
            images: Vec::new(),
        };
        let error = match refusal {
            Some(Refusal::Failure) => self.failure.unwrap_or_else(|| nothing(self.input)),
            Some(Refusal::Damage { first, others }) => Error::Damaged {
                path: self.input,
                first: Box::new(first),
                others,
            },
            Some(Refusal::InUse(finding)) => Error::InUse {
                path: finding.file.unwrap_or(self.input),
                kind: finding.kind,
                sign: finding.message,
            },
            None => nothing(self.input),
        };
        Err(error.or(instead))
    }

    /// Why there is no disk to be read.
    fn refusal(&self, allow_dirty: bool) -> Option<Refusal> {
        if self.failure.is_some() {
            return Some(Refusal::Failure);
        }
        let mut damage = self.findings.iter().filter(|finding| self.stops(finding));
        if let Some(first) = damage.next() {
            return Some(Refusal::Damage {
                first: first.clone(),
                others: damage.count(),
            });
        }
        let in_use = self.refuses_use(allow_dirty).cloned();
        in_use.map(Refusal::InUse)
    }

    /// Whether a finding is damage that is not read over.
    fn stops(&self, finding: &Finding) -> bool {
        finding.severity() == Severity::Damage
            && !(self.options.salvage && finding.kind.is_salvageable())
    }
}

pub(super) fn layer_info(at: usize, layer: &Layer, guid: Option<Guid>) -> Result<LayerInfo> {
    let source = layer.source();
    let image = match layer {
        Layer::Raw(_) => None,
        Layer::Image(image) => Some(ImageInfo {
            version: image.header().version(),
            cluster_size: image.header().cluster_size().bytes(),
            bat_entries: image.header().bat_entries(),
            allocated_clusters: image.allocated_clusters(),
            state: image.header().state(),
        }),
    };
    Ok(LayerInfo {
        layer: at,
        file: source.path().to_owned(),
        guid,
        virtual_size: layer.virtual_size(),
        file_size: source.len(),
        disk_usage: source.disk_usage()?,
        image,
    })
}
