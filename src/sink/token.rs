//! What stands in the head of a target that an update left.

use std::hash::{BuildHasher, RandomState};

use crate::util::bytes::is_zero;

/// What disks write in one piece, in bytes.
const SECTOR: usize = 512;

/// Tells which update made a head invalid. Zeros would not: a new device has them, and so has one
/// on which another copy was cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token that no other update has.
    #[must_use]
    pub fn random() -> Self {
        let [one, other] = [RandomState::new(), RandomState::new()].map(|state| state.hash_one(""));
        Self(format!("{one:016x}{other:016x}"))
    }

    /// The token with these digits.
    #[must_use]
    pub fn of(digits: &str) -> Self {
        Self(digits.to_owned())
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last sector of the head.
    pub(super) fn sector(&self) -> Vec<u8> {
        let text = format!(
            "ploopconv: an update of this disk is not complete ({})\n",
            self.0
        );
        let mut sector = text.into_bytes();
        sector.resize(SECTOR, 0);
        sector
    }

    /// A head without the token, where it is at its end.
    #[must_use]
    pub fn before<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]> {
        head.strip_suffix(&self.sector()[..])
    }

    /// Whether a head is what an update with this token leaves: it and zeros.
    #[must_use]
    pub fn is_alone_in(&self, head: &[u8]) -> bool {
        self.before(head).is_some_and(is_zero)
    }
}
