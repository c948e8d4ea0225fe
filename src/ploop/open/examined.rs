//! What was found about a disk, and whether it may be read.

use std::ops::Range;
use std::path::PathBuf;

use super::options::{IfInUse, OpenOptions};
use crate::error::{Error, Result};
use crate::ploop::check::{Finding, Severity};
use crate::ploop::descriptor::Guid;
use crate::ploop::disk::{Layer, PloopDisk};
use crate::ploop::error::{OpenError, with_alternative};
use crate::ploop::header::{State, Version};
use crate::ploop::snapshots::SnapshotInfo;

/// Everything that was found about a disk, sound or not.
#[derive(Debug)]
pub struct Examined {
    /// What the user named.
    pub input: PathBuf,
    /// The descriptor that was read.
    pub descriptor: Option<PathBuf>,
    /// The snapshot whose chain was opened, where there is a descriptor.
    pub snapshot: Option<Guid>,
    /// The parts of a split disk; none where the disk is of one piece.
    pub parts: Vec<PartInfo>,
    /// The layers that could be opened, base first; of a split disk part by part.
    pub layers: Vec<LayerInfo>,
    /// The snapshots that the descriptor knows.
    pub snapshots: Vec<SnapshotInfo>,
    /// Images beside the descriptor that it does not name.
    pub unlisted: Vec<PathBuf>,
    /// Further disks of the container or virtual machine, where one was named.
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

/// A part of a split disk, as the descriptor describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its place, 0 for the first.
    pub part: usize,
    /// Where it begins and ends, in bytes of the disk.
    pub range: Range<u64>,
}

/// What is known about an opened layer.
#[derive(Debug, Clone)]
pub struct LayerInfo {
    /// The part of a split disk that it is of, 0 for the first.
    pub part: Option<usize>,
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

impl Examined {
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

    /// Gives the disk to be read, or says why it may not be. Where it was opened for salvage,
    /// damage is no reason as long as
    /// [`FindingKind::is_salvageable`](crate::ploop::FindingKind::is_salvageable) holds for it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Damaged`] or what stood in the way where there is damage, [`OpenError::InUse`]
    /// where the disk is in use, and is not to be read or cannot be: see [`IfInUse`].
    pub fn into_disk(self, if_in_use: IfInUse) -> Result<PloopDisk> {
        if self.refusal(if_in_use).is_none()
            && let Some(disk) = self.disk
        {
            return Ok(disk);
        }
        let instead = self.older_snapshot();
        let refusal = self.refusal(if_in_use);
        let nothing = |path| {
            OpenError::NoImage {
                path,
                images: Vec::new(),
            }
            .into()
        };
        let error = match refusal {
            Some(Refusal::Failure) => self.failure.unwrap_or_else(|| nothing(self.input)),
            Some(Refusal::Damage { first, others }) => OpenError::Damaged {
                path: self.input,
                first: Box::new(first),
                others,
            }
            .into(),
            Some(Refusal::InUse(finding)) => OpenError::InUse {
                path: finding.file.unwrap_or(self.input),
                kind: finding.kind,
                sign: finding.message,
            }
            .into(),
            None => nothing(self.input),
        };
        Err(with_alternative(error, instead))
    }

    /// Why there is no disk to be read.
    fn refusal(&self, if_in_use: IfInUse) -> Option<Refusal> {
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
        let in_use = self.refuses_use(if_in_use).cloned();
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
        part: None,
        layer: at,
        file: source.path().to_owned(),
        guid,
        virtual_size: layer.virtual_size(),
        file_size: source.len(),
        disk_usage: source.disk_usage()?,
        image,
    })
}
