//! Opens what a user named: finds the layers, looks at every one of them, and says what it found.

mod beside;
mod by_hand;
mod examined;
mod host;
mod judge;
mod lone;
mod older;
mod outside;
mod raw;
mod saved;
mod unreadable;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use self::by_hand::LayerName;
use self::examined::layer_info;
pub use self::examined::{Examined, ImageInfo, LayerInfo, SnapshotInfo};
use self::lone::refuse_lone_layer;
use super::chain::{ChainPlan, LayerForm, SelectError, current_top};
use super::check::{Finding, FindingKind as Kind};
use super::descriptor::{Descriptor, DescriptorError, Guid};
use super::disk::{Layer, PloopDisk, RawLayer};
use super::gate::{Admitted, FoundAs, Gate, spelled_out};
use super::image::Image;
use super::locate::{
    DEFAULT_CONFIG_DIR, DEFAULT_PRIVATE_DIRS, Located, images_in, locate, other_disks,
};
use super::snapshots::{self, SnapshotName};
use crate::error::{Class, Error, Result};
use crate::in_use::Host;
use crate::source::{FileSource, Source, is_absence};

/// What to open, and how freely.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The snapshot to read; `None` for the current state.
    pub snapshot: Option<SnapshotName>,
    /// Read an image file by itself, whatever a descriptor says.
    pub single_layer: bool,
    /// The chain, base first, where it is named by hand; empty for what the descriptor says.
    pub layers: Vec<LayerName>,
    /// Read on over damage whose cost is known: [`Examined::into_disk`] gives a disk that knows
    /// what is lost.
    pub salvage: bool,
    /// Where a conversion between versions of the format was cut short, use the table that it had
    /// saved beside the image.
    pub use_index: bool,
    /// Follow names in a descriptor that lead out of its folder.
    pub allow_outside: bool,
    /// Where container ids are looked for.
    pub private_dirs: Vec<PathBuf>,
    /// Where containers have their configuration, which may name further disks.
    pub config_dir: PathBuf,
    /// Where signs are looked for that somebody uses the disk; `None` to see only its own mark.
    pub host: Option<Host>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            snapshot: None,
            single_layer: false,
            layers: Vec::new(),
            salvage: false,
            use_index: false,
            allow_outside: false,
            private_dirs: DEFAULT_PRIVATE_DIRS.iter().map(PathBuf::from).collect(),
            config_dir: PathBuf::from(DEFAULT_CONFIG_DIR),
            host: Some(Host::default()),
        }
    }
}

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
    let wrong_input = |option, needs, path: PathBuf| {
        Err(Error::WrongInput {
            option,
            needs,
            path,
        })
    };
    let mut examined = Examined::nothing_yet(input, options);
    if !options.layers.is_empty() {
        examined.open_by_hand()?;
        examined.look_around();
        return Ok(examined);
    }
    let located = locate(input, &options.private_dirs, options.allow_outside)?;
    match located {
        Located::Descriptor(path) if options.single_layer => {
            return wrong_input("--single-layer", "an image file", path);
        }
        Located::Descriptor(path) => examined.open_chain(&path, options)?,
        Located::Image { path, descriptor } if options.single_layer => {
            examined.refuse_unreadable(&path)?;
            examined.open_single(&path)?;
            examined.judge_single(&path, descriptor.as_deref());
        }
        Located::Image {
            path,
            descriptor: Some(descriptor),
        } => {
            // Whoever asks for a snapshot has seen the descriptor.
            if options.snapshot.is_none() {
                refuse_lone_layer(&path, &descriptor)?;
            }
            examined.open_chain(&descriptor, options)?;
        }
        Located::Image {
            path,
            descriptor: None,
        } if options.snapshot.is_some() => {
            return wrong_input("--snapshot", "a disk with a descriptor", path);
        }
        Located::Image {
            path,
            descriptor: None,
        } => {
            examined.refuse_unreadable(&path)?;
            examined.open_single(&path)?;
            examined.judge_single(&path, None);
        }
    }
    examined.look_around();
    Ok(examined)
}

impl Examined {
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

