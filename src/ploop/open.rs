//! Opens what a user named: finds the layers, looks at every one of them, and says what it found.

mod beside;
mod by_hand;
mod examined;
mod host;
mod judge;
mod lone;
mod older;
mod opener;
mod options;
mod outside;
mod raw;
mod read;
mod saved;
mod unreadable;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use self::examined::layer_info;
pub use self::examined::{Examined, ImageInfo, LayerInfo};
use self::opener::Opener;
pub use self::options::{IfInUse, OpenOptions};
use super::chain::{ChainPlan, LayerForm, SelectError, current_top};
use super::check::{Finding, FindingKind as Kind};
use super::descriptor::{Descriptor, Guid};
use super::disk::{Layer, PloopDisk, RawLayer};
use super::error::{OpenError, Wish};
use super::gate::{Admitted, FoundAs, Gate, composed, spelled_out};
use super::header::HeaderError;
use super::image::Image;
use super::locate::{Located, images_in, locate, other_disks};
use super::snapshots::{self, SnapshotInfo, SnapshotName};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{FileSource, is_absence};
use crate::util::paths::folder_of;

/// Opens what `input` stands for and looks at every header and every BAT entry, in parallel on
/// the current rayon pool. Nothing is written, locked or created.
///
/// Damage is no error here: it is among the findings, and [`Examined::into_disk`] refuses it.
///
/// # Errors
///
/// Where there is nothing to examine: no such file, no ploop image, a lone layer of a chain, a
/// name that leads out of the descriptor's folder, a kind of disk that is not read.
pub fn examine(input: &Path, options: &OpenOptions) -> Result<Examined> {
    let wrong_input = |wish, path: PathBuf| Err(OpenError::WrongInput { wish, path }.into());
    let mut opener = Opener::new(input, options);
    if !options.layers.is_empty() {
        opener.open_by_hand()?;
        opener.look_around();
        return Ok(opener.finish());
    }
    let located = locate(input, &options.private_dirs, options.reach())?;
    match located {
        Located::Descriptor(path) if options.single_layer => {
            return wrong_input(Wish::SingleLayer, path);
        }
        Located::Descriptor(path) => opener.open_chain(&path, options)?,
        Located::Image { path, descriptor } if options.single_layer => {
            opener.refuse_unreadable(&path)?;
            opener.open_single(&path)?;
            opener.judge_single(&path, descriptor.as_deref());
        }
        Located::Image {
            path,
            descriptor: Some(descriptor),
        } => {
            // A user who asks for a snapshot has seen the descriptor.
            if options.snapshot.is_none() {
                opener.refuse_lone_layer(&path, &descriptor)?;
            }
            opener.open_chain(&descriptor, options)?;
        }
        Located::Image {
            path,
            descriptor: None,
        } if options.snapshot.is_some() => {
            return wrong_input(Wish::Snapshot, path);
        }
        Located::Image {
            path,
            descriptor: None,
        } => {
            opener.refuse_unreadable(&path)?;
            opener.open_single(&path)?;
            opener.judge_single(&path, None);
        }
    }
    opener.look_around();
    Ok(opener.finish())
}

impl Opener {
    /// Lists what belongs to the disk, and who uses it.
    fn look_around(&mut self) {
        self.list_related();
        let OpenOptions {
            private_dirs,
            config_dir,
            ..
        } = &self.options;
        self.other_disks = other_disks(&self.input, private_dirs, config_dir);
        if let Some(host) = self.options.host.clone() {
            self.look_at(&host);
        }
    }

    fn open_single(&mut self, path: &Path) -> Result<()> {
        let source = FileSource::open(path)?;
        if let Some(layer) = self.open_layer(0, source, false, None)? {
            self.disk = Some(PloopDisk::new(vec![layer], None));
        }
        Ok(())
    }

