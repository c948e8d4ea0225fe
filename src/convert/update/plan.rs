//! Whether a target can be brought up to date, and what has to be copied for that.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::UpdateError;
use super::ranges::{between, bytes, common, joined};
use super::state::{Before, State, layers, path_of, words};
use super::trust::{Trust, Trusted, trusted};
use crate::convert::Resources;
use crate::convert::error::ConvertError;
use crate::convert::input::Input;
use crate::convert::options::{ConvertOptions, Sparse};
use crate::convert::origin::Origin;
use crate::convert::target::Target;
use crate::disk::{VirtualDisk, stored_bytes_in};
use crate::error::{Error, Result};
use crate::format::{FileBefore, FileChange, Format, PlannedChange, TargetFormat};
use crate::partition::{self, Content, FileSystem};
use crate::sink::{BlockSink, Durability, HEAD, IfExists, PartialFile, Reflink};

/// An update that was planned: nothing is open for writing.
#[derive(Debug)]
pub struct UpdatePlan {
    pub(super) input: Input,
    pub(super) origin: Origin,
    pub(super) options: ConvertOptions,
    pub(super) format: Arc<dyn Format>,
    /// Where the disk is, and whether that is a device.
    pub(super) target: PathBuf,
    pub(super) is_device: bool,
    pub(super) state: State,
    /// What the state file said, which may have been another one.
    pub(super) read: State,
    pub(super) state_path: PathBuf,
    /// The start of the target, before it is changed.
    pub(super) before: Before,
    /// Of a file that is not the disk's bytes: what is done to it.
    pub(super) change: Option<Box<dyn PlannedChange>>,
    /// What may differ between target and disk, in order.
    pub(super) ranges: Vec<Range<u64>>,
    data_bytes: u64,
}

/// Plans an update of `target`, whose state was written when it was made. The target is opened for
/// reading only.
///
/// # Errors
///
/// [`UpdateError`] where image, options or target are not those of the state, or there is none;
/// [`ConvertError::TargetIsSource`] where a file of the source would be written over, and what the
/// target says against being written.
pub fn plan_update(
    input: Input,
    target: Target,
    options: ConvertOptions,
    resources: &Resources<'_>,
) -> Result<UpdatePlan> {
    target.refuse_files_of(&input)?;
    let options = ConvertOptions {
        // That the target is there is what it is about, and its state outlives a crash.
        if_exists: IfExists::Replace,
        durability: Durability::Synced,
        ..options
    };
    let (format, origin) = followed(&input, &options)?;
    let state_path = path_of(&target, &options)
        .ok_or_else(|| unsupported("only a file or a block device is brought up to date"))?;
    if input.is_file_of_it(&state_path) {
        return Err(ConvertError::TargetIsSource { path: state_path }.into());
    }
    let read = State::read(&state_path)?;
    let state = read.clone();
    refuse_other_options(&state, &words(&input, &options))?;
    refuse_other_source(&state, &input, &origin)?;
    let input = input.remembered();
    let size = input.disk().size();
    let is_device = matches!(target, Target::Device(_));
    let of_layers = origin.placed(size).kept;
    if is_device && let Some(kind) = mounted_silently(input.disk(), &of_layers)? {
        return Err(unsupported(&format!(
            "this device is not brought up to date: it has {}, and nothing at its start tells that \
             it was mounted",
            kind.title()
        )));
    }
    target.refuse_use()?;
    let target = target.name().to_owned();
    if is_device {
        BlockSink::admit(&target, size)?;
    } else {
        PartialFile::admit(&target, IfExists::Replace)?;
    }
    let known = state.snapshot.clone();
    let trusted = trusted(state, &target, input.disk(), &*format)?;
    let Trusted {
        state,
        trust,
        before,
    } = trusted;
    if state.snapshot != known {
        // An update came to its end after all, and those are its layers.
        refuse_other_source(&state, &input, &origin)?;
    }
    let above = origin.stored_above(state.layers.len(), size);
    // Neither what was made around the layers nor what they have grown by is as it was.
    let stayed = common(&state.placed().kept, &of_layers);
    let new = between(&stayed, size);
    let everything = matches!(trust, Trust::Nothing).then_some(0..size);
    // It is made invalid while the target is changed.
    let head = format.is_plain().then_some(0..HEAD.min(size));
    let all = above.into_iter().chain(state.changed());
    let all = all.chain(new).chain(head).chain(everything);
    let ranges = joined(all, size);
    let change = match format.is_plain() {
        true => None,
        false => Some(change_of(
            &*format,
            &target,
            &before,
            input.disk(),
            &ranges,
        )?),
    };
    let data_bytes = stored_bytes_in(input.disk(), &ranges, resources.workers)?;
    Ok(UpdatePlan {
        input,
        origin,
        options,
        format,
        target,
        is_device,
        state,
        read,
        state_path,
        before,
        change,
        ranges,
        data_bytes,
    })
}

/// What the disk has that leaves no trace where a device is looked at before an update: no update
/// of a device follows.
///
/// # Errors
///
/// What the disk says.
pub fn content_without_trace(disk: &dyn VirtualDisk) -> Result<Option<FileSystem>> {
    let all = 0..disk.size();
    mounted_silently(disk, &[all])
}