    fn say(&mut self, kind: Kind, message: String) {
        self.findings.push(Finding::new(kind, message));
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
        let gate = Gate::new(path, options.allow_outside)?;
        let (source, descriptor) = match read_descriptor(path, &gate) {
            Err(error) if error.class() == Class::Damaged => {
                self.unlisted = images_in(folder_of(path));
                return self.fail(Kind::Descriptor, error);
            }
            other => other?,
        };
        self.list_snapshots(&descriptor, folder_of(path));
        self.list_unlisted(path, &descriptor, &gate);
        let wanted = options.snapshot.as_ref().map(|name| self.guid_of(name));
        let plan = wanted
            .transpose()
            .and_then(|wanted| ChainPlan::select(&descriptor, wanted));
        let plan = match plan {
            Ok(plan) => plan,
            Err(source) => {
                let error = Error::Select {
                    path: path.to_owned(),
                    source,
                    snapshots: self.snapshots.clone(),
                };
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
        let mut layers = self.open_layers(&plan, &gate, &descriptor)?;
        self.judge_missing_header(&descriptor);
        if options.snapshot.is_some() {
            self.judge_temporary(&plan);
        }
        if layers.len() == plan.layers.len() {
            self.judge_raw(&mut layers, Some(&descriptor), None)?;
            self.judge_chain(&layers, Some(&descriptor));
            let disk = PloopDisk::new(layers, Some(source));
            self.look_beside(path, disk.layers().last().map_or(0, Layer::virtual_size));
            self.disk = Some(disk);
        }
        Ok(())
    }

    /// Notes damage that leaves no disk, or passes on an error that is none.
    fn fail(&mut self, kind: Kind, error: Error) -> Result<()> {
        if error.class() != Class::Damaged {
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
                FoundAs::Beside => Some(format!(
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
                LayerForm::Unlabelled => self.is_raw(&source, descriptor)?,
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
            if source.is_empty() {
                let message = "the raw base is empty, and no disk is".to_owned();
                self.findings
                    .push(Finding::new(Kind::VirtualSize, message).of(at, &path));
            }
            Layer::Raw(RawLayer::new(source))
        } else {
            let index = self.saved_index(&path)?;
            let (kind, error) = match Image::open(source, index, self.options.salvage) {
                Ok((image, findings)) => {
                    let about = |finding: Finding| finding.of(at, &path);
                    self.findings.extend(findings.into_iter().map(about));
                    let layer = Layer::Image(Box::new(image));
                    self.layers.push(layer_info(at, &layer, guid)?);
                    return Ok(Some(layer));
                }
                Err(Error::Header { path, source }) => {
                    (Kind::from(&source), Error::Header { path, source })
                }
                Err(error @ Error::Index { .. }) => (Kind::VersionConversion, error),
                Err(error @ Error::NotPloop { .. }) => (Kind::NotPloop, error),
                Err(error) => (Kind::ReadError, error),
            };
            let message = match &error {
                Error::Header { source, .. } => source.to_string(),
                Error::NotPloop { found, .. } => format!("not a ploop image: {found}"),
                other => chain_of_causes(other),
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
        let known = snapshots::read_around(folder);
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
        let same = self.snapshots.iter();
        let same = same.filter(|shot| shot.name.as_ref() == Some(name));
        let guids: Vec<_> = same.map(|shot| shot.guid).collect();
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

/// Reads and parses a descriptor, keeping it open to see whether it changes.
fn read_descriptor(path: &Path, gate: &Gate) -> Result<(FileSource, Descriptor)> {
    let wrong = |source| Error::Descriptor {
        path: path.to_owned(),
        source,
    };
    let source = gate.open_descriptor()?;
    let len = source.len();
    if len > Descriptor::MAX_LEN {
        return Err(wrong(DescriptorError::TooLarge(len)));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    source
        .read_exact_at(&mut bytes, 0)
        .map_err(|error| Error::io("reading", path, error))?;
    let descriptor = Descriptor::parse(&bytes).map_err(wrong)?;
    Ok((source, descriptor))
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Says that a layer is missing, and which files look as if they were it.
fn missing(at: usize, name: &str, gate: &Gate) -> String {
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
    matches!(error, Error::Io { source, .. } if is_absence(source))
}

/// An error and its causes in one line.
fn chain_of_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
