//! A disk served as a network block device (NBD): to clients that negotiate, such as `nbdcopy`
//! and `qemu-img`, or to the kernel's driver, which does not.
//!
//! An [`Export`] is what is served. [`serve`] talks to one client over any [`Stream`], from the
//! first byte to the last; [`serve_kernel`] is for the kernel's end of a socket pair, where there
//! is nothing to negotiate. [`Server`] listens, and gives every client a thread.
//!
//! A client is a stranger: nothing is allocated by a length that it announces before the length
//! was judged, and what a connection may take is bounded. One thread of a connection at a time
//! waits for a request; while it answers, the next one waits. There are at most
//! [`Service::workers`] of them, so a client that does not read its replies stops being read
//! from, and nothing piles up. A connection takes at most 2 MiB for each worker, and 32 MiB for
//! one request at a time that has to be answered in one larger piece.
//!
//! To any number of clients at a socket, until [`Stop`] says otherwise:
//!
//! ```
//! use std::sync::Arc;
//! use ploopconv::nbd::{Export, Listener, Server, Stop};
//! use ploopconv::ploop::{OpenOptions, examine};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let socket = &dir.path().join("socket");
//! let disk = examine("fixtures/101".as_ref(), &OpenOptions::default())?.into_disk(false)?;
//! let export = Arc::new(Export::new(Arc::new(disk)));
//! let stop = Arc::new(Stop::new()?);
//! let server = Server::new(Listener::unix(socket)?, export, 4, Arc::new(()), stop.clone());
//! # stop.stop();
//! server.run()?;
//! # Ok::<(), ploopconv::Error>(())
//! ```
//!
//! For tests and fuzzing, [`Recorded`] is a client whose bytes are known beforehand:
//!
//! ```
//! use std::sync::{Arc, atomic::AtomicBool};
//! use ploopconv::disk::RawDisk;
//! use ploopconv::nbd::{Ended, Export, Recorded, Service, serve};
//!
//! let disk = RawDisk::over(Box::new(vec![7; 4096]), "memory".as_ref())?;
//! let export = Export::new(Arc::new(disk));
//! let stop = AtomicBool::new(false);
//! let service = Service { workers: 1, ..Service::new(&export, &stop, &()) };
//! let client = Recorded::new(b"\0\0\0\x03"); // its flags, and no option
//! assert!(matches!(serve(&client, &service), Ended::Closed));
//! assert!(client.into_output().starts_with(b"NBDMAGIC"));
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod answer;
mod buffer;
mod listener;
mod log;
mod negotiation;
mod options;
mod read;
mod server;
mod status;
mod stream;
mod transmission;
mod wire;

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::disk::VirtualDisk;
use crate::error::{Error, Result};

pub use listener::Listener;
pub use log::{Ended, Event, Failure, Log};
pub use server::{HANDSHAKE, MAX_CONNECTIONS, Server, Stop};
pub use stream::{Pipes, Recorded, Stream};
pub use wire::{Command, Errno, MAX_PAYLOAD, Request, transmission_flags};

use negotiation::negotiate;
use status::DataRuns;
use stream::Input;
use transmission::{Agreed, Transmission, lock};

/// How often a file of the source is looked at for changes, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A layer over a disk that can be written: the disk's own reads show what was written.
pub trait Writable: Debug + Send + Sync {
    /// Writes `data` at `offset`.
    ///
    /// # Errors
    ///
    /// Where it cannot be kept. An [`Error::Io`] whose source is `ENOSPC` or the like is told to
    /// the client as such.
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()>;

    /// Makes `len` bytes from `offset` on read as zeros.
    ///
    /// # Errors
    ///
    /// As [`Writable::write_at`].
    fn zero_at(&self, offset: u64, len: u64) -> Result<()>;

    /// Makes sure that what was written stays, as far as it is meant to.
    ///
    /// # Errors
    ///
    /// As [`Writable::write_at`].
    fn flush(&self) -> Result<()>;
}

/// What is served: a disk, and what clients are told of it.
#[derive(Debug)]
pub struct Export {
    disk: Arc<dyn VirtualDisk>,
    writable: Option<Arc<dyn Writable>>,
    name: String,
    description: String,
    minimum_block: u32,
    preferred_block: u32,
    opened: Instant,
    /// When the source is looked at again, in milliseconds after `opened`.
    look_again: AtomicU64,
    /// Set once nothing is served any more.
    spoiled: AtomicBool,
    /// Why, until somebody takes it.
    fault: Mutex<Option<Error>>,
    data_runs: DataRuns,
}

impl Export {
    /// Serves a disk for reading.
    #[must_use]
    pub fn new(disk: Arc<dyn VirtualDisk>) -> Self {
        Self {
            disk,
            writable: None,
            name: String::new(),
            description: String::new(),
            minimum_block: 1,
            preferred_block: 1 << 16,
            opened: Instant::now(),
            look_again: AtomicU64::new(0),
            spoiled: AtomicBool::new(false),
            fault: Mutex::default(),
            data_runs: DataRuns::default(),
        }
    }

