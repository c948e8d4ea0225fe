//! What a connection runs over.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::stop::Stop;
use crate::util::bytes::to_usize;
use crate::util::sync::{into_inner, lock};

/// Bytes to and from one client, usable by many threads. Who reads and who writes is sorted out
/// by the caller: one thread at a time does either.
pub trait Stream: Send + Sync {
    /// Reads what there is, at least one byte; 0 at the end.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes from the first bytes of `pieces` on, at least one byte of them, and says how many.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends both directions: a thread that waits in one of the others returns, where the system
    /// can do that.
    fn hang_up(&self);

    /// Ends what comes in; what was sent before can still be read, and answered.
    fn stop_reading(&self);
}

/// A socket's directions are closed as sockets are.
macro_rules! socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, buf)
            }

            fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                Write::write_vectored(&mut &*self, pieces)
            }

            fn hang_up(&self) {
                // It may be closed from the other end already.
                let _ = self.shutdown(Shutdown::Both);
            }

            fn stop_reading(&self) {
                let _ = self.shutdown(Shutdown::Read);
            }
        }
    };
}

socket!(UnixStream);
socket!(TcpStream);

/// Two pipes, files or terminals: standard input and output, for example. A thread that
/// waits for input can be woken; one that waits for room in the output cannot.
#[derive(Debug)]
pub struct Pipes {
    input: File,
    output: File,
    /// Ends the input, and rings when it is to be looked at.
    stop: Arc<Stop>,
    ended: AtomicBool,
}

impl Pipes {
    /// Requests come from `input`, replies go to `output`. The input is at its end when it is
    /// empty and `stop` is set.
    #[must_use]
    pub fn new(input: File, output: File, stop: Arc<Stop>) -> Self {
        Self {
            input,
            output,
            stop,
            ended: AtomicBool::new(false),
        }
    }
}

impl Stream for Pipes {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let wanted = [self.input.as_fd(), self.stop.as_fd()];
            let mut fds = wanted.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            poll(&mut fds, PollTimeout::NONE)?;
            // What was sent before comes first.
            if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                return (&self.input).read(buf);
            }
            self.stop.silence();
            if self.stop.is_set() || self.ended.load(Ordering::SeqCst) {
                return Ok(0);
            }
        }
    }

    fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.output).write_vectored(pieces)
    }

    fn hang_up(&self) {
        self.stop_reading();
    }

    fn stop_reading(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.stop.ring();
    }
}

/// A client whose bytes are known beforehand; what it would have been sent is kept. For tests
/// and fuzzing: no system call is made.
#[derive(Debug, Default)]
pub struct Recorded {
    input: Mutex<Cursor<Vec<u8>>>,
    output: Mutex<Vec<u8>>,
}

impl Recorded {
    /// A client that sends these bytes and closes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            input: Mutex::new(Cursor::new(bytes.to_vec())),
            output: Mutex::default(),
        }
    }

    /// What it was sent.
    #[must_use]
    pub fn into_output(self) -> Vec<u8> {
        into_inner(self.output)
    }
}

impl Stream for Recorded {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut input = lock(&self.input);
        input.read(buf)
    }

    fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut output = lock(&self.output);
        output.write_vectored(pieces)
    }

    fn hang_up(&self) {}

    fn stop_reading(&self) {}
}

/// Writes all of `pieces`.
pub(super) fn write_all(stream: &dyn Stream, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0); // leaves out empty ones
    while !pieces.is_empty() {
        match stream.send(pieces) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What comes in, with a small buffer so that several requests cost one system call.
pub(super) struct Input<'a> {
    stream: &'a dyn Stream,
    buffer: Box<[u8]>,
    /// What was read from the stream and not taken yet.
    start: usize,
    end: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(stream: &'a dyn Stream) -> Self {
        Self {
            stream,
            buffer: vec![0; 4096].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    pub(super) fn stream(&self) -> &'a dyn Stream {
        self.stream
    }

    /// Fills all of `buf`; an end in its middle is [`ErrorKind::UnexpectedEof`].
    pub(super) fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        if self.read_or_end(buf)? {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// As [`Input::read_exact`]; says whether there was anything, or the end instead.
    pub(super) fn read_or_end(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buf.len() {
            let rest = buf.get_mut(filled..).unwrap_or_default();
            match self.take(rest)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                taken => filled += taken,
            }
        }
        Ok(true)
    }

    /// Passes over `len` bytes.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<()> {
        let mut left = len;
        let mut nowhere = [0; 4096];
        while left > 0 {
            let now = to_usize(left).min(nowhere.len());
            self.read_exact(&mut nowhere[..now])?;
            left -= now as u64;
        }
        Ok(())
    }

    /// Some bytes, from the buffer first; 0 at the end.
    fn take(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if buf.len() >= self.buffer.len() {
                return receive(self.stream, buf);
            }
            self.start = 0;
            self.end = 0;
            self.end = receive(self.stream, &mut self.buffer)?;
        }
        let ready = self.buffer.get(self.start..self.end).unwrap_or_default();
        let len = ready.len().min(buf.len());
        buf[..len].copy_from_slice(&ready[..len]);
        self.start += len;
        Ok(len)
    }
}

fn receive(stream: &dyn Stream, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.receive(buf) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
