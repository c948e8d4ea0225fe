//! Whether a target can be brought up to date, and what has to be copied for that.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::UpdateError;
use super::prints::TargetPrint;
use super::ranges::{bytes, joined};
use super::state::{State, layers, path_of, words};
use crate::convert::Resources;
use crate::convert::error::ConvertError;
use crate::convert::input::Input;
use crate::convert::options::{ConvertOptions, Sparse};
use crate::convert::origin::Origin;
use crate::convert::target::Target;
use crate::disk::{VirtualDisk, stored_bytes_in};
use crate::error::{Error, Result};
use crate::partition::{self, Content, FileSystem};
use crate::sink::{BlockSink, Durability, HEAD, IfExists, MARK, PartialFile, Reflink};
use crate::util::bytes::{is_zero, to_usize};

/// An update that was planned: nothing is open for writing.
#[derive(Debug)]
pub struct UpdatePlan {
    pub(super) input: Input,
    pub(super) origin: Origin,
    pub(super) options: ConvertOptions,
    /// Where the disk is, and whether that is a device.
    pub(super) target: PathBuf,
    pub(super) is_device: bool,
    pub(super) state: State,
    pub(super) state_path: PathBuf,
    /// What may differ between target and disk, in order.
    pub(super) ranges: Vec<Range<u64>>,
    data_bytes: u64,
}

/// How far the target can be trusted.
enum Trust {
    /// But for what its state names.
    State,
    /// Not at all: all of it is written again.
    Nothing,
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
    let unsupported = |why: &str| -> Error {
        let why = why.to_owned();
        UpdateError::Unsupported { why }.into()
    };
    if options.format.name() != "raw" {
        return Err(unsupported("only a raw target is brought up to date"));
    }
    let origin = input.origin().ok_or_else(|| {
        unsupported("only a disk of one part that a descriptor describes is followed by updates")
    })?;
    let origin = origin.clone();
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
    let state_path = path_of(&target, &options)
        .ok_or_else(|| unsupported("only a file or a block device is brought up to date"))?;
    if input.is_file_of_it(&state_path) {
        return Err(ConvertError::TargetIsSource { path: state_path }.into());
    }
    let state = State::read(&state_path)?;
    refuse_other_source(&state, &input, &origin)?;
    refuse_other_options(&state, &words(&input, &options))?;
    let input = input.remembered();
    let size = input.disk().size();
    let is_device = matches!(target, Target::Device(_));
    if is_device && has_silent_mounts(input.disk())? {
        return Err(unsupported(
            "a device with XFS is not brought up to date: nothing at its start tells that it was \
             mounted",
        ));
    }
    let target = target.name().to_owned();
    if is_device {
        BlockSink::admit(&target, size)?;
    } else {
        PartialFile::admit(&target, IfExists::Replace)?;
    }
    let (state, trust) = trusted(state, &target, input.disk())?;
    let above = origin.stored_above(state.layers.len(), size);
    let grown = state.size..size;
    let everything = matches!(trust, Trust::Nothing).then_some(0..size);
    let all = above.into_iter().chain(state.changed());
    let all = all.chain([grown, 0..HEAD.min(size)]).chain(everything);
    let ranges = joined(all, size);
    let data_bytes = stored_bytes_in(input.disk(), &ranges, resources.workers)?;
    Ok(UpdatePlan {
        input,
        origin,
        options,
        target,
        is_device,
        state,
        state_path,
        ranges,
        data_bytes,
    })
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

/// Whether the disk has a file system that is mounted without a trace where traces are looked for.
fn has_silent_mounts(disk: &dyn VirtualDisk) -> Result<bool> {
    let layout = partition::read(disk)?;
    let parts = layout
        .partitions
        .iter()
        .filter_map(|part| part.content.as_ref());
    let known = [
        FileSystem::Ext2,
        FileSystem::Ext3,
        FileSystem::Ext4,
        FileSystem::Btrfs,
    ];
    let known =
        |content: &Content| known.contains(&content.kind) || content.kind == FileSystem::Swap;
    Ok(!parts.chain(&layout.whole).all(known))
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
    let (was, is) = (state.size, input.disk().size());
    if is < was {
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

/// The state that is right for the target as it is.
fn trusted(state: State, target: &Path, disk: &dyn VirtualDisk) -> Result<(State, Trust)> {
    let changed = |why: String| -> Result<(State, Trust)> {
        let path = target.to_owned();
        Err(UpdateError::Target { path, why }.into())
    };
    if std::fs::metadata(target).is_err() {
        return changed("it is not there".to_owned());
    }
    if is_shorter(target, &state)? {
        return changed("it is shorter".to_owned());
    }
    let now = TargetPrint::of(target, state.target.size)?;
    let Some(change) = state.target.change(&now) else {
        let next = None;
        return Ok((State { next, ..state }, Trust::State));
    };
    if let Some(next) = &state.next {
        let now = TargetPrint::of(target, next.target.size)?;
        if next.target.change(&now).is_none() {
            return Ok((*next.clone(), Trust::State));
        }
    }
    if !state.under_way {
        return changed(change);
    }
    // What was begun has no start, and is nothing that anybody could have used since.
    let head = head_of(target, now.size)?;
    let mark = head.get(..to_usize(MARK)).unwrap_or(&head);
    let mut wanted = vec![0; head.len().min(to_usize(disk.size()))];
    disk.read_at(&mut wanted, 0)?;
    if is_zero(&head) && !is_zero(&wanted) {
        return Ok((state, Trust::State));
    }
    // Some disks begin with zeros anyway, and what follows them may be somebody's.
    if is_zero(mark) {
        return Ok((state, Trust::Nothing));
    }
    // Nothing but its time was changed, or only the state was not written any more. What happened
    // to the target since is not known.
    if head == wanted || state.target.has_ends_of(&now) {
        return Ok((state, Trust::Nothing));
    }
    changed("an update of it was under way, and it has another start now".to_owned())
}

fn is_shorter(target: &Path, state: &State) -> Result<bool> {
    let meta = std::fs::metadata(target);
    let meta = meta.map_err(|error| Error::io("looking at", target, error))?;
    Ok(meta.is_file() && meta.size() < state.target.size)
}

fn head_of(target: &Path, size: u64) -> Result<Vec<u8>> {
    let mut head = vec![0; to_usize(size.min(HEAD))];
    let file = File::open(target).map_err(|error| Error::io("opening", target, error))?;
    let read = file.read_exact_at(&mut head, 0);
    read.map_err(|error| Error::io_at("reading", target, 0, error))?;
    Ok(head)
}
