//! A mount that is not seen: only the file in it is used, by who opened it.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::mount::{FuseMount, FuseRequest};
use crate::attach::{STATE_DIR, make_folder};
use crate::error::{Error, Result};

/// A file of such a mount that is being opened.
#[derive(Debug)]
pub struct UnseenFile(JoinHandle<Result<File>>);

impl UnseenFile {
    /// Mounts what is asked for, but for the directory, where no other process sees it and no path
    /// leads to it, and begins to open one of its files. Until the mount is served, that file is
    /// not open; when it is closed, the mount is gone and no longer served. Nothing is left over,
    /// however this process ends. Only for root.
    ///
    /// # Errors
    ///
    /// As [`FuseMount::new`].
    pub fn mount(request: FuseRequest, name: &str) -> Result<(FuseMount, Self)> {
        // A thread has its own view of what is mounted. Threads that it would start have it too,
        // and would keep the mount: so the mount is served by others.
        let (say, heard) = channel();
        let name = name.to_owned();
        let thread = std::thread::Builder::new().name("opens".to_owned());
        let opening = thread
            .spawn(move || open(request, &name, &say))
            .map_err(|source| Error::io("starting a thread for", Path::new("the file"), source))?;
        match heard.recv() {
            Ok(mount) => Ok((mount, Self(opening))),
            Err(_) => match Self(opening).open() {
                Err(error) => Err(error),
                Ok(_) => Err(failed("mounting", std::io::ErrorKind::Other.into())),
            },
        }
    }

    /// Waits until the file is open.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn open(self) -> Result<File> {
        let ended = self.0.join();
        ended.unwrap_or_else(|_| Err(failed("opening", std::io::ErrorKind::Other.into())))
    }
}

fn open(mut request: FuseRequest, name: &str, say: &Sender<FuseMount>) -> Result<File> {
    let dir = Path::new(STATE_DIR);
    make_folder(dir)?;
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| {
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(nothing, "/", nothing, private, nothing)
        })
        .map_err(|error| failed("having a view of one's own of", error.into()))?;
    request.dir = dir.to_owned();
    let mount = FuseMount::new(request)?;
    // where it is not taken, it is dropped, and opening fails.
    let _ = say.send(mount);
    File::open(dir.join(name)).map_err(|source| failed("opening", source))
}

fn failed(doing: &'static str, source: std::io::Error) -> Error {
    Error::io(doing, Path::new(STATE_DIR), source)
}
