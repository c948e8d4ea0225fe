//! Programs that set up networks, and words for reasons.

use super::super::super::draft::Draft;
use super::wanted::Wanted;
use crate::error::Result;

/// Why what names `venet0` goes.
pub(super) const VENET: &str = "belonged to venet0, which OpenVZ's hosts have";

/// A program that sets up networks, by the files that it reads.
pub(super) struct Manager {
    /// Whether the guest uses it.
    pub(super) is_used: fn(&Draft<'_>) -> Result<bool>,
    /// Takes out what belongs to `venet0`.
    pub(super) clean: fn(&mut Draft<'_>) -> Result<()>,
    /// The file that has settings of `eth0`, where there is one.
    pub(super) card: fn(&Draft<'_>) -> Result<Option<String>>,
    /// Gives `eth0` settings.
    pub(super) set: fn(&mut Draft<'_>, &Wanted) -> Result<()>,
}

/// The lines of a text that stay.
pub(super) fn retained(text: &str, stays: impl Fn(&str) -> bool) -> String {
    let lines = text.split('\n').filter(|line| stays(line));
    lines.collect::<Vec<_>>().join("\n")
}
