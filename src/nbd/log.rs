//! What a server has to say while it runs. The library prints nothing: it tells a [`Log`].

use std::fmt;
use std::io;
use std::time::Duration;

use super::wire::{Errno, Request};
use crate::error::Error;

/// Hears what happens, from many threads.
pub trait Log: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);

    /// Whether [`Event::Answered`] is wanted too, once a request.
    fn wants_requests(&self) -> bool {
        false
    }
}

/// Drops every event.
impl Log for () {
    fn event(&self, _event: &Event<'_>) {}
}

/// Something that happened. Its text has no name of the image in it but those that errors have.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client connected.
    Connected {
        /// The number of the connection, from 1 on.
        connection: u64,
        /// Who it is, as far as the system says.
        peer: &'a str,
    },
    /// As many clients are connected as may be: the next ones wait until one leaves.
    Full {
        /// The most connections at a time.
        connections: usize,
    },
    /// A request was answered.
    Answered {
        /// The number of the connection.
        connection: u64,
        /// The request.
        request: &'a Request,
        /// The error that was answered; `None` for success.
        error: Option<Errno>,
        /// How long it took from the end of the request to the end of the reply.
        took: Duration,
    },
    /// A request could not be followed for a reason that lies on this side.
    Failed {
        /// The number of the connection.
        connection: u64,
        /// The request.
        request: &'a Request,
        /// What happened.
        reason: &'a Failure,
    },
    /// What is served changed, and is not served any more.
    Changed {
        /// Which file did.
        error: &'a Error,
    },
    /// A connection ended.
    Ended {
        /// The number of the connection.
        connection: u64,
        /// How.
        how: &'a Ended,
    },
    /// A client could not be taken.
    NotTaken {
        /// Why.
        error: &'a io::Error,
    },
}

/// Why a request could not be followed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The disk says so.
    Disk(Error),
    /// A mistake in this program: it stopped in its tracks.
    Panicked,
}

/// How a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The client said that it leaves.
    Disconnected,
    /// The client closed the connection.
    Closed,
    /// The client gave up before it chose the export, or only asked what there is.
    Aborted,
    /// The server stops.
    Stopped,
    /// The client was hung up on.
    HungUp(&'static str),
    /// Reading from or writing to the client failed.
    Io(io::Error),
}

impl Ended {
    /// Sorts what a connection says when it breaks.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            // A client that has what it wanted need not say good-bye.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => {
                write!(f, "{error}")?;
                let mut cause = std::error::Error::source(error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::Panicked => f.write_str("a mistake in ploopconv: it panicked"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the client disconnected"),
            Self::Closed => f.write_str("the client closed the connection"),
            Self::Aborted => f.write_str("the client did not choose the export"),
            Self::Stopped => f.write_str("stopping"),
            Self::HungUp(why) => write!(f, "hung up: {why}"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { connection, peer } => {
                write!(f, "connection {connection}: from {peer}")
            }
            Self::Full { connections } => write!(
                f,
                "{connections} clients are connected, no more are taken until one leaves"
            ),
            Self::Answered {
                connection,
                request,
                error,
                took,
            } => {
                write!(f, "connection {connection}: {request}: ")?;
                match error {
                    None => f.write_str("done")?,
                    Some(error) => write!(f, "{error}")?,
                }
                write!(f, ", {} us", took.as_micros())
            }
            Self::Failed {
                connection,
                request,
                reason,
            } => write!(f, "connection {connection}: {request}: {reason}"),
            Self::Changed { error } => write!(f, "{error}; it is not served any more"),
            Self::Ended { connection, how } => write!(f, "connection {connection}: {how}"),
            Self::NotTaken { error } => write!(f, "taking a client: {error}"),
        }
    }
}
