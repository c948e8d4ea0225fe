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
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let socket = &dir.path().join("socket");
//! let examined = examine("fixtures/101".as_ref(), &OpenOptions::default())?;
//! let disk = examined.into_disk(IfInUse::Refuse)?;
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
//! let disk = RawDisk::over(std::sync::Arc::new(vec![7; 4096]), "memory".as_ref())?;
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
mod connection;
mod error;
mod export;
mod listener;
mod log;
mod negotiation;
mod options;
mod output;
mod read;
mod server;
mod service;
mod status;
mod stop;
mod stream;
mod transmission;
mod wire;

pub use connection::{serve, serve_kernel};
pub use error::ListenError;
pub use export::Export;
pub use listener::Listener;
pub use log::{Ended, Event, Failure, Log};
pub use server::{HANDSHAKE, MAX_CONNECTIONS, Server};
pub use service::Service;
pub use stop::Stop;
pub use stream::{Pipes, Recorded, Stream};
pub use wire::{Command, Errno, MAX_PAYLOAD, Request, transmission_flags};

#[cfg(test)]
mod tests;
