//! How far a target is what its state says.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::error::UpdateError;
use super::prints::TargetPrint;
use super::state::{Before, State};
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::format::{FileBefore, Format};
use crate::sink::{HEAD, MARK};
use crate::util::bytes::{is_zero, to_usize};

/// How far a target can be trusted.
#[derive(Debug)]
pub(super) enum Trust {
    /// But for what its state names.
    State,
    /// Not at all: all of it is written again.
    Nothing,
}

/// A target that can be brought up to date.
#[derive(Debug)]
pub(super) struct Trusted {
    /// The state that is right for it as it is.
    pub(super) state: State,
    pub(super) trust: Trust,
    /// How it begins, or began before an update that did not come to its end.
    pub(super) before: Before,
}

/// What is known of `target`, which should hold `disk` in `format` afterwards.
///
/// # Errors
///
/// [`UpdateError::Target`] where it is not what it was.
pub(super) fn trusted(
    state: State,
    target: &Path,
    disk: &dyn VirtualDisk,
    format: &dyn Format,
) -> Result<Trusted> {
    let changed = |why: String| -> Result<Trusted> {
        let path = target.to_owned();
        Err(UpdateError::Target { path, why }.into())
    };
    let Ok(meta) = std::fs::metadata(target) else {
        return changed("it is not there".to_owned());
    };
    if meta.is_file() && meta.size() < least(&state, format) {
        return changed("it is shorter".to_owned());
    }
    let now = TargetPrint::of(target, state.target.size, format)?;
    if let Some(why) = state.target.other_device(&now) {
        return changed(why);
    }
    let as_it_is = |state: State, trust, now: &TargetPrint| {
        let head = if format.is_plain() {
            MARK
        } else {
            FileBefore::HEAD
        };
        let start = start_of(target, head.min(now.size))?;
        let before = Before::new(&without_token(start, &state), now.size);
        Ok(Trusted {
            state,
            trust,
            before,
        })
    };
    let Some(change) = state.target.change(&now) else {
        let next = None;
        return as_it_is(State { next, ..state }, Trust::State, &now);
    };
    if let Some(next) = &state.next {
        let now = TargetPrint::of(target, next.target.size, format)?;
        if next.target.change(&now).is_none() {
            return as_it_is(*next.clone(), Trust::State, &now);
        }
    }
    if !state.under_way {
        return changed(change);
    }
    // What was begun has no start, and is nothing that anybody could have used since.
    let trust = match format.is_plain() {
        true => began_raw(&state, target, disk, &now)?,
        false => began(&state, target, disk, format)?,
    };
    match (trust, &state.before) {
        (Some(Trust::State), Some(before)) => Ok(Trusted {
            before: before.clone(),
            trust: Trust::State,
            state,
        }),
        (Some(Trust::Nothing), Some(before)) if format.is_plain() => Ok(Trusted {
            before: before.clone(),
            trust: Trust::Nothing,
            state,
        }),
        (Some(trust), _) => as_it_is(state, trust, &now),
        (None, _) => changed("an update of it was under way, and it has another start now".into()),
    }
}

/// How long a file is at least that is what its state says: an update may have begun to make a raw
/// one shorter, and leaves all that it does not copy.
fn least(state: &State, format: &dyn Format) -> u64 {
    match state.under_way && format.is_plain() {
        true => state.placed().kept.last().map_or(0, |range| range.end),
        false => state.target.size,
    }
}

/// How far a raw target can be trusted that an update left.
fn began_raw(
    state: &State,
    target: &Path,
    disk: &dyn VirtualDisk,
    now: &TargetPrint,
) -> Result<Option<Trust>> {
    let head = start_of(target, now.size.min(HEAD))?;
    let mut wanted = vec![0; head.len().min(to_usize(disk.size()))];
    disk.read_at(&mut wanted, 0)?;
    let is_left = state.token().map(|token| token.is_alone_in(&head));
    if is_left == Some(true) && !is_zero(&wanted) {
        return Ok(Some(Trust::State));
    }
    // Some disks begin with zeros anyway, and what follows them may be somebody's. Or nothing but
    // the time was changed, or only the state was not written any more: what happened to the
    // target since is not known.
    let is_known = is_zero(head.get(..to_usize(MARK)).unwrap_or(&head))
        || head == wanted
        || state.target.has_ends_of(now)
        || is_torn(&head, &wanted, state);
    Ok(is_known.then_some(Trust::Nothing))
}

/// Whether the power failed while the mark was written, or made zeros: each of its sectors is the
/// one or the other, and the rest of the head is what it is at that moment.
fn is_torn(head: &[u8], wanted: &[u8], state: &State) -> bool {
    /// What disks write in one piece.
    const SECTOR: usize = 512;
    let mark = to_usize(MARK);
    let before = state.before.as_ref().map(Before::head).unwrap_or_default();
    let (Some(rest), Some(wanted_rest)) = (head.get(mark..), wanted.get(mark..)) else {
        return false;
    };
    let is_mixed = |whole: &[u8]| {
        let pairs = head.chunks(SECTOR).zip(whole.chunks(SECTOR));
        let mut pairs = pairs.take(mark / SECTOR);
        whole.len() >= mark && pairs.all(|(is, whole)| is_zero(is) || is == whole)
    };
    let is_ending = rest == wanted_rest && is_mixed(wanted);
    let is_beginning = || is_mixed(&before) && state.target.began_with(&[&before, rest].concat());
    is_ending || is_beginning()
}

/// How far a file of another format can be trusted that an update left.
fn began(
    state: &State,
    target: &Path,
    disk: &dyn VirtualDisk,
    format: &dyn Format,
) -> Result<Option<Trust>> {
    let Some(before) = &state.before else {
        return Ok(None);
    };
    let Some(token) = state.token() else {
        return Ok(None);
    };
    let head = start_of(target, FileBefore::HEAD)?;
    if token.is_alone_in(&head) {
        return Ok(Some(Trust::State));
    }
    // As before, but for the token at most, or complete: only the state was not written any more.
    let is = token.before(&head).unwrap_or(&head);
    if before.head().starts_with(is) {
        return Ok(Some(Trust::Nothing));
    }
    let Ok(held) = format.open(target) else {
        return Ok(None);
    };
    let len = to_usize(HEAD.min(disk.size()).min(held.size()));
    let (mut is, mut wanted) = (vec![0; len], vec![0; len]);
    let read = held.read_at(&mut is, 0);
    disk.read_at(&mut wanted, 0)?;
    Ok((read.is_ok() && is == wanted).then_some(Trust::Nothing))
}

/// A head with what was, and will be, where an update has put its token.
fn without_token(mut head: Vec<u8>, state: &State) -> Vec<u8> {
    let token = state.token();
    let kept = token.and_then(|token| Some(token.before(&head)?.len()));
    if let (Some(kept), Some(before)) = (kept, &state.before) {
        let before = before.head();
        let len = head.len();
        head.truncate(kept);
        head.extend(before.get(kept..).unwrap_or_default());
        head.resize(len, 0);
    }
    head
}

/// The first `len` bytes, of a file that is long enough for them.
fn start_of(target: &Path, len: u64) -> Result<Vec<u8>> {
    let mut head = vec![0; to_usize(len)];
    let file = File::open(target).map_err(|error| Error::io("opening", target, error))?;
    let read = file.read_exact_at(&mut head, 0);
    read.map_err(|error| Error::io_at("reading", target, 0, error))?;
    Ok(head)
}
