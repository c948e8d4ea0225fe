//! `ploopconv detach`: takes attached disks and mounted files away again.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ploopconv::attach::{self, AttachError, Attached, Force};
use ploopconv::fuse::{self, Mounted};
use ploopconv::{Error, ErrorKind};

use super::outcome::Verdict;
use super::output::{story, write_message};

/// Take an attached disk, or mounted files, away again
#[derive(Debug, clap::Args)]
pub(crate) struct DetachArgs {
    /// The device, the directory that something is mounted on, or the image
    #[arg(
        value_name = "DEVICE|DIR|IMAGE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    what: Option<PathBuf>,
    /// Everything that is attached, and what this user has mounted
    #[arg(long)]
    all: bool,
}

impl DetachArgs {
    /// What messages are about.
    pub(crate) fn what(&self) -> &Path {
        self.what.as_deref().unwrap_or(Path::new(""))
    }
}

/// Something that can be taken away.
enum Detachable {
    Device(Attached),
    Files(Mounted),
}

impl Detachable {
    /// The one thing that a name stands for.
    fn find(what: &Path) -> Result<Self, AttachError> {
        let mut mounted = fuse::mounted();
        // A directory is one thing, and an image may be many.
        match mounted.iter().position(|it| it.is_at(what)) {
            Some(at) => return Ok(Self::Files(mounted.swap_remove(at))),
            None => mounted.retain(|it| it.is_of(what)),
        }
        let device = match attach::find(what) {
            Ok(device) => Some(device),
            Err(AttachError::NotAttached { .. }) => None,
            Err(error) => return Err(error),
        };
        match (device, mounted.pop()) {
            (Some(device), None) => Ok(Self::Device(device)),
            (None, Some(files)) if mounted.is_empty() => Ok(Self::Files(files)),
            (None, None) => Err(AttachError::NotAttached { path: what.into() }),
            (device, last) => {
                let dirs = mounted.into_iter().chain(last).map(|it| it.dir);
                let device = device.map(|it| it.device.path());
                Err(AttachError::Several {
                    path: what.into(),
                    devices: device.into_iter().chain(dirs).collect(),
                })
            }
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Device(attached) => attached.device.path(),
            Self::Files(mounted) => mounted.dir.clone(),
        }
    }

    fn detach(&self) -> Result<(), Error> {
        let detached = match self {
            Self::Device(attached) => attached.detach(Force::No),
            Self::Files(mounted) => mounted.detach(Force::No),
        };
        detached.map_err(Error::from)
    }
}

pub(crate) fn run(args: &DetachArgs) -> anyhow::Result<Verdict> {
    let Some(what) = &args.what else {
        return all();
    };
    let context = || format!("detaching {}", what.display());
    let found = Detachable::find(what).map_err(Error::from);
    found
        .with_context(context)?
        .detach()
        .with_context(context)?;
    Ok(Verdict::Done)
}

/// One that cannot be taken away does not keep the others.
fn all() -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::Done;
    let user = nix::unistd::geteuid();
    // What is mounted last may lie in what was mounted before; users have only their own.
    let own = |it: &Mounted| user.is_root() || it.owner == user.as_raw();
    let mounted = fuse::mounted().into_iter().rev().filter(own);
    let attached = attach::attached().into_iter();
    let all = attached
        .map(Detachable::Device)
        .chain(mounted.map(Detachable::Files));
    for it in all {
        if let Err(error) = it.detach() {
            verdict = match error.kind() {
                ErrorKind::InUse => Verdict::InUse,
                _ => Verdict::Status(1),
            };
            let error = anyhow::Error::from(error);
            write_message(&format!(
                "detaching {}: {}",
                it.path().display(),
                story(&error)
            ));
        }
    }
    Ok(verdict)
}
