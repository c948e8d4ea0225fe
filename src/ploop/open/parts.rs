//! A disk that is split into several parts, each with a chain of its own.

use super::examined::PartInfo;
use super::layers::{Planned, Seen};
use super::opener::Opener;
use super::read::DescriptorFile;
use crate::disk::LossKind;
use crate::error::Result;
use crate::ploop::chain::{ChainPlan, PlannedPart};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Storage};
use crate::ploop::disk::{Layer, Named, Part, PloopDisk};
use crate::ploop::gate::Gate;
use crate::ploop::header::SECTOR;
use crate::ploop::image::has_signature;
use crate::ploop::names::ImageName;

/// The largest cluster that producers of raw parts state, and more, in bytes.
const LARGEST_CLUSTER: u64 = 4 << 20;

/// A part of a split disk.
struct Place<'a> {
    storage: &'a Storage,
    len: u64,
    is_last: bool,
}

impl Opener {
    /// Opens all parts of a disk. It is one only where every layer of every part is there.
    pub(super) fn open_split(
        &mut self,
        plan: &ChainPlan,
        file: &DescriptorFile,
        gate: &Gate,
        is_snapshot: bool,
    ) -> Result<()> {
        let descriptor = file.descriptor()?;
        let last = descriptor.storages.len().saturating_sub(1);
        let mut seen = Seen::default();
        let mut parts = Vec::new();
        let planned = plan.parts.iter().zip(&descriptor.storages).enumerate();
        for (part, (planned, storage)) in planned {
            let range = storage.start..storage.end.unwrap_or(storage.start);
            let len = range.end.saturating_sub(range.start);
            self.parts.push(PartInfo { part, range });
            seen.begin_part(part);
            let place = Place {
                storage,
                len,
                is_last: part == last,
            };
            let chain = Planned {
                layers: &planned.layers,
                sizes: [Some(len), None],
                descriptor,
                gate,
            };
            let opened = self.in_part(Some(part), |opener| {
                opener.open_part(&chain, &place, &mut seen)
            })?;
            parts.extend(opened);
        }
        if is_snapshot {
            self.judge_temporary(plan);
        }
        self.judge_order(plan, gate);
        self.judge_end(descriptor);
        let tops = parts.iter().filter_map(|part| part.layers.last());
        let tops: Vec<_> = tops.map(Layer::virtual_size).collect();
        self.look_beside(&file.path, &tops);
        if parts.len() == plan.parts.len() {
            let named = Named::new(file.source.clone(), descriptor, plan);
            self.disk = Some(PloopDisk::of_parts(parts, named)?);
        }
        Ok(())
    }

    /// Opens one part; nothing where a layer cannot be opened.
    fn open_part(
        &mut self,
        chain: &Planned<'_>,
        place: &Place<'_>,
        seen: &mut Seen,
    ) -> Result<Option<Part>> {
        let mut layers = self.open_layers(chain, seen)?;
        if layers.len() != chain.layers.len() {
            return Ok(None);
        }
        self.judge_raw_part(&mut layers, place)?;
        self.judge_layers(&layers, Some(place.storage));
        let len = self.judge_size(&layers, place);
        Ok(Some(Part { layers, len }))
    }

    /// Judges a raw base of a part, which nothing describes but the range of the part: what it
    /// holds begins and ends anywhere in the disk.
    fn judge_raw_part(&mut self, layers: &mut [Layer], place: &Place<'_>) -> Result<()> {
        let (base, above) = match layers {
            [Layer::Raw(base), above @ ..] => (base, above),
            _ => return Ok(()),
        };
        let size = base.file().len();
        if has_signature(base.file())? {
            if above.is_empty() && size == place.len {
                let message = "the descriptor calls it Plain, so it is read as a raw disk, but it \
                               begins like a ploop image";
                self.about(Kind::PlainWithHeader, base, message.to_owned());
            } else {
                let message = "the descriptor calls it Plain, but it begins like a ploop image, \
                               and as a raw disk it does not fit";
                self.about(Kind::Descriptor, base, message.to_owned());
            }
        }
        if size >= place.len {
            return Ok(());
        }
        let sizes = format!(
            "the file has {size} bytes and the part of the disk {}",
            place.len
        );
        // Only the last part can have grown.
        let may_have_grown = place.is_last && !(above.is_empty() && self.is_current());
        if may_have_grown && size > 0 && size.is_multiple_of(SECTOR) {
            let doubt = "nothing in it says whether the disk grew later or the file was cut short";
            self.about(Kind::RawSizeUnproven, base, format!("{sizes}, and {doubt}"));
            base.should_end_at(place.len, LossKind::Doubtful);
        } else {
            self.cut(base, place.len, &sizes);
        }
        Ok(())
    }

    /// How much of a chain is the part: all of it, or less where its size was rounded up.
    fn judge_size(&mut self, layers: &[Layer], place: &Place<'_>) -> u64 {
        let Some(top) = layers.last() else {
            return 0;
        };
        let (size, len) = (top.virtual_size(), place.len);
        let sizes = format!("the image has {size} bytes of the disk, and its part {len}");
        // A raw disk has no header to believe: a descriptor that states huge clusters does not make
        // a longer file the part.
        let stated = place.storage.block_size;
        let stated = stated.filter(|size| (1..=LARGEST_CLUSTER).contains(size));
        let cluster = top.cluster_size().or(stated).unwrap_or(SECTOR);
        let at = layers.len().saturating_sub(1);
        let told = if size > len && size.saturating_sub(len) < cluster {
            let what = "what lies past the part is left out";
            Some((Kind::PartLonger, what))
        } else if size > len {
            Some((Kind::PartSize, "it is not this part"))
        } else if size < len && (!place.is_last || self.is_current()) {
            Some((Kind::PartSize, "the rest is missing"))
        } else {
            None
        };
        if let Some((kind, what)) = told {
            let finding = Finding::new(kind, format!("{sizes}: {what}"));
            self.findings.push(finding.of(at, top.source().path()));
        }
        size.min(len)
    }

    /// Warns where the names of the files count the parts in another way than the descriptor.
    fn judge_order(&mut self, plan: &ChainPlan, gate: &Gate) {
        let number = |name: &str| {
            let path = gate.admit(name).ok()?.path;
            ImageName::parse(path.file_name()?)?.part
        };
        let mut parts = (0_u32..).zip(&plan.parts);
        let other = parts.find_map(|(part, PlannedPart { layers })| {
            let mut numbers = layers.iter().filter_map(|layer| number(&layer.file));
            Some((part, numbers.find(|&number| number != part)?))
        });
        if let Some((part, number)) = other {
            let message = format!(
                "the descriptor makes part {part} of a file that is part {number} by its name; \
                 the descriptor is followed"
            );
            self.say(Kind::PartOrder, message);
        }
    }

    /// Warns where the disk is said to end before its last part does.
    fn judge_end(&mut self, descriptor: &Descriptor) {
        if let (Some(stated), Some(end)) = (descriptor.disk_size, descriptor.end())
            && stated != end
        {
            let message = format!(
                "the descriptor states a disk of {stated} bytes, and its parts end at {end}"
            );
            self.say(Kind::DiskSizeDiffers, message);
        }
    }
}
