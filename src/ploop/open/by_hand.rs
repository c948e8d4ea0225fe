//! A chain that is named by hand, without a descriptor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::error::{Error, Result};
use crate::foreign::recognise;
use crate::ploop::chain::ChainPlan;
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::disk::PloopDisk;
use crate::ploop::error::OpenError;
use crate::ploop::gate::Reach;
use crate::ploop::image::has_signature;
use crate::ploop::locate::{descriptor_beside, disk_folder};
use crate::ploop::names::is_named_like_a_delta;
use crate::source::FileSource;
use crate::util::paths::folder_of;

impl Opener {
    /// Opens the layers that were named, base first.
    pub(super) fn open_by_hand(&mut self) -> Result<()> {
        let folder = disk_folder(&self.input, &self.options.search())?;
        let names = self.options.layers.clone();
        let mut layers = Vec::new();
        let mut seen: HashMap<(u64, u64), usize> = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            let path = folder.join(&name.file);
            let wrong = |why| {
                OpenError::LayerOrder {
                    path: path.clone(),
                    layer: at,
                    why,
                }
                .into()
            };
            if at == ChainPlan::MAX_LAYERS {
                return Err(wrong("the chain would be longer than any program makes"));
            }
            if name.raw && at > 0 {
                return Err(wrong("only the base can be a raw disk"));
            }
            let real = self.resolved(&path)?;
            self.refuse_unreadable(&path)?;
            self.refuse_unreadable(&real)?;
            let source = FileSource::open_resolved(&real)?;
            if seen.insert(source.identity(), at).is_some() {
                return Err(wrong("the same file is another layer already"));
            }
            if !name.raw && !has_signature(&source)? {
                return Err(OpenError::NotALayer {
                    found: recognise(&source),
                    path,
                    layer: at,
                }
                .into());
            }
            layers.extend(self.open_layer(at, source, name.raw, None)?);
        }
        self.only_last_is_written(0, names.len());
        if layers.len() == names.len() {
            let base = layers.first().map(|base| base.source().path().to_owned());
            let base = base.unwrap_or_default();
            let descriptor = descriptor_beside(&base)?;
            let stated = descriptor
                .as_deref()
                .and_then(|path| self.stated_size(path));
            self.judge_raw(&mut layers, None, stated)?;
            self.judge_base_by_hand(&base, names.len(), descriptor.as_deref());
            self.judge_chain(&layers, None);
            self.disk = Some(PloopDisk::new(layers, None));
        }
        Ok(())
    }

    /// The size that a descriptor states, where it can be read.
    fn stated_size(&mut self, descriptor: &Path) -> Option<u64> {
        let file = self.descriptor_file(descriptor, Reach::Anywhere).ok()?;
        file.descriptor().ok()?.stated_size()
    }

    /// Warns where the lowest layer that was named has others below it, or an only one others over
    /// it.
    fn judge_base_by_hand(&mut self, base: &Path, layers: usize, descriptor: Option<&Path>) {
        let is_delta = base.file_name().is_some_and(is_named_like_a_delta);
        if layers == 1 {
            self.judge_single(base, descriptor);
        } else if is_delta {
            let message = "the lowest layer that was named has the name of a layer over others: \
                           what none of them stores reads as zeros";
            let finding = Finding::new(Kind::SingleLayer, message.to_owned());
            self.findings.push(finding.of(0, base));
        }
    }

    /// What a path stands for, without links. One that leads out of the file's folder is refused:
    /// folders come out of other people's archives.
    fn resolved(&self, path: &Path) -> Result<PathBuf> {
        let resolve = |path: &Path| {
            let real = path.canonicalize();
            real.map_err(|error| Error::io("opening", path, error))
        };
        let (real, folder) = (resolve(path)?, resolve(folder_of(path))?);
        if self.options.allow_outside || real.starts_with(folder) {
            return Ok(real);
        }
        Err(OpenError::Outside {
            named_by: path.to_owned(),
            file: real,
        }
        .into())
    }
}