    /// The name that clients may ask for, besides the empty one; cut off after 4096 bytes, the
    /// most that the protocol allows.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        options::cut(name).clone_into(&mut self.name);
        self
    }

    /// A line for people; cut off like the name.
    #[must_use]
    pub fn described(mut self, text: &str) -> Self {
        options::cut(text).clone_into(&mut self.description);
        self
    }

    /// The smallest and the best size of a request in bytes, both powers of two. Requests that do
    /// not begin and end at multiples of the smallest are refused.
    ///
    /// # Panics
    ///
    /// Where they are no powers of two up to 32 MiB, or the first is larger than the second.
    #[must_use]
    pub fn block_sizes(mut self, minimum: u32, preferred: u32) -> Self {
        assert!(minimum.is_power_of_two() && preferred.is_power_of_two());
        assert!(minimum <= preferred && preferred <= MAX_PAYLOAD);
        self.minimum_block = minimum;
        self.preferred_block = preferred;
        self
    }

    /// Lets clients write, to a layer whose contents the disk's reads show.
    #[must_use]
    pub fn writable(mut self, layer: Arc<dyn Writable>) -> Self {
        self.writable = Some(layer);
        self
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &dyn VirtualDisk {
        self.disk.as_ref()
    }

    /// The flags for the kernel's driver, and for clients that did not ask for more.
    #[must_use]
    pub fn flags(&self) -> u16 {
        use transmission_flags as flag;
        let common = flag::HAS_FLAGS | flag::CAN_MULTI_CONN;
        if self.writable.is_some() {
            common | flag::SEND_FLUSH | flag::SEND_FUA | flag::SEND_TRIM | flag::SEND_WRITE_ZEROES
        } else {
            common | flag::READ_ONLY
        }
    }

    /// Whether the source changed, so that nothing is served any more.
    #[must_use]
    pub fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::SeqCst)
    }

    /// Makes sure that the source has not changed up to now.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] where it has; the error is given once.
    pub fn check(&self, log: &dyn Log) -> Result<()> {
        self.look(log);
        lock(&self.fault).take().map_or(Ok(()), Err)
    }

    /// Whether the source may still be read: looks at its files, but not more often than once a
    /// second. What has changed once stays unfit.
    fn is_fit(&self, log: &dyn Log) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.look_again.load(Ordering::Relaxed);
        let wait = u64::try_from(LOOK_AGAIN.as_millis()).unwrap_or(u64::MAX);
        let mine = now >= due
            && self
                .look_again
                .compare_exchange(
                    due,
                    now.saturating_add(wait),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if mine {
            self.look(log);
        }
        !self.is_spoiled()
    }

    /// Looks at the source's files now.
    fn look(&self, log: &dyn Log) {
        let Err(error) = self.disk.check_unchanged() else {
            return;
        };
        let mut fault = lock(&self.fault);
        if !self.spoiled.swap(true, Ordering::SeqCst) {
            log.event(&Event::Changed { error: &error });
            *fault = Some(error);
        }
    }
}

/// How a connection is served.
#[derive(Clone, Copy)]
pub struct Service<'a> {
    /// What is served.
    pub export: &'a Export,
    /// How many requests may be answered at the same time, at least one.
    pub workers: usize,
    /// Once set, requests are refused, and the connection ends when the stream does.
    pub stop: &'a AtomicBool,
    /// Hears what happens.
    pub log: &'a dyn Log,
    /// What events call the connection.
    pub connection: u64,
}

impl<'a> Service<'a> {
    /// Serves with 4 workers, and calls it connection 1.
    #[must_use]
    pub fn new(export: &'a Export, stop: &'a AtomicBool, log: &'a dyn Log) -> Self {
        Self {
            export,
            workers: 4,
            stop,
            log,
            connection: 1,
        }
    }
}

impl Debug for Service<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("export", self.export)
            .field("workers", &self.workers)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// Serves one client that negotiates (fixed newstyle), and returns when it is gone.
///
/// To end it from outside, set the stop flag and call [`Stream::stop_reading`]; a client that
/// does not take its replies needs [`Stream::hang_up`].
pub fn serve(stream: &dyn Stream, service: &Service<'_>) -> Ended {
    serve_noticing(stream, service, &|| {})
}

/// As [`serve`], and calls `negotiated` when the client has chosen the export.
pub(crate) fn serve_noticing(
    stream: &dyn Stream,
    service: &Service<'_>,
    negotiated: &dyn Fn(),
) -> Ended {
    let mut input = Input::new(stream);
    match negotiate(&mut input, service) {
        Ok(agreed) => {
            negotiated();
            Transmission::new(input, service, agreed).run()
        }
        Err(ended) => ended,
    }
}

/// Serves the kernel's driver at the other end of a socket pair: no negotiation, simple replies.
/// Returns when the device is disconnected, or the other end closed.
///
/// The kernel is to be told [`Export::flags`].
pub fn serve_kernel(stream: &dyn Stream, service: &Service<'_>) -> Ended {
    Transmission::new(Input::new(stream), service, Agreed::default()).run()
}

#[cfg(test)]
mod tests;
