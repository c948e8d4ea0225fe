//! What to do about a target that is not brought up to date.

use ploopconv::convert::UpdateError;

use super::hint::Hint;
use super::retry::Typed;

/// Advice for a target that is not brought up to date: all of the disk is right, and so is the
/// update of a disk that boots, if only that was not said.
pub(super) fn of_update(error: &UpdateError, typed: &Typed) -> Vec<Hint> {
    let boots = |words: &str| words.split(' ').any(|word| word == "for=kvm");
    let as_machine = match error {
        UpdateError::Options { was, now } if boots(was) && !boots(now) => {
            let text = "the target is a disk that boots: to bring it up to date as one";
            Some(Hint::add(text, "--for kvm", typed))
        }
        _ => None,
    };
    let text = "to convert all of the disk again, in the place of this target";
    let whole = Hint::run(text, typed.exchanging("update", "-f"));
    as_machine.into_iter().chain([whole]).collect()
}
