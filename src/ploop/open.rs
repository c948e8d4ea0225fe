//! Opens what a user named: finds the layers, looks at every one of them, and says what it found.

mod beside;
mod by_hand;
mod examined;
mod host;
mod judge;
mod layers;
mod lone;
mod older;
mod opener;
mod options;
mod outside;
mod parts;
mod raw;
mod read;
mod saved;
mod suspended;
mod unlisted;
mod unreadable;

use std::path::{Path, PathBuf};

pub use self::examined::{Examined, ImageInfo, LayerInfo, PartInfo};
use self::layers::{Planned, Seen, chain_of_causes};
use self::opener::Opener;
pub use self::options::{IfInUse, OpenOptions};
use self::read::DescriptorFile;
use super::chain::{ChainPlan, SelectError, current_top};
use super::check::FindingKind as Kind;
use super::descriptor::{Descriptor, Guid};
use super::disk::{Named, PloopDisk};
use super::error::{OpenError, Wish};
use super::gate::{Gate, composed};
use super::locate::{Located, bundle_findings, images_in, locate, other_disks};
use super::snapshots::{self, SnapshotInfo, SnapshotName};
use crate::disk::VirtualDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::source::FileSource;
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
    let located = locate(input, &options.search())?;
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
            disk,
            private_dirs,
            config_dir,
            ..
        } = &self.options;
        // A user who chooses a disk has seen the others.
        if disk.is_none() {
            self.other_disks = other_disks(&self.input, private_dirs, config_dir);
        }
        self.look_for_suspended();
        self.findings
            .extend(bundle_findings(&self.input, self.options.disk.as_deref()));
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
        let is_snapshot = options.snapshot.is_some();
        if plan.is_split() {
            self.open_split(&plan, &file, gate, is_snapshot)?;
        } else {
            self.open_whole(&plan, &file, gate, is_snapshot)?;
        }
        self.judge_names(&plan, descriptor, gate);
        self.judge_unlisted_parts(path, descriptor, gate);
        Ok(())
    }

    /// Opens a disk of one part.
    fn open_whole(
        &mut self,
        plan: &ChainPlan,
        file: &DescriptorFile,
        gate: &Gate,
        is_snapshot: bool,
    ) -> Result<()> {
        let descriptor = file.descriptor()?;
        let planned = Planned {
            layers: plan.parts.first().map_or(&[][..], |part| &part.layers),
            sizes: [descriptor.disk_size, descriptor.end()],
            descriptor,
            gate,
        };
        let mut layers = self.open_layers(&planned, &mut Seen::default())?;
        self.judge_missing_header(descriptor, gate);
        if is_snapshot {
            self.judge_temporary(plan);
        }
        if layers.len() == planned.layers.len() {
            self.judge_raw(&mut layers, Some((descriptor, gate)), None)?;
            self.judge_chain(&layers, Some(descriptor));
            let named = Named::new(file.source.clone(), descriptor, plan);
            let disk = PloopDisk::new(layers, Some(named));
            self.look_beside(&file.path, &[disk.size()]);
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
