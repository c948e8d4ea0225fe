//! What a room of the library says about an error of its own.

use std::any::Any;

use super::kind::ErrorKind;

/// An error of one room, as it travels inside an [`Error`](crate::Error): the room keeps the
/// facts, and says of them only what everyone has to know.
///
/// An enum with a message for each variant, for `thiserror`, is all that is needed besides. Its
/// text is lower case, has no full stop and says only own facts; the cause is in `source()`.
pub trait Detail: std::error::Error + Any + Send + Sync {
    /// What a caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// A short, stable word for scripts: lower case, with dashes. `docs/json.md` lists them all.
    /// Texts change; these do not.
    fn code(&self) -> &'static str;
}
