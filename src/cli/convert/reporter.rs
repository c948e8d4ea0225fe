//! Who says what a conversion or an update would do, and did.

use std::time::Instant;

use ploopconv::convert::PlannedMachine;

use super::args::ConvertArgs;
use crate::cli::guest::Container;

/// Says what a conversion would do or did, to people and to scripts.
pub(super) struct Reporter<'a> {
    pub(super) args: &'a ConvertArgs,
    pub(super) started: Instant,
    /// What was said of the image.
    pub(super) warnings: Vec<String>,
    /// What is known of a container that goes to another host.
    pub(super) container: Option<Container>,
    /// What starts it as a machine.
    pub(super) machine: Option<PlannedMachine>,
}
