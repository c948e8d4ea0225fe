//! Opens the layers of a chain, and says which cannot be opened.

use std::collections::HashMap;
use std::path::Path;

use super::examined::layer_info;
use super::opener::Opener;
use crate::error::{Error, Result};
use crate::ploop::chain::{LayerForm, PlannedLayer};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Guid};
use crate::ploop::disk::{Layer, RawLayer};
use crate::ploop::error::OpenError;
use crate::ploop::gate::{Admitted, FoundAs, Gate, spelled_out};
use crate::ploop::header::HeaderError;
use crate::ploop::image::Image;
use crate::source::{FileSource, is_absence};

/// The chain that a descriptor describes, of a disk or of a part of it.
pub(super) struct Planned<'a> {
    /// Base first.
    pub(super) layers: &'a [PlannedLayer],
    /// How long a raw disk would be, in bytes, where that is stated.
    pub(super) sizes: [Option<u64>; 2],
    pub(super) descriptor: &'a Descriptor,
    pub(super) gate: &'a Gate,
}

/// The files that are layers already.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// For device and inode number, part and layer.
    files: HashMap<(u64, u64), (usize, usize)>,
    /// The part that is looked at.
    part: usize,
}

impl Seen {
    pub(super) fn begin_part(&mut self, part: usize) {
        self.part = part;
    }

    /// Which layer the file is already, and of which other part.
    fn add(&mut self, file: (u64, u64), layer: usize) -> Option<(Option<usize>, usize)> {
        let (part, layer) = self.files.insert(file, (self.part, layer))?;
        Some(((part != self.part).then_some(part), layer))
    }
}

impl Opener {
    /// Opens every layer that can be opened; fewer than planned where there is damage.
    pub(super) fn open_layers(
        &mut self,
        plan: &Planned<'_>,
        seen: &mut Seen,
    ) -> Result<Vec<Layer>> {
        let gate = plan.gate;
        let found_before = self.findings.len();
        let mut layers = Vec::new();
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
            let moved = moved(found, &planned.file, &path);
            self.findings
                .extend(moved.map(|text| Finding::new(Kind::MovedFile, text).of(at, &path)));
            let source = FileSource::open_resolved(&path)?;
            if let Some(other) = seen.add(source.identity(), at) {
                let message = match other {
                    (None, other) => format!("layers {other} and {at} are the same file"),
                    (Some(part), layer) => {
                        format!("the same file is layer {layer} of part {part} already")
                    }
                };
                self.findings
                    .push(Finding::new(Kind::Descriptor, message).of(at, &path));
                continue;
            }
            let raw = match planned.form {
                LayerForm::Image => false,
                LayerForm::Raw => true,
                LayerForm::Unlabelled => self.is_raw(&source, plan)?,
            };
            layers.extend(self.open_layer(at, source, raw, Some(planned.guid))?);
        }
        self.only_last_is_written(found_before, plan.layers.len());
        Ok(layers)
    }

    /// Of `layers` layers only the last one is ever written: in any other a merge or a resize died.
    /// `before` findings are about something else.
    pub(super) fn only_last_is_written(&mut self, before: usize, layers: usize) {
        for finding in self.findings.iter_mut().skip(before) {
            if finding.kind == Kind::InUse && finding.layer != layers.checked_sub(1) {
                finding.kind = Kind::LayerInUse;
            }
        }
    }

    pub(super) fn open_layer(
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
}

/// Where a file was found that is not where the descriptor says.
fn moved(found: FoundAs, named: &str, path: &Path) -> Option<String> {
    match found {
        FoundAs::Named => None,
        FoundAs::BesideDescriptor => {
            Some(format!("found beside the descriptor, which says {named}"))
        }
        FoundAs::Respelled => Some(format!(
            "the descriptor spells its name in another way: {}, and the file's is {}",
            spelled_out(named.as_ref()),
            spelled_out(path.file_name().unwrap_or_default())
        )),
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
pub(super) fn chain_of_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
