//! A raw disk has no header that says how long it is: the descriptor, the layer above it and what
//! the disk holds say whether its file is whole.

use std::fmt;

use super::layers::Planned;
use super::opener::Opener;
use crate::disk::{LossKind, RawDisk};
use crate::error::Result;
use crate::partition::{self, StatedEnd, stated_end};
use crate::ploop::alternative::{Alternative, OtherReading};
use crate::ploop::chain::{ChainPlan, PlannedPart};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::Descriptor;
use crate::ploop::disk::{Layer, RawLayer};
use crate::ploop::gate::Gate;
use crate::ploop::header::SECTOR;
use crate::ploop::image::has_signature;
use crate::ploop::layer_name::LayerName;
use crate::source::{FileSource, is_bad_sector};
use crate::util::paths::folder_of;

/// The largest disk that is believed in, in bytes: what an offset of a file can say.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// How long a raw layer has to be.
enum Needed {
    /// This many bytes: the descriptor states it of the current state.
    Exactly(u64),
    /// This many bytes, unless the disk grew after the layer was closed.
    UnlessGrown(u64),
    /// Only what it holds says how long it was.
    Unknown,
}

impl Opener {
    /// Judges a raw base: whether it was cut short, and whether it is one at all. Of a chain that
    /// is named by hand, `stated` is the size that a descriptor beside it has for the current
    /// state.
    pub(super) fn judge_raw(
        &mut self,
        layers: &mut [Layer],
        descriptor: Option<(&Descriptor, &Gate)>,
        stated: Option<u64>,
    ) -> Result<()> {
        let (base, above) = match layers {
            [Layer::Raw(base), above @ ..] => (base, above),
            _ => return Ok(()),
        };
        if let Some((descriptor, gate)) = descriptor {
            self.judge_label(base, descriptor, gate)?;
        }
        let descriptor = descriptor.map(|(descriptor, _)| descriptor);
        let needed = self.needed(above, descriptor, stated);
        let size = base.file().len();
        match needed {
            Needed::Unknown if size == 0 => {
                let message = "the raw base is empty, and no disk is".to_owned();
                self.about(Kind::VirtualSize, base, message);
            }
            Needed::Exactly(needed) | Needed::UnlessGrown(needed) if size == 0 => {
                let message = format!("the file is empty, and the disk has {needed} bytes");
                self.cut(base, needed, &message);
            }
            Needed::Exactly(needed) | Needed::UnlessGrown(needed) if size >= needed => {}
            Needed::Exactly(needed) => {
                let by = "the descriptor";
                self.cut(base, needed, &stated_by(by, needed, size));
            }
            Needed::UnlessGrown(needed) => match evidence(base)? {
                Some(StatedEnd { end, by }) if end > size => {
                    self.cut(base, needed, &stated_by(by, end, size));
                }
                stated => {
                    let cluster = above.first().and_then(Layer::cluster_size);
                    self.judge_short_base(base, needed, stated, cluster);
                }
            },
            Needed::Unknown => {
                if let Some(StatedEnd { end, by }) = evidence(base)?
                    && end > size
                {
                    self.cut(base, end, &stated_by(by, end, size));
                }
            }
        }
        Ok(())
    }

    /// Judges a base that is shorter than the disk and holds nothing that reaches past its end.
    ///
    /// Contents that end with the file prove that it is whole. What ends before leaves open whether
    /// free space was cut off; but a disk has whole clusters, and most cut places are none.
    fn judge_short_base(
        &mut self,
        base: &mut RawLayer,
        needed: u64,
        stated: Option<StatedEnd>,
        cluster: Option<u64>,
    ) {
        let size = base.file().len();
        let sizes = format!("the file has {size} bytes and the disk {needed}");
        let unit = cluster.unwrap_or(SECTOR);
        let is_disk_size = size.is_multiple_of(unit);
        if !size.is_multiple_of(SECTOR) {
            let message = format!("{sizes}, and no disk ends inside a sector");
            self.cut(base, needed, &message);
            return;
        }
        let doubt = match stated {
            Some(StatedEnd { end, by }) if end == size || is_disk_size => {
                let message = format!("{sizes}: by {by}, the disk grew later");
                self.about(Kind::RawGrown, base, message);
                return;
            }
            Some(StatedEnd { end, by }) => format!(
                "{by} ends at {end}, and no disk of clusters of {unit} bytes ends at {size}, so \
                 free space may have been cut off"
            ),
            None => "nothing in it says whether the disk grew later or the file was cut short"
                .to_owned(),
        };
        self.about(Kind::RawSizeUnproven, base, format!("{sizes}, and {doubt}"));
        base.should_end_at(needed, LossKind::Doubtful);
    }

    /// How long the base has to be, by the layers above it or by the descriptor.
    fn needed(
        &self,
        above: &[Layer],
        descriptor: Option<&Descriptor>,
        by_hand: Option<u64>,
    ) -> Needed {
        if let Some(child) = above.first() {
            // A layer is as large as the one below it when it is made, and only ever grows.
            return Needed::UnlessGrown(child.virtual_size());
        }
        match descriptor.map_or(by_hand, Descriptor::stated_size) {
            // What was named by hand may be an older state.
            Some(stated) if descriptor.is_none() => Needed::UnlessGrown(stated),
            Some(stated) if self.is_current() => Needed::Exactly(stated),
            Some(stated) => Needed::UnlessGrown(stated),
            None => Needed::Unknown,
        }
    }

