//! What a conversion is carried out with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::observe::Progress;
use crate::sink::Partials;
use crate::workers::Workers;

/// The threads of a conversion, and what watches and stops it.
#[derive(Clone, Copy)]
pub struct Resources<'a> {
    /// The threads.
    pub workers: &'a Workers,
    /// Set from outside to stop the conversion, and by the conversion when one of several images
    /// fails.
    pub stop: &'a AtomicBool,
    /// Knows the files that have to go if the program ends on the spot.
    pub partials: &'a Arc<Partials>,
    /// Sees how far it has come.
    pub progress: &'a dyn Progress,
}
