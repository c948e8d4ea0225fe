//! Work that one thread finds and others do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::util::sync::lock;

/// How many pieces of work may wait: each keeps a directory open.
const WAITING: usize = 64;

/// Work that waits, no more than a few pieces of it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// No more comes.
    is_closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Adds work once there is room; gives it back where the queue is closed.
    pub(super) fn push(&self, work: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        while state.waiting.len() >= WAITING && !state.is_closed {
            state = self.wait(state);
        }
        if state.is_closed {
            return Err(work);
        }
        state.waiting.push_back(work);
        self.changed.notify_all();
        Ok(())
    }

    /// The next piece of work; `None` once there is none and no more comes.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(work) = state.waiting.pop_front() {
                self.changed.notify_all();
                return Some(work);
            }
            if state.is_closed {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Lets no more come in.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_is_done_once_and_a_closed_queue_takes_no_more() {
        let queue = Queue::new();
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(work) = queue.take() {
                        lock(&done).push(work);
                    }
                });
            }
            for work in 0..1000 {
                queue.push(work).unwrap();
            }
            queue.close();
            assert_eq!(queue.push(7), Err(7));
        });
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..1000).collect::<Vec<_>>());
    }
}
