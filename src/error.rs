//! Every error a caller can meet.
//!
//! A message says what was being done, to which file, at which offset and why it failed: lower
//! case, no full stop, own facts only. The cause is in `source()`, and the code that prints the
//! error joins the links with `": "`. What a user could *type* next is not said here; the command
//! line knows its own options.
//!
//! An [`Error`] knows no room of the library. What only a room knows is a [`Detail`] of its own,
//! which an error carries and gives back to those who ask for it by type.

mod detail;
mod kind;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use detail::Detail;
pub use kind::ErrorKind;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: a kind, what was being done to which file and where, and the cause.
///
/// As large as a pointer, so that a result is hardly larger than what it gives.
///
/// ```
/// use ploopconv::{Detail, Error, ErrorKind};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("block {0} is torn")]
/// struct Torn(u64);
///
/// impl Detail for Torn {
///     fn kind(&self) -> ErrorKind {
///         ErrorKind::Corrupt
///     }
///     fn code(&self) -> &'static str {
///         "torn"
///     }
/// }
///
/// let error = Error::during("reading the map of", Torn(7)).of("a.img".as_ref());
/// assert_eq!(error.to_string(), "reading the map of a.img"); // and "block 7 is torn" in source()
/// assert_eq!(error.kind(), ErrorKind::Corrupt); // enough to act on
/// assert!(matches!(error.detail(), Some(Torn(7)))); // for those who know the room
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// What was being done, as in "reading"; `None` where the detail's own message says it all.
    doing: Option<&'static str>,
    /// The file it was done to.
    path: Option<PathBuf>,
    /// Where in the file, in bytes from its start.
    offset: Option<u64>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// What the operating system said.
    Io(io::Error),
    /// What a room says.
    Detail(Box<dyn Detail>),
}

impl Error {
    /// The operating system refused something: `doing`, as in "reading", to the file `path`.
    #[must_use]
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self(Box::new(Inner {
            doing: Some(doing),
            path: Some(path.to_owned()),
            offset: None,
            cause: Cause::Io(source),
        }))
    }

    /// The operating system refused something at `offset` bytes into the file.
    #[must_use]
    pub fn io_at(doing: &'static str, path: &Path, offset: u64, source: io::Error) -> Self {
        let mut error = Self::io(doing, path, source);
        error.0.offset = Some(offset);
        error
    }

    /// A room's own error, met while `doing` something, as in "reading the header of": the
    /// detail is the cause of this error then, and not its message.
    #[must_use]
    pub fn during(doing: &'static str, detail: impl Detail) -> Self {
        let mut error = Self::from(detail);
        error.0.doing = Some(doing);
        error
    }

    /// The same error, of something done to this file.
    #[must_use]
    pub fn of(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    /// The same error, said to have been met while doing this.
    pub(crate) fn said_of(mut self, doing: &'static str) -> Self {
        self.0.doing = Some(doing);
        self
    }

    /// The caller asked to stop.
    #[must_use]
    pub fn stopped() -> Self {
        Stopped.into()
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0.cause {
            Cause::Io(_) => ErrorKind::Io,
            Cause::Detail(detail) => detail.kind(),
        }
    }

    /// A short, stable word for the kind of error: lower case, with dashes. `docs/json.md` lists
    /// them all. Texts change; these do not.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.0.cause {
            Cause::Io(source) => match source.kind() {
                io::ErrorKind::NotFound => "no-such-file",
                io::ErrorKind::PermissionDenied => "permission-denied",
                _ => "io",
            },
            Cause::Detail(detail) => detail.code(),
        }
    }

    /// What a room says of it, where it is an error of that room; `None` for others.
    #[must_use]
    pub fn detail<D: Detail>(&self) -> Option<&D> {
        let Cause::Detail(detail) = &self.0.cause else {
            return None;
        };
        let detail: &dyn Any = &**detail;
        detail.downcast_ref()
    }

    /// What the operating system said, where it refused something that no room says more about.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.0.cause {
            Cause::Io(source) => Some(source),
            Cause::Detail(_) => None,
        }
    }

    /// What was being done, as in "reading", where the error says it.
    #[must_use]
    pub fn doing(&self) -> Option<&'static str> {
        self.0.doing
    }

    /// The file that it was done to. A file that only a detail names is in the detail.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Where in the file, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Whether the reader of a pipe has gone away.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        let source = self.io_error();
        source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl<D: Detail> From<D> for Error {
    fn from(detail: D) -> Self {
        Self(Box::new(Inner {
            doing: None,
            path: None,
            offset: None,
            cause: Cause::Detail(Box::new(detail)),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            doing,
            path,
            offset,
            cause,
        } = &*self.0;
        match (doing, cause) {
            (Some(doing), _) => f.write_str(doing)?,
            (None, Cause::Detail(detail)) => return detail.fmt(f),
            (None, Cause::Io(source)) => return source.fmt(f),
        }
        if let Some(path) = path {
            write!(f, " {}", path.display())?;
        }
        match offset {
            Some(offset) => write!(f, " at offset {offset:#x}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.0.cause, self.0.doing) {
            (Cause::Io(source), Some(_)) => Some(source),
            (Cause::Io(source), None) => source.source(),
            (Cause::Detail(detail), Some(_)) => Some(&**detail),
            (Cause::Detail(detail), None) => detail.source(),
        }
    }
}

/// The caller asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

impl Detail for Stopped {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Stopped
    }

    fn code(&self) -> &'static str {
        "interrupted"
    }
}

#[cfg(test)]
mod tests;
