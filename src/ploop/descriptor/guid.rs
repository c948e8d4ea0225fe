//! The names of images and snapshots.

use std::fmt;

use uuid::Uuid;

/// Names an image of a disk, and the snapshot whose last layer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(Uuid);

impl Guid {
    /// "No parent".
    pub const NULL: Self = Self(Uuid::nil());
    /// The top of every chain written since 2012, unless `TopGUID` says otherwise.
    pub const CONSTANT_TOP: Self = Self(Uuid::from_u128(0x5fba_abe3_6958_40ff_92a7_860e_329a_ab41));

    /// Takes 36 characters with hyphens, with or without braces, in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let inner = text
            .strip_prefix('{')
            .map_or(Some(text), |rest| rest.strip_suffix('}'));
        inner
            .filter(|inner| inner.len() == 36) // no other spelling that the crate knows
            .and_then(|inner| Uuid::try_parse(inner).ok())
            .map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.braced())
    }
}
