//! What a rule may know beside the tree.

use super::super::config::Config;
use super::super::receiver::Receiver;
use super::super::system::System;

/// What a rule may know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) system: &'a System,
    pub(super) config: &'a Config,
    pub(super) receiver: &'a Receiver,
}