    fn open_chain(&mut self, path: &Path, options: &OpenOptions) -> Result<()> {
        self.descriptor = Some(path.to_owned());
        let file = self.descriptor_file(path, options.reach())?;
        let gate = &file.gate.narrowed(options.reach())?;
        let descriptor = match file.descriptor() {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.unlisted = images_in(folder_of(path));
                return self.fail(Kind::Descriptor, error);
            }
            other => other?,
        };
        self.list_snapshots(descriptor, folder_of(path));
        self.list_unlisted(path, descriptor, gate);
        let wanted = options.snapshot.as_ref().map(|name| self.guid_of(name));
        let plan = wanted
            .transpose()
            .and_then(|wanted| ChainPlan::select(descriptor, wanted));
        let plan = match plan {
            Ok(plan) => plan,
            Err(source) => {
                let error = OpenError::Select {
                    path: path.to_owned(),
                    source,
                    snapshots: self.snapshots.clone(),
                }
                .into();
                return self.fail(Kind::Descriptor, error);
            }
        };
        self.snapshot = Some(plan.top);
        if plan.top_guessed {
            let message = format!(
                "the descriptor names no top; {} is the only candidate",
                plan.top
            );
            self.say(Kind::TopGuessed, message);
        }
        self.refuse_other_disks(&plan, path)?;
        let mut layers = self.open_layers(&plan, gate, descriptor)?;
        self.judge_missing_header(descriptor, gate);
        if options.snapshot.is_some() {
            self.judge_temporary(&plan);
        }
        if layers.len() == plan.layers.len() {
            self.judge_raw(&mut layers, Some((descriptor, gate)), None)?;
            self.judge_chain(&layers, Some(descriptor));
            let disk = PloopDisk::new(layers, Some(file.source.clone()));
            self.look_beside(path, disk.layers().last().map_or(0, Layer::virtual_size));
            self.disk = Some(disk);
        }
        Ok(())
    }

    /// Notes damage that leaves no disk, or passes on an error that is none.
    fn fail(&mut self, kind: Kind, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        self.say(kind, chain_of_causes(&error));
        self.failure.get_or_insert(error);
        Ok(())
    }

    /// Opens every layer that can be opened; fewer than planned where there is damage.
    fn open_layers(
        &mut self,
        plan: &ChainPlan,
        gate: &Gate,
        descriptor: &Descriptor,
    ) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        let mut seen: HashMap<(u64, u64), usize> = HashMap::new();
        for (at, planned) in plan.layers.iter().enumerate() {
            let Admitted { path, found } = match gate.admit(&planned.file) {
                Ok(admitted) => admitted,
                Err(error) if is_missing(&error) => {
                    let message = missing(at, &planned.file, gate);
                    let finding = Finding::new(Kind::LayerMissing, message);
                    self.findings.push(Finding {
                        layer: Some(at),
                        ..finding
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            let moved = match found {
                FoundAs::Named => None,
                FoundAs::BesideDescriptor => Some(format!(
                    "found beside the descriptor, which says {}",
                    planned.file
                )),
                FoundAs::Respelled => Some(format!(
                    "the descriptor spells its name in another way: {}, and the file's is {}",
                    spelled_out(planned.file.as_ref()),
                    spelled_out(path.file_name().unwrap_or_default())
                )),
            };
            self.findings
                .extend(moved.map(|text| Finding::new(Kind::MovedFile, text).of(at, &path)));
            let source = FileSource::open_resolved(&path)?;
            if let Some(other) = seen.insert(source.identity(), at) {
                let message = format!("layers {other} and {at} are the same file");
                self.findings
                    .push(Finding::new(Kind::Descriptor, message).of(at, &path));
                continue;
            }
            let raw = match planned.form {
                LayerForm::Image => false,
                LayerForm::Raw => true,
                LayerForm::Unlabelled => self.is_raw(&source, descriptor, gate)?,
            };
            layers.extend(self.open_layer(at, source, raw, Some(planned.guid))?);
        }
        self.only_last_is_written(plan.layers.len());
        Ok(layers)
    }

    /// Of `layers` layers only the last one is ever written: in any other a merge or a resize died.
    fn only_last_is_written(&mut self, layers: usize) {
        for finding in &mut self.findings {
            if finding.kind == Kind::InUse && finding.layer != layers.checked_sub(1) {
                finding.kind = Kind::LayerInUse;
            }
        }
    }

    fn open_layer(
        &mut self,
        at: usize,
        source: FileSource,
        raw: bool,
        guid: Option<Guid>,
    ) -> Result<Option<Layer>> {
        let path = source.path().to_owned();
        let layer = if raw {
            Layer::Raw(RawLayer::new(source))
        } else {
            let index = self.saved_index(&path)?;
            let (kind, error) = match Image::open(source, index, self.options.if_unreadable()) {
                Ok((image, findings)) => {
                    let about = |finding: Finding| finding.of(at, &path);
                    self.findings.extend(findings.into_iter().map(about));
                    let layer = Layer::Image(Box::new(image));
                    self.layers.push(layer_info(at, &layer, guid)?);
                    return Ok(Some(layer));
                }
                Err(error) => (kind_of(&error), error),
            };
            let message = match (error.detail::<HeaderError>(), error.detail()) {
                (Some(why), _) => why.to_string(),
                (_, Some(OpenError::NotPloop { found, .. })) => {
                    format!("not a ploop image: {found}")
                }
                _ => chain_of_causes(&error),
            };
            self.findings
                .push(Finding::new(kind, message).of(at, &path));
            // A layer that is no image is damage of the chain; for the rest, the error says more.
            if kind != Kind::NotPloop {
                self.failure.get_or_insert(error);
            }
            return Ok(None);
        };
        self.layers.push(layer_info(at, &layer, guid)?);
        Ok(Some(layer))
    }

    fn list_snapshots(&mut self, descriptor: &Descriptor, folder: &Path) {
        let top = current_top(descriptor).map(|(top, _)| top);
        let known = match snapshots::read_around(folder) {
            Ok(known) => known,
            Err(unreadable) => {
                self.say(Kind::SnapshotNames, unreadable);
                Vec::new()
            }
        };
        let info = |shot: &super::Shot| {
            let known = known.iter().find(|known| known.guid == shot.guid);
            SnapshotInfo {
                guid: shot.guid,
                parent: shot.parent,
                top: Some(shot.guid) == top,
                name: known.and_then(|known| known.name.clone()),
                taken: known.and_then(|known| known.taken.clone()),
                temporary: shot.temporary,
            }
        };
        self.snapshots = descriptor.shots.iter().map(info).collect();
    }

    /// The snapshot that a user means.
    fn guid_of(&self, name: &SnapshotName) -> std::result::Result<Guid, SelectError> {
        let name = match name {
            SnapshotName::Guid(guid) => return Ok(*guid),
            SnapshotName::Name(name) => name,
        };
        let called = |is_same: &dyn Fn(&String) -> bool| {
            let same = self.snapshots.iter();
            let same = same.filter(|shot| shot.name.as_ref().is_some_and(is_same));
            same.map(|shot| shot.guid).collect::<Vec<_>>()
        };
        let mut guids = called(&|known| known == name);
        if guids.is_empty() {
            guids = called(&|known| composed(known) == composed(name));
        }
        match guids[..] {
            [only] => Ok(only),
            [] => Err(SelectError::NoSuchSnapshot(name.clone())),
            _ => Err(SelectError::SeveralSnapshots {
                name: name.clone(),
                count: guids.len(),
            }),
        }
    }
}

/// Says that a layer is missing, and which files look as if they were it.
fn missing(at: usize, name: &str, gate: &Gate) -> String {
    if gate.is_link(name) {
        return format!(
            "layer {at} ({name}) is missing: it is a symbolic link, \
             and what it leads to is not there"
        );
    }
    let alike = gate.lookalikes(name);
    if alike.is_empty() {
        return format!("layer {at} ({name}) is missing");
    }
    let alike: Vec<_> = alike.iter().map(|name| spelled_out(name)).collect();
    format!(
        "layer {at} is missing: no file is called {}, and these look alike: {}",
        spelled_out(name.as_ref()),
        alike.join(", ")
    )
}

fn is_missing(error: &Error) -> bool {
    error.io_error().is_some_and(is_absence)
}

/// What it means for a disk that one of its layers cannot be opened.
fn kind_of(error: &Error) -> Kind {
    match (error.detail::<HeaderError>(), error.detail()) {
        (Some(why), _) => Kind::from(why),
        (_, Some(OpenError::SavedTable { .. })) => Kind::VersionConversion,
        (_, Some(OpenError::NotPloop { .. })) => Kind::NotPloop,
        _ => Kind::ReadError,
    }
}

/// An error and its causes in one line.
fn chain_of_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
