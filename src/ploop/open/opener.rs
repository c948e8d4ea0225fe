//! Collects what is found about a disk while it is opened.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::examined::{Examined, LayerInfo, PartInfo};
use super::options::OpenOptions;
use super::read::DescriptorFile;
use crate::error::{Error, Result};
use crate::ploop::check::{Finding, FindingKind};
use crate::ploop::descriptor::Guid;
use crate::ploop::disk::PloopDisk;
use crate::ploop::gate::Reach;
use crate::ploop::snapshots::SnapshotInfo;

/// Opens a disk: what it finds becomes [`Examined`], whose fields have the same names.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) input: PathBuf,
    pub(super) descriptor: Option<PathBuf>,
    pub(super) snapshot: Option<Guid>,
    pub(super) parts: Vec<PartInfo>,
    pub(super) layers: Vec<LayerInfo>,
    pub(super) snapshots: Vec<SnapshotInfo>,
    pub(super) unlisted: Vec<PathBuf>,
    pub(super) other_disks: Vec<PathBuf>,
    pub(super) related: Vec<PathBuf>,
    pub(super) findings: Vec<Finding>,
    pub(super) disk: Option<PloopDisk>,
    pub(super) failure: Option<Error>,
    pub(super) options: OpenOptions,
    /// Descriptors that were read: each is read once, for every caller.
    read: Vec<Rc<DescriptorFile>>,
}

impl Opener {
    pub(super) fn new(input: &Path, options: &OpenOptions) -> Self {
        Self {
            input: input.to_owned(),
            descriptor: None,
            snapshot: None,
            parts: Vec::new(),
            layers: Vec::new(),
            snapshots: Vec::new(),
            unlisted: Vec::new(),
            other_disks: Vec::new(),
            related: Vec::new(),
            findings: Vec::new(),
            disk: None,
            failure: None,
            options: options.clone(),
            read: Vec::new(),
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Examined {
        Examined {
            input: self.input,
            descriptor: self.descriptor,
            snapshot: self.snapshot,
            parts: self.parts,
            layers: self.layers,
            snapshots: self.snapshots,
            unlisted: self.unlisted,
            other_disks: self.other_disks,
            related: self.related,
            findings: self.findings,
            disk: self.disk,
            failure: self.failure,
            options: self.options,
        }
    }

    pub(super) fn say(&mut self, kind: FindingKind, message: String) {
        self.findings.push(Finding::new(kind, message));
    }

    /// Does something for a part of a split disk: what it finds is about that part.
    pub(super) fn in_part<T>(
        &mut self,
        part: Option<usize>,
        act: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let (findings, layers) = (self.findings.len(), self.layers.len());
        let done = act(self);
        for finding in self.findings.iter_mut().skip(findings) {
            finding.part = part;
        }
        for layer in self.layers.iter_mut().skip(layers) {
            layer.part = part;
        }
        done
    }

    /// Reads a descriptor that may not lie farther away than `reach`, unless it was read before.
    ///
    /// # Errors
    ///
    /// As [`DescriptorFile::open`].
    pub(super) fn descriptor_file(
        &mut self,
        path: &Path,
        reach: Reach,
    ) -> Result<Rc<DescriptorFile>> {
        if let Some(read) = self.read.iter().find(|read| read.path == path) {
            read.gate.narrowed(reach)?;
            return Ok(Rc::clone(read));
        }
        let read = Rc::new(DescriptorFile::open(path, reach)?);
        self.read.push(Rc::clone(&read));
        Ok(read)
    }
}