/// How the target looks and which layers it is of, where updates can follow both.
fn followed(input: &Input, options: &ConvertOptions) -> Result<(Arc<dyn Format>, Origin)> {
    let TargetFormat::Disk(format) = &options.format else {
        return Err(unsupported("an archive is not brought up to date"));
    };
    let origin = input.origin().ok_or_else(|| {
        unsupported("only a disk of one part that a descriptor describes is followed by updates")
    })?;
    if input.compaction().is_some() {
        // What is free at one time and not at another shows in no table of the image.
        return Err(unsupported(
            "a target without the free blocks is not brought up to date",
        ));
    }
    if options.sparse == Sparse::Never {
        return Err(unsupported(
            "a target that is fully allocated is not brought up to date",
        ));
    }
    Ok((Arc::clone(format), origin.clone()))
}

fn unsupported(why: &str) -> Error {
    let why = why.to_owned();
    UpdateError::Unsupported { why }.into()
}

/// What is done to a file that is not the disk's bytes.
fn change_of(
    format: &dyn Format,
    target: &Path,
    before: &Before,
    disk: &dyn VirtualDisk,
    ranges: &[Range<u64>],
) -> Result<Box<dyn PlannedChange>> {
    let before = FileBefore {
        path: target.to_owned(),
        head: before.head(),
        len: before.len,
    };
    match format.change(before, disk, ranges)? {
        FileChange::Possible(change) => Ok(change),
        FileChange::Unknown(why) => Err(unsupported(why)),
        FileChange::Foreign(why) => {
            let (path, why) = (target.to_owned(), why.to_owned());
            Err(UpdateError::Target { path, why }.into())
        }
    }
}

impl UpdatePlan {
    /// The disk that the target will be.
    #[must_use]
    pub fn disk(&self) -> &dyn VirtualDisk {
        self.input.disk()
    }

    /// The snapshot that the target was made from.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.state.snapshot
    }

    /// The file that says what the target holds.
    #[must_use]
    pub fn state_path(&self) -> &Path {
        &self.state_path
    }

    /// How many bytes of the disk may be others than those of the target.
    #[must_use]
    pub fn changed_bytes(&self) -> u64 {
        bytes(&self.ranges)
    }

    /// How many of them are stored; the others are zeros.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Whether a new file may take the place of the target; else it is changed where it lies.
    #[must_use]
    pub fn may_be_replaced(&self) -> bool {
        !self.is_device && self.options.reflink != Reflink::Never && !self.goes_on()
    }

    /// Whether an earlier update was begun and not ended.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.state.under_way
    }

    /// Bytes that are passed by when it is run, for progress.
    #[must_use]
    pub fn work(&self) -> u64 {
        let size = self.input.disk().size();
        let whole = [self.options.read_back, self.options.checksum.is_some()];
        let whole = whole.into_iter().filter(|is_wanted| *is_wanted);
        whole.fold(self.changed_bytes(), |sum, _| sum.saturating_add(size))
    }
}

/// A file system of the disk that is mounted without a trace where traces are looked for. What lies
/// outside of `stayed` is written again, whatever became of it.
fn mounted_silently(disk: &dyn VirtualDisk, stayed: &[Range<u64>]) -> Result<Option<FileSystem>> {
    let layout = partition::read(disk)?;
    let stays = |at: u64| stayed.iter().any(|range| range.contains(&at));
    let parts = layout.partitions.iter();
    let parts = parts
        .filter(|part| stays(part.start))
        .filter_map(|part| part.content.as_ref());
    let known = [
        FileSystem::Ext2,
        FileSystem::Ext3,
        FileSystem::Ext4,
        FileSystem::Btrfs,
    ];
    let known =
        |content: &Content| known.contains(&content.kind) || content.kind == FileSystem::Swap;
    let unknown = parts.chain(&layout.whole).find(|content| !known(content));
    Ok(unknown.map(|content| content.kind))
}

/// The layers below the snapshot have to be those that they were.
fn refuse_other_source(state: &State, input: &Input, origin: &Origin) -> Result<()> {
    let other = |why: String| Err(UpdateError::Source { why }.into());
    let now = origin.descriptor();
    if state.descriptor != now {
        let was = state.descriptor.display();
        return other(format!(
            "it was made from {was}, and this is {}",
            now.display()
        ));
    }
    let guids = origin.guids().iter().map(ToString::to_string);
    if !guids.clone().any(|guid| guid == state.snapshot) {
        let is = origin.snapshot;
        return other(format!(
            "snapshot {} was merged or deleted, or is not below {is}",
            state.snapshot
        ));
    }
    let layers = layers(origin)?;
    if layers.len() < state.layers.len() {
        return other(format!("snapshot {} has other layers now", state.snapshot));
    }
    let mut pairs = state.layers.iter().zip(&layers);
    if let Some(why) = pairs.find_map(|(was, is)| was.change(is)) {
        return other(why);
    }
    if state.layers.last().map(|layer| &layer.guid) != Some(&state.snapshot) {
        return other(format!("{} is not the last of them", state.snapshot));
    }
    if state.start != origin.start {
        let (was, is) = (state.start, origin.start);
        return other(format!("the partition began at {was} and begins at {is}"));
    }
    let (was, is) = (state.placed().moved, origin.placed(0).moved);
    if was != is {
        return other(format!(
            "the partitions were moved by {was} bytes and are moved by {is}"
        ));
    }
    let (was, is) = (state.size, input.disk().size());
    // What is made around the layers may take less room than before.
    if is < was && origin.around().is_none() {
        return other(format!("the disk had {was} bytes and has {is}"));
    }
    Ok(())
}

fn refuse_other_options(state: &State, now: &[String]) -> Result<()> {
    if state.options == now {
        return Ok(());
    }
    let (was, now) = (state.options.join(" "), now.join(" "));
    Err(UpdateError::Options { was, now }.into())
}
