//! What the library says without the names of options, in the words that a user typed.

use ploopconv::Error;
use ploopconv::ploop::{OpenError, Wish};

/// The message of an error with the name of the option that it is about; `None` for an error that
/// is about no option.
pub(crate) fn with_its_option(error: &Error) -> Option<String> {
    let Some(OpenError::WrongInput { wish, path }) = error.detail() else {
        return None;
    };
    let option = match wish {
        Wish::SingleLayer => "--single-layer",
        Wish::Snapshot => "--snapshot",
        _ => return None,
    };
    let (needs, path) = (wish.needs(), path.display());
    Some(format!("{option} needs {needs}, and {path} is not one"))
}
