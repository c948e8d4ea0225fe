//! The partial files of a program that may be told to end at any moment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::util::sync::lock;

/// Knows every partial file from the moment it is there, so that a program which has to end on the
/// spot can remove them, and decides between that and a target that is about to get its name.
#[derive(Debug, Default)]
pub struct Partials {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paths: Vec<PathBuf>,
    /// Nothing is made or named any more.
    stopped: bool,
    /// A target has its name: what belongs to it may still be finished.
    named: bool,
}

impl Partials {
    /// Lets no file be made or get its name from now on, unless a target has its name already.
    pub fn stop(&self) {
        self.state().stopped = true;
    }

    /// Removes every partial file and says true; or false where a target has its name already,
    /// and the program should end in its own way. After `true` nothing is made or named.
    pub fn abandon(&self) -> bool {
        let mut state = self.state();
        state.stopped = true;
        if state.named {
            return false;
        }
        for path in state.paths.drain(..) {
            // A program that ends on the spot has no caller left to report to.
            let _ = std::fs::remove_file(path);
        }
        true
    }

    /// Makes a file, and knows it before anybody else can ask.
    pub(super) fn make<T>(
        self: &Arc<Self>,
        make: impl FnOnce() -> Result<T>,
        path: impl FnOnce(&T) -> PathBuf,
    ) -> Result<(T, Registered)> {
        let mut state = self.state();
        if state.stopped && !state.named {
            return Err(Error::stopped());
        }
        let made = make()?;
        let path = path(&made);
        state.paths.push(path.clone());
        let partials = Arc::clone(self);
        Ok((made, Registered { partials, path }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Keeps a partial file in the list of [`Partials`] until it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    partials: Arc<Partials>,
    path: PathBuf,
}

impl Registered {
    /// Gives the file its name, unless the program was told to end first.
    pub(super) fn name(&self, name: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.partials.state();
        if state.stopped && !state.named {
            return Err(Error::stopped());
        }
        name()?;
        forget(&mut state, &self.path);
        state.named = true;
        Ok(())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        forget(&mut self.partials.state(), &self.path);
    }
}

fn forget(state: &mut State, path: &Path) {
    state.paths.retain(|known| known != path);
}
