//! What a conversion is carried out with.

use ploopconv::Workers;
use ploopconv::convert::Resources;
use ploopconv::observe::Progress;

use crate::cli::signals::Guard;

/// The threads, what stops them, and what watches them.
pub(super) fn resources<'a>(
    workers: &'a Workers,
    signals: &'a Guard,
    progress: &'a dyn Progress,
) -> Resources<'a> {
    Resources {
        workers,
        stop: signals.stop(),
        partials: signals.partials(),
        progress,
    }
}
