//! A pipe, standard output, or a device that takes bytes one after the other.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Sink;
use super::full::full;
use crate::error::{Error, Result};
use crate::util::bytes::zero_pieces;
use crate::util::sync::lock;

/// Anything that takes bytes in order and cannot be sought in.
pub struct StreamSink {
    state: Mutex<State>,
    /// What messages call the stream.
    name: PathBuf,
    /// Where its bytes are kept, so that a full file system can be named.
    place: Option<PathBuf>,
}

struct State {
    out: Box<dyn Write + Send>,
    position: u64,
}

impl fmt::Debug for StreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl StreamSink {
    /// A sink that writes to `out`, which messages call `name`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, name: &Path) -> Self {
        Self {
            state: Mutex::new(State { out, position: 0 }),
            name: name.to_owned(),
            place: None,
        }
    }

    /// Tells the file or device that the stream goes to, where it is known: a message about a full
    /// file system then names it.
    #[must_use]
    pub fn kept_in(mut self, place: Option<PathBuf>) -> Self {
        self.place = place;
        self
    }

    fn failed(&self, at: Option<u64>, source: std::io::Error) -> Error {
        let full = full("writing", &self.name, self.place.as_deref(), &source);
        match (full, at) {
            (Some(full), _) => full.into(),
            (None, Some(at)) => Error::io_at("writing", &self.name, at, source),
            (None, None) => Error::io("writing", &self.name, source),
        }
    }

    /// Opens a pipe or a character device. Waits for a reader of the pipe, until
    /// `stop` is set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be opened,
    /// [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where `stop` was set first.
    pub fn open(path: &Path, stop: &AtomicBool) -> Result<Self> {
        let failed = |error| Error::io("opening", path, error);
        // Opened without O_NONBLOCK, a pipe without a reader would not hear a signal.
        let file = loop {
            let opened = File::options()
                .write(true)
                .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
                .open(path);
            match opened {
                Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Error::stopped());
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                other => break other.map_err(failed)?,
            }
        };
        // From here on, a full pipe is waited for.
        let flags = fcntl(&file, FcntlArg::F_GETFL).map_err(|error| failed(error.into()))?;
        let flags = OFlag::from_bits_retain(flags) - OFlag::O_NONBLOCK;
        fcntl(&file, FcntlArg::F_SETFL(flags)).map_err(|error| failed(error.into()))?;
        Ok(Self::new(Box::new(file), path).kept_in(Some(path.to_owned())))
    }

    fn append(&self, pieces: impl Iterator<Item = impl AsRef<[u8]>>, offset: u64) -> Result<()> {
        let mut state = lock(&self.state);
        assert_eq!(state.position, offset, "a stream is written in order");
        for piece in pieces {
            let piece = piece.as_ref();
            let at = state.position;
            state
                .out
                .write_all(piece)
                .map_err(|error| self.failed(Some(at), error))?;
            state.position += piece.len() as u64;
        }
        Ok(())
    }
}

impl Sink for StreamSink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.append(std::iter::once(data), offset)
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.append(zero_pieces(len), offset)
    }

    fn needs_order(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut state = lock(&self.state);
        let flushed = state.out.flush();
        flushed.map_err(|error| self.failed(None, error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn holes_are_sent_as_zeros() {
        let out = Shared::default();
        let sink = StreamSink::new(Box::new(out.clone()), Path::new("pipe"));
        sink.write_at(b"ab", 0).unwrap();
        sink.zero_at(2, 70_000).unwrap();
        sink.write_at(b"c", 70_002).unwrap();
        Box::new(sink).finish().unwrap();
        let written = out.0.lock().unwrap();
        assert_eq!(written.len(), 70_003);
        assert!(written.starts_with(b"ab\0") && written.ends_with(b"\0c"));
    }
}
