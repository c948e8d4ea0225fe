//! `ploopconv detach`: takes attached disks away again.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ploopconv::attach::{self, Attached, Force};
use ploopconv::{Error, ErrorKind};

use super::outcome::Verdict;
use super::output::{story, write_message};

/// Take an attached disk away again
#[derive(Debug, clap::Args)]
pub(crate) struct DetachArgs {
    /// The device, the directory it is mounted on, or the image
    #[arg(
        value_name = "DEVICE|DIR|IMAGE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    what: Option<PathBuf>,
    /// Everything that is attached
    #[arg(long)]
    all: bool,
}

impl DetachArgs {
    /// What messages are about.
    pub(crate) fn what(&self) -> &Path {
        self.what.as_deref().unwrap_or(Path::new(""))
    }
}

pub(crate) fn run(args: &DetachArgs) -> anyhow::Result<Verdict> {
    let Some(what) = &args.what else {
        return all();
    };
    let context = || format!("detaching {}", what.display());
    let attached = attach::find(what)
        .map_err(Error::from)
        .with_context(context)?;
    detach(&attached).with_context(context)?;
    Ok(Verdict::Done)
}

fn detach(attached: &Attached) -> Result<(), Error> {
    attached.detach(Force::No).map_err(Error::from)
}

/// One that cannot be taken away does not keep the others.
fn all() -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::Done;
    for attached in attach::attached() {
        if let Err(error) = detach(&attached) {
            verdict = match error.kind() {
                ErrorKind::InUse => Verdict::InUse,
                _ => Verdict::Status(1),
            };
            let error = anyhow::Error::from(error);
            let device = attached.device.path();
            write_message(&format!(
                "detaching {}: {}",
                device.display(),
                story(&error)
            ));
        }
    }
    Ok(verdict)
}