    /// A raw base that begins like an image may be one whose label is wrong. A guest may write such
    /// bytes too, so the descriptor is followed.
    fn judge_label(&mut self, base: &RawLayer, descriptor: &Descriptor, gate: &Gate) -> Result<()> {
        if !has_signature(base.file())? {
            return Ok(());
        }
        let message = "the descriptor calls it Plain, so it is read as a raw disk, but it begins \
                       like a ploop image";
        self.about(Kind::PlainWithHeader, base, message.to_owned());
        let instead = self.by_hand(descriptor, gate, false);
        if let Some(finding) = self.findings.last_mut() {
            finding.instead = instead;
        }
        Ok(())
    }

    pub(super) fn cut(&mut self, base: &mut RawLayer, size: u64, why: &str) {
        let message = format!("{why}: the rest is missing");
        if size > LARGEST {
            self.about(Kind::VirtualSize, base, message);
            return;
        }
        self.about(Kind::RawTruncated, base, message);
        base.should_end_at(size, LossKind::Missing);
    }

    pub(super) fn about(&mut self, kind: Kind, base: &RawLayer, message: String) {
        let finding = Finding::new(kind, message).of(0, base.file().path());
        self.findings.push(finding);
    }
}

impl Opener {
    /// Whether a base without a label is a raw disk. Without the signature it can be nothing else;
    /// with it, it is an image unless it is as long as the disk, which a guest that writes such
    /// bytes can make so.
    pub(super) fn is_raw(&mut self, base: &FileSource, plan: &Planned<'_>) -> Result<bool> {
        if !has_signature(base)? {
            return Ok(true);
        }
        if plan.sizes.contains(&Some(base.len())) {
            let message = "the descriptor does not say whether it is an image or a raw disk, and \
                           it could be both";
            let finding = Finding::new(Kind::Descriptor, message.to_owned()).of(0, base.path());
            let instead = self.by_hand(plan.descriptor, plan.gate, false);
            self.findings.push(Finding { instead, ..finding });
        }
        Ok(false)
    }

    /// Proposes another label for a base that should be an image and looks like a raw disk.
    pub(super) fn judge_missing_header(&mut self, descriptor: &Descriptor, gate: &Gate) {
        let is_base =
            |finding: &Finding| finding.kind == Kind::NotPloop && finding.layer == Some(0);
        let Some(at) = self.findings.iter().position(is_base) else {
            return;
        };
        let file = self
            .findings
            .get(at)
            .and_then(|finding| finding.file.clone());
        let is_disk = file.is_some_and(|file| {
            // A disk that was cut short too is one all the same.
            let Ok(disk) = RawDisk::open(&file) else {
                return false;
            };
            let layout = partition::read(&disk);
            matches!(stated_end(&disk), Ok(Some(_)))
                || layout.is_ok_and(|layout| layout.table.is_some() || layout.whole.is_some())
        });
        let instead = if is_disk {
            self.by_hand(descriptor, gate, true)
        } else {
            None
        };
        if let Some(finding) = self.findings.get_mut(at) {
            finding.instead = instead;
        }
    }

    /// The chain that was opened, named by hand, with another label for its base.
    fn by_hand(&self, descriptor: &Descriptor, gate: &Gate, raw_base: bool) -> Option<Alternative> {
        let descriptor_path = self.descriptor.as_deref()?;
        let folder = folder_of(descriptor_path);
        let real_folder = folder.canonicalize().ok()?;
        let plan = ChainPlan::select(descriptor, self.snapshot).ok()?;
        // Parts of a split disk cannot be named by hand.
        let [PlannedPart { layers }] = &plan.parts[..] else {
            return None;
        };
        let layers = layers.iter().enumerate().map(|(at, planned)| {
            let file = gate.admit(&planned.file).ok()?.path;
            let name = file.strip_prefix(&real_folder).unwrap_or(&file);
            Some(LayerName {
                file: name.to_owned(),
                raw: at == 0 && raw_base,
            })
        });
        Some(Alternative::Layers {
            folder: folder.to_owned(),
            layers: layers.collect::<Option<_>>()?,
            why: if raw_base {
                OtherReading::RawBase
            } else {
                OtherReading::ImageBase
            },
        })
    }
}

fn stated_by(by: impl fmt::Display, end: u64, size: u64) -> String {
    format!("{by} states a disk of {end} bytes, the file has {size}")
}

/// What the base says of its own size. A sector that cannot be read says nothing.
fn evidence(base: &RawLayer) -> Result<Option<StatedEnd>> {
    match stated_end(&RawDisk::of(base.file().clone())) {
        Err(error) if error.io_error().is_some_and(is_bad_sector) => Ok(None),
        other => other,
    }
}
