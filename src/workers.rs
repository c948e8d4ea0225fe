//! The threads that do the work.

mod in_order;

pub(crate) use self::in_order::UnderWay;

use crate::error::{Detail, ErrorKind, Result};

/// A pool of threads of our own: BATs are judged and data is copied on it.
#[derive(Debug)]
pub struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// [`WorkersError`] where the system does not give them.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|at| format!("worker {at}"))
            .build()
            .map_err(|source| WorkersError {
                threads,
                source: source.into(),
            })?;
        Ok(Self { pool })
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` with this pool as the current one.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// Runs `work` once on every thread, and `here` on the calling one beside them; returns when
    /// all have ended.
    pub(crate) fn beside<T>(&self, work: impl Fn() + Sync, here: impl FnOnce() -> T) -> T {
        self.pool.in_place_scope(|scope| {
            for _ in 0..self.threads() {
                scope.spawn(|_| work());
            }
            here()
        })
    }
}

/// Threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting {threads} threads")]
pub struct WorkersError {
    /// How many were asked for.
    pub threads: usize,
    /// What the thread pool said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Detail for WorkersError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Io
    }

    fn code(&self) -> &'static str {
        "threads"
    }
}
