//! What to do about a target that is not brought up to date.

use ploopconv::convert::UpdateError;

use super::hint::Hint;
use super::retry::Typed;

/// Advice for a target that is not brought up to date: all of the disk is right.
pub(super) fn of_update(_: &UpdateError, typed: &Typed) -> Vec<Hint> {
    let text = "to convert all of the disk again, in the place of this target";
    vec![Hint::run(text, typed.exchanging("update", "-f"))]
}
