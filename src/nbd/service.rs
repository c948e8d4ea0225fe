//! How a connection is served.

use std::fmt::{self, Debug};
use std::sync::atomic::AtomicBool;

use super::export::Export;
use super::log::Log;

/// How a connection is served.
#[derive(Clone, Copy)]
pub struct Service<'a> {
    /// What is served.
    pub export: &'a Export,
    /// How many requests may be answered at the same time, at least one.
    pub workers: usize,
    /// Once set, requests are refused, and the connection ends when the stream does.
    pub stop: &'a AtomicBool,
    /// Hears what happens.
    pub log: &'a dyn Log,
    /// What events call the connection.
    pub connection: u64,
}

impl<'a> Service<'a> {
    /// Serves with 4 workers, and calls it connection 1.
    #[must_use]
    pub fn new(export: &'a Export, stop: &'a AtomicBool, log: &'a dyn Log) -> Self {
        Self {
            export,
            workers: 4,
            stop,
            log,
            connection: 1,
        }
    }
}

impl Debug for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("export", self.export)
            .field("workers", &self.workers)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
