//! Mounts a tree, and serves it until it is unmounted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{Config, MountOption, Session, SessionACL};

use super::attributes::Numbers;
use super::audience::Audience;
use super::error::FuseError;
use super::event::FuseEvent;
use super::files::Served;
use super::label::MountLabel;
use super::listing::Listings;
use crate::disk::{VirtualDisk, Watch};
use crate::error::{Error, Result};
use crate::tree::Tree;
use crate::util::text::safe;

/// What the kernel gives programs to ask for FUSE.
const DEVICE: &str = "/dev/fuse";

/// What is to be mounted, and how.
pub struct FuseRequest {
    /// The files.
    pub tree: Arc<dyn Tree>,
    /// What they are read from: where it changes, nothing is read any more.
    pub disk: Arc<dyn VirtualDisk>,
    /// Where: a directory without symbolic links in its path.
    pub dir: PathBuf,
    /// Who may see them.
    pub audience: Audience,
    /// How many requests are answered at the same time, at least one.
    pub threads: usize,
    /// What the mount says of itself.
    pub label: MountLabel,
    /// Hears of what cannot be read, from many threads.
    pub listener: Box<dyn Fn(&FuseEvent<'_>) + Send + Sync>,
}

impl std::fmt::Debug for FuseRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FuseRequest")
            .field("dir", &self.dir)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// Files that are mounted, and have to be served.
#[derive(Debug)]
pub struct FuseMount(Session<Served>);

impl FuseMount {
    /// Mounts what is asked for: read-only; device nodes open nothing and programs get no rights by
    /// being there.
    ///
    /// # Errors
    ///
    /// [`FuseError`], and where it cannot be told how much room the files take.
    pub fn new(request: FuseRequest) -> Result<Self> {
        hides_nothing(&*request.disk, &request.dir)?;
        let capacity = request.tree.capacity().unwrap_or_default();
        let served = Served {
            numbers: Numbers {
                root: request.tree.root(),
            },
            tree: request.tree,
            disk: request.disk,
            watch: Watch::new(),
            listings: Listings::default(),
            capacity,
            audience: request.audience,
            opens_itself: false,
            listener: request.listener,
        };
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::FSName(request.label.to_source()),
        ];
        config.n_threads = Some(request.threads);
        if request.audience == Audience::Everybody {
            config.mount_options.push(MountOption::DefaultPermissions);
            config.acl = SessionACL::All;
        }
        match Session::new(served, &request.dir, &config) {
            Ok(session) => Ok(Self(session)),
            Err(source) => Err(refusal(request.dir, source)),
        }
    }

    /// Answers the kernel until the files are unmounted, by whomever.
    ///
    /// # Errors
    ///
    /// Where the kernel says something that makes no sense, or a thread cannot be started.
    pub fn serve(self, dir: &Path) -> Result<()> {
        let ended = self.0.run();
        ended.map_err(|source| Error::io("serving", dir, source))
    }
}

/// A mount that hid the image would hide it from those who want to know whether it changes.
fn hides_nothing(disk: &dyn VirtualDisk, dir: &Path) -> Result<()> {
    for store in disk.stores() {
        let Ok(file) = std::fs::canonicalize(store.path()) else {
            continue;
        };
        if file.starts_with(dir) {
            let dir = dir.to_owned();
            return Err(FuseError::Hides { dir, file }.into());
        }
    }
    Ok(())
}

/// Why there is no mount: what is missing on this machine, or what was said.
fn refusal(dir: PathBuf, source: io::Error) -> Error {
    let device = std::fs::File::options().read(true).write(true).open(DEVICE);
    let missing = match (&device, source.kind()) {
        (Err(error), _) => Some(format!("{DEVICE}: {}", without_number(error))),
        // Only the program can be missing once the device is there.
        (Ok(_), io::ErrorKind::NotFound) => {
            Some("fusermount3, which mounts for ordinary users, is not installed".to_owned())
        }
        _ => None,
    };
    if let Some(why) = missing {
        return FuseError::NoFuse { why }.into();
    }
    let source = match source.raw_os_error() {
        Some(_) => source,
        // What fusermount3 printed.
        None => {
            let text = source.to_string();
            let text = text.trim().trim_start_matches("fusermount3: ");
            io::Error::other(safe(text).into_owned())
        }
    };
    FuseError::Refused { dir, source }.into()
}

/// What the system says, without the number of its error.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
